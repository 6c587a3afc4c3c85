"""Where steps run: one module and one row of ``EXECUTORS`` each.

Its module has a class ``Executor``, which ``run --on NAME`` makes with the conditions that steps
run under, and, of ``run --on NAME=PLACE``, the place. Threads of the engine call ``run`` side by
side, one for each step. Which steps run, what is kept of them and how failures are told is the
engine's: an executor does one command.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Protocol

from madminer_workflow.engines.resources import Resources

EXECUTORS = {
    "local": "Processes on this machine.",
    "dask": "Workers of a Dask scheduler (dask=ADDRESS) or batch jobs (dask=slurm, htcondor, …).",
    "kubernetes": (
        "Kubernetes Jobs, from the template in a file (kubernetes=FILE), on a volume that this "
        "machine mounts, too."
    ),
}
"""Module and what it is, in a line."""


@dataclass(frozen=True)
class Conditions:
    """How steps run: with these ``variables`` in their environment, and none longer than ``limit``.

    A variable that is None is not in it.
    ``limit`` is in seconds, without end if None. The files ``held`` (descriptors) are open in steps
    that run on this machine, as long as these live: so is a lock of the work directory.
    ``workers`` steps run at a time. ``logs`` is a directory for what an executor has to say.
    """

    variables: Mapping[str, str | None] = field(default_factory=dict)
    limit: float | None = None
    held: Sequence[int] = ()
    workers: int = 1
    logs: Path | None = None


@dataclass(frozen=True)
class Task:
    """A step, as executors see it: the shell command ``command``, run in ``directory``.

    Its output is appended to the file ``log``. ``name`` is the step's, for people; ``image`` is
    what the workflow files say it may run in, and ``resources`` what it asks for, None if nothing.
    """

    name: str
    command: str
    directory: Path
    log: Path
    image: str = ""
    resources: Resources | None = None


class OutOfTime(Exception):  # noqa: N818
    """A step took longer than the limit and was ended."""


class Lost(Exception):  # noqa: N818
    """What a step ran on is gone, and the step with it: it says why, in words."""


class NotStarted(Exception):  # noqa: N818
    """A step had not begun when the executor was told to ``hold``, and will not."""


class Executor(Protocol):
    """Runs shell commands somewhere that sees the work directory."""

    elsewhere: bool
    """Whether a step that is run again may find another machine, or more memory."""
    places: int
    """How many steps it has places for that are there anyway; 0 if it makes them for the run."""

    def run(self, task: Task) -> int:
        """Run the command of ``task``, return its exit code.

        The exit code is negative if a signal ended the command, also when that was ``stop``. Raises
        OutOfTime if it was ended because of the limit, NotStarted after ``hold``, and Lost if it
        should be run again, in another directory: nobody knows what was done in this one.
        """
        ...

    def hold(self) -> None:
        """Start none of the commands that still wait for a place to run, nor further ones."""
        ...

    def stop(self) -> None:
        """End all running commands with their children, and start no further ones."""
        ...


def make(on: str, conditions: Conditions) -> Executor:
    """The executor ``on``, "name" or "name=place", under these conditions.

    Raises InputError if there is no such place.
    """
    name, _, place = on.partition("=")
    return import_module(f"{__name__}.{name}").Executor(conditions, place)
