"""What toys say about limits: coverage of the asymptotic ones, and Neyman's construction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from madminer_workflow.statistics.likelihood import KINDS
from madminer_workflow.statistics.limits import Grid, below
from madminer_workflow.statistics.plain import plain
from madminer_workflow.statistics.quantiles import binomial_quantiles, chi2_quantile
from madminer_workflow.statistics.results import (
    Estimate,
    Intervals,
    JointThresholds,
    PointCoverage,
    Thresholds,
    ToySummary,
)
from madminer_workflow.statistics.toys import Toys

Q_BINS = 24
LARGEST_Q = 12.0

ONE_SIGMA = np.array([0.1587, 0.8413])
"""Probabilities below -1 and +1 standard deviation."""


def summarise_toys(
    toys: Toys,
    limits: Mapping[str, np.ndarray],
    observed: Mapping[str, np.ndarray] | None,
    grid: Grid,
    levels: Sequence[float],
) -> ToySummary:
    """Coverage at the points that were asked for, and intervals with thresholds from toys.

    ``limits`` and ``observed``, None without data, are the test statistics of expected and observed
    data on the grid by kind, (n_points,). Coverage and critical values come with their statistical
    errors.
    """

    def intervals(by_kind: Mapping[str, np.ndarray]) -> dict[str, Intervals]:
        return {kind: neyman_intervals(toys, kind, q, grid, levels) for kind, q in by_kind.items()}

    asked = [i for i, point in enumerate(toys.points) if point.axis is None]
    return ToySummary(
        n_toys=next(iter(toys.q.values())).shape[1],
        points=[summarise_point(toys, i, grid.parameters, levels) for i in asked],
        intervals=intervals(limits),
        observed_intervals=None if observed is None else intervals(observed),
        nuisance_parameters=toys.nuisance_parameters,
    )


def summarise_point(
    toys: Toys, i: int, parameters: Sequence[str], levels: Sequence[float]
) -> PointCoverage:
    """Coverage and critical values at the point ``i``, of all parameters and of each."""
    point = toys.points[i]
    kinds = {
        kind: joint_thresholds(toys.q[kind][i], toys.q_profiled[kind][i], parameters, levels)
        for kind in KINDS
    }
    return PointCoverage(name=point.name, theta=list(point.theta), kinds=kinds)


def joint_thresholds(
    q: np.ndarray, q_profiled: np.ndarray, parameters: Sequence[str], levels: Sequence[float]
) -> JointThresholds:
    """Thresholds of all parameters, ``q`` (n_toys,), and of each, (n_parameters, n_toys)."""
    joint = thresholds(q, len(parameters), levels)
    edges = np.linspace(0.0, LARGEST_Q, Q_BINS + 1)
    # What exceeds the range is counted in the last bin.
    counts, _ = np.histogram(np.minimum(q, LARGEST_Q), edges)
    return JointThresholds(
        coverage=joint.coverage,
        critical=joint.critical,
        edges=edges.tolist(),
        q=counts.tolist(),
        parameters={
            name: thresholds(row, 1, levels)
            for name, row in zip(parameters, q_profiled, strict=True)
        },
    )


def thresholds(q: np.ndarray, dof: int, levels: Sequence[float]) -> Thresholds:
    """Coverage of the asymptotic threshold and the true threshold, by level, for toys' ``q``."""
    return Thresholds(
        coverage={
            str(level): _estimate(*coverage(q, chi2_quantile(level, dof))) for level in levels
        },
        critical={str(level): _estimate(*critical_value(q, level)) for level in levels},
    )


def _estimate(value: float, error: float) -> Estimate:
    return Estimate(value=plain(value), error=plain(error))


def coverage(q: np.ndarray, threshold: float) -> tuple[float, float]:
    """The fraction of toys with q below a threshold, and its error.

    The error is the standard deviation of the fraction's posterior for a flat prior, which is not
    zero where all toys, or none, are covered.
    """
    n, k = len(q), int(np.sum(q <= threshold))
    mean = (k + 1.0) / (n + 2.0)
    return k / n, float(np.sqrt(mean * (1.0 - mean) / (n + 3.0)))


def critical_value(q: np.ndarray, level: float) -> tuple[float, float]:
    """The quantile of q at a confidence level, and its error from the ranks beside it."""
    n = len(q)
    ranks = np.clip(binomial_quantiles(ONE_SIGMA, n, level), 0, n - 1).astype(int)
    low, high = np.sort(q)[ranks]
    return float(np.quantile(q, level)), float(0.5 * (high - low))


def neyman_intervals(
    toys: Toys, kind: str, q: np.ndarray, grid: Grid, levels: Sequence[float]
) -> Intervals:
    """Intervals of every parameter, the others profiled, with thresholds from toys.

    Thresholds are interpolated between the points along the parameter, where the other parameters
    have their assumed true values.
    """
    cube = q.reshape(grid.shape)
    intervals: Intervals = {}
    for i, name in enumerate(grid.parameters):
        profile = cube.min(axis=tuple(j for j in range(cube.ndim) if j != i))
        along = [k for k, point in enumerate(toys.points) if point.axis == name]
        places = [toys.points[k].theta[i] for k in along]
        rows = toys.q_profiled[kind][along, i]
        intervals[name] = {}
        for level in levels:
            critical = np.interp(grid.axes[i], places, np.quantile(rows, level, axis=1))
            ratio = profile / np.maximum(critical, 1e-12)
            intervals[name][str(level)] = below(grid.axes[i], ratio, 1.0)
    return intervals
