"""Combine: all jobs' events in one shuffled MadMiner file, with cut flow and closure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from madminer_workflow.errors import InputError, StepError
from madminer_workflow.files import write_json
from madminer_workflow.madminer_file import (
    check_setup,
    read_definitions,
    read_report,
    read_sample,
    read_setup,
    write_sample,
)
from madminer_workflow.physics.closure import check_closure
from madminer_workflow.physics.generate import all_tasks, read_generation
from madminer_workflow.seeds import derive_seed
from madminer_workflow.statistics.sample import Sample, event_counts
from madminer_workflow.statistics.setup import Setup, same_setup


def combine(config: Path, generation_file: Path, data: Sequence[Path], output: Path) -> None:
    """Join ``data`` into ``combined_delphes.h5``; write ``cutflow.json`` and ``closure.json``.

    The result depends on the set of events only, not on how jobs shared them. Raises InputError
    for files of different analyses, StepError when events are missing or doubled and when the
    morphing does not close.
    """
    if not data:
        raise InputError("combine: no data files given; expected at least one delphes_data.h5")
    setup = read_setup(config)
    generation = read_generation(generation_file)
    check_setup(config, setup, generation)
    parts = order_by_task([read_part(path, setup, config) for path in data], generation)
    tasks = [task for _, report in parts for task in report["tasks"]]
    check_complete(tasks, generation)
    cross_sections = {
        name: process["cross_sections"]
        for _, report in parts
        for name, process in report["processes"].items()
    }

    sample = join([sample for sample, _ in parts], setup)
    if len(sample.weights) == 0:
        raise StepError("no event passes the observables' requirements and the cuts; loosen them")
    cut_flow = summarise_cut_flow(tasks)
    closure = check_closure(generation, tasks, cross_sections, sample, setup)
    write_json(output / "cutflow.json", cut_flow)
    write_json(output / "closure.json", closure)
    failed = [check for check in closure["checks"] if not check["closes"]]
    if failed:
        worst = max(failed, key=lambda check: abs(check["pull"]))
        raise StepError(
            f"closure: {len(failed)} of {len(closure['checks'])} cross-sections disagree with "
            f"their prediction, worst {worst['what']}: {worst['predicted'][0]:.6g} pb predicted, "
            f"{worst['direct'][0]:.6g} pb expected, pull {worst['pull']:.1f}; the event weights "
            f"or the morphing basis are wrong (see {output / 'closure.json'})"
        )
    order = np.random.default_rng(derive_seed(generation["seed"], "shuffle")).permutation(
        len(sample.weights)
    )
    write_sample(
        output / "combined_delphes.h5",
        config,
        replace(
            sample,
            observations=sample.observations[order],
            weights=sample.weights[order],
            nuisance_weights=sample.nuisance_weights[order],
            shares=sample.shares[order],
            sampling_ids=sample.sampling_ids[order],
        ),
        read_definitions(data[0]),
        {"cut_flow": cut_flow, "closure": closure, "cross_sections": cross_sections},
    )


def task_key(task: dict[str, Any]) -> tuple[str, str, int]:
    """What identifies a block of events."""
    return task["process"], task["sampling_benchmark"], task["block"]


Part = tuple[Sample, dict[str, Any]]


def read_part(path: Path, setup: Setup, config: Path) -> Part:
    """The events of one job and its report.

    Raises InputError if ``path`` is another file and StepError if its weights are damaged.
    """
    report = read_report(path)
    if "tasks" not in report:
        raise InputError(f"{path}: is not a delphes_data.h5: it does not say which job it is from")
    if not same_setup(read_setup(path), setup):
        raise InputError(
            f"{path}: belongs to another analysis: its parameters, benchmarks or morphing are not "
            f"those of {config}"
        )
    sample = read_sample(path)
    noted = np.sum([task["passed_weights"] for task in report["tasks"]], axis=0)
    sums = np.concatenate([sample.weights.sum(axis=0), sample.nuisance_weights.sum(axis=0)])
    wrong = np.flatnonzero(~np.isclose(sums, noted, rtol=1e-9, atol=0.0))
    if len(wrong):
        names = [*setup.benchmark_names, *setup.nuisance_benchmarks]
        raise StepError(
            f"{path}: its weights were changed after the delphes step: those of the benchmark "
            f"{names[wrong[0]]} have another sum than noted; run that step again"
        )
    return sample, report


def order_by_task(parts: Sequence[Part], generation: dict[str, Any]) -> list[Part]:
    """The parts in the order in which their tasks were defined; empty ones last."""
    position = {task_key(task): i for i, task in enumerate(all_tasks(generation))}

    def first_task(part: Part) -> int:
        tasks = part[1]["tasks"]
        return position.get(task_key(tasks[0]), -1) if tasks else len(position)

    return sorted(parts, key=first_task)


def check_complete(tasks: Sequence[dict[str, Any]], generation: dict[str, Any]) -> None:
    """Raise StepError unless every block of events is there exactly once."""
    found = Counter(task_key(task) for task in tasks)
    expected = {task_key(task) for task in all_tasks(generation)}
    missing = sorted(expected - found.keys())
    surplus = sorted(key for key, n in found.items() if n > 1 or key not in expected)
    for keys, what in ((missing, "missing"), (surplus, "doubled or unknown")):
        if keys:
            process, benchmark, block = keys[0]
            raise StepError(
                f"{len(keys)} of {len(expected)} blocks of events are {what}, "
                f"e.g. block {block} of {process} sampled from {benchmark}"
            )


def join(samples: Sequence[Sample], setup: Setup) -> Sample:
    """One sample from many, in their order, with the event counts recalculated."""
    observables = samples[0].observables
    if any(sample.observables != observables for sample in samples):
        raise InputError("the data files hold different observables; re-run all delphes jobs")
    ids = np.concatenate([sample.sampling_ids for sample in samples])
    generated, background = event_counts(ids, setup)
    return Sample(
        observables=observables,
        observations=np.concatenate([sample.observations for sample in samples]),
        weights=np.concatenate([sample.weights for sample in samples]),
        nuisance_weights=np.concatenate([sample.nuisance_weights for sample in samples]),
        shares=np.concatenate([sample.shares for sample in samples]),
        sampling_ids=ids,
        generated=generated,
        background=background,
    )


def summarise_cut_flow(tasks: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The cut flow of every process and sampling benchmark, summed over blocks."""
    flows: dict[tuple[str, str], dict[str, Any]] = {}
    for task in tasks:
        key = (task["process"], task["sampling_benchmark"])
        flow = flows.setdefault(
            key,
            {
                "process": task["process"],
                "sampling_benchmark": task["sampling_benchmark"],
                "is_background": task["is_background"],
                "generated": 0,
                "steps": [{"cut": step["cut"], "passed": 0} for step in task["cut_flow"]],
            },
        )
        flow["generated"] += task["n_events"]
        for total, step in zip(flow["steps"], task["cut_flow"], strict=True):
            total["passed"] += step["passed"]
    return list(flows.values())
