"""Sampling: training sets for every method and ensemble member."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from madminer_workflow.analysis.changes import change_methods
from madminer_workflow.analysis.file import load_analysis
from madminer_workflow.errors import InputError
from madminer_workflow.files import atomic_path, write_json
from madminer_workflow.ml import methods
from madminer_workflow.ml.problem import check_same_analysis, evaluation_settings, read_data
from madminer_workflow.seeds import derive_seed
from madminer_workflow.statistics.events import Events, union


def sampling(
    input_file: Path, data: Path, ntrainsamples: int, output: Path, changes: Sequence[str] = ()
) -> None:
    """Write ``methods/<method>/Samples_<method>_<i>.npz`` for every method of the analysis.

    Each holds the arrays of one ensemble member and the method's settings. Beside them lie
    ``evaluation.json``, what evaluating needs to know, and ``toys_<i>.json``, the jobs of the step
    toys; above lies ``analysis.json`` for plotting.
    ``changes`` of methods' settings look like ``sally.training.n_epochs=20``. Raises InputError
    if they make no sense or the data belong to another analysis.
    """
    if ntrainsamples < 1:
        raise InputError(f"ntrainsamples: is {ntrainsamples}; expected at least 1 ensemble member")
    # Learning needs no cards: the events are there.
    analysis = change_methods(load_analysis(input_file, cards=False), changes)
    if all(process["is_background"] for process in analysis["processes"]):
        raise InputError(
            f"{input_file}: processes: all are backgrounds, which do not depend on the parameters; "
            "expected at least one other process to learn from"
        )
    setup, sample = read_data(data)
    check_same_analysis(analysis, setup, sample, data)
    ml = analysis["ml"]
    training_events = union(sample, setup).part(0.0, 1.0 - ml["test_split"])
    evaluation = evaluation_settings(analysis)

    for settings in ml["methods"]:
        check_defined(training_events, settings, data)
    with atomic_path(output / "methods") as directory:
        for settings in ml["methods"]:
            write_json(directory / settings["name"] / "evaluation.json", evaluation)
            # A histogram is the same for every member: nothing in it is random.
            members = 1 if settings["method"] == "histogram" else ntrainsamples
            for member in range(members):
                write_member(directory, training_events, settings, member, analysis["seed"])
            for job in toy_jobs(ml["limits"]["toys"]):
                write_json(directory / settings["name"] / f"toys_{job['job']}.json", job)
    write_json(output / "analysis.json", analysis)


def toy_jobs(toys: dict[str, int]) -> list[dict[str, int]]:
    """The jobs that share the toys of a method; none if no toys are wanted."""
    njobs = min(toys["njobs"], toys["n_toys"])
    return [{"job": job, "njobs": njobs} for job in range(njobs)]


def check_defined(events: Events, settings: dict[str, Any], data: Path) -> None:
    """Raise InputError if an observable that the method uses is not a finite number somewhere."""
    names = settings.get("observables") or settings.get("features") or events.observables
    undefined = np.sum(~np.isfinite(events.columns(names)), axis=0)
    for name, n in zip(names, undefined, strict=True):
        if n:
            raise InputError(
                f"{data}: the observable {name} is undefined in {n} of {len(events)} events, which "
                f"the method {settings['name']} cannot use; give the observable a default, make it "
                "required, or leave it out of the method's observables or features"
            )


def write_member(
    directory: Path, events: Events, settings: dict[str, Any], member: int, seed: int
) -> None:
    """Draw the training set of one ensemble member into ``directory/<method>``."""
    name = settings["name"]
    rng = np.random.default_rng(derive_seed(seed, "sampling", name, member))
    arrays = methods.get(settings["method"]).draw(events, settings, rng)
    content = {
        "settings": settings,
        "member": member,
        "seed": derive_seed(seed, "training", name, member),
        "parameters": events.setup.parameters,
        "nuisance_parameters": [each.name for each in events.setup.nuisance],
        "observables": events.observables,
    }
    with atomic_path(directory / name / f"Samples_{name}_{member}.npz") as product:
        np.savez(product, content=np.array(json.dumps(content, sort_keys=True)), **arrays)
