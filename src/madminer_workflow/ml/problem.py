"""What every method is asked: events, parameter points, luminosity."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from madminer_workflow.analysis.systematics import nuisance_parameters
from madminer_workflow.errors import InputError
from madminer_workflow.madminer_file import check_setup, read_report, read_sample, read_setup
from madminer_workflow.ml.observed import observe
from madminer_workflow.statistics.events import union
from madminer_workflow.statistics.problem import Problem
from madminer_workflow.statistics.sample import Sample
from madminer_workflow.statistics.setup import Setup

SHARED_KEYS = ("luminosity", "theta_ref", "test_split", "limits")
EVALUATION_KEYS = (*SHARED_KEYS, "analysis", "fisher_theta", "seed")


def evaluation_settings(analysis: dict[str, Any]) -> dict[str, Any]:
    """What ``pose_problem`` and evaluating need of an analysis: ``evaluation.json``."""
    ml = analysis["ml"]
    shared = {key: ml[key] for key in SHARED_KEYS}
    return {
        **shared,
        "analysis": analysis["name"],
        "fisher_theta": ml["fisher"]["theta"],
        "seed": analysis["seed"],
    }


def check_same_analysis(analysis: dict[str, Any], setup: Setup, sample: Sample, data: Path) -> None:
    """Raise InputError unless the data are those of the analysis.

    They must have its parameters, benchmarks, systematic uncertainties and observables.
    """
    check_setup(data, setup, analysis)
    nuisance = nuisance_parameters(analysis["systematics"])
    if setup.nuisance != nuisance:
        found, wanted = (
            ", ".join(dict.fromkeys(each.systematic for each in parameters)) or "none"
            for parameters in (setup.nuisance, nuisance)
        )
        raise InputError(
            f"{data}: belongs to another analysis: its systematic uncertainties are {found}; "
            f"expected {wanted}, all with the same settings; run the physics steps again"
        )
    observables = [observable["name"] for observable in analysis["observables"]]
    if sample.observables != observables:
        raise InputError(
            f"{data}: belongs to another analysis: its observables are "
            f"{', '.join(sample.observables)}; expected {', '.join(observables)}"
        )


def read_data(data: Path) -> tuple[Setup, Sample]:
    """Set-up and events; InputError if ``data`` holds only the events of one job."""
    if "tasks" in read_report(data):
        raise InputError(
            f"{data}: holds the events of one job only; expected the combined_delphes.h5 of combine"
        )
    return read_setup(data), read_sample(data)


def pose_problem(evaluation: dict[str, Any], data: Path, observed: str | None = None) -> Problem:
    """The problem of an ``evaluation.json`` on a MadMiner data file, with data to observe.

    Raises InputError if the data do not have the grid's parameters or the benchmarks, or as
    ``observed.observe``.
    """
    return problem_of(evaluation, *read_data(data), data, observed)


def problem_of(
    evaluation: dict[str, Any],
    setup: Setup,
    sample: Sample,
    data: Path,
    observed: str | None = None,
) -> Problem:
    """As ``pose_problem``, for what ``read_data`` gave of ``data``."""
    grid = evaluation["limits"]["grid"]
    if set(grid) != set(setup.parameters):
        raise InputError(
            f"{data}: belongs to another analysis: its parameters are "
            f"{', '.join(setup.parameters)}; the limits grid names {', '.join(grid)}"
        )
    everything = union(sample, setup)
    boundary = 1.0 - evaluation["test_split"]
    problem = Problem(
        setup=setup,
        everything=everything,
        train=everything.part(0.0, boundary),
        test=everything.part(boundary, 1.0),
        theta_ref=setup.theta(evaluation["theta_ref"]),
        theta_true=setup.theta(evaluation["limits"]["theta_true"]),
        fisher_theta=setup.theta(evaluation["fisher_theta"]),
        luminosity=evaluation["luminosity"],
        seed=evaluation["seed"],
    )
    return replace(problem, observed=observe(observed, problem))
