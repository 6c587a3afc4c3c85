"""Checks of an ensemble's limits: simulated events, agreement of members, the prior's reach."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from madminer_workflow.analysis.types import Prior
from madminer_workflow.statistics.checks.ensemble import spread_check
from madminer_workflow.statistics.checks.extrapolation import extrapolation_check
from madminer_workflow.statistics.checks.simulation import size_check
from madminer_workflow.statistics.limits import Grid
from madminer_workflow.statistics.problem import Problem
from madminer_workflow.statistics.quantiles import chi2_quantile
from madminer_workflow.statistics.results import Check, Intervals, Limits

TRUTH = "the assumed truth"


def limit_checks(
    limits: Limits,
    q: np.ndarray,
    grid: Grid,
    problem: Problem,
    level: float,
    *,
    trained: bool,
    priors: Sequence[Prior] | None,
) -> list[Check]:
    """Checks of expected ``limits`` from rate and shape, with test statistic ``q`` (n_points,).

    ``level`` is the widest confidence level. Members can disagree if the method was ``trained``;
    limits can lie beyond the ``priors`` of the parameters, which a function of these has.
    """
    points = {TRUTH: problem.theta_true, **edges(limits.intervals, q, grid, str(level))}
    weights = {name: problem.test.weights_at(theta) for name, theta in points.items()}
    checks = [size_check(float(problem.expected_events(problem.theta_true)), weights)]
    if trained and limits.member_intervals is not None:
        ensemble = {name: levels[str(level)] for name, levels in limits.intervals.items()}
        members = {name: levels[str(level)] for name, levels in limits.member_intervals.items()}
        axes = zip(grid.parameters, grid.axes, strict=True)
        ends = {name: [float(axis[0]), float(axis[-1])] for name, axis in axes}
        checks.append(spread_check(ensemble, members, level, ends))
    if priors is not None:
        region = q < chi2_quantile(level, len(grid.parameters))
        checks.append(extrapolation_check(region, grid.thetas(), priors, grid.parameters))
    return checks


def edges(intervals: Intervals, q: np.ndarray, grid: Grid, level: str) -> dict[str, np.ndarray]:
    """The grid's points nearest to both edges of every parameter's interval, others profiled."""
    cube, thetas = q.reshape(grid.shape), grid.thetas().reshape(*grid.shape, -1)
    points = {}
    for i, (name, axis) in enumerate(zip(grid.parameters, grid.axes, strict=True)):
        disjoint = intervals[name][level]
        for edge in (disjoint[0][0], disjoint[-1][-1]) if disjoint else ():
            node = int(np.argmin(np.abs(axis - edge)))
            others = np.take(cube, node, axis=i)
            plane = np.take(thetas, node, axis=i).reshape(-1, len(grid.axes))
            points[f"{name} = {axis[node]:.3g}".replace("-", "−")] = plane[np.argmin(others)]
    return points
