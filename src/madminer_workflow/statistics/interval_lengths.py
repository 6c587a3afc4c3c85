"""How the lengths of expected intervals fluctuate with the simulated events.

Expected data are the test events, so that other events would give other intervals; so would other
training events, which templates are filled with. In a bootstrap replica of the former, or if the
simulation is off along one of the directions of its error (``statistics.fluctuations``), an edge
moves by -dq / |dq / dtheta|, where dq is the change of the test statistic at the edge with the
maximum where it was. This is exact for paraboloids, whose maximum moves with both edges. All
methods have the same replicas and, as events are in the same groups, the same directions: what two
of them have in common cancels.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from madminer_workflow.statistics.information import bootstrapped
from madminer_workflow.statistics.likelihood import Density
from madminer_workflow.statistics.limits import Grid
from madminer_workflow.statistics.problem import Problem
from madminer_workflow.statistics.quantiles import chi2_quantile
from madminer_workflow.statistics.results import Intervals
from madminer_workflow.statistics.simulation import Simulated


@dataclass(frozen=True)
class Edges:
    """Edges of intervals inside the grid.

    ``nodes`` (n_edges, 2, n_parameters) are where the profile likelihood passes the lines of the
    grid on both sides, ``fractions`` (n_edges,) of the way from the first to the second;
    ``parameters`` (n_edges,) tell whose interval ends there, ``slopes`` (n_edges,) how q rises
    beyond, per unit of that parameter.
    """

    nodes: np.ndarray
    fractions: np.ndarray
    parameters: np.ndarray
    slopes: np.ndarray

    def points(self, theta: np.ndarray) -> np.ndarray:
        """All nodes and, last, ``theta``, where the maximum is, (2 n_edges + 1, n_parameters)."""
        return np.concatenate([self.nodes.reshape(-1, len(theta)), theta[None, :]])


def edges_of(intervals: Intervals, q: np.ndarray, grid: Grid, level: float) -> Edges:
    """All edges at a confidence level; ``q`` (n_points,) is known on the grid."""
    cube, thetas = q.reshape(grid.shape), grid.thetas().reshape(*grid.shape, -1)
    nodes, fractions, parameters, slopes = [], [], [], []
    for i, (name, axis) in enumerate(zip(grid.parameters, grid.axes, strict=True)):
        cubes, planes = np.moveaxis(cube, i, 0), np.moveaxis(thetas, i, 0)
        roots = np.sqrt(np.maximum(cubes.reshape(len(axis), -1).min(axis=1), 0.0))
        for edge in np.ravel(intervals[name][str(level)]):
            if not axis[0] < edge < axis[-1]:
                continue
            low = int(np.searchsorted(axis, edge)) - 1
            step = axis[low + 1] - axis[low]
            rise = abs(roots[low + 1] - roots[low]) / step
            if rise == 0.0:
                continue
            nodes.append([_lowest(cubes[k], planes[k]) for k in (low, low + 1)])
            fractions.append((edge - axis[low]) / step)
            parameters.append(i)
            slopes.append(2.0 * np.sqrt(chi2_quantile(level, 1)) * rise)
    return Edges(
        np.reshape(nodes, (len(parameters), 2, len(grid.axes))),
        np.array(fractions),
        np.array(parameters, dtype=int),
        np.array(slopes),
    )


def _lowest(q: np.ndarray, thetas: np.ndarray) -> np.ndarray:
    """Where q is lowest between the nodes of a grid, (n_parameters,).

    ``q`` is known at ``thetas`` (*q.shape, n_parameters). The other parameters of an edge that are
    off by a fraction of a step make edges move that are none: the change of a log likelihood is
    steep where its maximum moves.
    """
    place = np.array(np.unravel_index(q.argmin(), q.shape), dtype=int)
    theta = thetas[tuple(place)]
    if not q.ndim or np.any(place == 0) or np.any(place == np.array(q.shape) - 1):
        return theta
    steps = np.eye(q.ndim, dtype=int)

    def at(step: np.ndarray) -> float:
        return float(q[tuple(place + step)])

    gradient = np.array([0.5 * (at(one) - at(-one)) for one in steps])
    hessian = np.diag([at(one) - 2.0 * at(0 * one) + at(-one) for one in steps])
    for i, j in combinations(range(q.ndim), 2):
        a, b = steps[i], steps[j]
        hessian[i, j] = hessian[j, i] = 0.25 * (at(a + b) - at(a - b) - at(b - a) + at(-a - b))
    if not np.all(np.isfinite(hessian)) or np.linalg.eigvalsh(hessian)[0] <= 0.0:
        return theta
    moved = np.clip(-np.linalg.solve(hessian, gradient), -1.0, 1.0)
    widths = np.array([thetas[tuple(place + one)] - theta for one in steps])
    return theta + moved @ widths


def log_length_replicas(
    densities: Iterable[Density],
    edges: Edges,
    problem: Problem,
    intervals: Intervals,
    level: float,
) -> np.ndarray:
    """Change of the log of each interval's length in replicas, (n_parameters, n_replicas).

    The ``densities`` are known at the ``points`` of the edges and the maximum, some of them each.
    Nuisance parameters stay at 0, as what profiling changes fluctuates by much less. Not a number
    where there is no interval.
    """
    weights = problem.test.weights_at(problem.theta_true)
    expected = float(problem.expected_events(problem.theta_true))
    changes = []
    for density in densities:
        log_p = density.log_p[:, density.cells["test"]]

        def log_likelihoods(multiplicities: np.ndarray, log_p: np.ndarray = log_p) -> np.ndarray:
            shares = multiplicities * weights
            return expected * (log_p @ (shares / shares.sum()))

        found = bootstrapped(log_likelihoods, len(weights), problem.seed)
        changes.append(found.replicas - found.estimate)
    return _grown(np.concatenate(changes, axis=1), edges, intervals, level)


def log_length_directions(
    simulated: Simulated, best: np.ndarray, edges: Edges, intervals: Intervals, level: float
) -> np.ndarray:
    """Change of the log of each interval's length by the simulation, (n_parameters, n_directions).

    Of the interval around ``best`` (n_parameters + n_nuisance,), the maximum of the only data set,
    if the simulation is off by a standard deviation along each of the directions of its error. Not
    a number where there is no interval.
    """
    nodes = edges.nodes.reshape(-1, edges.nodes.shape[-1])
    nu = np.tile(best[nodes.shape[1] :], (len(nodes), 1))
    points = np.concatenate([np.hstack([nodes, nu]), best[None, :]])
    changes = simulated.changes(points, np.zeros(len(points), dtype=int))
    return _grown(changes.T, edges, intervals, level)


def _grown(changes: np.ndarray, edges: Edges, intervals: Intervals, level: float) -> np.ndarray:
    """Changes of the logs of lengths, (n_parameters, n), by those of log likelihoods.

    The latter are at the nodes of the edges and, last, where the maximum is, (n, 2 n_edges + 1).
    """
    at_nodes = 2.0 * (changes[:, -1:] - changes[:, :-1]).reshape(len(changes), -1, 2)
    raised = (1.0 - edges.fractions) * at_nodes[..., 0] + edges.fractions * at_nodes[..., 1]
    of_parameter = edges.parameters == np.arange(len(intervals))[:, None]
    grown = -of_parameter.astype(float) @ (raised / edges.slopes).T
    return grown / _lengths(list(intervals.values()), str(level))[:, None]


def _lengths(intervals: Sequence[dict[str, list[tuple[float, float]]]], level: str) -> np.ndarray:
    """Of the intervals of each parameter, not a number where there is none, (n_parameters,)."""
    totals = [sum(high - low for low, high in by_level[level]) for by_level in intervals]
    return np.where(np.array(totals) > 0.0, totals, np.nan)
