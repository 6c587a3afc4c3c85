"""Limits and toys of densities that are polynomials: maxima and edges are found by fits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from msgspec.structs import replace
from scipy import sparse

from madminer_workflow.statistics import divergence
from madminer_workflow.statistics.fits import candidates, intervals, maxima, profiled
from madminer_workflow.statistics.likelihood import KINDS, DataSets, Density, log_likelihoods
from madminer_workflow.statistics.limits import Grid
from madminer_workflow.statistics.polynomial import Likelihoods, PolynomialDensity
from madminer_workflow.statistics.problem import Problem
from madminer_workflow.statistics.quantiles import chi2_quantile
from madminer_workflow.statistics.results import Intervals, Limits

CELLS = 4000
"""So many are enough to know standard deviations by."""

TOGETHER = 4_000_000
"""Coefficients of data sets that are kept at a time: 32 MB."""


def likelihoods(
    density: PolynomialDensity, data: DataSets, problem: Problem, kind: str
) -> Iterator[Likelihoods]:
    """The likelihoods of data sets, a few at a time, nuisance parameters fixed at 0."""
    rows = density.coefficients[data.sample]
    counts = sparse.csr_array(data.multiplicities)
    longest = max(int(np.diff(counts.indptr).max()), 1)
    together = max(1, TOGETHER // (longest * rows.shape[1]))
    expected = None
    if kind == "rate_and_shape":
        totals = problem.everything.weights.sum(axis=0) @ problem.setup.morphing_matrix
        expected = problem.luminosity * totals
    # What fills up shorter data sets does not depend on the parameters, and does not occur.
    nothing = (density.monomials.powers.sum(axis=1) == 0).astype(float)
    for start in range(0, counts.shape[0], together):
        some = counts[start : start + together]
        sizes = np.diff(some.indptr)
        coefficients = np.tile(nothing[:, None], (len(sizes), 1, longest))
        numbers = np.zeros((len(sizes), longest))
        filled = np.arange(longest) < sizes[:, None]
        np.swapaxes(coefficients, 1, 2)[filled] = rows[some.indices]
        numbers[filled] = some.data
        yield Likelihoods(density.monomials, coefficients, numbers, density.norm, expected)


def standard_deviations(
    density: PolynomialDensity, problem: Problem, theta: np.ndarray
) -> np.ndarray:
    """Of each parameter alone, with the events expected at ``theta``, (n_parameters,)."""
    weights = problem.test.weights_at(theta)
    step = max(1, len(weights) // CELLS)
    rows, weights = density.coefficients["test"][::step], weights[::step]
    at_theta = rows @ density.monomials.values(theta)
    known = (at_theta > 0.0) & (weights > 0.0)
    weighted = rows[known] * (weights[known] / at_theta[known])[:, None]
    n_events = float(problem.expected_events(theta))
    return divergence.units(weighted, density.monomials, theta, n_events)


@dataclass(frozen=True)
class Maximum:
    """The highest log likelihood of a data set, where it is, and the intervals around it."""

    value: float
    theta: np.ndarray
    intervals: Intervals


def maximum(
    density: PolynomialDensity,
    data: DataSets,
    problem: Problem,
    kind: str,
    levels: Sequence[float],
    grid: Grid,
) -> Maximum:
    """That of one data set; intervals end where the grid does, the other parameters need not."""
    [likelihood] = likelihoods(density, data, problem, kind)
    units = standard_deviations(density, problem, problem.theta_true)
    points = candidates(problem.theta_true, units)
    best = maxima(likelihood, values_at(density, data, problem, points)[kind], points, units)
    thresholds = [chi2_quantile(level, 1) for level in levels]
    ranges = np.array([(axis[0], axis[-1]) for axis in grid.axes])
    found = intervals(likelihood, best, thresholds, ranges, units)
    by_parameter = {
        name: {str(level): pairs for level, pairs in zip(levels, by_level, strict=True)}
        for name, by_level in zip(problem.setup.parameters, found, strict=True)
    }
    return Maximum(float(best.values[0, 0]), best.thetas[0, 0], by_parameter)


def likelihood_ratio_statistic(values: np.ndarray, found: Sequence[Maximum]) -> np.ndarray:
    """q = 2 (max log L - log L) for rows of ``values`` (n_rows, n_points) and their maxima."""
    highest = np.array([[maximum.value] for maximum in found])
    return np.maximum(2.0 * (highest - values), 0.0)


def sharpened(scanned: Limits, found: Sequence[Maximum]) -> Limits:
    """Limits with the intervals that were ``found`` for an ensemble and its members, if any."""
    if not found:
        return scanned
    ensemble, *members = found
    return replace(
        scanned,
        best_fit=ensemble.theta.tolist(),
        intervals=ensemble.intervals,
        member_intervals={
            name: {level: [one.intervals[name][level] for one in members] for level in by_level}
            for name, by_level in ensemble.intervals.items()
        },
    )


def statistics(
    density: PolynomialDensity, data: DataSets, problem: Problem, theta: np.ndarray
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """q at ``theta`` of every data set by kind.

    For all parameters, (n_sets,), and for each, the others profiled, (n_parameters, n_sets).
    """
    units = standard_deviations(density, problem, theta)
    points = candidates(theta, units)
    # The first of the candidates is theta itself.
    planes = [moved(points, i, theta[i]) for i in range(len(theta))]
    values = [values_at(density, data, problem, some) for some in (points, *planes)]
    result = {}
    for kind in KINDS:
        joint, of_each, done = [], [], 0
        for some in likelihoods(density, data, problem, kind):
            rows = slice(done, done + len(some))
            free, *fixed = [by_kind[kind][rows] for by_kind in values]
            best = maxima(some, free, points, units)
            heights = np.array(
                [
                    profiled(some, i, fixed[i], planes[i], units, best.thetas[:, 0])
                    for i in range(len(theta))
                ]
            )
            # A search with one parameter fixed may find what the one with all free has missed.
            highest = np.maximum(best.values[:, 0], heights.max(axis=0))
            joint.append(2.0 * (highest - free[:, 0]))
            of_each.append(2.0 * (highest - heights))
            done += len(some)
        result[kind] = np.concatenate(joint), np.concatenate(of_each, axis=1)
    return result


def moved(points: np.ndarray, parameter: int, value: float) -> np.ndarray:
    """The points (n_points, n_parameters) with one parameter at a value, each once."""
    points = points.copy()
    points[:, parameter] = value
    return np.unique(points, axis=0)


def values_at(
    density: PolynomialDensity, data: DataSets, problem: Problem, thetas: np.ndarray
) -> dict[str, np.ndarray]:
    """Log likelihoods of data sets at points by kind, (n_sets, n_thetas)."""
    log_p = density.log_density(data.sample, thetas)
    cells = {data.sample: np.arange(log_p.shape[1])}
    return log_likelihoods(Density(log_p, cells), data, problem, thetas, profiled=False)
