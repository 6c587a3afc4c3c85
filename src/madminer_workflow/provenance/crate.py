"""An RO-Crate of ours that is read: nothing in it is believed before it is checked."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import quote, unquote

import msgspec

from madminer_workflow.archives import ArchiveError, safe_name
from madminer_workflow.errors import InputError
from madminer_workflow.files import checksum
from madminer_workflow.provenance.entities import METADATA, Document, Entity, ids, types

PARAMETER = "#parameter/"
"""How the ids of a workflow's parameters begin."""
SOFTWARE = "#madminer-workflow"
RUN = "#run"
ABSOLUTE = "file:///"
LARGEST_METADATA = 64 << 20
"""What ``ro-crate-metadata.json`` can be [B]; that of a thousand jobs is a tenth of it."""


@dataclass(frozen=True)
class Crate:
    """What a crate in the folder ``root`` says of one run; errors call it ``shown``."""

    root: Path
    entities: Mapping[str, Entity]
    shown: str

    @property
    def run(self) -> Entity:
        """The run of the whole workflow."""
        return self._entity(RUN)

    @property
    def workflow(self) -> str:
        """The path of the workflow file that was run."""
        instrument = self.run.instrument
        return unquote(instrument.id) if instrument else ""

    @property
    def steps(self) -> list[Entity]:
        """The actions of all steps, in the order of their ids."""
        return [e for id, e in sorted(self.entities.items()) if id.startswith(f"{RUN}/")]

    @property
    def inputs(self) -> dict[str, str]:
        """The SHA-256 of every file that the run was given or is described by, by its id."""
        made = self.outputs.keys()
        hashes = {id: e.sha256 for id, e in self.entities.items() if e.sha256 and _is_file(e)}
        return {id: hashed for id, hashed in hashes.items() if id not in made}

    @property
    def outputs(self) -> dict[str, str]:
        """The SHA-256 of every file that a step made, by its path."""
        made = (id for step in self.steps for id in ids(step.result))
        return {id: self._entity(id).sha256 or "" for id in made}

    @property
    def versions(self) -> dict[str, str]:
        """What it was computed with: versions, the machine, and variables, by name."""
        software = self._entity(SOFTWARE)
        named = [software, *map(self._entity, ids(software.software_requirements))]
        versions = {entity.name or entity.id: entity.software_version or "" for entity in named}
        variables = map(self._entity, ids(self.run.environment))
        told = {entity.name or entity.id: str(entity.value) for entity in variables}
        computed = {**versions, **told, "machine": software.operating_system or ""}
        for text in (*computed, *computed.values()):
            if not text.isprintable():
                raise InputError(f"{self.shown}: {text!r}: expected the name of a version")
        return computed

    def parameter(self, name: str) -> str:
        """A parameter of the workflow as text: the path of a file in ``root``; "" if not given."""
        entity = self.entities.get(f"{PARAMETER}{name}")
        for example in ids(entity.work_example) if entity else []:
            found = self._entity(example)
            return example if _is_file(found) else str(found.value)
        return ""

    def file(self, id: str) -> Path:
        """Where the file ``id`` lies; InputError if it would be outside of the crate.

        An analysis file may name its cards with absolute paths: these are files of this machine.
        """
        if id.startswith(ABSOLUTE):
            return Path(unquote(id.removeprefix("file://")))
        return self.root / safe_path(id, self.shown)

    def check(self, hashes: Mapping[str, str], missing_allowed: bool = False) -> None:
        """Raise InputError that names all files which are not what ``hashes`` says."""
        problems = [
            problem
            for id, expected in sorted(hashes.items())
            if (problem := _problem(self.file(id), id, expected, missing_allowed))
        ]
        if problems:
            raise InputError("\n".join(f"{self.shown}: {each}" for each in problems))

    def _entity(self, id: str) -> Entity:
        if id not in self.entities:
            raise InputError(
                f"{self.shown}: has no entity {id}; expected the record of a run written by "
                "madminer-workflow"
            )
        return self.entities[id]


def read_crate(root: Path, shown: str | None = None) -> Crate:
    """The crate in a folder; InputError if there is none, or it is not one of ours.

    Errors name the file, or the archive ``shown`` that it was in.
    """
    file = root / METADATA
    shown = shown or str(file)
    try:
        if file.stat().st_size > LARGEST_METADATA:
            raise InputError(f"{shown}: is larger than {LARGEST_METADATA >> 20} MiB")
        content = file.read_bytes()
    except OSError as error:
        raise InputError(
            f"{shown}: there is no record of a run ({METADATA}: {error.strerror}); expected the "
            "work directory of a finished run, or a crate made of one"
        ) from None
    try:
        document = msgspec.json.decode(content, type=Document)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(
            f"{shown}: is not a record of a run written by madminer-workflow ({error})"
        ) from None
    crate = Crate(root, dict(_entities(document, shown)), shown)
    crate.workflow, crate.outputs, crate.versions  # noqa: B018
    return crate


def _entities(document: Document, shown: str) -> Iterator[tuple[str, Entity]]:
    seen = set()
    for entity in document.graph:
        if entity.id in seen or not entity.id.isprintable():
            raise InputError(
                f"{shown}: has the entity {entity.id!r} twice, or its id is not a name"
            )
        seen.add(entity.id)
        if _is_file(entity):
            if not entity.id.startswith(ABSOLUTE):
                safe_path(entity.id, shown)
            if not re.fullmatch(r"[0-9a-f]{64}", entity.sha256 or ""):
                raise InputError(f"{shown}: {entity.id}: expected its sha256, 64 digits 0-9a-f")
        yield entity.id, entity


def _is_file(entity: Entity) -> bool:
    return "File" in types(entity)


def _problem(file: Path, id: str, expected: str, missing_allowed: bool) -> str:
    if not file.exists() and missing_allowed:
        return ""
    if not file.is_file():
        return f"{id}: is missing"
    found = checksum(file)
    if found != expected:
        return f"{id}: is not the file that was recorded (SHA-256 {found}, expected {expected})"
    return ""


def file_id(path: PurePosixPath | str) -> str:
    """The ``@id`` of a file with this path in the crate, or outside of it."""
    return str(path) if str(path).startswith(ABSOLUTE) else quote(str(path))


def safe_path(id: str, shown: str | Path) -> PurePosixPath:
    """The path in a crate that an ``@id`` stands for; InputError if it is outside or no path."""
    try:
        path = PurePosixPath(safe_name(unquote(id)))
    except ArchiveError:
        path = PurePosixPath()
    if not path.parts or "\\" in str(path) or ":" in path.parts[0]:
        raise InputError(f"{shown}: {id!r}: expected the path of a file inside of the crate")
    return path
