"""Evaluating: limits, Fisher information and diagnostics of one method's ensemble."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from madminer_workflow.errors import InputError
from madminer_workflow.files import pack, read_product, unpack, write_json
from madminer_workflow.ml import methods
from madminer_workflow.ml.information import Information, Profiled
from madminer_workflow.ml.limits import (
    Grid,
    likelihood_ratio_statistic,
    make_grid,
    rate_log_likelihood,
    summarise,
)
from madminer_workflow.ml.model import METHOD, read_model
from madminer_workflow.ml.problem import EVALUATION_KEYS, Problem, pose_problem
from madminer_workflow.ml.verdict import deciding, failures

RESULTS = "results.json"
ARRAYS = "arrays.npz"

LARGEST_PREFERENCE = 1.0
"""One standard deviation of one parameter."""


def evaluating(evaluation_file: Path, data: Path, models: Sequence[Path], output: Path) -> None:
    """Evaluate the members in ``models`` and write ``Results.tar.gz``.

    It holds ``results.json`` and ``arrays.npz`` (test statistic on the grid, per-event output on
    the test set). The order of ``models`` does not matter. Raises InputError if they are not all
    members of one method or do not fit the data.
    """
    evaluation = read_product(evaluation_file, "sampling", EVALUATION_KEYS)
    problem = pose_problem(evaluation, data)
    grid = make_grid(evaluation["limits"]["grid"], problem.setup.parameters)
    with tempfile.TemporaryDirectory() as scratch:
        directories = unpack_members(models, Path(scratch), problem)
        summary, arrays = evaluate(directories, problem, grid, evaluation["limits"])
        product = Path(scratch) / "results"
        product.mkdir()
        write_json(product / RESULTS, summary)
        np.savez(product / ARRAYS, allow_pickle=False, **arrays)
        pack(product, output / "Results.tar.gz")


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
    directories: Sequence[Path], problem: Problem, grid: Grid, limits: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Results of an ensemble as JSON, and the arrays behind them.

    The ensemble's likelihood and information are the means over its members.
    """
    notes = [read_model(directory) for directory in directories]
    settings = notes[0]["settings"]
    method = methods.get(settings["method"])
    thetas = grid.thetas()
    # The truth need not lie on the grid.
    points = np.concatenate([thetas, problem.theta_true[None, :]])
    expected_events = problem.expected_events(problem.theta_true)
    with_truth = expected_events * np.array(
        [method.log_likelihood(directory, problem, points) for directory in directories]
    )
    kinematic = with_truth[:, :-1]
    rate = rate_log_likelihood(problem, thetas)
    statistics = {
        "shape": np.array([likelihood_ratio_statistic(row) for row in kinematic]),
        "rate_and_shape": np.array([likelihood_ratio_statistic(row + rate) for row in kinematic]),
    }
    ensemble = {
        "shape": likelihood_ratio_statistic(kinematic.mean(axis=0)),
        "rate_and_shape": likelihood_ratio_statistic(kinematic.mean(axis=0) + rate),
    }
    levels = limits["confidence_levels"]
    information = [method.information(directory, problem) for directory in directories]
    profiled = [each.profiled for each in information if each.profiled is not None]
    diagnostics = [
        [*method.diagnostics(directory, problem), truth_check(row)]
        for directory, row in zip(directories, with_truth, strict=True)
    ]
    summary = {
        "name": settings["name"],
        "settings": settings,
        "members": len(directories),
        "parameters": grid.parameters,
        "expected_events": float(expected_events),
        "limits": {kind: summarise(q, grid, levels) for kind, q in ensemble.items()},
        "fisher_information": summarise_information(information),
        "diagnostics": diagnostics,
        "believed": not failures(deciding(diagnostics)),
        "losses": [note["losses"] for note in notes],
    }
    if profiled:
        summary["fisher_information_profiled"] = {
            **summarise_information(profiled),
            "full": np.mean([each.full for each in profiled], axis=0).tolist(),
        }
    arrays = {f"q_{kind}": q for kind, q in ensemble.items()}
    arrays |= {f"q_{kind}_members": q for kind, q in statistics.items()}
    arrays |= {"thetas": thetas, **method.per_event(directories[0], problem)}
    return summary, arrays


def truth_check(log_likelihood: np.ndarray) -> dict[str, Any]:
    """Whether the expected data favour another point over the one that they were drawn from.

    ``log_likelihood``, (n_points + 1,), has the truth as its last entry. The expected data are
    simulated events, and so is what they are compared with: where there are too few of them, their
    fluctuations look like a signal.
    """
    preference = float(2.0 * (log_likelihood.max() - log_likelihood[-1]))
    return {
        "check": "expected data prefer the truth",
        "value": preference,
        "expected": f"at most {LARGEST_PREFERENCE:g}",
        "passed": preference <= LARGEST_PREFERENCE,
        "meaning": "2 log of the likelihood of the best point on the grid over that of the "
        "parameter point that the expected data are made at; more than 1, a standard deviation, "
        "means that the limits reflect the fluctuations of too few simulated events",
    }


def summarise_information(information: Sequence[Information | Profiled]) -> dict[str, Any]:
    """Mean matrix over members, its statistical error and the spread between members."""
    matrices = np.array([each.matrix for each in information])
    spread = matrices.std(axis=0, ddof=1) if len(matrices) > 1 else np.zeros(matrices.shape[1:])
    # Members share their test events, so averaging them does not reduce the statistical error.
    statistical = np.mean([each.error for each in information], axis=0)
    return {
        "matrix": matrices.mean(axis=0).tolist(),
        "statistical_error": statistical.tolist(),
        "ensemble_spread": spread.tolist(),
    }
