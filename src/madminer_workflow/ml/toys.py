"""Toys: pseudo-experiments at parameter points, which tell how the test statistic is distributed.

Asymptotic limits take q = -2 log L(theta) / L(theta_hat) to follow a chi-squared distribution. Toys
tell how it does: the fraction of toys at theta whose q stays below the asymptotic threshold is the
coverage of asymptotic limits at theta, and the quantile of q that a confidence level asks for is
the threshold of Neyman's construction there (arXiv:physics/9711021). Both are found for the
likelihood of all parameters and for that of every single one, the others profiled.
"""

from __future__ import annotations

import json
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from madminer_workflow.errors import InputError
from madminer_workflow.files import atomic_path, read_product
from madminer_workflow.ml.evaluating import unpack_members
from madminer_workflow.ml.model import model_settings
from madminer_workflow.ml.problem import EVALUATION_KEYS, pose_problem
from madminer_workflow.ml.scan import scan
from madminer_workflow.seeds import derive_seed
from madminer_workflow.statistics.coverage import ToyPoint, Toys
from madminer_workflow.statistics.events import draw
from madminer_workflow.statistics.likelihood import KINDS, DataSets
from madminer_workflow.statistics.limits import Grid, make_grid, peak, with_nodes
from madminer_workflow.statistics.problem import Problem

JOB_KEYS = ("job", "njobs")


@dataclass(frozen=True)
class MethodToys:
    """Toys of the models of one method, and the ``settings`` of these."""

    settings: dict[str, Any]
    toys: Toys


def toys(
    evaluation_file: Path, data: Path, job: Path, models: Sequence[Path], output: Path
) -> None:
    """Draw the toys of one job for the ensemble ``models`` and write ``Toys.npz``.

    It holds q of every toy, (n_points, n_toys), for all parameters and, (n_points, n_parameters,
    n_toys), for each with the others profiled. All jobs together make ``n_toys`` toys a point. The
    toys are the same for every method. Raises InputError as evaluating does.
    """
    evaluation = read_product(evaluation_file, "sampling", EVALUATION_KEYS)
    share = read_product(job, "sampling", JOB_KEYS)
    problem = pose_problem(evaluation, data)
    n_toys = len(range(share["job"], evaluation["limits"]["toys"]["n_toys"], share["njobs"]))
    grid = make_grid(evaluation["limits"]["grid"], problem.setup.parameters)
    points = toy_points(evaluation["limits"], problem, grid)
    grid = with_nodes(grid, np.stack([point.theta for point in points]))
    rng = np.random.default_rng(derive_seed(problem.seed, "toys", share["job"]))
    drawn = [draw_toys(problem, point.theta, n_toys, rng) for point in points]
    with tempfile.TemporaryDirectory() as scratch:
        directories = unpack_members(models, Path(scratch), problem)
        own = model_settings(directories[0])
        found = scan(directories, problem, grid.thetas(), drawn)
    arrays = {}
    for kind in KINDS:
        rows = [
            statistics(kinds[kind][0], grid, point.theta)
            for kinds, point in zip(found, points, strict=True)
        ]
        arrays[f"q_{kind}"] = np.array([joint for joint, _ in rows])
        arrays[f"q_{kind}_each"] = np.array([each for _, each in rows])
    content = {
        "name": own["name"],
        "settings": own,
        **{key: share[key] for key in JOB_KEYS},
        "points": [
            {"name": point.name, "theta": point.theta.tolist(), "axis": point.axis}
            for point in points
        ],
    }
    with atomic_path(output / "Toys.npz") as product:
        np.savez(
            product,
            allow_pickle=False,
            content=np.array(json.dumps(content, sort_keys=True)),
            **arrays,
        )


def toy_points(limits: dict[str, Any], problem: Problem, grid: Grid) -> list[ToyPoint]:
    """``theta_true`` and the points asked for, and more along each parameter from ``theta_true``.

    The latter are ``resolution`` nodes of the grid, as evenly spaced as nodes are.
    """
    settings = limits["toys"]
    asked = [
        ToyPoint(_point_name(point, grid.parameters), problem.setup.theta(point), None)
        for point in (limits["theta_true"], *settings["points"])
    ]
    along = []
    for i, (name, axis) in enumerate(zip(grid.parameters, grid.axes, strict=True)):
        wanted = np.linspace(0, len(axis) - 1, min(settings["resolution"], len(axis)))
        for value in axis[np.unique(np.round(wanted).astype(int))]:
            theta = problem.theta_true.copy()
            theta[i] = value
            along.append(ToyPoint(f"{name}={value:g}", theta, name))
    return asked + along


def _point_name(point: str | dict[str, float], parameters: Sequence[str]) -> str:
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
    each = []
    for i, position in enumerate(node):
        slab = np.take(cubes, position, axis=i + 1).reshape(len(cubes), -1)
        others = [axis for j, axis in enumerate(grid.axes) if j != i]
        profiled = peak(slab, others)[0] if others else here
        each.append(2.0 * np.maximum(best - profiled, 0.0))
    return 2.0 * np.maximum(best - here, 0.0), np.array(each)


def read_toys(paths: Sequence[Path]) -> dict[str, MethodToys]:
    """Toys by method, of all jobs together.

    Raises InputError if a file is broken, a job comes twice or is missing.
    """
    jobs: dict[str, dict[int, tuple[Path, dict[str, Any], dict[str, np.ndarray]]]] = {}
    for path in paths:
        content, arrays = _read(path)
        known = jobs.setdefault(content["name"], {})
        if content["job"] in known:
            raise InputError(
                f"{path}: holds the toys of job {content['job']} of {content['name']}, and so "
                f"does {known[content['job']][0]}; give every job once"
            )
        known[content["job"]] = path, content, arrays
    return {name: _joined(name, known) for name, known in jobs.items()}


def _read(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    try:
        with np.load(path) as file:
            arrays = dict(file)
        return json.loads(str(arrays.pop("content"))), arrays
    except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: holds no toys from the step toys ({error})") from None


def _joined(
    name: str, jobs: dict[int, tuple[Path, dict[str, Any], dict[str, np.ndarray]]]
) -> MethodToys:
    """The jobs of one method as one, in the order of their numbers."""
    ordered = [jobs[number] for number in sorted(jobs)]
    path, first, _ = ordered[0]
    if sorted(jobs) != list(range(first["njobs"])):
        raise InputError(
            f"{path}: is one of {first['njobs']} jobs with toys of {name}, of which "
            f"{len(jobs)} are here; give all of them"
        )
    for other, content, _ in ordered[1:]:
        if any(content[key] != first[key] for key in ("settings", "points", "njobs")):
            raise InputError(f"{other}: its toys of {name} are for other models than {path}")

    def all_jobs(key: str) -> np.ndarray:
        return np.concatenate([arrays[key] for _, _, arrays in ordered], axis=-1)

    points = [
        ToyPoint(point["name"], np.array(point["theta"]), point["axis"])
        for point in first["points"]
    ]
    q = {kind: all_jobs(f"q_{kind}") for kind in KINDS}
    q_profiled = {kind: all_jobs(f"q_{kind}_each") for kind in KINDS}
    return MethodToys(first["settings"], Toys(points, q, q_profiled))
