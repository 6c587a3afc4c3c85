"""Records as an uploader finds them: what they say, and how much of it MLflow knows already."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from madminer_workflow.files import write_json
from madminer_workflow.tracking.journal import entries


class Record:
    """The record of one run, and how much of it MLflow knows."""

    def __init__(
        self, file: Path, content: Sequence[dict[str, Any]], state: dict[str, Any]
    ) -> None:
        """Take what is in ``file`` and in the note beside it."""
        self.file, self.content = file, content
        self._state = state

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
        """MLflow's name of the run, once it has one."""
        return self._state.get("run_id")

    @property
    def uploaded(self) -> int:
        """How many entries MLflow knows."""
        return self._state.get("uploaded", 0)

    @property
    def complete(self) -> bool:
        """Whether the run has ended and MLflow knows all of it."""
        return self.uploaded == len(self.content) and self.content[-1]["kind"] == "end"

    def note(self, **state: Any) -> None:
        """Write down how far the upload went."""
        self._state |= state
        write_json(self.file.with_suffix(".json"), self._state)

    def forget_artifacts(self) -> None:
        """Remove the files that MLflow has now."""
        shutil.rmtree(self.artifacts, ignore_errors=True)


def records_in(spool: Path) -> list[Record]:
    """The records in a directory; without those that have not even a beginning."""
    found = []
    for file in sorted(spool.glob("*.jsonl")):
        content = entries(file)
        if content and content[0]["kind"] == "run":
            note = file.with_suffix(".json")
            state = json.loads(note.read_text()) if note.exists() else {}
            found.append(Record(file, content, state))
    return found
