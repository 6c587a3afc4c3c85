"""``delphes_data.h5``: what is measured in the events of one job.

A MadMiner file, with a report of the job in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from madminer_workflow import madminer_file
from madminer_workflow.errors import InputError
from madminer_workflow.madminer_file import write_sample
from madminer_workflow.products.events import GeneratedTask, SampledProcess
from madminer_workflow.statistics.sample import Sample

FILE = "delphes_data.h5"


class Stage(msgspec.Struct, frozen=True, kw_only=True):
    """A stage of the cut flow: ``passed`` of the events that reached it pass."""

    cut: str
    passed: int
    of: int


class MeasuredTask(GeneratedTask, frozen=True, kw_only=True):
    """A block of events that was analysed.

    ``passed`` events are left, with sums of their weights at all benchmarks, nuisance benchmarks
    included. ``sum_weights`` (n_benchmarks,) and ``sum_weights_squared`` (n_benchmarks,
    n_benchmarks) are those of shares of weights before all cuts [pb].
    """

    cut_flow: tuple[Stage, ...]
    passed: int
    passed_weights: tuple[float, ...]
    sum_weights: tuple[float, ...]
    sum_weights_squared: tuple[tuple[float, ...], ...]


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The blocks of events in a file, in their order, and the processes that they are from."""

    tasks: tuple[MeasuredTask, ...]
    processes: dict[str, SampledProcess]


def write_measured(
    output: Path, config: Path, sample: Sample, definitions: Mapping[str, str], report: Report
) -> None:
    """Write the file into ``output``; the rest is as in ``madminer_file.write_sample``."""
    write_sample(output / FILE, config, sample, dict(definitions), msgspec.to_builtins(report))


def read_report(path: Path) -> Report:
    """Read the report; InputError if ``path`` is another file."""
    report = madminer_file.read_report(path)
    if "tasks" not in report:
        raise InputError(f"{path}: is not a delphes_data.h5: it does not say which job it is from")
    try:
        return msgspec.convert(report, Report)
    except msgspec.ValidationError as error:
        raise InputError(f"{path}: is not a delphes_data.h5 ({error})") from None
