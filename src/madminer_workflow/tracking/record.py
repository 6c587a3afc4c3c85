"""Records as an uploader finds them: what they say, and how much of it a server knows already."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import msgspec

from madminer_workflow.errors import InputError
from madminer_workflow.files import read_json, write_json
from madminer_workflow.tracking.journal import AnyEntry, Begun, Ended, entries
from madminer_workflow.tracking.uri import shown


class Progress(msgspec.Struct):
    """How far the upload of a record went: the run there, and how many entries it has."""

    run_id: str | None = None
    uploaded: Annotated[int, msgspec.Meta(ge=0)] = 0


class Record:
    """The record of one run, and how much of it one tracking server or database knows."""

    def __init__(self, file: Path, entries: Sequence[AnyEntry], begun: Begun, uri: str) -> None:
        """Take the ``entries`` of ``file``, and what the note beside it says about ``uri``.

        Raises InputError if that is no note.
        """
        self.file, self.entries, self.begun = file, entries, begun
        self._note = file.with_suffix(".json")
        known = read_json(self._note) if self._note.exists() else {}
        try:
            self._progress = msgspec.convert(known, dict[str, Progress])
        except msgspec.ValidationError as error:
            raise InputError(
                f"{self._note}: the state of the upload of {file.name} cannot be read ({error}); "
                "delete this file to upload it again"
            ) from None
        self._here = self._progress.setdefault(shown(uri), Progress())

    @property
    def path(self) -> tuple[str, ...]:
        """Names of the runs that it is nested in, and its own."""
        return self.begun.path

    @property
    def artifacts(self) -> Path:
        """The directory with the files that are kept for it."""
        return self.file.with_suffix("")

    @property
    def run_id(self) -> str | None:
        """The run's name there, once it has one."""
        return self._here.run_id

    @property
    def pending(self) -> Sequence[AnyEntry]:
        """The entries that are not known there."""
        return self.entries[self._here.uploaded :]

    @property
    def complete(self) -> bool:
        """Whether the run has ended and all of it is known."""
        return not self.pending and isinstance(self.entries[-1], Ended)

    def note_run(self, run_id: str) -> None:
        """Write down which run it is there."""
        self._here.run_id = run_id
        self._write()

    def note_uploaded(self) -> None:
        """Write down that one more entry is known there."""
        self._here.uploaded += 1
        self._write()

    def _write(self) -> None:
        write_json(self._note, msgspec.to_builtins(self._progress))

    def forget_artifacts(self) -> None:
        """Remove the files that MLflow has now."""
        shutil.rmtree(self.artifacts, ignore_errors=True)


def records_in(spool: Path, uri: str) -> list[Record]:
    """The records in a directory, for ``uri``; without those that have not even a beginning."""
    records = []
    for file in sorted(spool.glob("*.jsonl")):
        lines = entries(file)
        if lines and isinstance(lines[0], Begun):
            records.append(Record(file, lines, lines[0], uri))
    return records
