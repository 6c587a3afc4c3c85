"""Where steps run: one module and one row of ``EXECUTORS`` each.

Its module has a class ``Executor``, which ``run --executor NAME`` makes with the conditions that
steps run under. Threads of the engine call ``run`` side by side, one for each step.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Protocol

EXECUTORS = {
    "local": "Processes on this machine.",
}
"""Module and what it is, in a line."""


@dataclass(frozen=True)
class Conditions:
    """How steps run: with these ``variables`` in their environment, and none longer than ``limit``.

    ``limit`` is in seconds, without end if None. The files ``held`` (descriptors) are open in steps
    as long as these live: so is a lock of the work directory.
    """

    variables: Mapping[str, str] = field(default_factory=dict)
    limit: float | None = None
    held: Sequence[int] = ()


class OutOfTime(Exception):  # noqa: N818
    """A step took longer than the limit and was ended."""


class Executor(Protocol):
    """Runs shell commands somewhere that sees the work directory."""

    def run(self, command: str, directory: Path, log: Path) -> int:
        """Run ``command`` in ``directory``, append its output to ``log``, return its exit code.

        The exit code is negative if a signal ended the command, also when that was ``stop``. Raises
        OutOfTime if it was ended because of the limit.
        """
        ...

    def stop(self) -> None:
        """End all running commands with their children, and start no further ones."""
        ...


def make(name: str, conditions: Conditions) -> Executor:
    """The executor of this name, under these conditions."""
    return import_module(f"{__name__}.{name}").Executor(conditions)
