"""What the page draws: charts of panels of marks, as its script reads them.

A mark, or a panel, that has a ``when`` is shown in those states of the page's switches only, such
as ``{"kind": "shape", "level": "0.95"}``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from msgspec import Struct, field

DIGITS = 5
"""Significant digits of coordinates, which no screen resolves."""

When = Mapping[str, str]


class Axis(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """An axis: its range where it is not that of the marks, or the names of ``rows``.

    ``label`` is a text, or the name of a parameter or observable that the page has a picture of;
    ``name`` is what values are called where the pointer is.
    """

    label: str = ""
    name: str = ""
    low: float | None = None
    high: float | None = None
    log: bool = False
    rows: Sequence[str] = ()
    even: bool = False
    """As far below zero as above."""
    linked: bool = False
    """Zoomed together with those of the same name in its chart."""


class Mark(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Lines, points and areas of one method or baseline, ``who``; of nobody, in grey.

    ``x`` and ``y`` (n,) are the points of a "line", "points" or a closed "area"; a "band" is
    between ``low`` and ``high`` (n,) at ``x``; "steps" have the edges ``x`` (n + 1,) and heights
    ``y`` (n,), with errors ``low`` and ``high``; "spans" are from ``low`` to ``high`` in the rows
    ``y``; "rule" is a line across at ``x`` or ``y``, "shade" an area across between ``low`` and
    ``high``, ends of an axis. Errors of points are ``low`` and ``high`` in the direction ``along``.
    """

    kind: Literal["line", "points", "band", "area", "steps", "spans", "rule", "shade"]
    who: str = ""
    when: When = field(default_factory=dict)
    x: Sequence[Any] = ()
    y: Sequence[Any] = ()
    low: Sequence[Any] = ()
    high: Sequence[Any] = ()
    along: Literal["x", "y"] = "x"
    look: str = ""
    """Classes of its style."""
    words: str = ""
    """What it is, where the pointer is on it."""
    colour: int | None = None
    """Of the palette, for what is of nobody."""
    aside: bool = False
    """Axes need not show it."""


class Panel(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Axes with marks; in a grid it is at ``place``, column and row."""

    x: Axis
    y: Axis
    marks: Sequence[Mark]
    title: str = ""
    place: tuple[int, int] | None = None
    when: When = field(default_factory=dict)
    height: float = 0.7
    """Over the width, without rows."""


class Chart(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Panels with one caption; ``figures`` are the beginnings of the names of its files.

    ``choices`` are switches of its own: a name with the words for every state.
    """

    name: str
    section: str
    caption: str
    figures: Sequence[str]
    panels: Sequence[Panel]
    columns: int = 2
    legend: bool = False
    """Whether its marks need one, by their words; methods are those of the page's switches."""
    choices: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


def digits(values: Any) -> list[float | None]:
    """Values with as many digits as a screen needs, None for what is not finite."""
    array = np.asarray(values, dtype=float).ravel()
    return [float(f"{value:.{DIGITS}g}") if np.isfinite(value) else None for value in array]


def symmetric(values: Sequence[Any], errors: Sequence[Any]) -> tuple[list, list]:
    """Both ends of values with errors; without one where the error is not known."""
    center, error = np.array(values, dtype=float), np.nan_to_num(np.array(errors, dtype=float))
    return digits(center - error), digits(center + error)
