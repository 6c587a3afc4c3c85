"""The record of a run on disk: lines of JSON that say what MLflow is to be told.

Writing it takes no server and no MLflow, and it outlives the step that wrote it. Beside the file
``<id>.jsonl`` lies the directory ``<id>`` with the run's artifacts.
"""

from __future__ import annotations

import contextlib
import json
import math
import re
import shutil
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec

from madminer_workflow.files import link

MODEL = "ensemble"
"""Where the files of a model lie among a record's artifacts."""

RUN_ID = re.compile(r"[0-9a-f]{32}")
"""What MLflow calls a run."""

Status = Literal["FINISHED", "FAILED", "KILLED"]


class Entry(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind"):
    """One line of a record, with the time at which it was written [ms since 1970]."""

    time: int = msgspec.field(default_factory=lambda: int(1000 * time.time()))


class Begun(Entry, frozen=True, kw_only=True, tag="run"):
    """What the run is: the first line of every record.

    ``path`` has the names of the runs that it is nested in, the outermost perhaps by its id, then
    its own. A ``shared`` run is the one run with this path, which others may nest in or add to;
    ``run_id`` is that of a run which MLflow has made already.
    """

    path: tuple[str, ...]
    shared: bool = False
    run_id: str | None = None
    experiment: str | None = None


class Params(Entry, frozen=True, kw_only=True, tag="params"):
    """Settings, by dotted name."""

    values: dict[str, str]


class Tags(Entry, frozen=True, kw_only=True, tag="tags"):
    """Words about the run."""

    values: dict[str, str]


class Metrics(Entry, frozen=True, kw_only=True, tag="metrics"):
    """Numbers, at ``step`` of a series."""

    values: dict[str, float | bool]
    step: int = 0


class Dataset(Entry, frozen=True, kw_only=True, tag="dataset"):
    """A data file that the run read or wrote, for which ``use``."""

    name: str
    source: str
    digest: str
    use: str


class Artifact(Entry, frozen=True, kw_only=True, tag="artifact"):
    """A file or a directory that is kept for the run's artifacts."""

    name: str
    folder: str = ""


class ProposedModel(Entry, frozen=True, kw_only=True, tag="model"):
    """An ensemble for the registry, whose files are kept in MODEL.

    ``inputs`` and ``outputs`` name the columns of its tables; ``example`` has some rows of input.
    """

    name: str
    inputs: list[str]
    outputs: list[str]
    example: dict[str, list[float | None]]
    believed: bool
    verdict: str
    tags: dict[str, str]


class Ended(Entry, frozen=True, kw_only=True, tag="end"):
    """How the run ended."""

    status: Status


AnyEntry = Begun | Params | Tags | Metrics | Dataset | Artifact | ProposedModel | Ended

_decoder = msgspec.json.Decoder(AnyEntry)


class Journal:
    """One run's record, written entry by entry.

    A full disk, or anything else that keeps it from being written, is the record's loss alone:
    no method raises OSError.
    """

    def __init__(self, file: Path, path: Sequence[str]) -> None:
        """Continue the record in ``file`` of the run with this ``path``; see ``begin``."""
        self.file, self.path = file, tuple(path)

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
        """Begin the record of a run, which ``Begun`` describes, in the directory ``spool``."""
        journal = cls(spool / f"{uuid.uuid4().hex}.jsonl", path)
        with contextlib.suppress(OSError):
            spool.mkdir(parents=True, exist_ok=True)
        journal.add(Begun(path=journal.path, shared=shared, run_id=run_id, experiment=experiment))
        return journal

    def params(self, values: Mapping[str, Any]) -> None:
        """Note settings, which may be nested: MLflow gets dotted names."""
        self.add(Params(values=dotted(values)))

    def tags(self, values: Mapping[str, str]) -> None:
        """Note words about the run."""
        self.add(Tags(values=dict(values)))

    def metrics(self, values: Mapping[str, float | None], step: int = 0) -> None:
        """Note numbers, at ``step`` of a series; what is not a finite number is left out."""
        finite: dict[str, float | bool] = {
            key: float(value)
            for key, value in values.items()
            if value is not None and math.isfinite(value)
        }
        if finite:
            self.add(Metrics(values=finite, step=step))

    def dataset(self, file: Path, digest: str, use: str) -> None:
        """Note that the run read or wrote a data file with this SHA-256, and for what."""
        self.add(Dataset(name=file.name, source=str(file.absolute()), digest=digest, use=use))

    def artifact(self, file: Path, folder: str = "") -> None:
        """Keep a file, or all files of a directory, for the run's artifacts."""
        kept = self.file.with_suffix("") / folder
        with contextlib.suppress(OSError):
            kept.mkdir(parents=True, exist_ok=True)
            _keep(file, kept / file.name)
            self.add(Artifact(name=file.name, folder=folder))

    def model(self, files: Mapping[str, Path], proposed: ProposedModel) -> None:
        """Keep the files of a model under other names; a record has one model at most."""
        kept = self.file.with_suffix("") / MODEL
        with contextlib.suppress(OSError):
            kept.mkdir(parents=True, exist_ok=True)
            for name, file in files.items():
                _keep(file, kept / name)
            self.add(proposed)

    def end(self, status: Status) -> None:
        """Note that the run has ended, and how."""
        self.add(Ended(status=status))

    def add(self, entry: AnyEntry) -> None:
        """Write a line."""
        # One write, so that whoever reads meanwhile sees whole lines.
        with contextlib.suppress(OSError), self.file.open("ab") as file:
            file.write(msgspec.json.encode(entry) + b"\n")


def entries(file: Path) -> list[AnyEntry]:
    """All whole lines of a record, in their order; a damaged one is left out."""
    whole = []
    for line in file.read_bytes().splitlines():
        with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError):
            whole.append(_decoder.decode(line))
    return whole


def dotted(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested settings as dotted names and text; lists of plain values stay in one piece."""
    texts: dict[str, str] = {}
    for key, value in values.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            texts |= dotted(value, f"{name}.")
        else:
            texts[name] = value if isinstance(value, str) else json.dumps(value)
    return texts


def _keep(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, dirs_exist_ok=True, copy_function=link)
    else:
        link(source, target)
