"""``Events.tar.gz``: the events of one job, LHE and HepMC files with a note, ``events.json``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
from msgspec import UNSET, UnsetType

from madminer_workflow.analysis.types import CLOSURE_POINT, Systematic
from madminer_workflow.array_files import reading
from madminer_workflow.files import named, pack, read_struct, unpack, write_json
from madminer_workflow.products.fields import AtLeastOne, Count, Index, Name
from madminer_workflow.products.jobs import Task
from madminer_workflow.products.processes import Estimate, IntegratedProcess, Points

ARCHIVE = "Events.tar.gz"
NOTE = "events.json"


class Draw(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a generator reports of the events that it drew.

    ``fraction_above_maximum`` is the share of the summed weights that exceeds the maximum weight;
    the built-in generator adds the number of points that it tried.
    """

    n_events: Count
    fraction_above_maximum: float
    n_trials: Count | UnsetType = UNSET


class Shower(msgspec.Struct, frozen=True, kw_only=True):
    """The program that showered events, and its version."""

    program: str
    version: str


FROM_FILES = Shower(program="HepMC files", version="as given")
"""Whoever showered events that exist already."""


class Counts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Numbers of events from one program to the next, of those that were used."""

    requested: Count
    generated: Count
    showered: Count | UnsetType = UNSET
    reconstructed: Count | UnsetType = UNSET
    analysed: Count | UnsetType = UNSET


class GeneratedTask(Task, frozen=True, kw_only=True):
    """A block of events that exist: the names of its files, and how they were made."""

    file: Name
    hepmc: Name | None
    report: Draw
    shower: Shower | None
    counts: Counts


class SampledProcess(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the analysis of events needs to know of their process.

    ``events`` are the numbers of events by the benchmark that they are drawn from,
    ``cross_sections`` those of all integrated points [pb]. Those of events that exist already are
    not ``integrated``: they are known where the events were drawn from only.
    """

    events: dict[str, AtLeastOne]
    benchmarks: Points
    systematics: tuple[Systematic, ...]
    cross_sections: dict[str, Estimate]
    integrated: bool = True

    @classmethod
    def of(cls, integrated: IntegratedProcess) -> SampledProcess:
        """That of an integrated process."""
        return cls(
            events=integrated.process.events,
            benchmarks=integrated.benchmarks,
            systematics=integrated.systematics,
            cross_sections=integrated.report.cross_sections,
            integrated=integrated.process.drawn,
        )


class Events(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The events of one job."""

    index: Index
    tasks: tuple[GeneratedTask, ...]
    processes: dict[str, SampledProcess]


def write_events(directory: Path, events: Events, output: Path) -> None:
    """Pack the files in ``directory``, with a note, into the product in ``output``."""
    write_json(directory / NOTE, events)
    pack(directory, output / ARCHIVE)


def read_events(archive: Path, directory: Path) -> Events:
    """Unpack a product into ``directory``; InputError if it is broken or another one."""
    unpack(archive, directory, NOTE)
    with named(directory, archive), reading(directory / NOTE, "is damaged"):
        events = read_struct(directory / NOTE, "pythia", Events)
        check_tasks(events.tasks, events.processes)
        for task in events.tasks:
            for name in (task.file, task.hepmc):
                if name is not None and not (directory / name).is_file():
                    raise ValueError(f"there is no {name}, to which the task {task.name} refers")
    return events


def check_tasks(tasks: Sequence[GeneratedTask], processes: Mapping[str, SampledProcess]) -> None:
    """Raise ValueError unless each of ``tasks`` is a block of events of one of ``processes``."""
    for name, process in processes.items():
        for sampled in process.events:
            value, error = process.cross_sections.get(sampled, (0.0, 0.0))
            if sampled not in process.benchmarks or not (value > 0.0 and error >= 0.0):
                raise ValueError(
                    f"{name} has events from {sampled}, but no cross-section of it above 0"
                )
    for task in tasks:
        if task.process not in processes:
            raise ValueError(f"the process of the task {task.name} is not part of this job")
        if processes[task.process].events.get(task.sampling_benchmark) != task.n_total:
            raise ValueError(
                f"the task {task.name} belongs to {task.n_total} events, but its process has a "
                "different number"
            )
        process = processes[task.process]
        tested = CLOSURE_POINT in process.cross_sections or not process.integrated
        if not task.is_background and not tested:
            raise ValueError(
                f"{task.process} has no cross-section at the point that tests the morphing"
            )
        if not 0 < task.n_events <= task.n_total:
            raise ValueError(f"the task {task.name} has {task.n_events} events")
    keys = [task.key for task in tasks]
    if len(set(keys)) != len(keys):
        raise ValueError("a block of events occurs twice")
