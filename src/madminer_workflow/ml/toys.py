"""Toys: pseudo-experiments at parameter points, which tell how the test statistic is distributed.

Asymptotic limits take q = -2 log L(theta) / L(theta_hat) to follow a chi-squared distribution. Toys
tell how it does: the fraction of toys at theta whose q stays below the asymptotic threshold is the
coverage of asymptotic limits at theta, and the quantile of q that a confidence level asks for is
the threshold of Neyman's construction there (arXiv:physics/9711021). Both are found for the
likelihood of all parameters and for that of every single one, the others profiled.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy import sparse

from madminer_workflow.analysis.types import LimitSettings, Point
from madminer_workflow.ml.member import Member, open_members
from madminer_workflow.ml.scan import scan
from madminer_workflow.products.evaluation import read_evaluation
from madminer_workflow.products.problem import pose_problem
from madminer_workflow.products.toys import read_job, write_toys
from madminer_workflow.seeds import derive_seed
from madminer_workflow.statistics.coverage import ToyPoint, Toys
from madminer_workflow.statistics.events import draw
from madminer_workflow.statistics.likelihood import KINDS, DataSets
from madminer_workflow.statistics.limits import Grid, make_grid, peak, with_nodes
from madminer_workflow.statistics.problem import Problem

LARGEST_SCAN = 30_000_000
"""Log likelihoods of toys at points of the grid that are kept at a time: 240 MB."""


def toys(
    evaluation_file: Path, data: Path, job: Path, models: Sequence[Path], output: Path
) -> None:
    """Draw the toys of one job for the ensemble ``models`` and write ``Toys.npz``.

    It holds q of every toy, (n_points, n_toys), for all parameters and, (n_points, n_parameters,
    n_toys), for each with the others profiled. All jobs together make ``n_toys`` toys a point. The
    toys are the same for every method. Raises InputError as evaluating does.
    """
    evaluation, share = read_evaluation(evaluation_file), read_job(job)
    problem = pose_problem(evaluation, data)
    n_toys = len(range(share.job, evaluation.limits.toys.n_toys, share.njobs))
    grid = make_grid(evaluation.limits.grid, problem.setup.parameters)
    points = toy_points(evaluation.limits, problem, grid)
    grid = with_nodes(grid, np.stack([point.theta for point in points]))
    rng = np.random.default_rng(derive_seed(problem.seed, "toys", share.job))
    drawn = [draw_toys(problem, point.theta, n_toys, rng) for point in points]
    with tempfile.TemporaryDirectory() as scratch:
        members = open_members(models, Path(scratch), problem.everything)
        tested = statistics_of(members, problem, grid, points, drawn)
    write_toys(output, members[0].note.settings, share, tested)


def statistics_of(
    members: Sequence[Member],
    problem: Problem,
    grid: Grid,
    points: Sequence[ToyPoint],
    drawn: Sequence[DataSets],
) -> Toys:
    """The test statistic at each of ``points``, nodes of the grid, of the toys ``drawn`` there."""
    numbers = len(KINDS) * max(sets.multiplicities.shape[0] for sets in drawn) * len(grid.thetas())
    together = max(1, LARGEST_SCAN // numbers)
    q: dict[str, list[np.ndarray]] = {kind: [] for kind in KINDS}
    q_profiled: dict[str, list[np.ndarray]] = {kind: [] for kind in KINDS}
    for start in range(0, len(points), together):
        some = slice(start, start + together)
        scanned = scan(members, problem, grid.thetas(), drawn[some])
        for log_likelihoods, point in zip(scanned, points[some], strict=True):
            for kind in KINDS:
                joint, profiled = statistics(log_likelihoods[kind][0], grid, point.theta)
                q[kind].append(joint)
                q_profiled[kind].append(profiled)
    return Toys(
        points,
        {kind: np.array(rows) for kind, rows in q.items()},
        {kind: np.array(rows) for kind, rows in q_profiled.items()},
    )


def toy_points(limits: LimitSettings, problem: Problem, grid: Grid) -> list[ToyPoint]:
    """``theta_true`` and the points asked for, and more along each parameter from ``theta_true``.

    The latter are ``resolution`` nodes of the grid, as evenly spaced as nodes are.
    """
    asked = [
        ToyPoint(_point_name(point, grid.parameters), problem.setup.theta(point), None)
        for point in (limits.theta_true, *limits.toys.points)
    ]
    along = []
    for i, (name, axis) in enumerate(zip(grid.parameters, grid.axes, strict=True)):
        wanted = np.linspace(0, len(axis) - 1, min(limits.toys.resolution, len(axis)))
        for value in axis[np.unique(np.round(wanted).astype(int))]:
            theta = problem.theta_true.copy()
            theta[i] = value
            along.append(ToyPoint(f"{name}={value:g}", theta, name))
    return asked + along


def _point_name(point: Point, parameters: Sequence[str]) -> str:
    if isinstance(point, str):
        return point
    return ", ".join(f"{name}={point[name]:g}" for name in parameters)


def draw_toys(
    problem: Problem, theta: np.ndarray, n_toys: int, rng: np.random.Generator
) -> DataSets:
    """Pseudo-experiments at ``theta`` from the test events, with auxiliary measurements.

    Numbers of events follow Poisson's law; nuisance parameters are 0 in nature and measured with
    unit Gaussian errors.
    """
    sizes = rng.poisson(problem.expected_events(theta), n_toys)
    chosen = draw(problem.test.weights_at(theta), int(sizes.sum()), rng)
    shape = (n_toys, len(problem.test))
    ends = np.concatenate([[0], np.cumsum(sizes)])
    multiplicities = sparse.csr_array((np.ones(len(chosen)), chosen, ends), shape)
    multiplicities.sum_duplicates()
    auxiliary = rng.normal(size=(n_toys, len(problem.setup.nuisance)))
    return DataSets("test", multiplicities, auxiliary)


def statistics(
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
