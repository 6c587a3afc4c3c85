"""Limits on a parameter grid, by asymptotic formulae.

The test statistic is q(theta) = -2 log L(theta) / L(theta_hat); under the hypothesis theta it
follows a chi-squared distribution with as many degrees of freedom as parameters (Wilks; see
arXiv:1007.1727).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from madminer_workflow.analysis.types import GridAxis
from madminer_workflow.statistics.quantiles import chi2_quantile
from madminer_workflow.statistics.results import Interval, Intervals, Limits

RESOLVED = 4.5
"""Three standard deviations: a step of the grid must not change the log likelihood by more."""


SAME_NODE = 1e-6
"""Of the length of an axis: closer points are the same node."""


@dataclass(frozen=True)
class Grid:
    """A rectangular grid: one axis of values per parameter, in the order of ``parameters``."""

    parameters: list[str]
    axes: list[np.ndarray]

    @property
    def shape(self) -> tuple[int, ...]:
        """Numbers of points along each axis."""
        return tuple(len(axis) for axis in self.axes)

    def thetas(self) -> np.ndarray:
        """All points, shape (n_points, n_parameters), the last parameter varying fastest."""
        return np.stack(np.meshgrid(*self.axes, indexing="ij"), axis=-1).reshape(-1, len(self.axes))

    def nearest(self, theta: np.ndarray) -> list[int]:
        """The index along each axis of the node nearest to a point."""
        return [int(np.argmin(np.abs(a - t))) for a, t in zip(self.axes, theta, strict=True)]


def make_grid(settings: Mapping[str, GridAxis], parameters: list[str]) -> Grid:
    """The grid of ``limits.grid`` in the analysis file."""
    axes = []
    for name in parameters:
        low, high = settings[name].range
        axes.append(np.linspace(low, high, settings[name].resolution))
    return Grid(parameters, axes)


def with_nodes(grid: Grid, points: np.ndarray) -> Grid:
    """The grid with the coordinates of ``points``, (n_points, n_parameters), among its nodes."""
    axes = []
    for axis, column in zip(grid.axes, points.T, strict=True):
        nodes = np.unique(np.concatenate([axis, column]))
        # What only rounding tells apart has no differences to interpolate with.
        axes.append(nodes[np.diff(nodes, prepend=-np.inf) > SAME_NODE * np.ptp(axis)])
    return Grid(grid.parameters, axes)


def peak(values: np.ndarray, axes: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Height and place of the maximum of functions that are known at the nodes of a grid.

    ``values`` has shape (n_functions, n_points), the results (n_functions,) and (n_functions,
    n_axes). A paraboloid through the neighbours of the highest node finds the maximum between
    nodes, unless the node is at the edge of the grid or its neighbours are no cap, or lie so low
    that the function is hardly a paraboloid in between.
    """
    shape = tuple(len(axis) for axis in axes)
    top = values.argmax(axis=1)
    height = values[np.arange(len(values)), top]
    nodes = np.array(np.unravel_index(top, shape)).reshape(len(axes), -1).T
    place = np.stack([axis[i] for axis, i in zip(axes, nodes.T, strict=True)], axis=1)
    used = [i for i, axis in enumerate(axes) if len(axis) >= 3]
    inner = np.all([(nodes[:, i] > 0) & (nodes[:, i] < shape[i] - 1) for i in used], axis=0)
    if not (used and inner.any()):
        return height, place
    cubes = values[inner].reshape(-1, *shape)
    shift, rise = _climb(*_derivatives(cubes, nodes[inner], axes, used))
    spacing = np.array([np.diff(axes[i]).max() for i in used])
    resolved = _drop(cubes, nodes[inner], used) < RESOLVED
    plausible = np.all(np.abs(shift) <= spacing, axis=1) & resolved
    moved = np.flatnonzero(inner)[plausible]
    height[moved] += rise[plausible]
    place[moved[:, None], used] += shift[plausible]
    return height, place


def paraboloid(
    values: np.ndarray, node: Sequence[int], axes: Sequence[np.ndarray]
) -> tuple[float, np.ndarray, np.ndarray] | None:
    """Value, gradient (n,) and Hessian (n, n) at a ``node`` of a function known at all nodes.

    ``values`` are (n_points,). None at an edge of the grid, or where neighbours are so far below
    or above that the function is hardly a paraboloid in between.
    """
    shape = tuple(len(axis) for axis in axes)
    if not all(0 < i < size - 1 for i, size in zip(node, shape, strict=True)):
        return None
    cube, nodes, used = values.reshape(1, *shape), np.array([node]), range(len(shape))
    if max(_drop(cube, nodes, used)[0], _drop(-cube, nodes, used)[0]) >= RESOLVED:
        return None
    gradient, hessian = _derivatives(cube, nodes, axes, used)
    return float(cube[(0, *node)]), gradient[0], hessian[0]


def _drop(values: np.ndarray, nodes: np.ndarray, used: Sequence[int]) -> np.ndarray:
    """How much lower the lowest neighbour along an axis is than the node, (n_functions,)."""
    which = np.arange(len(values))
    steps = np.eye(nodes.shape[1], dtype=int)[used]
    lowest = np.min([values[(which, *(nodes + s).T)] for s in [*steps, *-steps]], axis=0)
    return values[(which, *nodes.T)] - lowest


