"""The record of a run on disk: lines of JSON that say what MLflow is to be told.

Writing it takes no server and no MLflow, and it outlives the step that wrote it. Beside the file
``<id>.jsonl`` lies the directory ``<id>`` with the run's artifacts.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import shutil
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

MODEL = "ensemble"
"""Where the files of a model lie among a record's artifacts."""

Number = int | float | bool | None


class Journal:
    """One run's record, written entry by entry.

    A full disk, or anything else that keeps it from being written, is the record's loss alone:
    no method raises OSError.
    """

    def __init__(self, file: Path, path: Sequence[str]) -> None:
        """Continue the record in ``file``; see ``begin``."""
        self.file, self.path = file, list(path)

    @classmethod
    def begin(
        cls,
        spool: Path,
        path: Sequence[str],
        *,
        shared: bool = False,
        run_id: str | None = None,
        experiment: str | None = None,
    ) -> Journal:
        """Begin the record of a run in the directory ``spool``.

        ``path`` has the names of the runs that it is nested in, then its own. A ``shared`` run is
        the one run with this path, which others may nest in or add to; ``run_id`` is that of a
        run which MLflow has made already.
        """
        journal = cls(spool / f"{uuid.uuid4().hex}.jsonl", path)
        with contextlib.suppress(OSError):
            spool.mkdir(parents=True, exist_ok=True)
        header = {
            "path": journal.path,
            "shared": shared,
            "run_id": run_id,
            "experiment": experiment,
        }
        journal._add("run", **header)
        return journal

    def params(self, values: Mapping[str, Any]) -> None:
        """Note settings, which may be nested: MLflow gets dotted names."""
        self._add("params", values=flat(values))

    def tags(self, values: Mapping[str, str]) -> None:
        """Note words about the run."""
        self._add("tags", values=dict(values))

    def metrics(self, values: Mapping[str, Number], step: int = 0) -> None:
        """Note numbers, at ``step`` of a series; what is not a finite number is left out."""
        known = {key: value for key, value in values.items() if is_number(value)}
        if known:
            self._add("metrics", values=known, step=step)

    def dataset(self, file: Path, digest: str, context: str) -> None:
        """Note that the run read or wrote a data file with this SHA-256, for ``context``."""
        self._add(
            "dataset", name=file.name, source=str(file.absolute()), digest=digest, use=context
        )

    def artifact(self, file: Path, folder: str = "") -> None:
        """Keep a file, or all files of a directory, for the run's artifacts."""
        kept = self.file.with_suffix("") / folder
        with contextlib.suppress(OSError):
            kept.mkdir(parents=True, exist_ok=True)
            _keep(file, kept / file.name)
            self._add("artifact", name=file.name, folder=folder)

    def model(self, files: Mapping[str, Path], **content: Any) -> None:
        """Keep the files of a model under other names, and note what to say of it.

        See ``registry``; a record has one model at most.
        """
        kept = self.file.with_suffix("") / MODEL
        with contextlib.suppress(OSError):
            kept.mkdir(parents=True, exist_ok=True)
            for name, file in files.items():
                _keep(file, kept / name)
            self._add("model", **content)

    def end(self, status: str) -> None:
        """Note that the run has ended: FINISHED, FAILED or KILLED."""
        self._add("end", status=status)

    def _add(self, kind: str, **content: Any) -> None:
        line = json.dumps({"kind": kind, "time": int(1000 * time.time()), **content})
        # One write, so that whoever reads meanwhile sees whole lines.
        with contextlib.suppress(OSError), self.file.open("a") as file:
            file.write(line + "\n")


def entries(file: Path) -> list[dict[str, Any]]:
    """All whole lines of a record, in their order; a line that broke off is left out."""
    found = []
    for line in file.read_text().splitlines(keepends=True):
        with contextlib.suppress(ValueError):
            found.append(json.loads(line))
    return found


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested settings as dotted names and text; lists of plain values stay in one piece."""
    found: dict[str, str] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{prefix}{key}.")
        elif isinstance(value, str):
            found[f"{prefix}{key}"] = value
        else:
            found[f"{prefix}{key}"] = json.dumps(value)
    return found


def is_number(value: Any) -> bool:
    """Whether MLflow can keep ``value`` as a metric."""
    return isinstance(value, int | float) and math.isfinite(value)


def _keep(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, dirs_exist_ok=True, copy_function=_link)
    else:
        _link(source, target)


def _link(source: str | Path, target: str | Path) -> None:
    """A hard link where the file system has them: products are replaced, never changed."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
