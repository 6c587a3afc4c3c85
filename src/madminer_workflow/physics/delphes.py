"""Delphes: the detector and the event analysis turn one job's events into a MadMiner file."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from madminer_workflow.errors import StepError
from madminer_workflow.files import read_json, unpack
from madminer_workflow.madminer_file import Sample, Setup, read_setup, write_sample
from madminer_workflow.physics.readers.lhe import read_lhe
from madminer_workflow.physics.reconstruction import reconstruct
from madminer_workflow.seeds import derive_seed

BACKGROUND = -1
"""MadMiner's sampling id of events whose weights do not depend on the parameters."""


def delphes(config: Path, reconstruction_file: Path, events: Path, output: Path) -> None:
    """Analyse ``Events.tar.gz`` into ``delphes_data.h5``.

    Weights are in pb and scaled so that those of all jobs together sum, for every sampling
    benchmark, to the cross-section times the k-factor. The file's report lists the tasks with
    their cut flows and with the sums of weights before any cut.
    """
    setup = read_setup(config)
    settings = read_json(reconstruction_file)
    names = [observable["name"] for observable in settings["observables"]]
    observations = [np.empty((0, len(names)))]
    weights = [np.empty((0, len(setup.benchmark_names)))]
    sampling_ids = [np.empty(0, dtype=int)]
    tasks = []
    with tempfile.TemporaryDirectory() as scratch:
        directory = unpack(events, scratch)
        content = read_json(directory / "events.json")
        for task in content["tasks"]:
            x, w, note = analyse_task(task, directory / task["file"], setup, settings)
            observations.append(x)
            weights.append(w)
            sampling_ids.append(np.full(len(x), sampling_id(task, setup)))
            tasks.append({**task, **note})

    ids = np.concatenate(sampling_ids)
    write_sample(
        output / "delphes_data.h5",
        config,
        Sample(
            observables=names,
            observations=np.concatenate(observations),
            weights=np.concatenate(weights),
            sampling_ids=ids,
            generated=np.bincount(ids[ids >= 0], minlength=len(setup.benchmark_names)),
            background=int(np.sum(ids == BACKGROUND)),
        ),
        {observable["name"]: observable["definition"] for observable in settings["observables"]},
        {"tasks": tasks, "cross_sections": content["cross_sections"]},
    )


def sampling_id(task: dict[str, Any], setup: Setup) -> int:
    """The index of the benchmark a task draws its events from, or -1 for backgrounds."""
    if task["is_background"]:
        return BACKGROUND
    return setup.benchmark_names.index(task["sampling_benchmark"])


def analyse_task(
    task: dict[str, Any], file: Path, setup: Setup, settings: dict[str, Any]
) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
    """Observables (n_passed, n_observables), weights (n_passed, n_benchmarks) in pb, and notes.

    Raises StepError when the file does not hold the task's number of events.
    """
    is_background = task["is_background"]
    wanted = [task["sampling_benchmark"]] if is_background else setup.benchmark_names
    lhe = read_lhe(file, wanted)
    if len(lhe.weights) != task["n_events"]:
        raise StepError(
            f"{file.name}: holds {len(lhe.weights)} events where {task['n_events']} are expected"
        )
    share = task["k_factor"] * task["n_events"] / task["n_total"]
    weights = share * lhe.weights
    if is_background:
        weights = np.repeat(weights, len(setup.benchmark_names), axis=1)

    rng = np.random.default_rng(derive_seed(task["seed"], "detector"))
    reconstructed = reconstruct(lhe.particles, settings, rng)
    passed = reconstructed.passed
    note = {
        "cut_flow": reconstructed.cut_flow,
        "sum_weights": weights.sum(axis=0).tolist(),
        "sum_weights_squared": (weights.T @ weights).tolist(),
    }
    kept = weights[passed] * reconstructed.efficiency[passed, None]
    return reconstructed.observations[passed], kept, note
