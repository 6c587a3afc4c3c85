"""What every method is asked: events, parameter points, luminosity."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from madminer_workflow.analysis.fingerprint import of_analysis, require_same
from madminer_workflow.analysis.types import Analysis
from madminer_workflow.errors import InputError
from madminer_workflow.madminer_file import read_report, read_sample, read_setup
from madminer_workflow.ml.observed import observe
from madminer_workflow.products.evaluation import Evaluation
from madminer_workflow.statistics.events import union
from madminer_workflow.statistics.problem import Problem
from madminer_workflow.statistics.sample import Sample
from madminer_workflow.statistics.setup import Setup


def check_same_analysis(analysis: Analysis, setup: Setup, sample: Sample, data: Path) -> None:
    """Raise InputError unless the data are those of the analysis.

    They must have its parameters, benchmarks, systematic uncertainties and observables.
    """
    require_same(
        data,
        found=setup.fingerprint(sample.observables),
        expected=of_analysis(analysis),
        remedy="run the physics steps again",
    )


def read_data(data: Path) -> tuple[Setup, Sample]:
    """Set-up and events; InputError if ``data`` holds only the events of one job."""
    if "tasks" in read_report(data):
        raise InputError(
            f"{data}: holds the events of one job only; expected the combined_delphes.h5 of combine"
        )
    return read_setup(data), read_sample(data)


def pose_problem(evaluation: Evaluation, data: Path, observed: str | None = None) -> Problem:
    """The problem of an ``evaluation.json`` on a MadMiner data file, with data to observe.

    Raises InputError if the data do not have the grid's parameters or the benchmarks, or as
    ``observed.observe``.
    """
    return problem_of(evaluation, *read_data(data), data, observed)


def problem_of(
    evaluation: Evaluation,
    setup: Setup,
    sample: Sample,
    data: Path,
    observed: str | None = None,
) -> Problem:
    """As ``pose_problem``, for what ``read_data`` gave of ``data``."""
    grid = evaluation.limits.grid
    if set(grid) != set(setup.parameters):
        raise InputError(
            f"{data}: belongs to another analysis: its parameters are "
            f"{', '.join(setup.parameters)}; the limits grid names {', '.join(grid)}"
        )
    everything = union(sample, setup)
    boundary = 1.0 - evaluation.test_split
    problem = Problem(
        setup=setup,
        everything=everything,
        train=everything.part(0.0, boundary),
        test=everything.part(boundary, 1.0),
        theta_ref=setup.theta(evaluation.theta_ref),
        theta_true=setup.theta(evaluation.limits.theta_true),
        fisher_theta=setup.theta(evaluation.fisher_theta),
        luminosity=evaluation.luminosity,
        seed=evaluation.seed,
    )
    return replace(problem, observed=observe(observed, problem))
