"""Evaluating: limits, Fisher information and diagnostics of one method's ensemble."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

import msgspec
import numpy as np

from madminer_workflow.analysis.types import Method
from madminer_workflow.errors import InputError
from madminer_workflow.files import read_product, unpack
from madminer_workflow.ml import methods
from madminer_workflow.ml.model import METHOD, read_model
from madminer_workflow.ml.problem import EVALUATION_KEYS, pose_problem
from madminer_workflow.ml.scan import scan
from madminer_workflow.products.results import PREFIXES, Results, Summary, write_results
from madminer_workflow.statistics.checks import believed
from madminer_workflow.statistics.checks.limits import limit_checks
from madminer_workflow.statistics.checks.simulation import truth_check
from madminer_workflow.statistics.information import summarise_information
from madminer_workflow.statistics.likelihood import DataSets, expected_data, observed_data
from madminer_workflow.statistics.limits import (
    Grid,
    likelihood_ratio_statistic,
    make_grid,
    summarise_ensemble,
)
from madminer_workflow.statistics.problem import Problem
from madminer_workflow.statistics.results import Check, Limits

Found = TypeVar("Found")


def evaluating(
    evaluation_file: Path,
    data: Path,
    models: Sequence[Path],
    output: Path,
    observed: str | None = None,
) -> None:
    """Evaluate the members in ``models`` and write ``Results.tar.gz``: ``products.results``.

    The order of ``models`` does not matter; ``observed`` is what ``observed.observe`` takes. Raises
    InputError if the models are not all members of one method or do not fit the data.
    """
    evaluation = read_product(evaluation_file, "sampling", EVALUATION_KEYS)
    problem = pose_problem(evaluation, data, observed)
    grid = make_grid(evaluation["limits"]["grid"], problem.setup.parameters)
    with tempfile.TemporaryDirectory() as scratch:
        directories = unpack_members(models, Path(scratch), problem)
        levels = evaluation["limits"]["confidence_levels"]
        results = evaluate(directories, problem, grid, levels)
    write_results(output, results)


def unpack_members(models: Sequence[Path], scratch: Path, problem: Problem) -> list[Path]:
    """Unpack ``models``; return their directories in the order of their member numbers."""
    directories = [unpack(path, scratch / f"model_{i}", METHOD) for i, path in enumerate(models)]
    notes = [read_model(directory) for directory in directories]
    members: dict[int, Path] = {}
    for note, path in zip(notes, models, strict=True):
        if note["parameters"] != problem.setup.parameters:
            raise InputError(
                f"{path}: belongs to another analysis: its parameters are "
                f"{', '.join(note['parameters'])}; those of the data are "
                f"{', '.join(problem.setup.parameters)}"
            )
        nuisance = [each.name for each in problem.setup.nuisance]
        if note["nuisance_parameters"] != nuisance:
            raise InputError(
                f"{path}: belongs to another analysis: its nuisance parameters are "
                f"{', '.join(note['nuisance_parameters']) or 'none'}; those of the data are "
                f"{', '.join(nuisance) or 'none'}"
            )
        if note["settings"] != notes[0]["settings"]:
            raise InputError(
                f"{path}: is a model of {note['settings']['name']} with other settings than "
                f"{models[0]}; evaluate the members of one method at a time"
            )
        if note["observables"] != problem.test.observables:
            raise InputError(
                f"{path}: belongs to another analysis: its observables are "
                f"{', '.join(note['observables'])}; those of the data are "
                f"{', '.join(problem.test.observables)}"
            )
        if note["member"] in members:
            raise InputError(
                f"{path}: is member {note['member']} of {note['settings']['name']}, and so is "
                f"{members[note['member']]}; give every member once"
            )
        members[note["member"]] = path
    order = np.argsort([note["member"] for note in notes], kind="stable")
    return [directories[i] for i in order]


def evaluate(
    directories: Sequence[Path], problem: Problem, grid: Grid, levels: Sequence[float]
) -> Results:
    """Results of an ensemble, and the arrays behind them.

    The ensemble's output is the mean of its members'; limits, information and checks are those of
    the ensemble, those of the members show how far training decides them.
    """
    notes = [read_model(directory) for directory in directories]
    settings = notes[0]["settings"]
    method = methods.get(settings["method"])
    limits, arrays, truth_checks = set_limits(directories, problem, grid, levels)
    found = of_ensemble_and_members(partial(method.diagnostics, problem=problem), directories)
    checks, *diagnostics = [[*own, check] for own, check in zip(found, truth_checks, strict=True)]
    ensemble, *members = of_ensemble_and_members(
        partial(method.information, problem=problem), directories
    )
    information, profiled = summarise_information(ensemble, members)
    expected, q = limits["limits"]["rate_and_shape"], arrays["q_rate_and_shape"]
    checks += limit_checks(
        expected,
        q,
        grid,
        problem,
        max(levels),
        trained=settings["method"] != "histogram",
        priors=[settings["theta0"]["priors"][name] for name in grid.parameters]
        if "theta0" in settings
        else None,
    )
    summary = Summary(
        name=settings["name"],
        settings=msgspec.convert(settings, Method),
        members=len(directories),
        parameters=grid.parameters,
        expected_events=float(problem.expected_events(problem.theta_true)),
        limits=limits["limits"],
        observed=limits.get("observed"),
        limits_fixed=limits.get("limits_fixed"),
        fisher_information=information,
        fisher_information_profiled=profiled,
        checks=checks,
        diagnostics=diagnostics,
        believed=believed(checks),
        losses=[note["losses"] for note in notes],
        observation=None if problem.observed is None else problem.observed.summary(),
    )
    arrays |= {"thetas": grid.thetas(), **method.per_event(directories, problem)}
    return Results(summary, arrays)


def of_ensemble_and_members(
    find: Callable[[Sequence[Path]], Found], directories: Sequence[Path]
) -> list[Found]:
    """What ``find`` says of an ensemble, then of each member; a lone member is its ensemble."""
    members = [find([directory]) for directory in directories]
    return [members[0] if len(members) == 1 else find(directories), *members]


def set_limits(
    directories: Sequence[Path], problem: Problem, grid: Grid, levels: Sequence[float]
) -> tuple[dict[str, dict[str, Limits]], dict[str, np.ndarray], list[Check]]:
    """Limits by kind, test statistics behind them, and for ensemble and members a check.

    ``limits`` are expected ones, ``observed`` those of observed data, ``limits_fixed`` expected
    ones with nuisance parameters fixed, where there are any.
    """
    # The truth need not lie on the grid.
    points = np.concatenate([grid.thetas(), problem.theta_true[None, :]])
    data: dict[str, DataSets] = {"limits": expected_data(problem)}
    if problem.observed is not None:
        data["observed"] = observed_data(problem)
    found = scan(directories, problem, points, list(data.values()), members=True)
    scanned = dict(zip(data, found, strict=True))
    if problem.setup.nuisance:
        [scanned["limits_fixed"]] = scan(
            directories, problem, points, [data["limits"]], profiled=False
        )
    summary: dict[str, dict[str, Limits]] = {}
    arrays = {}
    for name, kinds in scanned.items():
        summary[name] = {}
        for kind, rows in kinds.items():
            axes = grid.axes if name == "observed" else None
            q = likelihood_ratio_statistic(rows[:, 0, :-1], axes)
            summary[name][kind] = summarise_ensemble(q, grid, levels)
            arrays[f"{PREFIXES[name]}_{kind}"] = q[0]
            arrays[f"{PREFIXES[name]}_{kind}_members"] = q[1:]
    truth_checks = [truth_check(row) for row in scanned["limits"]["shape"][:, 0, :]]
    return summary, arrays, truth_checks
