"""Likelihoods of data sets: expected, observed or toys, with nuisance parameters profiled.

A method says how probable the cells of its observation are at parameter points (``Density``); cells
are the bins of a histogram, or single events. With n_c events in cell c, mu the expected number of
events and p_c their distribution, the logarithms of the likelihoods are, up to constants,

    shape             sum_c n_c log p_c
    rate and shape    sum_c n_c log p_c + n log mu - mu

(arXiv:1007.1727). Nuisance parameters nu multiply rates by exp(a nu + b nu^2), see
``statistics.nuisance``, and have a unit Gaussian constraint around their auxiliary measurements, 0
in real and expected data.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import sparse

from madminer_workflow.large_arrays import ROWS
from madminer_workflow.statistics import nuisance
from madminer_workflow.statistics.polynomial import IMPOSSIBLE
from madminer_workflow.statistics.problem import Problem

KINDS = ("shape", "rate_and_shape")

STEPS = 50
LARGEST_STEP = 1.0
PRECISION = 1e-6

AT_ONCE = 1 << 24
"""Numbers in an array of points by cells that there is room for: 134 MB."""

LARGEST_ARRAY = 1_000_000
"""Numbers in an array of parameter points by events, 8 MB: larger ones are slower."""


@dataclass(frozen=True)
class Density:
    """How probable cells are at parameter points.

    ``log_p``, (n_thetas, n_cells), is the logarithm of the density of cells with respect to
    ``measure``, (n_cells,); ``cells`` maps the name of a sample of events to the cell of each.
    ``response``, (a, b) of every cell, (n_thetas or 1, n_cells, n_nuisance), is None where a method
    does not know how nuisance parameters change its distributions, or knows it of single events:
    then ``gain`` is what ``profiling_gain`` is for cells, of data sets and by kind, (n_sets,
    n_thetas).
    """

    log_p: np.ndarray
    cells: Mapping[str, np.ndarray]
    response: tuple[np.ndarray, np.ndarray] | None = None
    measure: np.ndarray | None = None
    gain: Callable[[DataSets, Problem], dict[str, np.ndarray]] | None = None

    @cached_property
    def log_p_of_cells(self) -> np.ndarray:
        """``log_p`` as (n_cells, n_thetas), laid out for products with many data sets."""
        return np.ascontiguousarray(self.log_p.T)

    def probabilities(self) -> np.ndarray:
        """Probability of every cell, (n_thetas, n_cells)."""
        p = np.exp(self.log_p)
        return p if self.measure is None else p * self.measure


@dataclass(frozen=True)
class DataSets:
    """Data sets made of the events of one sample.

    ``multiplicities``, (n_sets, n_events), says how often each event occurs in each, and
    ``auxiliary``, (n_sets, n_nuisance), what measured the nuisance parameters.
    """

    sample: str
    multiplicities: sparse.csr_array
    auxiliary: np.ndarray

    def part(self, rows: slice) -> DataSets:
        """Some of them."""
        return DataSets(self.sample, self.multiplicities[rows], self.auxiliary[rows])

    def counts(self, cells_of: Mapping[str, np.ndarray], n_cells: int) -> sparse.csr_array:
        """Numbers of events in the cells, which events of samples are in, (n_sets, n_cells)."""
        cells = cells_of[self.sample]
        n = len(cells)
        if n == n_cells > ROWS and np.array_equal(cells, np.arange(n)):
            return self.multiplicities
        shape = (n, n_cells)
        return self.multiplicities @ sparse.csr_array((np.ones(n), (np.arange(n), cells)), shape)


def expected_data(problem: Problem) -> DataSets:
    """The Asimov data set at ``theta_true``: test events weighted to the expected number."""
    weights = problem.test.weights_at(problem.theta_true)
    expected = problem.expected_events(problem.theta_true)
    row = sparse.csr_array((weights * expected / weights.sum())[None, :])
    return DataSets("test", row, np.zeros((1, len(problem.setup.nuisance))))


def observed_data(problem: Problem) -> DataSets:
    """The observed events as one data set, with nuisance parameters measured to be 0."""
    row = sparse.csr_array(np.ones((1, len(problem.observed or ()))))
    return DataSets("observed", row, np.zeros((1, len(problem.setup.nuisance))))


def log_likelihoods(
    density: Density,
    data: DataSets,
    problem: Problem,
    thetas: np.ndarray,
    profiled: bool = True,
) -> dict[str, np.ndarray]:
    """Log likelihood of every data set at every parameter point, (n_sets, n_thetas), by kind.

    With nuisance parameters profiled, or fixed at 0.
    """
    unprofiled = _at_nominal(density, data, problem, thetas)
    if not (profiled and problem.setup.nuisance):
        return unprofiled
    if density.gain is not None:
        gained = density.gain(data, problem)
        return {kind: values + gained[kind] for kind, values in unprofiled.items()}
    gains = {
        kind: np.array(
            [
                profiling_gain(n, varied.rates, varied.response, measured, varied.with_rate)
                for n, measured in zip(varied.counts, data.auxiliary, strict=True)
            ]
        )
        for kind, varied in _varied_cells(density, data, problem, thetas).items()
    }
    if density.response is None:
        gains["rate_and_shape"] += 0.5 * np.square(data.auxiliary).sum(axis=1)[:, None]
    return {kind: values + gains.get(kind, 0.0) for kind, values in unprofiled.items()}


def roughly_profiled(
    density: Density, data: DataSets, problem: Problem, thetas: np.ndarray
) -> dict[str, np.ndarray]:
    """``log_likelihoods`` from one step of profiling, up to a constant of each set.

    Good enough to tell where maxima may be.
    """
    values = _at_nominal(density, data, problem, thetas)
    if not problem.setup.nuisance:
        return values
    for kind, varied in _varied_cells(density, data, problem, thetas).items():
        a, _ = varied.response
        a = np.broadcast_to(a, (len(thetas), *a.shape[1:]))
        weighted = varied.rates[:, :, None] * a
        curvature = np.swapaxes(weighted, 1, 2) @ a
        gradient = np.tensordot(varied.counts, a, (1, 1)) + data.auxiliary[:, None]
        means = weighted.sum(axis=1)
        if varied.with_rate:
            gradient -= means
            curvatures = np.broadcast_to(curvature, (len(gradient), *curvature.shape))
        else:
            total, expected = varied.counts.sum(axis=1), varied.rates.sum(axis=1)
            means /= expected[:, None]
            spread = curvature / expected[:, None, None] - means[:, :, None] * means[:, None]
            gradient -= total[:, None, None] * means
            curvatures = total[:, None, None, None] * spread
        one = np.eye(gradient.shape[-1])
        step = np.linalg.solve(curvatures + one, gradient[..., None])[..., 0]
        values[kind] = values[kind] + 0.5 * np.sum(step * gradient, axis=-1)
    return values


def _at_nominal(
    density: Density, data: DataSets, problem: Problem, thetas: np.ndarray
) -> dict[str, np.ndarray]:
    """Log likelihoods with nuisance parameters at 0, (n_sets, n_thetas), by kind."""
    counts = data.counts(density.cells, density.log_p.shape[1])
    expected = problem.expected_events(thetas)
    total = counts.sum(axis=1)
    shape = counts @ density.log_p_of_cells
    possible = expected > 0.0
    log_expected = np.log(np.where(possible, expected, 1.0))
    of_rate = np.where(possible, total[:, None] * log_expected - expected, IMPOSSIBLE)
    return {"shape": shape, "rate_and_shape": shape + of_rate}


@dataclass(frozen=True)
class VariedCells:
    """Cells whose rates know of nuisance parameters: arguments of ``profiling_gain``.

    ``counts`` are those of all data sets, (n_sets, n_cells).
    """

    counts: np.ndarray
    rates: np.ndarray
    response: tuple[np.ndarray, np.ndarray]
    with_rate: bool


def _varied_cells(
    density: Density, data: DataSets, problem: Problem, thetas: np.ndarray
) -> dict[str, VariedCells]:
    """By the kinds of likelihood that know nuisance parameters."""
    expected = problem.expected_events(thetas)[:, None]
    counts = data.counts(density.cells, density.log_p.shape[1])
    if density.response is None:
        # The number of events is the only cell that knows about nuisance parameters.
        response = rate_response(problem, thetas)
        number = counts.sum(axis=1)[:, None]
        return {"rate_and_shape": VariedCells(number, expected, response, True)}
    n, rates = counts.toarray(), expected * density.probabilities()
    return {
        kind: VariedCells(n, rates, density.response, kind == "rate_and_shape") for kind in KINDS
    }


def chunks(thetas: np.ndarray, n_events: int) -> list[np.ndarray]:
    """``thetas`` in pieces whose arrays, with ``n_events`` columns, have ``LARGEST_ARRAY`` numbers.

    A piece has one point at least.
    """
    size = max(1, LARGEST_ARRAY // max(n_events, 1))
    return np.split(thetas, range(size, len(thetas), size))


def parts(thetas: np.ndarray, n_events: int) -> list[np.ndarray]:
    """``thetas`` at once, unless that is much: then in ``chunks``, where last digits are others."""
    return [thetas] if n_events * len(thetas) <= AT_ONCE else chunks(thetas, n_events)


def rate_response(problem: Problem, thetas: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The response (a, b) of the expected number of events, each (n_thetas, 1, n_nuisance)."""
    rates = problem.setup.morphing_weights(thetas) @ problem.varied_totals.T
    return nuisance.response_of_rates(rates[:, None], problem.setup)


