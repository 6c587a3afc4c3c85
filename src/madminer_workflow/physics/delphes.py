"""Delphes: the detector and the event analysis turn one job's events into a MadMiner file."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from madminer_workflow.errors import InputError, StepError
from madminer_workflow.files import read_json, read_product, unpack
from madminer_workflow.madminer_file import read_setup, write_sample
from madminer_workflow.physics.detector import detect
from madminer_workflow.physics.generate import benchmark_values
from madminer_workflow.physics.programs import log_end
from madminer_workflow.physics.readers.lhe import LHEEvents, read_lhe
from madminer_workflow.physics.reconstruction import (
    Reconstructed,
    reconstruct,
    reconstruct_delphes,
)
from madminer_workflow.physics.weights import event_weights, weight_names
from madminer_workflow.seeds import derive_seed
from madminer_workflow.statistics.sample import Sample, event_counts
from madminer_workflow.statistics.setup import Setup

BACKGROUND = -1
"""MadMiner's sampling id of events whose weights do not depend on the parameters."""


def delphes(config: Path, reconstruction_file: Path, events: Path, output: Path) -> None:
    """Analyse ``Events.tar.gz`` into ``delphes_data.h5``.

    Weights are in pb and scaled so that those of all jobs together sum, for every sampling
    benchmark, to the cross-section times the k-factor. The file's report lists the tasks with
    their cut flows and with the sums of their shares of the weights before any cut.

    Raises InputError for events of another analysis or without weights.
    """
    setup = read_setup(config)
    keys = ("seed", "detector", "observables", "cuts", "efficiencies")
    settings = read_product(reconstruction_file, "configure", keys)
    names = [observable["name"] for observable in settings["observables"]]
    observations = [np.empty((0, len(names)))]
    n_benchmarks = len(setup.benchmark_names)
    weights = [np.empty((0, n_benchmarks + len(setup.nuisance_benchmarks)))]
    shares = [np.empty(0)]
    sampling_ids = [np.empty(0, dtype=int)]
    tasks = []
    with tempfile.TemporaryDirectory() as scratch:
        directory = unpack(events, scratch, "events.json")
        content = read_json(directory / "events.json")
        for name, process in content["processes"].items():
            if process["benchmarks"] != benchmark_values(setup):
                raise InputError(
                    f"{events}: belongs to another analysis: {name} was generated for other "
                    f"parameters or benchmarks than those of {config}"
                )
        for task in content["tasks"]:
            process = content["processes"][task["process"]]
            try:
                analysed = analyse_task(task, process, directory, setup, settings)
            except (InputError, StepError) as error:
                # The unpacked file is gone when somebody reads the message.
                raise type(error)(str(error).replace(str(directory), str(events))) from None
            observations.append(analysed.observations)
            weights.append(analysed.weights)
            shares.append(analysed.shares)
            sampling_ids.append(np.full(len(analysed.weights), sampling_id(task, setup)))
            tasks.append({**task, **analysed.note})

    ids, all_weights = np.concatenate(sampling_ids), np.concatenate(weights)
    generated, background = event_counts(ids, setup)
    write_sample(
        output / "delphes_data.h5",
        config,
        Sample(
            observables=names,
            observations=np.concatenate(observations),
            weights=all_weights[:, :n_benchmarks],
            nuisance_weights=all_weights[:, n_benchmarks:],
            shares=np.concatenate(shares),
            sampling_ids=ids,
            generated=generated,
            background=background,
        ),
        {observable["name"]: observable["definition"] for observable in settings["observables"]},
        {"tasks": tasks, "processes": content["processes"]},
    )


def sampling_id(task: dict[str, Any], setup: Setup) -> int:
    """The index of the benchmark a task draws its events from, or -1 for backgrounds."""
    if task["is_background"]:
        return BACKGROUND
    return setup.benchmark_names.index(task["sampling_benchmark"])


@dataclass(frozen=True)
class Analysed:
    """The events of one task that pass all cuts, and what the combination needs to know.

    ``weights`` has one column for each benchmark, then one for each nuisance benchmark.
    """

    observations: np.ndarray
    weights: np.ndarray
    shares: np.ndarray
    note: dict[str, Any]


def analyse_task(
    task: dict[str, Any],
    process: dict[str, Any],
    directory: Path,
    setup: Setup,
    settings: dict[str, Any],
) -> Analysed:
    """Read and analyse the files in ``directory`` of one task of ``process``; weights in pb.

    Raises StepError when they do not hold the task's numbers of events.
    """
    file = directory / task["file"]
    lhe = read_lhe(file, weight_names(task, process, setup), task["sampling_benchmark"])
    if len(lhe) != task["n_events"]:
        raise StepError(f"{file}: holds {len(lhe)} events where {task['n_events']} are expected")
    weights, shares = event_weights(lhe.weights, task, process, setup)
    if settings["detector"]["delphes_card"] is None:
        reconstructed, counts = reconstruct_partons(task, lhe, settings), {}
        numbers = np.arange(len(lhe))
    else:
        reconstructed, numbers = reconstruct_showered(task, lhe, directory, settings)
        counts = {"reconstructed": len(numbers)}
    passed = reconstructed.passed
    chosen = numbers[passed]
    measured = weights[chosen] * reconstructed.efficiency[passed, None]
    physical = weights[:, : len(setup.benchmark_names)]
    return Analysed(
        observations=reconstructed.observations[passed],
        weights=measured,
        shares=shares[chosen],
        note={
            "counts": {**task["counts"], **counts, "analysed": len(passed)},
            "cut_flow": reconstructed.cut_flow,
            "passed": int(passed.sum()),
            "passed_weights": measured.sum(axis=0).tolist(),
            "sum_weights": (shares @ physical).tolist(),
            "sum_weights_squared": ((shares**2 * physical.T) @ physical).tolist(),
        },
    )


def reconstruct_partons(
    task: dict[str, Any], lhe: LHEEvents, settings: dict[str, Any]
) -> Reconstructed:
    """Measure the events of a task at parton level."""
    rng = np.random.default_rng(derive_seed(task["seed"], "detector"))
    return reconstruct(lhe.particles, settings, rng, lhe.variables)


def reconstruct_showered(
    task: dict[str, Any], lhe: LHEEvents, directory: Path, settings: dict[str, Any]
) -> tuple[Reconstructed, np.ndarray]:
    """Measure the showered events of a task with Delphes; their places in the LHE file, (n,).

    Removes the HepMC file. Raises StepError unless every showered event comes out of Delphes.
    """
    if task["hepmc"] is None:
        raise InputError(
            f"{directory / task['file']}: these events are not showered, as Delphes needs them; "
            "run pythia again for this analysis"
        )
    hepmc = directory / task["hepmc"]
    with tempfile.TemporaryDirectory(dir=directory) as scratch:
        seed = derive_seed(task["seed"], "detector")
        card = settings["detector"]["delphes_card"]
        detected = detect(hepmc, card, seed, Path(scratch))
        hepmc.unlink()
        reconstructed, numbers = reconstruct_delphes(
            detected.root, settings, len(lhe), lhe.variables
        )
        if len(numbers) != task["counts"]["showered"]:
            raise StepError(
                f"{hepmc}: Delphes reconstructed {len(numbers)} of {task['counts']['showered']} "
                f"showered events; the end of its log:\n{log_end(detected.log)}"
            )
    lost = {"cut": "shower", "passed": len(numbers), "of": len(lhe)}
    reconstructed.cut_flow.insert(0, lost)
    return reconstructed, numbers
