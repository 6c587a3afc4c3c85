"""Toys: pseudo-experiments at parameter points, which tell how the test statistic is distributed.

Asymptotic limits take q = -2 log L(theta) / L(theta_hat) to follow a chi-squared distribution. Toys
tell how it does: the fraction of toys at theta whose q stays below the asymptotic threshold is the
coverage of asymptotic limits at theta, and the quantile of q that a confidence level asks for is
the threshold of Neyman's construction there (arXiv:physics/9711021). Both are found for the
likelihood of all parameters and for that of every single one, the others profiled.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from madminer_workflow.analysis.types import PRIOR
from madminer_workflow.ml import methods
from madminer_workflow.ml.member import Member, open_members
from madminer_workflow.ml.scan import closed_forms, scan
from madminer_workflow.products.evaluation import read_evaluation
from madminer_workflow.products.problem import pose_problem
from madminer_workflow.products.toys import read_job, write_toys
from madminer_workflow.seeds import derive_seed
from madminer_workflow.statistics import closed_form
from madminer_workflow.statistics.likelihood import KINDS, DataSets
from madminer_workflow.statistics.limits import Grid, make_grid, with_nodes
from madminer_workflow.statistics.moved_events import drawn_anew
from madminer_workflow.statistics.problem import Problem
from madminer_workflow.statistics.toys import ToyPoint, Toys, draw_toys, toy_points, toy_statistics

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
    thetas = np.array([point.theta for point in points])
    grid = with_nodes(grid, thetas)
    rng = np.random.default_rng(derive_seed(problem.seed, "toys", share.job))
    nature = evaluation.limits.toys.nuisance_parameters
    anew = nature == PRIOR and any(parameter.shifts for parameter in problem.setup.nuisance)
    with tempfile.TemporaryDirectory() as scratch:
        members = open_members(models, Path(scratch), problem.everything)
        if anew:
            tested = joined(
                [measured_anew(members, problem, grid, point, n_toys, rng) for point in points]
            )
        else:
            drawn = [draw_toys(problem, theta, n_toys, rng, nature) for theta in thetas]
            tested = statistics_of(members, problem, grid, points, drawn)
    tested = replace(tested, nuisance_parameters=nature)
    write_toys(output, members[0].note.settings, share, tested)


def measured_anew(
    members: Sequence[Member],
    problem: Problem,
    grid: Grid,
    point: ToyPoint,
    n_toys: int,
    rng: np.random.Generator,
) -> Toys:
    """Of toys whose nuisance parameters, from their priors, change what is measured in events."""
    nu = rng.normal(size=(n_toys, len(problem.setup.nuisance)))
    observation, sets = drawn_anew(problem, np.array(point.theta), nu, rng)
    posed = replace(problem, observed=observation)
    try:
        return statistics_of(members, posed, grid, [point], [sets])
    finally:
        for member in members:
            member.forget(observation)


def joined(parts: Sequence[Toys]) -> Toys:
    """Those at all points of ``parts``."""
    return Toys(
        [point for part in parts for point in part.points],
        {kind: np.concatenate([part.q[kind] for part in parts]) for kind in KINDS},
        {kind: np.concatenate([part.q_profiled[kind] for part in parts]) for kind in KINDS},
    )


def statistics_of(
    members: Sequence[Member],
    problem: Problem,
    grid: Grid,
    points: Sequence[ToyPoint],
    drawn: Sequence[DataSets],
) -> Toys:
    """The test statistic at each of ``points``, nodes of the grid, of the toys ``drawn`` there."""
    known = closed_forms(members, problem, each=False)
    if known:
        [density] = known
        family = methods.family_of(members[0].note.settings)
        fluctuations = family.fluctuations(members, problem)
        tested = [
            closed_form.statistics(density, sets, problem, np.array(point.theta), fluctuations)
            for sets, point in zip(drawn, points, strict=True)
        ]
    else:
        tested = on_grid(members, problem, grid, points, drawn)
    return Toys(
        points,
        {kind: np.array([one[kind][0] for one in tested]) for kind in KINDS},
        {kind: np.array([one[kind][1] for one in tested]) for kind in KINDS},
    )


def on_grid(
    members: Sequence[Member],
    problem: Problem,
    grid: Grid,
    points: Sequence[ToyPoint],
    drawn: Sequence[DataSets],
) -> list[dict[str, tuple[np.ndarray, np.ndarray]]]:
    """What ``closed_form.statistics`` has for each of ``points``, from maxima on the grid."""
    # Networks are evaluated again for what LARGEST_SCAN has no room for.
    room = max(1, LARGEST_SCAN // (len(KINDS) * len(grid.thetas())))
    pieces: list[dict[str, list[tuple[np.ndarray, np.ndarray]]]]
    pieces = [{kind: [] for kind in KINDS} for _ in points]
    for batch in batches([sets.multiplicities.shape[0] for sets in drawn], room):
        scanned = scan(members, problem, grid.thetas(), [drawn[i].part(rows) for i, rows in batch])
        for (i, _), log_likelihoods in zip(batch, scanned, strict=True):
            theta = np.array(points[i].theta)
            for kind in KINDS:
                pieces[i][kind].append(toy_statistics(log_likelihoods[kind][0], grid, theta))
    return [
        {
            kind: (
                np.concatenate([joint for joint, _ in parts]),
                np.concatenate([of_each for _, of_each in parts], axis=1),
            )
            for kind, parts in by_kind.items()
        }
        for by_kind in pieces
    ]


def batches(sizes: Sequence[int], room: int) -> Iterator[list[tuple[int, slice]]]:
    """Parts of groups of things of ``sizes``, in order, with as many in each batch as have room."""
    batch: list[tuple[int, slice]] = []
    left = room
    for i, size in enumerate(sizes):
        start = 0
        while start < size:
            stop = min(size, start + left)
            batch.append((i, slice(start, stop)))
            left -= stop - start
            start = stop
            if left == 0:
                yield batch
                batch, left = [], room
    if batch:
        yield batch
