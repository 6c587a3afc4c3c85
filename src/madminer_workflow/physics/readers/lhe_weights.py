"""The weights in the text of Les Houches events."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

import numpy as np

from madminer_workflow.analysis.lhe_files import LIST, TAG, names_of_list
from madminer_workflow.physics.readers.lhe_text import EventError, EventLines, EventTexts

_BEGINS = (b"<wgt", b"<weight name")
"""Begin the tags of named weights, readable or not."""
_WEIGHT = re.compile(TAG + rb"([^<]*)</(?:wgt|weight)>")


def read_weights(
    events: EventTexts, n_particles: np.ndarray, declared: Collection[str] = ()
) -> tuple[np.ndarray, tuple[str, ...]]:
    """The weights (n_events, n_names) of events, and their names.

    ``n_particles`` (n_events,) are those of the events, ``declared`` are the weights in the header.
    Raises EventError for weights that cannot be read, and for events that have others than the
    first.
    """
    behind = events.lines.first + 1 + n_particles.astype(int)
    values, names = _at_once(events.lines, behind) or _one_by_one(events.bodies)
    if not names and b"<weights" in events.lines.lines.text:
        values = _listed(events.bodies)
        return values, names_of_list(values.shape[1], declared)
    return values, tuple(name.decode(errors="replace") for name in names)


def _at_once(events: EventLines, behind: np.ndarray) -> tuple[np.ndarray, list[bytes]] | None:
    """The weights of events whose lines from ``behind`` the particles on differ in numbers only.

    None for others, and if something is wrong.
    """
    counts = events.after - behind
    if not len(counts) or (counts != counts[0]).any():
        return None
    lines, places, names, begun = events.lines, [], [], {_BEGINS[0]}
    for chosen in behind[:1] + np.arange(counts[0]):
        start, length = int(lines.starts[chosen]), int(lines.lengths[chosen])
        tag = _WEIGHT.search(lines.text, start, start + length)
        if tag is not None:
            names.append(tag[1] or tag[2] or b"")
            begun |= {begin for begin in _BEGINS if tag[0].startswith(begin)}
            places.append((chosen - behind[0], tag.start(3) - start, start + length - tag.end(3)))
    n_begun = sum(map(lines.text.count, begun))
    if len(set(names)) != len(names) or n_begun != len(behind) * len(names):
        return None
    parts = [lines.between(behind + place, *ends) for place, *ends in places]
    numbers = [part for part in parts if part is not None]
    if len(numbers) < len(names) or not names:
        return None if names else (np.empty((len(behind), 0)), [])
    everything = lines.of_parts(numbers)
    values = everything.numbers(np.arange(len(everything.starts)), 1)
    return None if values is None else (values.reshape(len(names), len(behind)).T, names)


def _listed(events: Sequence[bytes]) -> np.ndarray:
    """The weights of ``<weights>``, (n_events, n_weights)."""
    lists = [LIST.search(event) for event in events]
    texts = [match[1] if match else b"" for match in lists]
    sizes = [len(text.split()) for text in texts]
    for number, (text, size) in enumerate(zip(texts, sizes, strict=True), 1):
        if size != sizes[0]:
            problem = f"{size} weights in <weights> where the first event has {sizes[0]}"
            raise EventError(number, problem)
        try:
            list(map(float, text.split()))
        except ValueError as error:
            raise EventError(number, str(error)) from None
    return np.array([[float(word) for word in text.split()] for text in texts])


def _one_by_one(events: Sequence[bytes]) -> tuple[np.ndarray, list[bytes]]:
    """The weights of events of which one may be wrong: EventError says which."""
    values: list[float] = []
    names: list[bytes] | None = None
    for number, event in enumerate(events, 1):
        tags = _WEIGHT.findall(event)
        ids = [single or double for single, double, _ in tags]
        if len(tags) < sum(map(event.count, _BEGINS)):
            raise EventError(
                number,
                "unreadable <wgt>; expected <wgt id='NAME'> NUMBER </wgt> or <weight name='NAME'> "
                "NUMBER </weight>",
            )
        if names is None:
            names = ids
            if len(set(ids)) != len(ids):
                raise EventError(number, "two weights have the same id")
        elif ids != names:
            raise EventError(
                number,
                f"{len(ids)} weights ({_joined(ids)}) where the first event has "
                f"{len(names)} ({_joined(names)})",
            )
        try:
            values.extend([float(value) for _, _, value in tags])
        except ValueError as error:
            raise EventError(number, str(error)) from None
    return np.reshape(values, (len(events), len(names or ()))), names or []


def _joined(ids: list[bytes]) -> str:
    return ", ".join(name.decode(errors="replace") for name in ids) or "none"
