"""Plotting: all results of an analysis as figures, ``results.json`` and ``report.html``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from madminer_workflow.analysis.types import TRAINING, Analysis, Method
from madminer_workflow.array_files import reading
from madminer_workflow.cores import step_cores
from madminer_workflow.errors import InputError
from madminer_workflow.files import atomic_path, read_struct, write_json
from madminer_workflow.madminer_file import read_report
from madminer_workflow.products.evaluation import check_limits, evaluation_of
from madminer_workflow.products.problem import pose_problem
from madminer_workflow.products.results import Results, read_results
from madminer_workflow.products.toys import MethodToys, read_toys
from madminer_workflow.report import page
from madminer_workflow.report.drawing import draw_all
from madminer_workflow.report.headline import headline_text
from madminer_workflow.report.results import PhysicsNotes
from madminer_workflow.report.summary import summarise_all
from madminer_workflow.statistics.likelihood import KINDS
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
    analysis = read_struct(analysis_file, "sampling", Analysis)
    check_limits(analysis_file, analysis.ml.limits)
    problem = pose_problem(evaluation_of(analysis), data, observed, analysis)
    grid = make_grid(analysis.ml.limits.grid, problem.setup.parameters)
    given = read_all(results, analysis, problem, grid)
    given_toys = read_toys(toys)
    check_toys(given_toys, given, analysis.ml.limits.toys.nuisance_parameters)
    with reading(data, "has no records of the physics steps"):
        notes = msgspec.convert(read_report(data), PhysicsNotes)
    by_method = {name: toys_of.toys for name, toys_of in given_toys.items()}
    report = summarise_all(analysis, problem, grid, given, by_method, notes)
    with atomic_path(output / "plots") as directory:
        directory.mkdir()
        figures = draw_all(report, directory, step_cores())
    write_json(output / "results.json", plain(report))
    with atomic_path(output / "report.html") as product:
        product.write_text(page.render(report, figures), encoding="utf-8")
    print(headline_text(report))


def read_all(
    paths: Sequence[Path], analysis: Analysis, problem: Problem, grid: Grid
) -> list[Results]:
    """The results in the order of the analysis's methods, after checking that they belong to it."""
    given: dict[str, tuple[Path, Results]] = {}
    for path in paths:
        results = read_results(path)
        check_results(path, results, analysis, problem, grid)
        name = results.summary.name
        if name in given:
            raise InputError(
                f"{path}: has results of the method {name}, like {given[name][0]}; give one file "
                "per method"
            )
        given[name] = path, results
    return [given[name][1] for name in analysis.ml.by_name if name in given]


def check_results(
    path: Path, results: Results, analysis: Analysis, problem: Problem, grid: Grid
) -> None:
    """Raise InputError unless a method of this analysis was evaluated on these events."""
    summary = results.summary
    declared = analysis.ml.by_name
    name = summary.name
    parameters = set(summary.limits["shape"].intervals)
    expected = problem.expected_events(problem.theta_true)
    if parameters != set(grid.parameters):
        difference = (
            f"its parameters are {', '.join(sorted(parameters))}, not {', '.join(grid.parameters)}"
        )
    elif set(summary.limits) != set(KINDS):
        difference = f"its limits are not those of {' and '.join(KINDS)}"
    elif name not in declared:
        difference = f"there is no method {name}; expected one of {', '.join(declared)}"
    elif sampled_with(summary.settings) != sampled_with(declared[name].of_member):
        difference = f"the settings of the method {name} have changed"
    elif not np.array_equal(results.arrays["thetas"], grid.thetas()):
        difference = "the grid of the limits has changed"
    elif summary.observation != (None if problem.observed is None else problem.observed.summary()):
        difference = "it was evaluated for other observed data"
    elif not np.isclose(summary.expected_events, expected, rtol=1e-9):
        difference = (
            f"it was evaluated for {summary.expected_events:.6g} expected events, but the data "
            f"correspond to {float(expected):.6g}"
        )
    else:
        return
    raise InputError(f"{path}: belongs to another analysis: {difference}; run evaluating again")


def check_toys(
    toys: Mapping[str, MethodToys], results: Sequence[Results], nuisance_parameters: str
) -> None:
    """Raise InputError unless all toys are of methods with results, and of the same models.

    And drawn with ``nuisance_parameters`` as the analysis says.
    """
    settings = {one.summary.name: one.summary.settings for one in results}
    for name, of_method in toys.items():
        if name not in settings:
            raise InputError(f"there are toys of {name}, but no results")
        if of_method.settings != settings[name]:
            raise InputError(
                f"the toys of {name} belong to models with other settings; run toys again"
            )
        drawn = of_method.toys.nuisance_parameters
        if drawn != nuisance_parameters:
            raise InputError(
                f"the toys of {name} have nuisance_parameters {drawn}, but the analysis has "
                f"{nuisance_parameters}; run toys again"
            )


def sampled_with(settings: Method) -> dict[str, Any]:
    """What a training cannot change: see ``change_training``."""
    return {key: value for key, value in plain(settings).items() if key not in TRAINING}
