"""From records on disk to MLflow, which only this module and ``registry`` import."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
import time as clock
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from madminer_workflow.tracking import registry
from madminer_workflow.tracking.record import Record, records_in

EXPERIMENT = "madminer-workflow"
PATH_TAG = "madminer.path"
MADE_TAG = "madminer.made"
JOURNAL_TAG = "madminer.journal"
KIND = {"mlflow.experimentKind": "custom_model_development"}
"""Has MLflow's pages show trainings, not conversations with language models."""
REFUSALS = ("BAD_REQUEST", "INVALID_PARAMETER_VALUE")
PROBE_SECONDS = 2.0
SETTLING_SECONDS = 1.0
"""How long making a run takes at most, for two at the same moment to see each other."""

# A server that does not answer must not keep anybody waiting, and its client has nothing to say
# among the lines of a run; whoever knows better may set these.
DEFAULTS = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}


class Uploader:
    """Tells one MLflow server, or database, what records say; each entry once."""

    def __init__(self, uri: str) -> None:
        """Reach ``uri``, or raise whatever says that it cannot be reached."""
        probe(uri)
        for name, value in DEFAULTS.items():
            os.environ.setdefault(name, value)
        from mlflow import MlflowClient

        make_directory(uri)
        self.uri = uri
        self.client = MlflowClient(tracking_uri=uri)
        self.refused: list[str] = []
        self._shared: dict[tuple[str, ...], str] = {}
        self._settled: set[tuple[str, ...]] = set()
        self._experiments: dict[str, str] = {}

    def upload_all(self, spool: Path) -> int:
        """Upload everything new in the records of ``spool``; return how many are complete now.

        Records of runs that others nest in come first. Does nothing while another process
        uploads from there.
        """
        with _locked(spool) as mine:
            records = records_in(spool, self.uri) if mine else []
            self._settled |= {record.path for record in records if record.header["shared"]}
            pending = [record for record in records if not record.complete]
            for record in sorted(pending, key=lambda record: (len(record.path), record.begun)):
                self.upload(record)
            return sum(record.complete for record in pending)

    def upload(self, record: Record) -> None:
        """Upload the entries that are not there yet, and note how far that went."""
        run_id = record.run_id or self._run(record)
        record.note(run_id=run_id)
        from mlflow.exceptions import MlflowException

        for entry in record.content[record.uploaded :]:
            try:
                self._tell(run_id, record, entry)
            except MlflowException as error:
                # What MLflow will never take must not keep the rest from it.
                if error.error_code not in REFUSALS:
                    raise
                self.refused.append(f"{'/'.join(record.path)}: {error.message}")
            record.note(uploaded=record.uploaded + 1)
        if record.complete:
            record.forget_artifacts()

    def _run(self, record: Record) -> str:
        """The MLflow run of a record, made if need be."""
        header = record.header
        name = header["experiment"] or EXPERIMENT
        if header["run_id"]:
            # Made by MLflow; with a path, others nest in it.
            self._shared[record.path] = header["run_id"]
            self.client.set_tag(header["run_id"], PATH_TAG, "/".join(record.path))
            return header["run_id"]
        if header["shared"]:
            return self._shared_run(record.path, name, record.begun)
        found = self._find(name, JOURNAL_TAG, record.file.stem)
        tags = {JOURNAL_TAG: record.file.stem}
        return found or self._create(record.path, name, record.begun, tags)

    def _shared_run(self, path: tuple[str, ...], experiment: str, time: int) -> str:
        """The one run with this path, made if nobody has."""
        if path not in self._shared:
            tag = "/".join(path)
            run_id = self._find(experiment, PATH_TAG, tag)
            if run_id is None:
                now = str(int(1000 * clock.time()))
                own = self._create(path, experiment, time, {PATH_TAG: tag, MADE_TAG: now})
                # Somebody else may be making it at this moment: all take the first one.
                clock.sleep(SETTLING_SECONDS)
                run_id = self._find(experiment, PATH_TAG, tag) or own
                if run_id != own:
                    self.client.delete_run(own)
            self._shared[path] = run_id
        return self._shared[path]

    def _create(
        self, path: tuple[str, ...], experiment: str, time: int, tags: dict[str, str]
    ) -> str:
        tags = {"mlflow.source.name": "madminer-workflow", "mlflow.source.type": "JOB", **tags}
        if len(path) > 1:
            tags["mlflow.parentRunId"] = self._shared_run(path[:-1], experiment, time)
        run = self.client.create_run(self._experiment(experiment), time, tags, path[-1])
        return run.info.run_id

    def _find(self, experiment: str, tag: str, value: str) -> str | None:
        """The run with this tag that was made first."""
        wanted = f"tags.`{tag}` = '{value}'"
        found = self.client.search_runs([self._experiment(experiment)], wanted)
        made = [(int(run.data.tags.get(MADE_TAG, 0)), run.info.run_id) for run in found]
        return min(made)[1] if made else None

    def _experiment(self, name: str) -> str:
        from mlflow.exceptions import MlflowException

        if name.isdigit():
            return name
        if name not in self._experiments:
            if not self.client.get_experiment_by_name(name):
                # Somebody else may be making it at this moment.
                with contextlib.suppress(MlflowException):
                    self.client.create_experiment(name, artifact_place(self.uri), KIND)
            found = self.client.get_experiment_by_name(name)
            if found is None:
                raise RuntimeError(f"the experiment {name} cannot be made")
            self._experiments[name] = found.experiment_id
        return self._experiments[name]

    def _tell(self, run_id: str, record: Record, entry: dict[str, Any]) -> None:
        """Tell MLflow one entry."""
        from mlflow.entities import Metric, RunTag

        kind, values = entry["kind"], entry.get("values", {})
        if kind == "run":
            self._begin(run_id, record)
        elif kind == "params":
            self._params(run_id, values)
        elif kind == "tags":
            tags = [RunTag(key, value) for key, value in values.items()]
            self.client.log_batch(run_id, tags=tags)
        elif kind == "metrics":
            points = [Metric(k, v, entry["time"], entry["step"]) for k, v in values.items()]
            self.client.log_batch(run_id, metrics=points)
        elif kind == "dataset":
            self._dataset(run_id, entry)
        elif kind == "artifact":
            kept = record.artifacts / entry["folder"] / entry["name"]
            if kept.is_dir():
                folder = (Path(entry["folder"]) / entry["name"]).as_posix()
                self.client.log_artifacts(run_id, str(kept), folder)
            elif kept.exists():
                self.client.log_artifact(run_id, str(kept), entry["folder"] or None)
        elif kind == "model":
            registry.register(self.client, run_id, record, entry)
        elif kind == "end":
            self._end(run_id, record, entry)

    def _params(self, run_id: str, values: dict[str, str]) -> None:
        """Log settings; those that the run has already keep their values, as MLflow wants it."""
        from mlflow.entities import Param

        known = self.client.get_run(run_id).data.params
        new = [Param(key, value) for key, value in values.items() if key not in known]
        for first in range(0, len(new), 100):
            self.client.log_batch(run_id, params=new[first : first + 100])

    def _dataset(self, run_id: str, entry: dict[str, Any]) -> None:
        from mlflow.entities import Dataset, DatasetInput, InputTag

        # MLflow keeps 36 characters of a digest: the whole one is in the profile.
        dataset = Dataset(
            name=entry["name"],
            digest=entry["digest"][:36],
            source_type="local",
            source=json.dumps({"uri": entry["source"]}),
            profile=json.dumps({"sha256": entry["digest"]}),
        )
        use = InputTag("mlflow.data.context", entry["use"])
        self.client.log_inputs(run_id, [DatasetInput(dataset, [use])])

    def _begin(self, run_id: str, record: Record) -> None:
        for each in [run_id, *self._unsettled(record)]:
            if self._status(each) == "FINISHED":
                self.client.update_run(each, "RUNNING")

    def _end(self, run_id: str, record: Record, entry: dict[str, Any]) -> None:
        # MLflow itself ends the runs that it made.
        own = [] if record.header["run_id"] else [run_id]
        for each in [*own, *self._unsettled(record)]:
            status = "FAILED" if self._status(each) == "FAILED" else entry["status"]
            self.client.set_terminated(each, status, end_time=entry["time"])

    def _unsettled(self, record: Record) -> list[str]:
        """The runs around this one that have no record of their own to say how they do."""
        around = [record.path[:n] for n in range(1, len(record.path))]
        return [self._shared[path] for path in around if path not in self._settled]

    def _status(self, run_id: str) -> str:
        return self.client.get_run(run_id).info.status


def probe(uri: str) -> None:
    """Raise OSError soon if ``uri`` is a server that does not listen."""
    parts = urlsplit(uri)
    if parts.scheme in ("http", "https"):
        port = parts.port or (443 if parts.scheme == "https" else 80)
        socket.create_connection((parts.hostname or "", port), PROBE_SECONDS).close()


def artifact_place(uri: str) -> str | None:
    """Where an experiment in a local database keeps files: beside it. Servers have their own."""
    database = local_database(uri)
    return database.with_suffix(".artifacts").as_uri() if database else None


def make_directory(uri: str) -> None:
    """Make the directory of a local database, which SQLite itself does not."""
    database = local_database(uri)
    if database:
        database.parent.mkdir(parents=True, exist_ok=True)


def local_database(uri: str) -> Path | None:
    """The file of an SQLite URI."""
    return Path(uri.removeprefix("sqlite:///")).absolute() if uri.startswith("sqlite:///") else None


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
