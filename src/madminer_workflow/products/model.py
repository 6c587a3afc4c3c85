"""``Model.tar.gz``: the network or histogram of one member, and ``method.json`` about it."""

from __future__ import annotations

from pathlib import Path

import msgspec

from madminer_workflow.files import member_of, read_struct, unpack
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
    return read_struct(unpack(archive, directory, NOTE) / NOTE, "training", ModelNote)


def note_in(archive: Path) -> ModelNote:
    """What is noted in a product, which is not unpacked."""
    return msgspec.json.decode(member_of(archive, NOTE), type=ModelNote)
