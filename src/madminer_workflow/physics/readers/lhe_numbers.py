"""The numbers of Les Houches event files: those of events, and of their particles."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from madminer_workflow.physics.readers.fixed_width import as_numbers
from madminer_workflow.physics.readers.lhe_text import (
    EVENT_LINE,
    PARTICLE,
    PARTICLE_LINE,
    EventError,
    EventLines,
)

_PLACES = [PARTICLE_LINE.index(name) for name in PARTICLE]
_TAG = ord("<")


def read_numbers(
    lines: EventLines, bodies: Callable[[], Sequence[bytes]]
) -> tuple[np.ndarray, np.ndarray]:
    """The numbers of events, and of all their particles.

    Shapes are (6, n_events), as ``EVENT_LINE``, and (8, n_particles), as ``PARTICLE``.
    ``bodies`` gives the texts of the events whose ``lines`` these are, without comments. Raises
    EventError for what is no number and for too many or too few of them.
    """
    if not len(lines.first):
        return np.empty((len(EVENT_LINE), 0)), np.empty((len(PARTICLE), 0))
    return _at_once(lines) or _one_by_one(bodies())


def _at_once(events: EventLines) -> tuple[np.ndarray, np.ndarray] | None:
    """The numbers of events with a line for each particle; None for others, and if one is wrong."""
    headers = events.lines.numbers(events.first, len(EVENT_LINE))
    if headers is None:
        return None
    room = events.after - events.first - 1
    if not ((headers[0] >= 0.0) & (headers[0] <= room) & (headers[0] % 1.0 == 0.0)).all():
        return None
    counts = headers[0].astype(int)
    if not _ends_numbers(events, events.first + 1 + counts):
        return None
    starts = np.cumsum(counts) - counts
    place = np.arange(counts.sum()) - np.repeat(starts, counts)
    chosen = np.repeat(events.first + 1, counts) + place
    particles = events.lines.numbers(chosen, len(PARTICLE_LINE), _PLACES)
    return None if particles is None else (headers, particles)


def _ends_numbers(events: EventLines, behind: np.ndarray) -> bool:
    """Whether the lines ``behind`` the particles (n_events,) are tags, or nothing is there."""
    within = behind < events.after
    there = behind[within]
    is_tag = events.lines.characters[events.lines.starts[there]] == _TAG
    is_last = there + 1 == events.after[within]
    return bool((is_tag | ((events.lines.lengths[there] == 0) & is_last)).all())


def _one_by_one(events: Sequence[bytes]) -> tuple[np.ndarray, np.ndarray]:
    """The numbers of events of which one may be wrong: EventError says which."""
    texts = [event.partition(b"<")[0] for event in events]
    sizes = np.array([len(text.split()) for text in texts], dtype=int)
    numbers = _converted(texts, int(sizes.sum()))
    starts = np.cumsum(sizes) - sizes
    _need_size(sizes, sizes >= len(EVENT_LINE), np.full(len(sizes), len(EVENT_LINE)))
    announced = len(EVENT_LINE) + len(PARTICLE_LINE) * numbers[starts]
    _need_size(sizes, sizes == announced, announced)
    places = starts[:, np.newaxis] + np.arange(len(EVENT_LINE))
    particles = np.delete(numbers, places.ravel()).reshape(-1, len(PARTICLE_LINE))
    return numbers[places].T, particles.T[_PLACES]


def _converted(texts: Sequence[bytes], size: int) -> np.ndarray:
    """All numbers of some texts, (size,)."""
    numbers = as_numbers(b" ".join(texts))
    if numbers is not None and len(numbers) == size:
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
