"""Les Houches event files in chunks of some thousand events, whatever the size of the file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from madminer_workflow.analysis.lhe_files import FILE_END, pieces
from madminer_workflow.errors import InputError
from madminer_workflow.physics.readers.lhe_text import EventError, EventTexts

Read = TypeVar("Read")


@dataclass(frozen=True)
class Chunk:
    """Some events of a file, as text; ``first`` is the number of events before them.

    ``lines`` is the number of lines before the part of the file that they are in.
    """

    path: Path
    first: int
    events: EventTexts
    piece: bytes
    lines: int

    @property
    def texts(self) -> list[bytes]:
        """Those of the events, one by one."""
        return self.events.split.events

    def read(self, reader: Callable[[EventTexts], Read]) -> Read:
        """What ``reader`` makes of the events.

        Its EventError becomes an InputError that says file, event and line.
        """
        try:
            return reader(self.events)
        except EventError as error:
            raise self.wrong(error.number - 1, str(error)) from None

    def wrong(self, index: int, problem: str) -> InputError:
        """What to raise for a problem of the event with an index in this chunk."""
        start = self.events.split.starts[index]
        line = 1 + self.lines + self.piece.count(b"\n", 0, start)
        return InputError(f"{self.path}: event {self.first + index + 1} (line {line}): {problem}")


def read_chunks(path: Path) -> Iterator[Chunk]:
    """The events of a file, plain or compressed, in their order.

    Raises InputError for a file that is missing, damaged, truncated or without events.
    """
    n_events, n_lines, piece = 0, 0, b""
    for piece in pieces(path):
        events = EventTexts(piece)
        try:
            n_here = len(events)
        except EventError:
            line = 1 + n_lines + piece.count(b"\n", 0, piece.rfind(b"<event"))
            raise InputError(
                f"{path}: truncated: the event that starts at line {line} does not end"
            ) from None
        if n_here:
            yield Chunk(path, n_events, events, piece, n_lines)
        n_events += n_here
        n_lines += events.n_lines
    if FILE_END not in piece:
        raise InputError(
            f"{path}: truncated, or not an LHE file: it does not end with </LesHouchesEvents>"
        )
    if not n_events:
        raise InputError(f"{path}: no events in this file")
