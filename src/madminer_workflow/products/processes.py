"""``Processes.tar.gz``: the integrated processes, a folder each.

Beside the files of its generator, a folder has ``process.json``.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from contextlib import AbstractContextManager
from pathlib import Path

import msgspec
from msgspec import UNSET, UnsetType

from madminer_workflow.analysis.types import Process, Systematic
from madminer_workflow.array_files import reading
from madminer_workflow.errors import InputError
from madminer_workflow.files import members_of, named, pack, read_struct, unpack

ARCHIVE = "Processes.tar.gz"
NOTE = "process.json"

_BLOCK = re.compile(r"([^/]+)/([^/]+)/([0-9]{6,})(\.npz|\.lhe\.gz|\.hepmc\.gz)")
"""Of a process and a benchmark, a block of events that exist already."""

Estimate = tuple[float, float]
"""A value and its error."""

Points = dict[str, dict[str, float]]
"""Values of all parameters by the name of the point."""


class Integration(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a generator reports of its integration, by the name of a point.

    ``cross_sections`` are in pb. The built-in generator adds the expected
    ``unweighting_efficiency`` and ``fraction_above_maximum`` of the cross-section, MadGraph its
    version.
    """

    cross_sections: dict[str, Estimate]
    unweighting_efficiency: dict[str, float] | UnsetType = UNSET
    fraction_above_maximum: dict[str, float] | UnsetType = UNSET
    madgraph: str | UnsetType = UNSET


class IntegratedProcess(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A process, the points it was integrated at, and the uncertainties that affect it."""

    process: Process
    benchmarks: Points
    systematics: tuple[Systematic, ...]
    report: Integration


def write_processes(directory: Path, output: Path) -> None:
    """Pack the folders in ``directory`` into the product in ``output``."""
    pack(directory, output / ARCHIVE)


def peek(archive: Path) -> list[IntegratedProcess]:
    """What is known of all processes in ``archive``, without unpacking it.

    Raises InputError if it is broken.
    """
    notes = members_of(archive, f"*/{NOTE}")
    with reading(archive, "cannot be read"):
        return [msgspec.json.decode(text, type=IntegratedProcess) for text in notes.values()]


class Library:
    """The unpacked archive, but for blocks of events that nobody asks for."""

    def __init__(self, archive: Path, directory: Path, blocks: Collection[tuple[str, str, int]]):
        """Unpack ``archive`` into ``directory``; InputError if it is broken.

        Of events that exist already, those ``blocks`` of processes and benchmarks.
        """

        def wanted(name: str) -> bool:
            block = _BLOCK.fullmatch(name)
            return block is None or (block[1], block[2], int(block[3])) in blocks

        self._archive = archive
        self._directory = unpack(archive, directory, wanted=wanted)

    def folder(self, name: str) -> Path:
        """The folder of a process."""
        return self._directory / name

    def read(self, name: str) -> IntegratedProcess:
        """What is known of a process; InputError if it is not there."""
        note = self.folder(name) / NOTE
        if "/" in name or not note.is_file():
            raise InputError(f"{self._archive}: does not contain the process {name}")
        with self.named():
            integrated = read_struct(note, "generate", IntegratedProcess)
        process, cross_sections = integrated.process, integrated.report.cross_sections
        without = [
            point
            for point in process.events
            if point not in integrated.benchmarks
            or not cross_sections.get(point, (0.0, 0.0))[0] > 0.0
        ]
        if process.name != name or without:
            raise InputError(
                f"{self._archive}: {name}/{NOTE} does not belong to the process {name}, or has "
                "no cross-section for some sampling benchmark"
            )
        return integrated

    def named(self) -> AbstractContextManager[None]:
        """Let errors inside of the block name the archive."""
        return named(self._directory, self._archive)
