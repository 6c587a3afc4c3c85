"""From records on disk to runs of MLflow, nested as the records say."""

from __future__ import annotations

import contextlib
import fcntl
import time
from collections.abc import Iterator
from pathlib import Path

from madminer_workflow.errors import InputError, StepError
from madminer_workflow.tracking.journal import RUN_ID, AnyEntry, Begun, Ended, Status
from madminer_workflow.tracking.record import Record, records_in
from madminer_workflow.tracking.server import Server
from madminer_workflow.tracking.telling import tell
from madminer_workflow.tracking.uri import reason, shown

PATH_TAG = "madminer.path"
JOURNAL_TAG = "madminer.journal"
REFUSALS = ("BAD_REQUEST", "INVALID_PARAMETER_VALUE")
SETTLING_SECONDS = 1.0
"""How long making a run takes, for two at the same moment to see each other; or three times as
long as it took here, where that is more."""

RunPath = tuple[str, ...]
"""The names of the runs that a run is nested in, then its own."""


class Uploader:
    """Tells one MLflow server, or database, what records say; each entry once.

    Other runs nest in shared ones, which records name by their path. If the outermost run is known
    by its id, or has its record in the same directory, then whoever uploads makes the shared ones
    below it. Otherwise, where steps report for themselves, they are found by a tag.
    """

    def __init__(self, uri: str) -> None:
        """Reach ``uri``, or raise whatever says that it cannot be reached."""
        self.server = Server(uri)
        self.refused: list[str] = []
        self._shared: dict[RunPath, str] = {}
        self._recorded: set[RunPath] = set()

    def upload_all(self, spool: Path) -> int:
        """Upload everything new in the records of ``spool``; return how many are complete now.

        Records of runs that others nest in come first. Does nothing while another process
        uploads from there.
        """
        with _locked(spool) as mine:
            records = records_in(spool, self.server.uri) if mine else []
            self._recorded |= {record.path for record in records if record.begun.shared}
            pending = [record for record in records if not record.complete]
            for record in sorted(pending, key=lambda record: (len(record.path), record.begun.time)):
                self.upload(record)
            return sum(record.complete for record in pending)

    def upload(self, record: Record) -> None:
        """Upload the entries that are not there yet, and note how far that went."""
        from mlflow.exceptions import MlflowException

        run_id = record.run_id or self._run_of(record)
        record.note_run(run_id)
        for entry in record.pending:
            try:
                self._tell(run_id, record, entry)
            except MlflowException as error:
                # What MLflow will never take must not keep the rest from it.
                if error.error_code not in REFUSALS:
                    raise
                self.refused.append(f"{'/'.join(record.path)}: {error.message}")
            record.note_uploaded()
        if record.complete:
            record.forget_artifacts()

    def _run_of(self, record: Record) -> str:
        """The MLflow run of a record, made if need be."""
        begun = record.begun
        if begun.run_id:
            # Made by MLflow; with a path, others nest in it.
            self._shared[begun.path] = begun.run_id
            self.server.client.set_tag(begun.run_id, PATH_TAG, "/".join(begun.path))
            return begun.run_id
        if begun.shared:
            return self._shared_run(begun.path, begun)
        # A lost note must not make it twice.
        known = self.server.find_run(begun.experiment, JOURNAL_TAG, record.file.stem)
        return known or self._create(begun.path, begun, JOURNAL_TAG, record.file.stem)

    def _shared_run(self, path: RunPath, begun: Begun) -> str:
        """The one run with this path, around a run that has ``begun``; made if nobody has."""
        if _is_run_id(path):
            return path[0]
        if path not in self._shared:
            if len(path) > 1:
                self._shared_run(path[:-1], begun)
            with self.server.alone() as alone:
                self._shared[path] = self._elected(path, begun, alone)
        return self._shared[path]

    def _elected(self, path: RunPath, begun: Begun, alone: bool) -> str:
        """The run with this path that all take, whoever makes one at the same moment."""
        tag = "/".join(path)
        started = time.monotonic()
        known = self.server.find_run(begun.experiment, PATH_TAG, tag)
        if known:
            return known
        run_id = self._create(path, begun, PATH_TAG, tag)
        if alone or path[:1] in self._recorded:
            return run_id
        time.sleep(max(SETTLING_SECONDS, 3 * (time.monotonic() - started)))
        chosen = self.server.find_run(begun.experiment, PATH_TAG, tag) or run_id
        if chosen != run_id:
            self.server.client.delete_run(run_id)
        return chosen

    def _create(self, path: RunPath, begun: Begun, tag: str, value: str) -> str:
        tags = {tag: value}
        if len(path) > 1:
            tags["mlflow.parentRunId"] = self._shared_run(path[:-1], begun)
        return self.server.create_run(begun.experiment, path[-1], begun.time, tags)

    def _tell(self, run_id: str, record: Record, entry: AnyEntry) -> None:
        """Tell MLflow one entry."""
        if isinstance(entry, Begun):
            self._begin(run_id, record)
        elif isinstance(entry, Ended):
            self._end(run_id, record, entry)
        else:
            tell(self.server.client, run_id, record, entry)

    def _begin(self, run_id: str, record: Record) -> None:
        for begun in (run_id, *self._around(record)):
            if self._status(begun) == "FINISHED":
                self.server.client.update_run(begun, "RUNNING")

    def _end(self, run_id: str, record: Record, entry: Ended) -> None:
        # MLflow itself ends the runs that it made.
        mine = () if record.begun.run_id else (run_id,)
        for ended in (*mine, *self._around(record)):
            status: Status = "FAILED" if self._status(ended) == "FAILED" else entry.status
            self.server.client.set_terminated(ended, status, end_time=entry.time)

    def _around(self, record: Record) -> list[str]:
        """The runs around this one that nobody else says of how they do."""
        around = [record.path[:depth] for depth in range(1, len(record.path))]
        return [
            self._shared[path]
            for path in around
            if path not in self._recorded and not _is_run_id(path)
        ]

    def _status(self, run_id: str) -> str:
        return self.server.client.get_run(run_id).info.status


def sync(directory: Path, uri: str) -> tuple[int, int]:
    """Upload all records below ``directory`` to ``uri``; how many are complete now, and not.

    Raises InputError if there are none and StepError if ``uri`` cannot be reached.
    """
    folders = sorted({file.parent for file in directory.rglob("*.jsonl")})
    spools = [folder for folder in folders if records_in(folder, uri)]
    if not spools:
        raise InputError(
            f"{directory}: no records of runs (tracking/*.jsonl) in it or its subfolders"
        )
    complete = 0
    try:
        uploader = Uploader(uri)
        for spool in spools:
            complete += uploader.upload_all(spool)
    except InputError:
        raise
    # MLflow and what it talks through raise exceptions of many kinds.
    except Exception as error:
        raise StepError(f"{shown(uri)}: {reason(error, uri)}") from None
    pending = sum(not record.complete for spool in spools for record in records_in(spool, uri))
    return complete, pending


def _is_run_id(path: RunPath) -> bool:
    """Whether an outermost run is named by its id: then it is there."""
    return len(path) == 1 and RUN_ID.fullmatch(path[0]) is not None


@contextlib.contextmanager
def _locked(spool: Path) -> Iterator[bool]:
    """Whether this process may upload from ``spool``, for as long as the block lasts."""
    with (spool / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
