"""Records as an uploader finds them: what they say, and how much of it a server knows already."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from madminer_workflow.files import read_json, write_json
from madminer_workflow.tracking.journal import entries


class Record:
    """The record of one run, and how much of it one tracking server or database knows."""

    def __init__(self, file: Path, content: Sequence[dict[str, Any]], uri: str) -> None:
        """Take the ``content`` of ``file``, and what the note beside it says about ``uri``."""
        self.file, self.content, self.uri = file, content, uri
        note = file.with_suffix(".json")
        self._notes: dict[str, dict[str, Any]] = read_json(note) if note.exists() else {}
        self._state = self._notes.setdefault(uri, {})

    @property
    def header(self) -> dict[str, Any]:
        """What ``Journal.begin`` was told."""
        return self.content[0]

    @property
    def path(self) -> tuple[str, ...]:
        """Names of the runs that it is nested in, and its own."""
        return tuple(self.header["path"])

    @property
    def begun(self) -> int:
        """When it was begun [ms since 1970]."""
        return self.header["time"]

    @property
    def artifacts(self) -> Path:
        """The directory with the files that are kept for it."""
        return self.file.with_suffix("")

    @property
    def run_id(self) -> str | None:
        """The run's name there, once it has one."""
        return self._state.get("run_id")

    @property
    def uploaded(self) -> int:
        """How many entries are known."""
        return self._state.get("uploaded", 0)

    @property
    def complete(self) -> bool:
        """Whether the run has ended and all of it is known."""
        return self.uploaded == len(self.content) and self.content[-1]["kind"] == "end"

    def note(self, **state: Any) -> None:
        """Write down how far the upload went."""
        self._state |= state
        write_json(self.file.with_suffix(".json"), self._notes)

    def forget_artifacts(self) -> None:
        """Remove the files that MLflow has now."""
        shutil.rmtree(self.artifacts, ignore_errors=True)


def records_in(spool: Path, uri: str) -> list[Record]:
    """The records in a directory, for ``uri``; without those that have not even a beginning."""
    found = []
    for file in sorted(spool.glob("*.jsonl")):
        content = entries(file)
        if content and content[0]["kind"] == "run":
            found.append(Record(file, content, uri))
    return found
