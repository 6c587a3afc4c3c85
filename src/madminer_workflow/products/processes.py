"""``Processes.tar.gz``: the integrated processes, a folder each.

Beside the files of its generator, a folder has ``process.json``.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
from msgspec import UNSET, UnsetType

from madminer_workflow.analysis.types import Process, Systematic
from madminer_workflow.errors import InputError
from madminer_workflow.files import members_of, pack, read_struct, unpack

ARCHIVE = "Processes.tar.gz"
NOTE = "process.json"

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
    try:
        return [msgspec.json.decode(n, type=IntegratedProcess) for n in members_of(archive, NOTE)]
    except msgspec.MsgspecError as error:
        raise InputError(f"{archive}: cannot be read ({error})") from None


class Library:
    """The unpacked archive."""

    def __init__(self, archive: Path, directory: Path):
        """Unpack ``archive`` into ``directory``; InputError if it is broken."""
        self._archive = archive
        self._directory = unpack(archive, directory)

    def folder(self, name: str) -> Path:
        """The folder of a process."""
        return self._directory / name

    def read(self, name: str) -> IntegratedProcess:
        """What is known of a process; InputError if it is not there."""
        note = self.folder(name) / NOTE
        if not note.is_file():
            raise InputError(f"{self._archive}: does not contain the process {name}")
        return read_struct(note, "generate", IntegratedProcess)
