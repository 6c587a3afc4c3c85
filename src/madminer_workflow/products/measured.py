"""``delphes_data.h5``: what is measured in the events of one job.

A MadMiner file, with a report of the job in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec
import numpy as np
from msgspec import UNSET, UnsetType

from madminer_workflow import madminer_file
from madminer_workflow.array_files import reading
from madminer_workflow.errors import InputError
from madminer_workflow.madminer_file import write_sample
from madminer_workflow.products.events import GeneratedTask, SampledProcess, check_tasks
from madminer_workflow.products.fields import Count, Index
from madminer_workflow.statistics.sample import Sample

FILE = "delphes_data.h5"


class Stage(msgspec.Struct, frozen=True, kw_only=True):
    """A stage of the cut flow: ``passed`` of the events that reached it pass."""

    cut: str
    passed: Count
    of: Count


class WorstEvent(msgspec.Struct, frozen=True, kw_only=True):
    """The event, counted from 0 in its block, whose weights are the least like a polynomial.

    Their ``relative_error`` explains the difference; any of the ``suspects`` alone may be wrong.
    """

    event: Index
    relative_error: float
    suspects: tuple[str, ...]


class Leftover(msgspec.Struct, frozen=True, kw_only=True):
    """What the weights of events before cuts have that no polynomial in the parameters has.

    ``squares`` (n_benchmarks,) are the sums of the squared ``statistics.surplus.Fit.residuals`` of
    shares of weights. Rounding does not explain those of ``off`` events, and of the ``worst``.
    """

    squares: tuple[float, ...]
    off: Count
    worst: WorstEvent | None


class MeasuredTask(GeneratedTask, frozen=True, kw_only=True):
    """A block of events that was analysed.

    ``passed`` events are left, with sums of their weights at all benchmarks, nuisance benchmarks
    included. ``sum_weights`` (n_benchmarks,) and ``sum_weights_squared`` (n_benchmarks,
    n_benchmarks) are those of shares of weights before all cuts [pb]. Weights of a signal at more
    benchmarks than terms have a ``leftover``.
    """

    cut_flow: tuple[Stage, ...]
    passed: Count
    passed_weights: tuple[float, ...]
    sum_weights: tuple[float, ...]
    sum_weights_squared: tuple[tuple[float, ...], ...]
    leftover: Leftover | UnsetType = UNSET


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The blocks of events in a file, in their order, and the processes that they are from."""

    tasks: tuple[MeasuredTask, ...]
    processes: dict[str, SampledProcess]


def write_measured(
    output: Path,
    config: Path,
    sample: Sample,
    definitions: Mapping[str, str],
    report: Report,
    observations: Iterable[np.ndarray],
) -> None:
    """Write the file into ``output``; the rest is as in ``madminer_file.write_sample``."""
    known = msgspec.to_builtins(report)
    write_sample(output / FILE, config, sample, dict(definitions), known, observations)


def read_report(path: Path) -> Report:
    """Read the report; InputError if ``path`` is another file."""
    report = madminer_file.read_report(path)
    if "tasks" not in report:
        raise InputError(f"{path}: is not a delphes_data.h5: it does not name its job")
    with reading(path, "is not a delphes_data.h5"):
        measured = msgspec.convert(report, Report)
        check_tasks(measured.tasks, measured.processes)
        for task in measured.tasks:
            _check_sums(task)
        return measured


def _check_sums(task: MeasuredTask) -> None:
    """Raise ValueError unless the numbers of a task go together."""
    n = len(task.sum_weights)
    sizes = {len(row) for row in task.sum_weights_squared}
    if len(task.sum_weights_squared) != n or sizes - {n} or len(task.passed_weights) < n:
        raise ValueError(f"the task {task.name} has a wrong number of sums of weights")
    if task.leftover is not UNSET and len(task.leftover.squares) != n:
        raise ValueError(f"the task {task.name} has a wrong number of sums of residuals")
    left = task.n_events
    for stage in task.cut_flow:
        if not stage.passed <= stage.of == left:
            raise ValueError(f"the cut flow of the task {task.name} does not add up")
        left = stage.passed
    if left != task.passed:
        raise ValueError(f"the cut flow of the task {task.name} does not add up")
