"""Plotting: all results of an analysis as figures, ``results.json`` and ``report.html``."""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from madminer_workflow.analysis.types import TRAINING
from madminer_workflow.cores import step_cores
from madminer_workflow.errors import InputError
from madminer_workflow.files import atomic_path, read_json, unpack, write_json
from madminer_workflow.madminer_file import read_report
from madminer_workflow.ml.evaluating import ARRAYS, RESULTS
from madminer_workflow.ml.problem import (
    check_same_analysis,
    evaluation_settings,
    problem_of,
    read_data,
)
from madminer_workflow.ml.toys import MethodToys, read_toys
from madminer_workflow.report import page as report
from madminer_workflow.report.drawing import draw_all
from madminer_workflow.report.summary import Result, summarise_all
from madminer_workflow.statistics.limits import Grid, make_grid
from madminer_workflow.statistics.plain import plain
from madminer_workflow.statistics.problem import Problem


def plotting(
    analysis_file: Path,
    data: Path,
    results: Sequence[Path],
    output: Path,
    toys: Sequence[Path] = (),
    observed: str | None = None,
) -> None:
    """Write ``plots/*.png`` and ``*.pdf``, ``plots/data``, ``results.json`` and ``report.html``.

    ``results`` are the ``Results.tar.gz`` of the methods, and ``toys`` the ``Toys.npz`` of their
    jobs, in any order; ``observed`` is what evaluating was given. Prints the headline. Raises
    InputError if they, or ``data``, belong to another analysis, or one comes twice.
    """
    analysis = read_json(analysis_file)
    setup, sample = read_data(data)
    check_same_analysis(analysis, setup, sample, data)
    problem = problem_of(evaluation_settings(analysis), setup, sample, data, observed)
    grid = make_grid(analysis["ml"]["limits"]["grid"], problem.setup.parameters)
    read = read_all(results, analysis, problem, grid)
    pseudo = read_toys(toys)
    check_toys(pseudo, read)
    content = summarise_all(analysis, problem, grid, read, pseudo, read_report(data))
    with atomic_path(output / "plots") as directory:
        directory.mkdir()
        figures = draw_all(content, directory, step_cores())
    write_json(output / "results.json", content)
    with atomic_path(output / "report.html") as product:
        product.write_text(report.render(content, figures), encoding="utf-8")
    print(report.headline_text(content))


def read_all(
    paths: Sequence[Path], analysis: dict[str, Any], problem: Problem, grid: Grid
) -> list[Result]:
    """The results in the order of the analysis's methods, after checking that they belong to it."""
    order = [settings["name"] for settings in analysis["ml"]["methods"]]
    found: dict[str, tuple[Path, Result]] = {}
    for path in paths:
        summary, arrays = read_result(path)
        check_result(path, summary, arrays, analysis, problem, grid)
        name = summary["name"]
        if name in found:
            raise InputError(
                f"{path}: holds results of the method {name}, and so does {found[name][0]}; "
                "give one file per method"
            )
        found[name] = path, (summary, arrays)
    return [found[name][1] for name in order if name in found]


def read_result(path: Path) -> Result:
    """Unpack one ``Results.tar.gz``; InputError if it is not what evaluating writes."""
    with tempfile.TemporaryDirectory() as scratch:
        directory = unpack(path, scratch)
        try:
            summary = read_json(directory / RESULTS)
            with np.load(directory / ARRAYS) as arrays:
                return summary, dict(arrays)
        except (InputError, OSError, ValueError, zipfile.BadZipFile):
            raise InputError(f"{path}: holds no results of a method from evaluating") from None


def check_result(
    path: Path,
    summary: dict[str, Any],
    arrays: dict[str, np.ndarray],
    analysis: dict[str, Any],
    problem: Problem,
    grid: Grid,
) -> None:
    """Raise InputError unless a method of this analysis was evaluated on these events."""
    declared = {settings["name"]: settings for settings in analysis["ml"]["methods"]}
    name = summary["name"]
    parameters = set(summary["limits"]["shape"]["intervals"])
    expected = problem.expected_events(problem.theta_true)
    if parameters != set(grid.parameters):
        difference = (
            f"its parameters are {', '.join(sorted(parameters))}, not {', '.join(grid.parameters)}"
        )
    elif name not in declared:
        difference = f"there is no method {name}; expected one of {', '.join(declared)}"
    elif sampled_with(summary["settings"]) != sampled_with(declared[name]):
        difference = f"the method {name} has other settings now"
    elif not np.array_equal(arrays["thetas"], grid.thetas()):
        difference = "the limits grid is another one now"
    elif summary.get("observation") != (problem.observed and plain(problem.observed.summary())):
        difference = "it was evaluated for other observed data"
    elif not np.isclose(summary["expected_events"], expected, rtol=1e-9):
        difference = (
            f"it was evaluated for {summary['expected_events']:.6g} expected events, "
            f"the data mean {float(expected):.6g}"
        )
    else:
        return
    raise InputError(f"{path}: belongs to another analysis: {difference}; run evaluating again")


def check_toys(toys: dict[str, MethodToys], results: Sequence[Result]) -> None:
    """Raise InputError unless all toys are of methods with results, and of the same models."""
    settings = {summary["name"]: summary["settings"] for summary, _ in results}
    for name, own in toys.items():
        if name not in settings:
            raise InputError(f"there are toys of {name}, but no results of it")
        if own.settings != settings[name]:
            raise InputError(
                f"the toys of {name} are of models with other settings; run toys again"
            )


def sampled_with(settings: dict[str, Any]) -> dict[str, Any]:
    """What a training cannot change: see ``change_training``."""
    return {key: value for key, value in settings.items() if key not in TRAINING}
