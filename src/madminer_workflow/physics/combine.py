"""Combine: all jobs' events in one shuffled MadMiner file, with cut flow and closure."""

from __future__ import annotations

import logging
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from madminer_workflow.analysis.fingerprint import of_analysis, require_same
from madminer_workflow.analysis.types import Generation
from madminer_workflow.errors import InputError, StepError
from madminer_workflow.hdf5_files import require_unchanged
from madminer_workflow.madminer_file import read_definitions, read_sample, read_setup
from madminer_workflow.physics.closure import check_closure
from madminer_workflow.physics.shuffling import rows_in_order
from madminer_workflow.physics.tasks import all_tasks
from madminer_workflow.products import measured
from madminer_workflow.products.combined import (
    CLOSURE,
    Closure,
    CutFlow,
    Passed,
    Report,
    SurplusCheck,
    write_checks,
    write_combined,
)
from madminer_workflow.products.jobs import Task
from madminer_workflow.products.measured import MeasuredTask
from madminer_workflow.products.parts import read_generation
from madminer_workflow.seeds import derive_seed
from madminer_workflow.statistics.sample import Sample, joined, without_observations
from madminer_workflow.statistics.setup import Setup

_log = logging.getLogger(__name__)

Part = tuple[Sample, measured.Report]
"""The events of one job and its report."""


def combine(config: Path, generation_file: Path, data: Sequence[Path], output: Path) -> None:
    """Join ``data`` into ``combined_delphes.h5``; write ``cutflow.json`` and ``closure.json``.

    The result depends on the set of events only, not on how jobs shared them. Raises InputError
    for files of different analyses and for missing or doubled events, StepError when no event is
    left and when the morphing does not close.
    """
    if not data:
        raise InputError("combine: no data files given; expected at least one delphes_data.h5")
    setup = read_setup(config)
    generation = read_generation(generation_file)
    require_same(config, found=setup.generated, expected=of_analysis(generation))
    require_unchanged(config)
    parts = order_by_task([read_part(path, setup, config) for path in data], generation)
    tasks = [task for _, report in parts for task in report.tasks]
    check_complete(tasks, generation)
    if any(sample.observables != parts[0][0].observables for sample, _ in parts):
        raise InputError("the data files have different observables; repeat all delphes jobs")
    for path in data:
        require_unchanged(path)
    processes = {name: p for _, report in parts for name, p in report.processes.items()}

    # Observables are most of what there is: they are copied from file to file.
    observations = [sample.observations for sample, _ in parts]
    sample = joined(taken(parts))
    if len(sample.weights) == 0:
        raise StepError(
            "no event passes the requirements of the observables and the cuts; loosen them"
        )
    cut_flow = summarise_cut_flow(tasks)
    closure = check_closure(generation, tasks, processes, sample, setup)
    write_checks(output, cut_flow, closure)
    require_closure(closure, output)
    rng = np.random.default_rng(derive_seed(generation.seed, "shuffle"))
    order = rng.permutation(len(sample.weights))
    with tempfile.TemporaryDirectory() as scratch:
        write_combined(
            output,
            config,
            sample,
            read_definitions(data[0]),
            Report(
                cut_flow=tuple(cut_flow),
                closure=closure,
                cross_sections={name: p.cross_sections for name, p in processes.items()},
            ),
            order,
            rows_in_order(observations, order, Path(scratch)),
        )


def taken(parts: list[Part]) -> Iterator[Sample]:
    """The events of ``parts``, of which nothing is measured; the list is empty then."""
    while parts:
        sample, _ = parts.pop(0)
        yield without_observations(sample)


def require_closure(closure: Closure, output: Path) -> None:
    """Raise StepError, naming the worst, if a check in ``output`` does not close."""
    for check in closure.surplus:
        if not check.closes:
            raise StepError(f"closure: {no_polynomial(check)} (see {output / CLOSURE})")
        if check.off:
            _log.warning("%s", odd_events(check))
    failed = [check for check in closure.checks if not check.closes]
    if failed:
        worst = max(failed, key=lambda check: abs(check.pull))
        raise StepError(
            f"closure: {len(failed)} of {len(closure.checks)} cross-sections disagree with their "
            f"prediction, worst {worst.what}: {worst.predicted[0]:.6g} pb predicted, "
            f"{worst.direct[0]:.6g} pb expected, pull {worst.pull:.1f}; the event weights or the "
            "morphing basis are wrong, or there are too few events or sampling benchmarks (see "
            f"{output / CLOSURE})"
        )


