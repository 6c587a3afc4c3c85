"""How the lengths of expected intervals fluctuate with the simulated test events.

Expected data are the test events, so that other events would give other intervals. In a bootstrap
replica of them an edge moves by -dq / |dq / dtheta|, where dq is the change of the test statistic
at the edge with the maximum at the assumed truth. This is exact for paraboloids, whose maximum
moves with both edges. All methods have the same replicas: what two of them have in common cancels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from madminer_workflow.statistics.information import bootstrapped
from madminer_workflow.statistics.likelihood import Density
from madminer_workflow.statistics.limits import Grid
from madminer_workflow.statistics.problem import Problem
from madminer_workflow.statistics.quantiles import chi2_quantile
from madminer_workflow.statistics.results import Intervals


@dataclass(frozen=True)
class Edges:
    """Edges of intervals inside the grid.

    ``nodes`` (n_edges, 2, n_parameters) are those of the grid on both sides that the profile
    likelihood passes, ``fractions`` (n_edges,) of the way from the first to the second;
    ``parameters`` (n_edges,) tell whose interval ends there, ``slopes`` (n_edges,) how q rises
    beyond, per unit of that parameter.
    """

    nodes: np.ndarray
    fractions: np.ndarray
    parameters: np.ndarray
    slopes: np.ndarray

    def points(self, theta: np.ndarray) -> np.ndarray:
        """All nodes and, last, ``theta``, (2 n_edges + 1, n_parameters)."""
        return np.concatenate([self.nodes.reshape(-1, len(theta)), theta[None, :]])


def edges_of(intervals: Intervals, q: np.ndarray, grid: Grid, level: float) -> Edges:
    """All edges at a confidence level; ``q`` (n_points,) is known on the grid."""
    cube, thetas = q.reshape(grid.shape), grid.thetas().reshape(*grid.shape, -1)
    nodes, fractions, parameters, slopes = [], [], [], []
    for i, (name, axis) in enumerate(zip(grid.parameters, grid.axes, strict=True)):
        others = np.moveaxis(cube, i, 0).reshape(len(axis), -1)
        planes = np.moveaxis(thetas, i, 0).reshape(len(axis), others.shape[1], -1)
        roots = np.sqrt(np.maximum(others.min(axis=1), 0.0))
        for edge in np.ravel(intervals[name][str(level)]):
            if not axis[0] < edge < axis[-1]:
                continue
            low = int(np.searchsorted(axis, edge)) - 1
            step = axis[low + 1] - axis[low]
            rise = abs(roots[low + 1] - roots[low]) / step
            if rise == 0.0:
                continue
            nodes.append([planes[k, others[k].argmin()] for k in (low, low + 1)])
            fractions.append((edge - axis[low]) / step)
            parameters.append(i)
            slopes.append(2.0 * np.sqrt(chi2_quantile(level, 1)) * rise)
    return Edges(
        np.reshape(nodes, (len(parameters), 2, len(grid.axes))),
        np.array(fractions),
        np.array(parameters, dtype=int),
        np.array(slopes),
    )


def log_length_replicas(
    density: Density, edges: Edges, problem: Problem, intervals: Intervals, level: float
) -> np.ndarray:
    """Change of the log of each interval's length in replicas, (n_parameters, n_replicas).

    The ``density`` is known at the ``points`` of the edges and the assumed truth. Nuisance
    parameters stay at 0, as what profiling changes fluctuates by much less. Not a number where
    there is no interval.
    """
    weights = problem.test.weights_at(problem.theta_true)
    log_p = density.log_p[:, density.cells["test"]]
    expected = float(problem.expected_events(problem.theta_true))

    def log_likelihoods(multiplicities: np.ndarray) -> np.ndarray:
        shares = multiplicities * weights
        return expected * (log_p @ (shares / shares.sum()))

    found = bootstrapped(log_likelihoods, len(weights), problem.seed)
    changes = found.replicas - found.estimate
    at_nodes = 2.0 * (changes[:, -1:] - changes[:, :-1]).reshape(len(changes), -1, 2)
    raised = (1.0 - edges.fractions) * at_nodes[..., 0] + edges.fractions * at_nodes[..., 1]
    of_parameter = edges.parameters == np.arange(len(intervals))[:, None]
    grown = -of_parameter.astype(float) @ (raised / edges.slopes).T
    return grown / _lengths(list(intervals.values()), str(level))[:, None]


def _lengths(intervals: Sequence[dict[str, list[tuple[float, float]]]], level: str) -> np.ndarray:
    """Of the intervals of each parameter, not a number where there is none, (n_parameters,)."""
    totals = [sum(high - low for low, high in by_level[level]) for by_level in intervals]
    return np.where(np.array(totals) > 0.0, totals, np.nan)