def profiling_gain(
    counts: np.ndarray,
    rates: np.ndarray,
    response: tuple[np.ndarray, np.ndarray],
    auxiliary: np.ndarray,
    with_rate: bool,
) -> np.ndarray:
    """Highest log likelihood over nu, constraint included, minus that at nu = 0 without it.

    ``counts`` (n_cells,) are observed, ``rates`` (n_thetas, n_cells) expected at nu = 0; without
    rate, only their distribution counts. The maximum is found by Fisher scoring: Newton's method
    with the expected second derivatives, which always points uphill.
    """
    a, b = response
    n = counts.sum()
    nu = np.tile(auxiliary, (len(rates), 1))
    for _ in range(STEPS):
        slopes = a + 2.0 * b * nu[:, None, :]
        varied = rates * np.exp(_exponents(a, b, nu))
        if not with_rate:
            varied *= n / varied.sum(axis=1, keepdims=True)
        weighted = varied[:, :, None] * slopes
        gradient = ((counts - varied)[:, None, :] @ slopes)[:, 0, :] - (nu - auxiliary)
        curvature = np.swapaxes(weighted, 1, 2) @ np.broadcast_to(slopes, weighted.shape)
        if not with_rate:
            means = weighted.sum(axis=1)
            curvature -= means[:, :, None] * means[:, None, :] / max(n, 1e-300)
        step = np.linalg.solve(curvature + np.eye(len(auxiliary)), gradient[:, :, None])[:, :, 0]
        nu = nu + np.clip(step, -LARGEST_STEP, LARGEST_STEP)
        if np.abs(step).max() < PRECISION:
            break
    exponents = _exponents(a, b, nu)
    varied, nominal = (rates * np.exp(exponents)).sum(axis=1), rates.sum(axis=1)
    lost = varied - nominal if with_rate else n * np.log(varied / nominal)
    return exponents @ counts - lost - 0.5 * np.square(nu - auxiliary).sum(axis=1)


def _exponents(a: np.ndarray, b: np.ndarray, nu: np.ndarray) -> np.ndarray:
    """The logarithm of the change of every cell's rate, (n_thetas, n_cells)."""
    return ((a + b * nu[:, None, :]) @ nu[:, :, None])[:, :, 0]