def no_polynomial(check: SurplusCheck) -> str:
    """Say of which process and benchmark weights are no polynomial, and what may be wrong."""
    worst = max((point for point in check.points if not point.closes), key=lambda p: p.deviation)
    what = (
        f"the weights of {check.process} are not a polynomial in the parameters with these powers: "
        f"at the benchmark {worst.benchmark}, they differ from the prediction of all other "
        f"benchmarks by {worst.deviation:.2g} of their size"
    )
    if check.off < 0.5 * check.n_events and check.worst:
        return f"{what}; {odd_events(check)}"
    if len(check.suspects) == 1:
        return f"{what}; without {check.suspects[0]}, all others agree: correct its weight"
    if check.suspects:
        names = ", ".join(check.suspects)
        return (
            f"{what}; the weight at one of {names} is wrong, but there are too few benchmarks to "
            "tell which"
        )
    return (
        f"{what}; the weights at more than one benchmark are wrong, the powers are too low, or the "
        "weights are statistical estimates"
    )


def odd_events(check: SurplusCheck) -> str:
    """Say which event is the worst of those whose weights are no polynomial."""
    worst = check.worst
    assert worst is not None
    wrong = f", whose weight at {' or '.join(worst.suspects)} is wrong" if worst.suspects else ""
    return (
        f"{check.off} of {check.n_events} events of {check.process} have weights that are not a "
        f"polynomial in the parameters; the worst is event {worst.event} of those drawn at "
        f"{worst.sampling_benchmark}{wrong}"
    )


def read_part(path: Path, setup: Setup, config: Path) -> Part:
    """The events of one job and its report.

    Raises InputError if ``path`` is another file or its weights are damaged.
    """
    report = measured.read_report(path)
    part = read_setup(path)
    require_same(path, found=part.fingerprint(), expected=setup.fingerprint(), whose=str(config))
    if part.benchmark_names != setup.benchmark_names or not np.array_equal(
        part.morphing_matrix, setup.morphing_matrix
    ):
        raise InputError(
            f"{path}: belongs to another analysis: the order of its benchmarks or its morphing is "
            f"not that of {config}"
        )
    # Together, parts may be more than memory has.
    sample = read_sample(path, mapped_from=0)
    if len(sample.shares) != sum(task.passed for task in report.tasks) or any(
        len(task.sum_weights) != len(setup.benchmark_names)
        or len(task.passed_weights) != len(setup.benchmark_names) + len(setup.nuisance_benchmarks)
        for task in report.tasks
    ):
        raise InputError(
            f"{path}: is not a delphes_data.h5, or damaged: its numbers of events or weights do "
            "not match its header; run the delphes step again"
        )
    noted = np.sum([task.passed_weights for task in report.tasks], axis=0)
    sums = np.concatenate([sample.weights.sum(axis=0), sample.nuisance_weights.sum(axis=0)])
    wrong = np.flatnonzero(~np.isclose(sums, noted, rtol=1e-9, atol=0.0))
    if len(wrong):
        names = [*setup.benchmark_names, *setup.nuisance_benchmarks]
        raise InputError(
            f"{path}: its weights changed after the delphes step: at the benchmark "
            f"{names[wrong[0]]}, their sum differs from the recorded one; run that step again"
        )
    return sample, report


def order_by_task(parts: Sequence[Part], generation: Generation) -> list[Part]:
    """The parts in the order in which their tasks were defined; empty ones last."""
    position = {task.key: i for i, task in enumerate(all_tasks(generation))}

    def first_task(part: Part) -> int:
        tasks = part[1].tasks
        return position.get(tasks[0].key, -1) if tasks else len(position)

    return sorted(parts, key=first_task)


def check_complete(tasks: Sequence[Task], generation: Generation) -> None:
    """Raise InputError unless every block of events is there exactly once."""
    counts = Counter(task.key for task in tasks)
    expected = {task.key for task in all_tasks(generation)}
    missing = sorted(expected - counts.keys())
    surplus = sorted(key for key, n in counts.items() if n > 1 or key not in expected)
    for keys, what in ((missing, "missing"), (surplus, "given twice or unknown")):
        if keys:
            process, benchmark, block = keys[0]
            raise InputError(
                f"{len(keys)} of {len(expected)} blocks of events are {what}, "
                f"e.g. block {block} of {process} sampled from {benchmark}"
            )


def summarise_cut_flow(tasks: Sequence[MeasuredTask]) -> list[CutFlow]:
    """The cut flow of every process and sampling benchmark, summed over blocks."""
    samples: dict[tuple[str, str], list[MeasuredTask]] = {}
    for task in tasks:
        samples.setdefault((task.process, task.sampling_benchmark), []).append(task)
    return [
        CutFlow(
            process=process,
            sampling_benchmark=benchmark,
            is_background=blocks[0].is_background,
            generated=sum(block.n_events for block in blocks),
            steps=tuple(
                Passed(cut=stages[0].cut, passed=sum(stage.passed for stage in stages))
                for stages in zip(*(block.cut_flow for block in blocks), strict=True)
            ),
        )
        for (process, benchmark), blocks in samples.items()
    ]
