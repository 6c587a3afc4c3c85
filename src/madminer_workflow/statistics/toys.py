"""Toys: pseudo-experiments at parameter points, and the test statistic of each at its point."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
from scipy import sparse

from madminer_workflow.analysis.types import NOMINAL, PRIOR, LimitSettings, Point
from madminer_workflow.statistics.events import draw
from madminer_workflow.statistics.likelihood import DataSets
from madminer_workflow.statistics.limits import Grid, peak
from madminer_workflow.statistics.nuisance import LARGEST
from madminer_workflow.statistics.problem import Problem


class ToyPoint(msgspec.Struct, frozen=True):
    """Where toys are drawn; ``axis`` is the parameter whose threshold the point helps to find.

    Points without one were asked for, to learn the coverage there.
    """

    name: str
    theta: tuple[float, ...]
    axis: str | None


@dataclass(frozen=True)
class Toys:
    """The test statistic q of toys, at the point that they were drawn at, by kind of likelihood.

    ``q``, (n_points, n_toys), is that of all parameters; ``q_profiled``, (n_points, n_parameters,
    n_toys), that of each, the others profiled. ``nuisance_parameters`` were drawn so: see
    ``draw_toys``.
    """

    points: Sequence[ToyPoint]
    q: Mapping[str, np.ndarray]
    q_profiled: Mapping[str, np.ndarray]
    nuisance_parameters: str = NOMINAL


def toy_points(limits: LimitSettings, problem: Problem, grid: Grid) -> list[ToyPoint]:
    """``theta_true`` and the points asked for, and more along each parameter from ``theta_true``.

    The latter are ``resolution`` nodes of the grid, as evenly spaced as nodes are.
    """
    asked = [
        ToyPoint(_name(point, grid.parameters), tuple(problem.setup.theta(point).tolist()), None)
        for point in (limits.theta_true, *limits.toys.points)
    ]
    along = []
    for i, (name, axis) in enumerate(zip(grid.parameters, grid.axes, strict=True)):
        wanted = np.linspace(0, len(axis) - 1, min(limits.toys.resolution, len(axis)))
        for value in axis[np.unique(np.round(wanted).astype(int))]:
            theta = problem.theta_true.copy()
            theta[i] = value
            along.append(ToyPoint(f"{name}={value:g}", tuple(theta.tolist()), name))
    return asked + along


def _name(point: Point, parameters: Sequence[str]) -> str:
    if isinstance(point, str):
        return point
    return ", ".join(f"{name}={point[name]:g}" for name in parameters)


def draw_toys(
    problem: Problem,
    theta: np.ndarray,
    n_toys: int,
    rng: np.random.Generator,
    nuisance_parameters: str = NOMINAL,
) -> DataSets:
    """Pseudo-experiments at ``theta`` from the test events, with auxiliary measurements.

    Numbers of events follow Poisson's law. Nuisance parameters are NOMINAL, 0 in nature and
    measured with unit Gaussian errors: the ensemble of a frequentist, unconditional in auxiliary
    measurements (arXiv:1007.1727; ATL-PHYS-PUB-2011-11, CMS NOTE-2011/005). Or they are drawn from
    their PRIOR, which is what their measurement at 0 says of them (Cousins and Highland, Nucl.
    Instrum. Meth. A 320 (1992) 331), and events from the weights that they give them.
    """
    n_nuisance = len(problem.setup.nuisance)
    if nuisance_parameters == PRIOR:
        nu = rng.normal(size=(n_toys, n_nuisance))
        return DataSets("test", drawn_at(problem, theta, nu, rng), np.zeros_like(nu))
    sizes = rng.poisson(problem.expected_events(theta), n_toys)
    chosen = draw(problem.test.weights_at(theta), int(sizes.sum()), rng)
    times = multiplicities(chosen, sizes, len(problem.test))
    return DataSets("test", times, rng.normal(size=(n_toys, n_nuisance)))


def drawn_at(
    problem: Problem, theta: np.ndarray, nu: np.ndarray, rng: np.random.Generator
) -> sparse.csr_array:
    """How often each test event occurs in toys at ``theta`` and each of ``nu``, one row each.

    ``nu`` are (n_toys, n_nuisance), the result (n_toys, n_events).
    """
    events, expected = problem.test, float(problem.expected_events(theta))
    nominal = events.weights_at(theta)
    chosen, sizes = [], []
    for point in nu:
        exponents = events.slopes @ point + events.curvatures @ np.square(point)
        weights = nominal * np.exp(np.clip(exponents, -LARGEST, LARGEST))
        sizes.append(rng.poisson(expected * weights.sum() / nominal.sum()))
        chosen.append(draw(weights, sizes[-1], rng))
    return multiplicities(np.concatenate(chosen), np.array(sizes), len(events))


def multiplicities(chosen: np.ndarray, sizes: np.ndarray, n_events: int) -> sparse.csr_array:
    """Indices of the events of toys of some ``sizes`` as numbers of each, (n_toys, n_events)."""
    ends = np.concatenate([[0], np.cumsum(sizes)])
    result = sparse.csr_array((np.ones(len(chosen)), chosen, ends), (len(sizes), n_events))
    result.sum_duplicates()
    return result


def toy_statistics(
    log_likelihood: np.ndarray, grid: Grid, theta: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """q at ``theta`` of toys with ``log_likelihood`` (n_toys, n_points) on a grid with that node.

    For all parameters, (n_toys,), and for each, the others profiled, (n_parameters, n_toys).
    """
    best, _ = peak(log_likelihood, grid.axes)
    node = grid.nearest(theta)
    here = log_likelihood[:, np.ravel_multi_index(node, grid.shape)]
    cubes = log_likelihood.reshape(-1, *grid.shape)
    of_each = []
    for i, position in enumerate(node):
        slab = np.take(cubes, position, axis=i + 1).reshape(len(cubes), -1)
        others = [axis for j, axis in enumerate(grid.axes) if j != i]
        profiled = peak(slab, others)[0] if others else here
        of_each.append(2.0 * np.maximum(best - profiled, 0.0))
    return 2.0 * np.maximum(best - here, 0.0), np.array(of_each)
