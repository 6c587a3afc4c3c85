"""An MLflow server or database, and its runs."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from madminer_workflow.errors import not_installed

EXPERIMENT = "madminer-workflow"
KIND = {"mlflow.experimentKind": "custom_model_development"}
"""Has MLflow's pages show trainings, not conversations with language models."""
SOURCE = {"mlflow.source.name": "madminer-workflow", "mlflow.source.type": "JOB"}
PROBE_SECONDS = 2.0

# A server that does not answer must not keep anybody waiting, and its client has nothing to say
# among the lines of a run; whoever knows better may set these.
DEFAULTS = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}


class Server:
    """A connection to a tracking server or database; MLflow's own is ``client``."""

    def __init__(self, uri: str) -> None:
        """Reach ``uri``, or raise whatever says that it cannot be reached."""
        probe(uri)
        for name, value in DEFAULTS.items():
            os.environ.setdefault(name, value)
        try:
            from mlflow import MlflowClient
        except ModuleNotFoundError as error:
            raise not_installed(error) from None
        database = local_database(uri)
        if database:
            # SQLite itself makes no directories.
            database.parent.mkdir(parents=True, exist_ok=True)
            # Says at once what MLflow would try for half a minute to get around.
            with contextlib.closing(sqlite3.connect(database)) as connection:
                connection.execute("pragma user_version")
        # An experiment in a local database keeps files beside it; servers have their own place.
        self._files = database.with_suffix(".artifacts").as_uri() if database else None
        self._lock = database.with_suffix(".lock") if database else None
        self.uri = uri
        self.client = MlflowClient(tracking_uri=uri)
        self._experiments: dict[str, str] = {}

    def create_run(
        self, experiment: str | None, name: str, begun: int, tags: Mapping[str, str]
    ) -> str:
        """Make a run that began at ``begun`` [ms since 1970]; return its id."""
        run = self.client.create_run(
            self._experiment_id(experiment), begun, {**SOURCE, **tags}, name
        )
        return run.info.run_id

    def find_run(self, experiment: str | None, tag: str, value: str) -> str | None:
        """The id of the run with this tag: of several, the one that all choose."""
        condition = f"tags.`{tag}` = '{value}'"
        runs = self.client.search_runs([self._experiment_id(experiment)], condition)
        return min((run.info.run_id for run in runs), default=None)

    @contextlib.contextmanager
    def alone(self) -> Iterator[bool]:
        """Whether nobody else does the same until the block ends: a server cannot promise it."""
        if self._lock is None:
            yield False
            return
        with self._lock.open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield True

    def _experiment_id(self, experiment: str | None) -> str:
        """The id of an experiment, by its name or id; made if need be."""
        from mlflow.exceptions import MlflowException

        name = experiment or EXPERIMENT
        if name.isdigit():
            return name
        if name not in self._experiments:
            if not self.client.get_experiment_by_name(name):
                # Somebody else may be making it at this moment.
                with contextlib.suppress(MlflowException):
                    self.client.create_experiment(name, self._files, KIND)
            made = self.client.get_experiment_by_name(name)
            if made is None:
                raise RuntimeError(f"the experiment {name} cannot be created")
            self._experiments[name] = made.experiment_id
        return self._experiments[name]


def probe(uri: str) -> None:
    """Raise OSError soon if ``uri`` is a server that does not listen."""
    parts = urlsplit(uri)
    if parts.scheme in ("http", "https"):
        port = parts.port or (443 if parts.scheme == "https" else 80)
        socket.create_connection((parts.hostname or "", port), PROBE_SECONDS).close()


def local_database(uri: str) -> Path | None:
    """The file of an SQLite URI."""
    return Path(uri.removeprefix("sqlite:///")).absolute() if uri.startswith("sqlite:///") else None
