"""How the program ended on a case, and what must be true of that: the only place that says it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

TRACEBACK = "Traceback (most recent call last)"
MiB = 2**20


@dataclass(frozen=True)
class Outcome:
    """``exit_code`` is None if the process died; ``strays`` is what it did outside its place."""

    words: Sequence[str]
    exit_code: int | None
    stdout: str
    stderr: str
    seconds: float
    timed_out: bool = False
    strays: Sequence[str] = ()
    peak_disk: int = 0

    @property
    def output(self) -> str:
        """All that it said."""
        return self.stdout + self.stderr

    @property
    def errors(self) -> list[str]:
        """The messages of errors."""
        return [line for line in self.stderr.splitlines() if line.startswith("error: ")]

    @property
    def is_refused(self) -> bool:
        """Whether it ended as one that does not accept its input."""
        return self.exit_code == 2

    def names(self, file: Path | str) -> bool:
        """Whether a message has the name of a file."""
        return any(Path(file).name in error for error in self.errors)

    def lines_of(self, file: Path | str) -> set[int]:
        """The lines of a file that messages name."""
        places = re.findall(rf"{re.escape(Path(file).name)}:(\d+):", "\n".join(self.errors))
        return set(map(int, places))


@dataclass
class Faults:
    """What is wrong with an outcome, by kind; nothing must be."""

    tracebacks: int = 0
    hangs: int = 0
    outside: int = 0
    silent: int = 0
    other: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.tracebacks or self.hangs or self.outside or self.silent or self.other)


def sound(outcome: Outcome, disk: int = 64 * MiB) -> Faults:
    """What is wrong with any outcome, whatever the case: true of every command at every time."""
    faults = Faults(
        tracebacks=int(TRACEBACK in outcome.output),
        hangs=int(outcome.timed_out),
        outside=int(bool(outcome.strays)),
    )
    if outcome.strays:
        faults.other.append(f"outside of its place: {', '.join(outcome.strays)}")
    if outcome.exit_code is None and not outcome.timed_out:
        faults.other.append("the process died")
    elif outcome.exit_code not in (0, 1, 2, None):
        faults.other.append(f"exit code {outcome.exit_code}")
    if outcome.exit_code in (1, 2) and not (outcome.errors or faults.tracebacks):
        faults.silent += 1
    if outcome.peak_disk > disk:
        faults.other.append(f"wrote {outcome.peak_disk / MiB:.0f} MiB")
    return faults


def refused(outcome: Outcome, file: Path | str, disk: int = 64 * MiB) -> Faults:
    """What is wrong with the outcome of a case that must be refused with the file named."""
    faults = sound(outcome, disk)
    if outcome.exit_code == 0:
        faults.silent += 1
    elif outcome.exit_code == 1:
        faults.other.append("exit code 1; expected 2")
    if outcome.errors and not outcome.names(file):
        faults.other.append(f"{Path(file).name} is not named")
    return faults
