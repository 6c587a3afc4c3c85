"""Expected limits on a parameter grid, by asymptotic formulae.

The test statistic is q(theta) = -2 log L(theta) / L(theta_hat); under the hypothesis theta it
follows a chi-squared distribution with as many degrees of freedom as parameters (Wilks; see
arXiv:1007.1727). The data are the Asimov set at ``theta_true``: the test events, weighted to the
expected number of events.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import chi2

from madminer_workflow.ml.problem import Problem


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


def make_grid(settings: dict[str, Any], parameters: list[str]) -> Grid:
    """The grid of ``limits.grid`` in the analysis file."""
    axes = []
    for name in parameters:
        low, high = settings[name]["range"]
        axes.append(np.linspace(low, high, settings[name]["resolution"]))
    return Grid(parameters, axes)


def rate_log_likelihood(problem: Problem, thetas: np.ndarray) -> np.ndarray:
    """Poisson log likelihood of the expected number of events, up to a constant, (n_thetas,)."""
    expected = problem.expected_events(thetas)
    observed = problem.expected_events(problem.theta_true)
    return observed * np.log(expected) - expected


def likelihood_ratio_statistic(log_likelihood: np.ndarray) -> np.ndarray:
    """q = 2 (max log L - log L)."""
    return 2.0 * (log_likelihood.max() - log_likelihood)


def summarise(q: np.ndarray, grid: Grid, confidence_levels: list[float]) -> dict[str, Any]:
    """Best fit, intervals and excluded fraction as JSON; ``q`` has shape (n_points,).

    ``intervals`` profiles the other parameters over the grid (one degree of freedom);
    ``allowed_volume`` is the area, or volume, that the joint contour encloses within the grid.
    """
    cube = q.reshape(grid.shape)
    thetas = grid.thetas()
    volume = np.prod([axis[-1] - axis[0] for axis in grid.axes])
    intervals: dict[str, Any] = {}
    for i, name in enumerate(grid.parameters):
        others = tuple(j for j in range(cube.ndim) if j != i)
        profile = cube.min(axis=others) if others else cube
        intervals[name] = {
            str(level): below(grid.axes[i], profile, chi2.ppf(level, 1))
            for level in confidence_levels
        }
    dof = len(grid.parameters)
    return {
        "best_fit": thetas[int(np.argmin(q))].tolist(),
        "intervals": intervals,
        "allowed_volume": {
            str(level): float(np.mean(q < chi2.ppf(level, dof)) * volume)
            for level in confidence_levels
        },
    }


def below(values: np.ndarray, profile: np.ndarray, threshold: float) -> list[list[float]]:
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
    return [[float(low), float(high)] for low, high in zip(edges[::2], edges[1::2], strict=True)]
