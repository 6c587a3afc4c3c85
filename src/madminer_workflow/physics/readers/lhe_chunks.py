"""Les Houches event files in chunks of some thousand events, whatever the size of the file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from madminer_workflow.analysis.lhe_files import FILE_END, pieces
from madminer_workflow.errors import InputError
from madminer_workflow.physics.readers.lhe_text import EventError, split_events

Read = TypeVar("Read")


@dataclass(frozen=True)
class Chunk:
    """Some events of a file, as text; ``first`` is the number of events before them.

    ``lines`` are the numbers of the lines in which they start, from 1.
    """

    path: Path
    first: int
    texts: list[bytes]
    lines: list[int]

    def read(self, reader: Callable[[Sequence[bytes]], Read]) -> Read:
        """What ``reader`` makes of the texts; its EventError becomes an InputError that says where.

        That is file, event and line.
        """
        try:
            return reader(self.texts)
        except EventError as error:
            raise self.wrong(error.number - 1, str(error)) from None

    def wrong(self, index: int, problem: str) -> InputError:
        """What to raise for a problem of the event with an index in this chunk."""
        where = f"event {self.first + index + 1} (line {self.lines[index]})"
        return InputError(f"{self.path}: {where}: {problem}")


def read_chunks(path: Path) -> Iterator[Chunk]:
    """The events of a file, plain or compressed, in their order.

    Raises InputError for a file that is missing, damaged, truncated or without events.
    """
    n_events, n_lines, piece = 0, 0, b""
    for piece in pieces(path):
        try:
            text = split_events(piece)
        except EventError:
            line = 1 + n_lines + piece.count(b"\n", 0, piece.rfind(b"<event"))
            raise InputError(
                f"{path}: truncated: the event that starts at line {line} does not end"
            ) from None
        if text.events:
            yield Chunk(path, n_events, text.events, _lines(piece, text.starts, n_lines))
        n_events += len(text.events)
        n_lines += piece.count(b"\n")
    if FILE_END not in piece:
        raise InputError(
            f"{path}: truncated, or not an LHE file: it does not end with </LesHouchesEvents>"
        )
    if not n_events:
        raise InputError(f"{path}: no events in this file")


def _lines(piece: bytes, starts: Sequence[int], before: int) -> list[int]:
    lines, last, line = [], 0, 1 + before
    for start in starts:
        line += piece.count(b"\n", last, start)
        lines.append(line)
        last = start
    return lines
