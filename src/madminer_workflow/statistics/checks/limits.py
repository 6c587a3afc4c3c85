"""Checks of an ensemble's limits: simulated events, agreement of members, the prior's reach."""

from __future__ import annotations

from typing import Any

import numpy as np

from madminer_workflow.ml.problem import Problem
from madminer_workflow.statistics.checks.ensemble import spread_check
from madminer_workflow.statistics.checks.extrapolation import extrapolation_check
from madminer_workflow.statistics.checks.simulation import size_check
from madminer_workflow.statistics.limits import Grid
from madminer_workflow.statistics.quantiles import chi2_quantile

TRUTH = "the assumed truth"


def limit_checks(
    limits: dict[str, Any],
    q: np.ndarray,
    grid: Grid,
    problem: Problem,
    settings: dict[str, Any],
    level: float,
) -> list[dict[str, Any]]:
    """Checks of expected ``limits`` from rate and shape, with test statistic ``q`` (n_points,).

    ``level`` is the widest confidence level; ``settings`` are those of the method, which has
    a prior if it is a function of the parameters.
    """
    points = {TRUTH: problem.theta_true, **edges(limits["intervals"], q, grid, str(level))}
    weights = {name: problem.test.weights_at(theta) for name, theta in points.items()}
    found = [size_check(float(problem.expected_events(problem.theta_true)), weights)]
    if settings["method"] != "histogram":
        ensemble, members = (
            {name: own[str(level)] for name, own in limits[key].items()}
            for key in ("intervals", "member_intervals")
        )
        axes = zip(grid.parameters, grid.axes, strict=True)
        ends = {name: [float(axis[0]), float(axis[-1])] for name, axis in axes}
        found.append(spread_check(ensemble, members, level, ends))
    if "theta0" in settings:
        priors = [settings["theta0"]["priors"][name] for name in grid.parameters]
        region = q < chi2_quantile(level, len(grid.parameters))
        found.append(extrapolation_check(region, grid.thetas(), priors, grid.parameters))
    return found


def edges(
    intervals: dict[str, Any], q: np.ndarray, grid: Grid, level: str
) -> dict[str, np.ndarray]:
    """The grid's points nearest to both edges of every parameter's interval, others profiled."""
    cube, thetas = q.reshape(grid.shape), grid.thetas().reshape(*grid.shape, -1)
    points = {}
    for i, (name, axis) in enumerate(zip(grid.parameters, grid.axes, strict=True)):
        own = intervals[name][level]
        for edge in (own[0][0], own[-1][-1]) if own else ():
            node = int(np.argmin(np.abs(axis - edge)))
            others = np.take(cube, node, axis=i)
            plane = np.take(thetas, node, axis=i).reshape(-1, len(grid.axes))
            points[f"{name} = {axis[node]:.3g}".replace("-", "−")] = plane[np.argmin(others)]
    return points
