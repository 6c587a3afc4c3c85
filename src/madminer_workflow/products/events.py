"""``Events.tar.gz``: the events of one job, LHE and HepMC files with a note, ``events.json``."""

from __future__ import annotations

from pathlib import Path

import msgspec
from msgspec import UNSET, UnsetType

from madminer_workflow.analysis.types import Systematic
from madminer_workflow.files import pack, read_struct, unpack, write_json
from madminer_workflow.products.jobs import Task
from madminer_workflow.products.processes import Estimate, IntegratedProcess, Points

ARCHIVE = "Events.tar.gz"
NOTE = "events.json"


class Draw(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a generator reports of the events that it drew.

    ``fraction_above_maximum`` is the share of the summed weights that exceeds the maximum weight;
    the built-in generator adds the number of points that it tried.
    """

    n_events: int
    fraction_above_maximum: float
    n_trials: int | UnsetType = UNSET


class Shower(msgspec.Struct, frozen=True, kw_only=True):
    """The program that showered events, and its version."""

    program: str
    version: str


class Counts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Numbers of events from one program to the next, of those that were used."""

    requested: int
    generated: int
    showered: int | UnsetType = UNSET
    reconstructed: int | UnsetType = UNSET
    analysed: int | UnsetType = UNSET


class GeneratedTask(Task, frozen=True, kw_only=True):
    """A block of events that exist: the names of its files, and how they were made."""

    file: str
    hepmc: str | None
    report: Draw
    shower: Shower | None
    counts: Counts


class SampledProcess(msgspec.Struct, frozen=True, kw_only=True):
    """What the analysis of events needs to know of their process.

    ``events`` are the numbers of events by the benchmark that they are drawn from,
    ``cross_sections`` those of all integrated points [pb].
    """

    events: dict[str, int]
    benchmarks: Points
    systematics: tuple[Systematic, ...]
    cross_sections: dict[str, Estimate]

    @classmethod
    def of(cls, integrated: IntegratedProcess) -> SampledProcess:
        """That of an integrated process."""
        return cls(
            events=integrated.process.events,
            benchmarks=integrated.benchmarks,
            systematics=integrated.systematics,
            cross_sections=integrated.report.cross_sections,
        )


class Events(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The events of one job."""

    index: int
    tasks: tuple[GeneratedTask, ...]
    processes: dict[str, SampledProcess]


def write_events(directory: Path, events: Events, output: Path) -> None:
    """Pack the files in ``directory``, with a note, into the product in ``output``."""
    write_json(directory / NOTE, events)
    pack(directory, output / ARCHIVE)


def read_events(archive: Path, directory: Path) -> Events:
    """Unpack a product into ``directory``; InputError if it is broken or another one."""
    unpack(archive, directory, NOTE)
    return read_struct(directory / NOTE, "pythia", Events)
