"""``Model.tar.gz``: the network or histogram of one member, and ``method.json`` about it."""

from __future__ import annotations

from pathlib import Path

import msgspec

from madminer_workflow.array_files import reading
from madminer_workflow.files import member_of, named, read_struct, unpack
from madminer_workflow.products.samples import MemberNote

ARCHIVE = "Model.tar.gz"
NOTE = "method.json"


class ModelNote(MemberNote, frozen=True, kw_only=True):
    """Whose model this is, with the settings that it was trained with, and its losses by epoch.

    ``versions`` are those of the packages that trained it.
    """

    losses: dict[str, tuple[float, ...]]
    versions: dict[str, str] = msgspec.field(default_factory=dict)


def read_model(archive: Path, directory: Path) -> ModelNote:
    """Unpack a product into ``directory``; InputError if it is broken or another one."""
    unpack(archive, directory, NOTE)
    with named(directory, archive), reading(directory / NOTE, "is damaged"):
        note = read_struct(directory / NOTE, "training", ModelNote)
        if missing := set(note.settings.inputs(note.observables)) - set(note.observables):
            raise ValueError(f"its method needs {missing.pop()}, which its events do not have")
        return note


def note_in(archive: Path) -> ModelNote:
    """What is noted in a product, which is not unpacked."""
    with reading(archive, "is not the file that training writes"):
        return msgspec.json.decode(member_of(archive, NOTE), type=ModelNote)
