"""The text of Les Houches event files (hep-ph/0609017, LHE 3.0), taken apart.

An event is a line of six numbers, one of thirteen for each particle, and tags. Its text is found
by searching, without an XML tree, and the numbers of all events are converted at once.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

EVENT_LINE = ("n_particles", "process", "weight", "scale", "alpha_qed", "alpha_qcd")
"""The numbers of the line that begins an event."""

PARTICLE_LINE = (
    *("pdgid", "status", "mother1", "mother2", "colour1", "colour2"),
    *("px", "py", "pz", "e", "m", "lifetime", "spin"),
)
"""The numbers of the line of a particle."""

INCOMING, FINAL = -1, 1
"""The status of colliding partons and of the final state."""

_BEGIN = re.compile(rb"^[ \t]*<event[\s>]", re.MULTILINE)
_END = b"</event>"
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
    begin: re.Match[bytes] | None = first
    end = 0
    while begin is not None:
        end = text.find(_END, begin.end())
        if end < 0:
            raise EventError(len(events) + 1, "does not end")
        starts.append(begin.start())
        events.append(text[text.find(b"\n", begin.end() - 1) + 1 : end])
        begin = _BEGIN.search(text, end)
    return LHEText(text[: first.start()], events, text[end + len(_END) :], starts)


def without_comments(event: bytes) -> bytes:
    """An event's text without what follows a ``#`` in its line, e.g. aMC@NLO's notes."""
    return _COMMENT.sub(b"", event) if b"#" in event else event


def read_numbers(events: Sequence[bytes]) -> tuple[np.ndarray, np.ndarray]:
    """The numbers of texts without comments: those of the events, and of all their particles.

    Shapes are (n_events, 6), as ``EVENT_LINE``, and (n_particles, 13), as ``PARTICLE_LINE``.
    Raises EventError for what is no number and for too many or too few of them.
    """
    texts = [event.partition(b"<")[0] for event in events]
    sizes = np.array([len(text.split()) for text in texts], dtype=int)
    numbers = _converted(texts, int(sizes.sum()))
    starts = np.cumsum(sizes) - sizes
    _need_size(sizes, sizes >= len(EVENT_LINE), np.full(len(sizes), len(EVENT_LINE)))
    announced = len(EVENT_LINE) + len(PARTICLE_LINE) * numbers[starts]
    _need_size(sizes, sizes == announced, announced)
    places = starts[:, np.newaxis] + np.arange(len(EVENT_LINE))
    particles = np.delete(numbers, places.ravel()).reshape(-1, len(PARTICLE_LINE))
    return numbers[places], particles


def _converted(texts: Sequence[bytes], size: int) -> np.ndarray:
    """All numbers of some texts, (size,)."""
    with warnings.catch_warnings(), suppress(ValueError):
        # What is no number ends the conversion, in old versions of numpy with a warning only.
        warnings.simplefilter("ignore", DeprecationWarning)
        numbers = np.fromstring(b" ".join(texts), sep=" ")
        if len(numbers) == size:
            return numbers
    for number, text in enumerate(texts, 1):
        try:
            list(map(float, text.split()))
        except ValueError as error:
            raise EventError(number, str(error)) from None
    return np.array([float(word) for text in texts for word in text.split()])


def _need_size(sizes: np.ndarray, right: np.ndarray, expected: np.ndarray) -> None:
    if not right.all():
        first = int(np.argmin(right))
        problem = f"{sizes[first]} numbers where {expected[first]:.0f} were announced"
        raise EventError(first + 1, problem)
