"""What is said of a file, and how it is written as text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec
import numpy as np


class Weight(msgspec.Struct, frozen=True, kw_only=True):
    """One weight of all events.

    ``point`` are parameters by name, card entries such as ``dim6 2``, or scales and parton
    densities such as ``MUR``; None if nothing says it.
    ``effective_events`` are (sum w)² / sum w², ``negative`` is the share of events below zero.
    ``total`` is the sum as the file has it.
    """

    name: str
    point: dict[str, float] | None
    total: float
    effective_events: float
    negative: float


class Sums:
    """Sums of weights, added up piece by piece."""

    def __init__(self, n_weights: int) -> None:
        """Of nothing yet."""
        self.n_events = 0
        self.as_first = np.ones(n_weights, dtype=bool)
        """Which weights are equal to the first one in all events."""
        self._totals = np.zeros(n_weights)
        self._squares = np.zeros(n_weights)
        self._negative = np.zeros(n_weights)

    def add(self, weights: np.ndarray) -> None:
        """Add those of some events, (n_events, n_weights)."""
        self.n_events += len(weights)
        self.as_first &= (weights == weights[:, :1]).all(axis=0)
        self._totals += weights.sum(axis=0)
        self._squares += np.square(weights).sum(axis=0)
        self._negative += (weights < 0.0).sum(axis=0)

    def weight(self, index: int, name: str, point: dict[str, float] | None) -> Weight:
        """What is said of one of the weights."""
        total, squares = float(self._totals[index]), float(self._squares[index])
        return Weight(
            name=name,
            point=point,
            total=total,
            effective_events=total**2 / squares if squares > 0.0 else 0.0,
            negative=float(self._negative[index]) / max(self.n_events, 1),
        )


class Column(msgspec.Struct, frozen=True, kw_only=True):
    """Particles, branches or arrays of a file: their name, how many, and what they are."""

    name: str
    number: float
    meaning: str


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """What a file holds. ``suggestion`` is the part of an analysis file that takes its events."""

    file: str
    format: str
    events: int | None = None
    facts: dict[str, str] = msgspec.field(default_factory=dict)
    weights: tuple[Weight, ...] = ()
    columns: tuple[Column, ...] = ()
    columns_are: str = "columns"
    notes: tuple[str, ...] = ()
    suggestion: str | None = None


def as_text(summary: Summary) -> str:
    """All of it, with tables."""
    return "\n".join(_lines(summary)) + "\n"


def _lines(summary: Summary) -> Iterator[str]:
    yield f"{summary.file}: {summary.format}"
    facts = dict(summary.facts)
    if summary.events is not None:
        facts = {"events": str(summary.events), **facts}
    width = max(map(len, facts), default=0)
    yield from (f"  {name:<{width}}  {value}" for name, value in facts.items())
    if summary.weights:
        yield ""
        rows = [
            (
                weight.name,
                point_words(weight.point),
                f"{weight.total:.6g}",
                f"{weight.effective_events:.0f}",
                f"{weight.negative:.1%}" if weight.negative else "none",
            )
            for weight in summary.weights
        ]
        yield from table(("weight", "point", "sum", "effective events", "negative"), rows)
    if summary.columns:
        yield ""
        entries = [(c.name, f"{c.number:.6g}", c.meaning) for c in summary.columns]
        yield from table((summary.columns_are, "number", "meaning"), entries)
    for note in summary.notes:
        yield ""
        yield note
    if summary.suggestion:
        yield ""
        yield "# For an analysis file in the same folder:"
        yield from summary.suggestion.rstrip("\n").split("\n")


def point_words(point: dict[str, float] | None) -> str:
    """A parameter point in words; a question mark if nobody knows it."""
    if point is None:
        return "?"
    return ", ".join(f"{name} = {value:.7g}" for name, value in point.items())


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Lines of a table with aligned columns."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    for row in (head, *rows):
        yield "  " + "  ".join(f"{c:<{w}}" for c, w in zip(row, widths, strict=True)).rstrip()
