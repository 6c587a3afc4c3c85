"""Where steps run: one module and one row of ``EXECUTORS`` each.

Its module has a class ``Executor``, which ``run --executor NAME`` makes with the variables of the
steps' environment. Threads of the engine call ``run`` side by side, one for each step.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Protocol

EXECUTORS = {
    "local": "Processes on this machine.",
}
"""Module and what it is, in a line."""


class Executor(Protocol):
    """Runs shell commands somewhere that sees the work directory."""

    def run(self, command: str, directory: Path, log: Path) -> int:
        """Run ``command`` in ``directory``, append its output to ``log``, return its exit code.

        The exit code is negative if a signal ended the command, also when that was ``stop``.
        """
        ...

    def stop(self) -> None:
        """End all running commands with their children, and start no further ones."""
        ...


def make(name: str, variables: Mapping[str, str]) -> Executor:
    """The executor of this name, with additional ``variables`` in the environment of steps."""
    return import_module(f"{__name__}.{name}").Executor(variables)
