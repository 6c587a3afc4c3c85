"""MLflow tracking, when a tracking URI is given; otherwise nothing, at no cost.

A step knows nothing of it. Around the step, ``recorded`` keeps a record on disk (``journal``) of
what its arguments and products tell (``products``), and an uploader (``upload``) passes it on to
MLflow: that of ``madminer-workflow run`` for all its steps, which are told the run that they are
part of, and a step's own elsewhere (``follower``). Only the uploader imports MLflow.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from madminer_workflow.errors import InputError
from madminer_workflow.tracking.follower import Follower
from madminer_workflow.tracking.journal import RUN_ID, Journal, Status
from madminer_workflow.tracking.uri import without_credentials

SPOOL = "MADMINER_TRACKING_SPOOL"
"""Where a step is to leave its record, if somebody else uploads it."""
RUN = "MADMINER_TRACKING_RUN"
"""Then also the name of the run that it is part of."""
FOLDER = "tracking"
"""Where records lie in the directory of a step, or of a whole run."""

Warn = Callable[[str], None]

_NAME = re.compile(r"[\w.:+@ -]+")


@dataclass(frozen=True)
class Target:
    """A tracking URI and, if known, the name or the id of the run that steps are part of."""

    uri: str
    run: str | None = None

    @property
    def run_id(self) -> str | None:
        """The id of that run, if it is known by it: then somebody else has made it, and ends it."""
        return self.run if self.run and RUN_ID.fullmatch(self.run) else None


def target(given: str | None) -> Target | None:
    """Where to track: ``URI`` or ``URI#NAME`` as given, or what MLFLOW_TRACKING_URI says.

    NAME is that of the run that all steps of a workflow are nested in, or its id if it is there
    already. A password for a server is known to MLflow from then on, and no longer in the URI. None
    if there is neither; InputError for a NAME that no run can have, and for what is no URI.
    """
    wanted = (given or "").strip() or os.environ.get("MLFLOW_TRACKING_URI", "")
    uri, _, name = wanted.partition("#")
    if name and not _NAME.fullmatch(name):
        raise InputError(
            f"--tracking-uri: the name {name!r} of the run: expected only letters, digits, "
            "spaces and . : + @ _ -"
        )
    return Target(without_credentials(uri), name or None) if uri else None


def experiment() -> str | None:
    """The experiment that the environment names, or its number, which ``mlflow run`` sets."""
    return os.environ.get("MLFLOW_EXPERIMENT_NAME") or os.environ.get("MLFLOW_EXPERIMENT_ID")


@contextmanager
def followed(
    workdir: Path, parameters: Mapping[str, Any], given: str | None, warn: Warn, whole: bool = True
) -> Iterator[Journal | None]:
    """Record a workflow in ``workdir`` while the block runs it, if anybody wants to know.

    Yields its record, or None. What its steps record, see ``step_environment``, is uploaded along
    with it. In the end the record tells all results there are, if it is of the ``whole`` workflow.
    """
    wanted = target(given)
    if not wanted:
        yield None
        return
    from madminer_workflow.tracking import products

    name = wanted.run or f"{workdir.name} {datetime.now():%Y-%m-%d %H:%M:%S}"
    run_id = wanted.run_id or os.environ.get("MLFLOW_RUN_ID")
    journal = Journal.begin(
        workdir / FOLDER, [name], shared=True, run_id=run_id, experiment=experiment()
    )
    with _uploading(Follower(workdir / FOLDER, wanted.uri, warn)), ending(journal):
        journal.params({"workflow": parameters})
        yield journal
        if whole:
            products.whole(workdir, journal)


def step_environment(journal: Journal | None) -> dict[str, str]:
    """What tells steps that their records are part of that of their workflow."""
    return {SPOOL: str(journal.file.parent.absolute()), RUN: journal.path[0]} if journal else {}


@contextmanager
def recorded(
    step: str, arguments: Mapping[str, Any], given: str | None, warn: Warn
) -> Iterator[Journal | None]:
    """Record a step with its ``arguments`` while the block runs it, if anybody wants to know.

    Yields the record, or None. However the block ends, the record says so and is passed on, or
    ``warn`` is told why not.
    """
    spool, wanted = os.environ.get(SPOOL), target(given)
    if not spool and not wanted:
        yield None
        return
    from madminer_workflow.tracking import products

    root = os.environ.get(RUN) if spool else wanted and wanted.run
    path, shared = products.place(step, arguments)
    # The run that MLflow has made for a project is the step's own.
    run_id = None if spool or root else os.environ.get("MLFLOW_RUN_ID")
    directory = Path(spool) if spool else arguments["output"] / FOLDER
    journal = Journal.begin(
        directory,
        [root, *path] if root else path[-1:],
        shared=shared and bool(root),
        run_id=run_id,
        experiment=experiment(),
    )
    # Whoever has asked for a record in a spool uploads it.
    follower = Follower(directory, wanted.uri, warn) if wanted and not spool else None
    with _uploading(follower) if follower else nullcontext(), ending(journal):
        yield journal
        products.describe(step, arguments, journal)


@contextmanager
def ending(journal: Journal) -> Iterator[None]:
    """Let a record say how the block ended, and why, if not well."""
    status: Status = "FAILED"
    try:
        yield
        status = "FINISHED"
    except KeyboardInterrupt:
        status = "KILLED"
        raise
    except Exception as error:
        journal.tags({"madminer.problem": str(error)[:5000]})
        raise
    finally:
        journal.end(status)


@contextmanager
def _uploading(follower: Follower) -> Iterator[None]:
    follower.start()
    try:
        yield
    finally:
        follower.finish()
