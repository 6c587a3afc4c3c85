"""Generate: integrate every process once and cut the event sample into jobs."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from madminer_workflow.analysis.types import CLOSURE_POINT
from madminer_workflow.errors import InputError
from madminer_workflow.files import atomic_path, pack, read_product, unpack, write_json
from madminer_workflow.madminer_file import check_setup, read_setup
from madminer_workflow.physics import generators
from madminer_workflow.physics.shower.card import read_card
from madminer_workflow.seeds import derive_seed
from madminer_workflow.statistics.setup import Setup

BLOCK = 1000
"""Events with one seed. Blocks, not jobs, carry the seeds: results do not depend on njobs."""

SECONDS_PER_EVENT = {"builtin": 5e-5, "madgraph": 4e-3}
"""To draw an event and its weights, on one core."""

SECONDS_PER_SHOWERED_EVENT = 1.5e-2
"""To shower an event and to pass it through Delphes, on one core."""


def generate(config: Path, generation_file: Path, models: Path, njobs: int, output: Path) -> None:
    """Integrate the processes into ``Processes.tar.gz`` and write ``jobs/job_*.json``.

    Raises InputError for njobs < 1, for files of different analyses and whatever the generators
    refuse.
    """
    if njobs < 1:
        raise InputError(f"njobs: is {njobs}; expected a number of jobs of at least 1")
    generation = read_generation(generation_file)
    setup = read_setup(config)
    check_setup(config, setup, generation)
    benchmarks = benchmark_values(setup)
    # Told now, a mistake in a card of the shower does not cost an integration.
    for process in generation["processes"]:
        if process["pythia8_card"] is not None:
            read_card(process["pythia8_card"], f"processes.{process['name']}.pythia8_card")

    with tempfile.TemporaryDirectory() as scratch:
        library = unpack(models, Path(scratch) / "models")
        for process in generation["processes"]:
            directory = Path(scratch) / "processes" / process["name"]
            directory.mkdir(parents=True)
            asked = request(process, generation, benchmarks, library)
            report = generators.get(process["generator"]).integrate(asked, directory)
            write_json(
                directory / "process.json",
                {
                    "process": process,
                    "benchmarks": benchmarks,
                    "systematics": asked.systematics,
                    "report": report,
                },
            )
        pack(Path(scratch) / "processes", output / "Processes.tar.gz")

    with atomic_path(output / "jobs") as jobs:
        for index, tasks in enumerate(split_into_jobs(all_tasks(generation), njobs)):
            write_json(jobs / f"job_{index:04d}.json", {"index": index, "tasks": tasks})


def request(
    process: dict[str, Any],
    generation: dict[str, Any],
    benchmarks: dict[str, dict[str, float]],
    models: Path,
) -> generators.Request:
    """What the generator of a process is asked for.

    A background is the same at every benchmark: only the one it is drawn from counts.
    """
    background = process["is_background"]
    return generators.Request(
        process=process,
        parameters=generation["parameters"],
        benchmarks={name: benchmarks[name] for name in process["events"]}
        if background
        else benchmarks,
        check_points={} if background else {CLOSURE_POINT: held_out_point(generation)},
        reference=next(iter(benchmarks)),
        systematics=[
            systematic
            for systematic in generation["systematics"]
            if systematic["systematic_name"] in process["systematics"]
        ],
        models=models,
        seed=derive_seed(generation["seed"], "integrate", process["name"]),
    )


def read_generation(path: Path) -> dict[str, Any]:
    """Read ``generation.json``; InputError if it is another file."""
    keys = (
        *("version", "seed", "parameters", "benchmarks", "morphing", "systematics", "processes"),
    )
    return read_product(path, "configure", keys)


def benchmark_values(setup: Setup) -> dict[str, dict[str, float]]:
    """All benchmarks, those that complete the morphing basis included, by name."""
    return {
        name: dict(zip(setup.parameters, map(float, values), strict=True))
        for name, values in zip(setup.benchmark_names, setup.benchmarks, strict=True)
    }


def held_out_point(generation: dict[str, Any]) -> dict[str, float]:
    """A random point in the inner half of the parameter ranges."""
    rng = np.random.default_rng(derive_seed(generation["seed"], CLOSURE_POINT))
    point = {}
    for parameter in generation["parameters"]:
        low, high = parameter["parameter_range"]
        point[parameter["parameter_name"]] = float(
            0.5 * (low + high) + 0.25 * (high - low) * rng.uniform(-1.0, 1.0)
        )
    return point


def all_tasks(generation: dict[str, Any]) -> list[dict[str, Any]]:
    """Every block of events of every process and sampling benchmark, in a fixed order.

    ``cost`` is the time that a block takes [s], roughly: it balances the jobs.
    """
    tasks = []
    for process in generation["processes"]:
        for benchmark, n_total in process["events"].items():
            for block, start in enumerate(range(0, n_total, BLOCK)):
                n_events = min(BLOCK, n_total - start)
                tasks.append(
                    {
                        "process": process["name"],
                        "sampling_benchmark": benchmark,
                        "block": block,
                        "n_events": n_events,
                        "n_total": n_total,
                        "cost": n_events * seconds_per_event(process),
                        "k_factor": process["k_factor"],
                        "is_background": process["is_background"],
                        "seed": derive_seed(generation["seed"], process["name"], benchmark, block),
                    }
                )
    return tasks


def seconds_per_event(process: dict[str, Any]) -> float:
    """The expected time to generate, shower and reconstruct an event of a process."""
    showered = process["pythia8_card"] is not None
    drawn = SECONDS_PER_EVENT[process["generator"]]
    return drawn + (SECONDS_PER_SHOWERED_EVENT if showered else 0.0)


def split_into_jobs(tasks: list[dict[str, Any]], njobs: int) -> list[list[dict[str, Any]]]:
    """Contiguous runs of tasks of nearly equal cost; some empty if njobs is large.

    A task goes to the job in whose share of all costs its middle lies.
    """
    costs = np.array([task["cost"] for task in tasks])
    middles = (np.cumsum(costs) - 0.5 * costs) / costs.sum()
    owners = np.minimum((middles * njobs).astype(int), njobs - 1)
    return [
        [task for task, owner in zip(tasks, owners, strict=True) if owner == job]
        for job in range(njobs)
    ]