def _derivatives(
    values: np.ndarray, nodes: np.ndarray, axes: Sequence[np.ndarray], used: Sequence[int]
) -> tuple[np.ndarray, np.ndarray]:
    """Gradient (n, d) and Hessian (n, d, d) at nodes inside the grid, from their neighbours."""

    def at(offsets: dict[int, int]) -> np.ndarray:
        moved = nodes.copy()
        for i, offset in offsets.items():
            moved[:, i] += offset
        return values[(np.arange(len(values)), *moved.T)]

    centre = at({})
    gradient = np.empty((len(values), len(used)))
    hessian = np.empty((len(values), len(used), len(used)))
    for a, i in enumerate(used):
        low = axes[i][nodes[:, i]] - axes[i][nodes[:, i] - 1]
        high = axes[i][nodes[:, i] + 1] - axes[i][nodes[:, i]]
        up, down = (at({i: 1}) - centre) / high, (centre - at({i: -1})) / low
        gradient[:, a] = (low * up + high * down) / (low + high)
        hessian[:, a, a] = 2.0 * (up - down) / (low + high)
        for b, j in enumerate(used[:a]):
            width = axes[j][nodes[:, j] + 1] - axes[j][nodes[:, j] - 1]
            corners = at({i: 1, j: 1}) - at({i: 1, j: -1}) - at({i: -1, j: 1}) + at({i: -1, j: -1})
            hessian[:, a, b] = hessian[:, b, a] = corners / ((low + high) * width)
    return gradient, hessian


def _climb(gradient: np.ndarray, hessian: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Step to the top of paraboloids and the rise there; not a number where there is no top."""
    shift, rise = np.full_like(gradient, np.nan), np.full(len(gradient), np.nan)
    if len(gradient):
        caps = np.linalg.eigvalsh(hessian).max(axis=1) < 0.0
        shift[caps] = -np.linalg.solve(hessian[caps], gradient[caps][:, :, None])[:, :, 0]
        rise[caps] = 0.5 * np.sum(shift[caps] * gradient[caps], axis=1)
    return shift, rise


def likelihood_ratio_statistic(
    log_likelihood: np.ndarray,
    axes: Sequence[np.ndarray] | None = None,
    at_truth: np.ndarray | None = None,
) -> np.ndarray:
    """q = 2 (max log L - log L), for (n_points,) or (n_sets, n_points).

    With the ``axes`` of the grid, the maximum is looked for between nodes, too. Expected data
    prefer the point that they are made at, where log L is ``at_truth`` (n_sets,): it need not be a
    node.
    """
    rows = np.atleast_2d(log_likelihood)
    best = rows.max(axis=1) if axes is None else peak(rows, axes)[0]
    if at_truth is not None:
        best = np.maximum(best, at_truth)
    return (2.0 * np.maximum(best[:, None] - rows, 0.0)).reshape(log_likelihood.shape)


def summarise(q: np.ndarray, grid: Grid, confidence_levels: Sequence[float]) -> Limits:
    """Best fit, intervals and allowed volume; ``q`` has shape (n_points,).

    Intervals profile the other parameters over the grid (one degree of freedom); the joint region
    has as many degrees of freedom as parameters.
    """
    cube = q.reshape(grid.shape)
    volume = np.prod([axis[-1] - axis[0] for axis in grid.axes])
    intervals: Intervals = {}
    for i, name in enumerate(grid.parameters):
        others = tuple(j for j in range(cube.ndim) if j != i)
        profile = cube.min(axis=others) if others else cube
        intervals[name] = {
            str(level): below(grid.axes[i], profile, chi2_quantile(level, 1))
            for level in confidence_levels
        }
    dof = len(grid.parameters)
    return Limits(
        best_fit=peak(-q[None, :], grid.axes)[1][0].tolist(),
        intervals=intervals,
        allowed_volume={
            str(level): float(np.mean(q < chi2_quantile(level, dof)) * volume)
            for level in confidence_levels
        },
    )


def summarise_ensemble(q: np.ndarray, grid: Grid, confidence_levels: Sequence[float]) -> Limits:
    """Limits of an ensemble, the first row of ``q`` (1 + n_members, n_points), and its members."""
    ensemble, *members = [summarise(row, grid, confidence_levels) for row in q]
    return msgspec.structs.replace(
        ensemble,
        member_intervals={
            name: {level: [one.intervals[name][level] for one in members] for level in by_level}
            for name, by_level in ensemble.intervals.items()
        },
    )


def below(values: np.ndarray, profile: np.ndarray, threshold: float) -> list[Interval]:
    """The intervals of ``values`` in which ``profile`` stays below ``threshold``.

    Edges are interpolated linearly in the square root, which is straight for a parabola. An
    interval that reaches the end of the grid ends there.
    """
    height = np.sqrt(np.maximum(profile, 0.0)) - np.sqrt(threshold)
    inside = height < 0.0
    edges = []
    if inside[0]:
        edges.append(values[0])
    for i in np.flatnonzero(inside[1:] != inside[:-1]):
        fraction = height[i] / (height[i] - height[i + 1])
        edges.append(values[i] + fraction * (values[i + 1] - values[i]))
    if inside[-1]:
        edges.append(values[-1])
    return [(float(low), float(high)) for low, high in zip(edges[::2], edges[1::2], strict=True)]
