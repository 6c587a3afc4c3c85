"""The text of Les Houches event files (hep-ph/0609017, LHE 3.0), taken apart.

An event is a line of six numbers, one of thirteen for each particle, and tags. Its text is found
by searching, without an XML tree, and that of many events by the lines that they begin and end in.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from madminer_workflow.physics.readers.fixed_width import Lines

EVENT_LINE = ("n_particles", "process", "weight", "scale", "alpha_qed", "alpha_qcd")
"""The numbers of the line that begins an event."""

PARTICLE_LINE = (
    *("pdgid", "status", "mother1", "mother2", "colour1", "colour2"),
    *("px", "py", "pz", "e", "m", "lifetime", "spin"),
)
"""The numbers of the line of a particle."""

PARTICLE = ("pdgid", "status", "px", "py", "pz", "e", "m", "spin")
"""Those that somebody looks at."""

INCOMING, FINAL = -1, 1
"""The status of colliding partons and of the final state."""

_BEGIN = re.compile(rb"^[ \t]*<event[\s>]", re.MULTILINE)
_END = b"</event>"
_NEXT = b"</event>\n<event>\n"
"""Between two events, nearly always."""
_COMMENT = re.compile(rb"#[^\n]*")


class EventError(ValueError):
    """What is wrong with an event; ``number`` counts from 1."""

    def __init__(self, number: int, problem: str):
        """Remember the number."""
        super().__init__(problem)
        self.number = number


@dataclass(frozen=True)
class LHEText:
    """A file in pieces: what is before the events, after them, and between their tags.

    ``starts`` are the places of the events in the file.
    """

    before: bytes
    events: list[bytes]
    after: bytes
    starts: list[int]


def split_events(text: bytes) -> LHEText:
    """Take a file apart; EventError for an event that does not end."""
    first = _BEGIN.search(text)
    if first is None:
        return LHEText(text, [], text, [])
    starts: list[int] = []
    events: list[bytes] = []
    begin, inside = first.start(), _inside(text, first)
    while begin >= 0:
        end = text.find(_END, inside)
        if end < 0:
            raise EventError(len(events) + 1, "does not end")
        starts.append(begin)
        events.append(text[inside:end])
        if text.startswith(_NEXT, end):
            begin, inside = end + len(_END) + 1, end + len(_NEXT)
        elif (following := _BEGIN.search(text, end)) is not None:
            begin, inside = following.start(), _inside(text, following)
        else:
            begin = -1
    return LHEText(text[: first.start()], events, text[end + len(_END) :], starts)


def _inside(text: bytes, begin: re.Match[bytes]) -> int:
    """Where the lines of an event begin."""
    return text.find(b"\n", begin.end() - 1) + 1


def without_comments(event: bytes) -> bytes:
    """An event's text without what follows a ``#`` in its line, e.g. aMC@NLO's notes."""
    return _COMMENT.sub(b"", event) if b"#" in event else event


@dataclass(frozen=True)
class EventLines:
    """The lines of n events without comments: the first of each, and that after its last (n,)."""

    lines: Lines
    first: np.ndarray
    after: np.ndarray

    @classmethod
    def of(cls, events: Sequence[bytes]) -> EventLines:
        """Those of some events' texts."""
        lines = Lines.of(b"\n".join([*events, b""]))
        sizes = np.fromiter(map(len, events), dtype=int, count=len(events)) + 1
        first = np.searchsorted(lines.starts, np.cumsum(sizes) - sizes)
        return cls(lines, first, np.append(first[1:], len(lines.starts)))

    @classmethod
    def within(cls, text: bytes) -> EventLines | None:
        """Those between tags in a text; None if these are not alone in their lines."""
        text = without_comments(text)
        lines = Lines.of(text)
        tags = np.flatnonzero(lines.characters[lines.starts] == ord("<"))
        begins, ends = (_beginning(lines, tags, tag) for tag in (b"<event", _END))
        if len(begins) != len(ends) or not len(ends) or (begins >= ends).any():
            return None
        edges = lines.starts[begins[0]], lines.starts[ends[-1]]
        # Nothing that is no line of its own ends before, behind or between them.
        outside = text.find(_END, 0, edges[0]) + text.find(_END, edges[1] + 1) > -2
        if outside or (begins[1:] != ends[:-1] + 1).any():
            return None
        if not np.isin(_characters(lines, begins, len(b"<event")), _AFTER_NAME).all():
            return None
        return cls(lines, begins + 1, ends)


_AFTER_NAME = np.frombuffer(b">\n\r\t ", dtype=np.uint8)


def _beginning(lines: Lines, chosen: np.ndarray, tag: bytes) -> np.ndarray:
    """Those of the lines ``chosen``, which begin as tags do, that begin with a certain one."""
    for place, character in enumerate(tag[1:], 1):
        chosen = chosen[_characters(lines, chosen, place) == character]
    return chosen


def _characters(lines: Lines, chosen: np.ndarray, place: int) -> np.ndarray:
    """The character at a place of the lines ``chosen``, or one of those that follow."""
    return lines.characters[np.minimum(lines.starts[chosen] + place, len(lines.text) - 1)]


class EventTexts:
    """The events in a text, as lines of all of them or one by one."""

    def __init__(self, text: bytes) -> None:
        """Look for events only when somebody asks for them."""
        self._text = text

    @cached_property
    def split(self) -> LHEText:
        """The text taken apart; EventError for an event that does not end."""
        return split_events(self._text)

    @cached_property
    def bodies(self) -> list[bytes]:
        """Their texts without comments."""
        return [*map(without_comments, self.split.events)]

    @cached_property
    def lines(self) -> EventLines:
        """Their lines."""
        return self._within or EventLines.of(self.bodies)

    @cached_property
    def _within(self) -> EventLines | None:
        return EventLines.within(self._text)

    @property
    def n_lines(self) -> int:
        """How many lines end in the text."""
        if self._within is None:
            return self._text.count(b"\n")
        # Comments that were left out have none.
        lines = self._within.lines
        return len(lines.starts) - (not lines.text.endswith(b"\n"))

    def __len__(self) -> int:
        """Return the number of events."""
        return len(self.lines.first)
