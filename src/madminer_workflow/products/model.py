"""``Model.tar.gz``: the network or histogram of one member, and ``method.json`` about it."""

from __future__ import annotations

from pathlib import Path

import msgspec

from madminer_workflow.files import member_of, pack, read_struct, unpack, write_json
from madminer_workflow.products.samples import MemberNote

ARCHIVE = "Model.tar.gz"
NOTE = "method.json"


class ModelNote(MemberNote, frozen=True, kw_only=True):
    """Whose model this is, with the settings that it was trained with, and its losses by epoch."""

    losses: dict[str, tuple[float, ...]]


def write_note(directory: Path, note: ModelNote) -> None:
    """Note beside a model in ``directory`` what it is."""
    write_json(directory / NOTE, msgspec.to_builtins(note))


def read_note(directory: Path) -> ModelNote:
    """What was noted; InputError if the directory holds no model."""
    return read_struct(directory / NOTE, "training", ModelNote)


def write_model(directory: Path, output: Path) -> None:
    """Pack the model in ``directory`` into the product in ``output``."""
    pack(directory, output / ARCHIVE)


def read_model(archive: Path, directory: Path) -> ModelNote:
    """Unpack a product into ``directory``; InputError if it is broken or another one."""
    return read_note(unpack(archive, directory, NOTE))


def note_in(archive: Path) -> ModelNote:
    """What is noted in a product, which is not unpacked."""
    return msgspec.json.decode(member_of(archive, NOTE), type=ModelNote)
