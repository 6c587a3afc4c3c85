"""What is asked of the workflow, by whoever runs it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

NJOBS = 6
"""Jobs that share the events, if nobody says otherwise."""
NTRAINSAMPLES = 1
"""Members of each ensemble, if nobody says otherwise."""


@dataclass(frozen=True)
class Order:
    """An analysis, where its products go, and how it is to be done.

    ``analysis`` is an analysis file or the directory of its ``input.yml``. ``njobs`` jobs share the
    events, and ensembles have ``ntrainsamples`` members. ``changes`` of methods' settings look like
    ``sally.training.n_epochs=20``; ``observed`` data are what ``products.observed`` takes.

    For the workflow as a whole: ``part`` is "all", "physics" or "ml", the last from the events in
    ``data`` (by default those in ``workdir``). ``workers`` steps run at a time, by default one per
    core here and elsewhere ``njobs``, or as many as workers that are there have threads, if more;
    none longer than ``step_timeout`` minutes, ``on`` an executor ("local", or what
    ``executors.make`` takes); ``fresh`` reuses nothing. ``tracking_uri`` says where to track, and
    by default the environment does.
    """

    analysis: Path
    workdir: Path
    njobs: int = NJOBS
    ntrainsamples: int = NTRAINSAMPLES
    changes: Sequence[str] = ()
    observed: str = ""
    part: str = "all"
    data: Path | None = None
    workers: int | None = None
    fresh: bool = False
    tracking_uri: str | None = None
    on: str = "local"
    step_timeout: float | None = None
