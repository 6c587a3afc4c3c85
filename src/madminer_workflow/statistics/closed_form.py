"""Limits and toys of densities that are polynomials: maxima and edges are found by fits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial

import msgspec
import numpy as np
from scipy import sparse

from madminer_workflow.large_arrays import release
from madminer_workflow.statistics import divergence
from madminer_workflow.statistics.event_sums import SumsOfEvents, thinned
from madminer_workflow.statistics.fits import (
    Likelihood,
    candidates,
    highest_near,
    intervals,
    maxima,
)
from madminer_workflow.statistics.fluctuations import Fluctuations
from madminer_workflow.statistics.likelihood import (
    KINDS,
    DataSets,
    Density,
    parts,
    roughly_profiled,
)
from madminer_workflow.statistics.limits import Grid
from madminer_workflow.statistics.nuisance import response_of_rates, two_sided
from madminer_workflow.statistics.polynomial import EventResponse, Likelihoods, PolynomialDensity
from madminer_workflow.statistics.problem import Problem
from madminer_workflow.statistics.quantiles import chi2_quantile
from madminer_workflow.statistics.results import Interval, Intervals, Limits, ParameterError
from madminer_workflow.statistics.setup import Setup
from madminer_workflow.statistics.simulation import Around, Simulated, q_total, variance
from madminer_workflow.statistics.varied import Factors, Together, VariedRates
from madminer_workflow.statistics.varied_events import VariedEvents, gain_at_points

CELLS = 4000
"""So many are enough to know standard deviations by."""

TOGETHER = 4_000_000
"""Numbers of data sets that are kept at a time: 32 MB."""


def density_at(known: PolynomialDensity, setup: Setup, thetas: np.ndarray) -> Density:
    """The density at parameter points, in the form that methods without a polynomial have."""
    response, gain = None, None
    if known.varied is not None:
        rates = np.concatenate([known.coefficients[:, None], known.varied], axis=1)
        values = np.tensordot(known.monomials.values(thetas), rates, (1, 2))
        response = response_of_rates(values, setup)
    if known.response is not None:
        gain = partial(gain_at_points, known, thetas)
    return Density(known.log_density(thetas), known.cells, response, known.measure, gain)


@dataclass(frozen=True)
class Model:
    """A density, and the ``kind`` of likelihood that it is to have.

    Nuisance parameters are fitted where they are ``profiled`` and the likelihood knows them. Fits
    are made at points of the parameters with those of the nuisance parameters behind. What the
    density is made from may be off by ``fluctuations``, by their source, none if that is not known.
    """

    density: PolynomialDensity
    problem: Problem
    kind: str
    profiled: bool = True
    fluctuations: Mapping[str, Fluctuations] = field(default_factory=dict)

    @property
    def with_rate(self) -> bool:
        """Whether the number of events counts."""
        return self.kind == "rate_and_shape"

    @property
    def n_nuisance(self) -> int:
        """Number of nuisance parameters that are fitted."""
        shapes = self.density.varied is not None or self.density.response is not None
        known = self.with_rate or shapes
        return len(self.problem.setup.nuisance) if self.profiled and known else 0

    def units(self, theta: np.ndarray) -> np.ndarray:
        """Standard deviations at ``theta``, 1 for nuisance parameters."""
        of_theta = standard_deviations(self.density, self.problem, theta)
        return np.concatenate([of_theta, np.ones(self.n_nuisance)])

    def extended(self, thetas: np.ndarray) -> np.ndarray:
        """Points (n, n_parameters) with nuisance parameters at 0."""
        return np.hstack([thetas, np.zeros((len(thetas), self.n_nuisance))])

    def likelihoods(self, data: DataSets) -> Iterator[Likelihood]:
        """The likelihoods of data sets, a few at a time."""
        n_cells, n_monomials = self.density.coefficients.shape
        counts = sparse.csr_array(data.counts(self.density.cells, n_cells))
        longest = max(int(np.diff(counts.indptr).max()), 1)
        varied = self.n_nuisance > 0 and self.density.varied is not None
        response = self.density.response if self.n_nuisance else None
        n_densities = 1 if response is None else 1 + len(response.changing)
        # All sets see the same cells where they fill most of them, or else each those it fills.
        common = varied or n_cells <= longest * n_monomials
        size = n_cells if common else longest * n_monomials * n_densities
        together = max(1, TOGETHER // size)
        for start in range(0, counts.shape[0], together):
            some = counts[start : start + together]
            auxiliary = data.auxiliary[start : start + together]
            if varied:
                yield self._varied(some.toarray(), auxiliary)
                continue
            if response is None:
                nominal = self._cells(self.density.coefficients, some, common)
                yield self._with_rate(*nominal, auxiliary)
            else:
                yield self._events(response, some, common, auxiliary)

    def _cells(
        self, coefficients: np.ndarray, counts: sparse.csr_array, common: bool
    ) -> tuple[np.ndarray, np.ndarray]:
        """Coefficients (n_sets, n_monomials, ..., n) of the cells that sets fill, and the counts.

        ``coefficients`` are (n_cells, ..., n_monomials). With all cells ``common``, n_sets is 1.
        """
        if common:
            return np.ascontiguousarray(coefficients.T)[None], counts.toarray()
        sizes = np.diff(counts.indptr)
        filled = np.arange(max(sizes.max(), 1)) < sizes[:, None]
        # What fills up shorter data sets does not depend on the parameters, and does not occur.
        nothing = (self.density.monomials.powers.sum(axis=1) == 0).astype(float)
        chosen = np.empty((*filled.shape, *coefficients.shape[1:]))
        chosen[:] = nothing
        chosen[filled] = coefficients[counts.indices]
        numbers = np.zeros(filled.shape)
        numbers[filled] = counts.data
        axes = range(coefficients.ndim, 0, -1)
        return np.ascontiguousarray(chosen.transpose(0, *axes)), numbers

    def _with_rate(
        self, coefficients: np.ndarray, counts: np.ndarray, auxiliary: np.ndarray
    ) -> Likelihood:
        """Likelihoods whose rate alone knows nuisance parameters."""
        known = self.density
        expected = self.problem.luminosity * self._totals[0] if self.with_rate else None
        if not self.n_nuisance:
            return Likelihoods(known.monomials, coefficients, counts, known.norm, expected)
        shape = Likelihoods(known.monomials, coefficients, counts, known.norm, None)
        number = counts.sum(axis=1, keepdims=True)
        rate = VariedRates(
            known.monomials,
            self._totals[None],
            self._totals[0],
            expected,
            Factors.of(self._two_sided),
            number,
            auxiliary,
        )
        return Together(shape, rate)

    def _events(
        self,
        response: EventResponse,
        counts: sparse.csr_array,
        common: bool,
        auxiliary: np.ndarray,
    ) -> VariedEvents:
        """Likelihoods of events that respond to nuisance parameters, each in its way."""
        known = self.density
        few = thinned(known, counts, self.problem.theta_true)
        expected = self.problem.luminosity * self._totals if self.with_rate else None
        rows: slice | np.ndarray = slice(None)
        some = counts
        if few is not None:
            rows, some = few.indices, few[:, few.indices]
        densities = [known.coefficients[rows, None], response.coefficients[rows]]
        coefficients, numbers = self._cells(
            np.concatenate(densities, axis=1), some, common or few is not None
        )
        shape = Likelihoods(known.monomials, coefficients[:, :, 0], numbers, known.norm, None)
        if few is not None:
            cells = self._cells(known.coefficients, counts, common)
            shape = Likelihoods(known.monomials, *cells, known.norm, None)
        return VariedEvents(
            known.monomials,
            SumsOfEvents(
                known.monomials,
                coefficients,
                numbers,
                np.vstack([known.norm, response.norm]),
                response.changing,
                None if few is None else shape,
            ),
            replace(shape, expected=None if expected is None else expected[0]),
            counts.sum(axis=1),
            response.parts[None],
            response.spreads,
            None if expected is None else expected[None],
            self._two_sided,
            auxiliary,
        )

    def _varied(self, counts: np.ndarray, auxiliary: np.ndarray) -> VariedRates:
        """Likelihoods whose cells know nuisance parameters."""
        known = self.density
        assert known.varied is not None, "otherwise the rate alone knows them"
        return VariedRates(
            known.monomials,
            np.concatenate([known.coefficients[:, None], known.varied], axis=1),
            known.norm,
            self.problem.luminosity * self._totals[0] if self.with_rate else None,
            Factors.of(self._two_sided),
            counts,
            auxiliary,
            known.measure,
        )

    def simulated(self, data: DataSets) -> list[Simulated]:
        """The simulation behind the likelihoods of data sets, for each source of its error."""
        if not self.fluctuations:
            return []
        known = self.density
        factors = Factors.of(self._two_sided, bounded=known.response is not None)
        return [
            Simulated(
                known,
                fluctuations,
                sparse.csr_array(data.counts(known.cells, len(known.coefficients))),
                self._totals,
                self.problem.luminosity if self.with_rate else None,
                factors if self.n_nuisance else None,
            )
            for fluctuations in self.fluctuations.values()
        ]

    @property
    def _two_sided(self) -> np.ndarray:
        return two_sided(self.problem.setup)

    @cached_property
    def _totals(self) -> np.ndarray:
        """The cross-section, nominal and varied, as coefficients (n_variations, n_monomials)."""
        return self.problem.varied_totals @ self.problem.setup.morphing_matrix


def standard_deviations(
    density: PolynomialDensity, problem: Problem, theta: np.ndarray
) -> np.ndarray:
    """Of each parameter alone, with the events expected at ``theta``, (n_parameters,)."""
    weights = problem.test.weights_at(theta)
    step = max(1, len(weights) // CELLS)
    rows, weights = density.rows("test")[::step], weights[::step]
    at_theta = rows @ density.monomials.values(theta)
    known = (at_theta > 0.0) & (weights > 0.0)
    weighted = rows[known] * (weights[known] / at_theta[known])[:, None]
    n_events = float(problem.expected_events(theta))
    return divergence.units(weighted, density.monomials, theta, n_events)


@dataclass(frozen=True)
class Maximum:
    """The highest log likelihood of a data set, where it is, and the intervals around it.

    It is at ``theta`` (n_parameters,) and ``nu`` (n_nuisance,), those that are fitted. Where the
    simulation's error is known, ``with_simulation`` are the ``intervals`` that have it, and
    ``errors`` what they are made of.
    """

    value: float
    theta: np.ndarray
    intervals: Intervals
    nu: np.ndarray
    with_simulation: Intervals | None = None
    errors: dict[str, ParameterError] | None = None


def maximum(model: Model, data: DataSets, levels: Sequence[float], grid: Grid) -> Maximum:
    """That of one data set; intervals end where the grid does, the other parameters need not."""
    [likelihood] = model.likelihoods(data)
    theta_true = model.problem.theta_true
    units = model.units(theta_true)
    points = candidates(theta_true, units[: len(theta_true)])
    values = log_likelihoods_at(model.density, data, model.problem, points)[model.kind]
    thresholds = [chi2_quantile(level, 1) for level in levels]
    within = 0.5 * max(thresholds)
    rough = likelihood.nominal if isinstance(likelihood, VariedEvents) else None
    best = maxima(likelihood, values, model.extended(points), units, within, rough)
    ranges = np.array([(axis[0], axis[-1]) for axis in grid.axes])

    def named(found: Sequence[Sequence[list[Interval]]]) -> Intervals:
        return {
            name: {str(level): pairs for level, pairs in zip(levels, by_level, strict=True)}
            for name, by_level in zip(grid.parameters, found, strict=True)
        }

    theta, nu = np.split(best.thetas[0, 0], [len(theta_true)])
    plain = named(intervals(likelihood, best, thresholds, ranges, units))
    height = float(best.values[0, 0])
    if not model.fluctuations:
        return Maximum(height, theta, plain, nu)
    around = Around(model.simulated(data), best.thetas[0, 0])
    wider = intervals(likelihood, best, thresholds, ranges, units, around.variance)
    errors = around.errors(likelihood, height, ranges, units, list(model.fluctuations))
    of_parameters = dict(zip(grid.parameters, errors, strict=True))
    return Maximum(height, theta, plain, nu, named(wider), of_parameters)


def variance_at(model: Model, data: DataSets, best: Maximum, thetas: np.ndarray) -> np.ndarray:
    """v of one data set at points (n_thetas, n_parameters), with nu as at its maximum ``best``."""
    places = np.hstack([thetas, np.tile(best.nu, (len(thetas), 1))])
    return Around(model.simulated(data), np.concatenate([best.theta, best.nu])).variance(places)


def likelihood_ratio_statistic(values: np.ndarray, highest: Sequence[Maximum]) -> np.ndarray:
    """q = 2 (max log L - log L) for rows of ``values`` (n_rows, n_points) and their maxima."""
    best = np.array([[maximum.value] for maximum in highest])
    return np.maximum(2.0 * (best - values), 0.0)


def sharpened(scanned: Limits, highest: Sequence[Maximum]) -> Limits:
    """Limits with best fit and intervals from the maxima of an ensemble and its members, if any.

    With the simulation's error in those of the ensemble, if that is known.
    """
    if not highest:
        return scanned
    ensemble, *members = highest
    limits = msgspec.structs.replace(
        scanned,
        best_fit=ensemble.theta.tolist(),
        intervals=ensemble.with_simulation or ensemble.intervals,
        errors=ensemble.errors,
    )
    if not members:
        return limits
    of_members = {
        name: {level: [one.intervals[name][level] for one in members] for level in by_level}
        for name, by_level in ensemble.intervals.items()
    }
    return msgspec.structs.replace(limits, member_intervals=of_members)


def without_simulation(scanned: Limits, best: Maximum) -> Limits:
    """Limits with best fit and intervals from the ``best`` fit, the simulation taken for exact."""
    return msgspec.structs.replace(scanned, best_fit=best.theta.tolist(), intervals=best.intervals)


def statistics(
    density: PolynomialDensity,
    data: DataSets,
    problem: Problem,
    theta: np.ndarray,
    fluctuations: Mapping[str, Fluctuations] | None = None,
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """q at ``theta`` of every data set by kind, with the error that ``fluctuations`` make.

    For all parameters, (n_sets,), and for each, the others profiled, (n_parameters, n_sets).
    """
    n = len(theta)
    points = candidates(theta, standard_deviations(density, problem, theta))
    # With nothing fixed, with one parameter, and with all.
    fixed = np.concatenate([np.zeros((1, n), bool), np.eye(n, dtype=bool), np.ones((1, n), bool)])
    planes = [Plane(which, np.where(which, theta, points)) for which in fixed]
    values = [log_likelihoods_at(density, data, problem, plane.points) for plane in planes]
    return {
        kind: _statistics(
            Model(density, problem, kind, fluctuations=fluctuations or {}),
            data,
            theta,
            planes,
            [by_kind[kind] for by_kind in values],
        )
        for kind in KINDS
    }


@dataclass(frozen=True)
class Plane:
    """Points (n_points, n_parameters) to look for maxima from, some parameters ``fixed``."""

    fixed: np.ndarray
    points: np.ndarray


def _statistics(
    model: Model,
    data: DataSets,
    theta: np.ndarray,
    planes: Sequence[Plane],
    values: Sequence[np.ndarray],
) -> tuple[np.ndarray, np.ndarray]:
    """For likelihoods of one kind, with ``values`` (n_sets, n_points) at the points of planes."""
    units = model.units(theta)
    simulated = model.simulated(data)
    q_of_all, q_of_each, done = [], [], 0
    for some in model.likelihoods(data):
        rows = slice(done, done + len(some))
        rough = some.nominal if isinstance(some, VariedEvents) else None
        points = model.extended(planes[0].points)
        best = maxima(some, values[0][rows], points, units, rough=rough)
        fixed = [
            highest_near(
                some,
                np.flatnonzero(plane.fixed),
                by_set[rows],
                plane.points,
                units,
                best.thetas[:, 0],
                rough,
            )
            for plane, by_set in zip(planes[1:], values[1:], strict=True)
        ]
        # A search with one parameter fixed may find what the one with all free has missed.
        heights = np.array([best.values[:, 0], *(one.values for one in fixed)])
        places = np.array([best.thetas[:, 0], *(one.thetas for one in fixed)])
        highest = heights.argmax(axis=0), np.arange(len(some))
        q = 2.0 * (heights[highest] - heights[1:])
        sets, best_places = np.arange(rows.start, rows.stop), places[highest]
        for row, points in zip(q, places[1:], strict=True):
            row[:] = q_total(row, variance(simulated, points, best_places, sets))
        q_of_each.append(q[:-1])
        q_of_all.append(q[-1])
        done += len(some)
    return np.concatenate(q_of_all), np.concatenate(q_of_each, axis=1)


def log_likelihoods_at(
    density: PolynomialDensity, data: DataSets, problem: Problem, thetas: np.ndarray
) -> dict[str, np.ndarray]:
    """Log likelihoods at points, roughly profiled, by kind, (n_sets, n_thetas)."""
    if len(parts(thetas, len(density.coefficients))) > 1 and density.varied is None:
        density, data = _of_occurring(density, data)
    values = [
        roughly_profiled(density_at(density, problem.setup, some), data, problem, some)
        for some in parts(thetas, len(density.coefficients))
    ]
    return {kind: np.concatenate([one[kind] for one in values], axis=1) for kind in values[0]}


def _of_occurring(known: PolynomialDensity, data: DataSets) -> tuple[PolynomialDensity, DataSets]:
    """The same without events that occur in none of the data sets, and do not count there."""
    used = np.unique(data.multiplicities.indices)
    if len(used) == data.multiplicities.shape[1]:
        return known, data
    cells, response = known.cells[data.sample][used], known.response
    if response is not None:
        response = replace(response, coefficients=response.coefficients[cells])
    density = replace(
        known,
        coefficients=known.coefficients[cells],
        cells={data.sample: np.arange(len(used))},
        response=response,
    )
    release(known.coefficients)
    return density, replace(data, multiplicities=data.multiplicities[:, used])
