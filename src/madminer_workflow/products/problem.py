"""The problem that an analysis poses on a MadMiner data file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from madminer_workflow.analysis.fingerprint import of_analysis, require_same
from madminer_workflow.analysis.types import Analysis
from madminer_workflow.array_files import reading
from madminer_workflow.errors import InputError
from madminer_workflow.hdf5_files import require_unchanged
from madminer_workflow.large_arrays import release
from madminer_workflow.madminer_file import read_report, read_sample, read_setup
from madminer_workflow.products.combined import CutFlow
from madminer_workflow.products.evaluation import Evaluation
from madminer_workflow.products.observed import observe
from madminer_workflow.statistics.events import Events, union
from madminer_workflow.statistics.problem import Problem
from madminer_workflow.statistics.sample import Sample
from madminer_workflow.statistics.setup import Setup


def read_events(data: Path, analysis: Analysis | None = None) -> Events:
    """All events of ``data``.

    Raises InputError if it holds those of one job only, or if the parameters, benchmarks,
    systematic uncertainties or observables of the ``analysis``, where one is given, are others.
    """
    report = read_report(data)
    if "tasks" in report:
        raise InputError(
            f"{data}: contains the events of only one job; expected the combined_delphes.h5 of "
            "combine"
        )
    setup, sample = read_setup(data), read_sample(data)
    if analysis is not None:
        require_same(
            data,
            found=setup.fingerprint(sample.observables),
            expected=of_analysis(analysis),
            remedy="run the physics steps again",
        )
    require_weights(data, sample, setup)
    require_unchanged(data)
    return union(sample, setup, numbers_drawn(data, report, sample, setup))


def numbers_drawn(
    data: Path, report: Mapping[str, Any], sample: Sample, setup: Setup
) -> np.ndarray | None:
    """Numbers of events drawn from each benchmark, and of background, before cuts.

    None if the ``report`` of ``data`` does not say so of all events; InputError if it is damaged.
    """
    numbers = np.zeros(len(setup.benchmark_names) + 1, dtype=int)
    with reading(data, "its cut flow is damaged"):
        for one in msgspec.convert(report.get("cut_flow", []), list[CutFlow]):
            names = setup.benchmark_names
            numbers[-1 if one.is_background else names.index(one.sampling_benchmark)] += (
                one.generated
            )
    passed = np.bincount(sample.sampling_ids % len(numbers), minlength=len(numbers))
    return numbers if np.all(passed <= numbers) else None


def require_weights(data: Path, sample: Sample, setup: Setup) -> None:
    """Raise InputError unless there are events, and a cross-section at every benchmark."""
    if not len(sample.shares):
        raise InputError(f"{data}: contains no events")
    totals = sample.shares @ sample.weights
    release(sample.weights)
    for name, total in zip(setup.benchmark_names, totals, strict=True):
        if not total > 0.0:
            raise InputError(
                f"{data}: samples/weights: the events have a cross-section of {total:.6g} pb at "
                f"the benchmark {name}; expected one above 0"
            )


def training_events(data: Path, analysis: Analysis) -> Events:
    """The events of ``data`` to learn from; InputError as from ``read_events``."""
    return read_events(data, analysis).part(0.0, 1.0 - analysis.ml.test_split)


def pose_problem(
    evaluation: Evaluation,
    data: Path,
    observed: str | None = None,
    analysis: Analysis | None = None,
) -> Problem:
    """The problem of an ``evaluation.json`` on a MadMiner data file, with data to observe.

    Raises InputError as ``read_events`` and ``observe`` do, and if the data do not have the grid's
    parameters or the benchmarks.
    """
    everything = read_events(data, analysis)
    setup = everything.setup
    other = f"{data}: belongs to another analysis than evaluation.json"
    grid = evaluation.limits.grid
    if set(grid) != set(setup.parameters):
        raise InputError(
            f"{other}: its parameters are {', '.join(setup.parameters)}; the limits grid names "
            f"{', '.join(grid)}"
        )
    try:
        theta_ref = setup.theta(evaluation.theta_ref)
        theta_true = setup.theta(evaluation.limits.theta_true)
        fisher_theta = setup.theta(evaluation.fisher_theta)
    except InputError as error:
        raise InputError(f"{other}: {error}") from None
    boundary = 1.0 - evaluation.test_split
    problem = Problem(
        setup=setup,
        everything=everything,
        train=everything.part(0.0, boundary),
        test=everything.part(boundary, 1.0),
        theta_ref=theta_ref,
        theta_true=theta_true,
        fisher_theta=fisher_theta,
        luminosity=evaluation.luminosity,
        seed=evaluation.seed,
    )
    return replace(problem, observed=observe(observed, problem))
