"""Intervals of every parameter, one row per method."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from madminer_workflow.report.comparison import rank
from madminer_workflow.report.figures import style
from madminer_workflow.report.figures.series import (
    Data,
    Series,
    by_data,
    ceiling_of,
    data_words,
    heading,
    level_words,
    mark_truth,
    methods_of,
    rate_of,
    row_panels,
)
from madminer_workflow.report.figures.tables import Column, Table, columns, spread
from madminer_workflow.report.results import Report
from madminer_workflow.statistics.results import Interval, IntervalsByLevel

MARGIN = 0.08
HEIGHT = 0.52
"""Of the boxes, in rows."""

KEYS = ("Method", "Parameter", "Confidence level", "Data")
"""The columns that say which interval it is."""


@dataclass(frozen=True)
class Row:
    """The intervals of one parameter by level, and those of the members of an ensemble."""

    series: Series
    data: Data
    parameter: str
    intervals: IntervalsByLevel
    members: Mapping[str, Sequence[Sequence[Interval]]] = field(default_factory=dict)
    best_fit: float = np.nan


def rows_of(report: Report, kind: str) -> list[Row]:
    """The ceiling, the methods from the most sensitive on, and the rate alone."""
    return [
        Row(
            series,
            data,
            parameter,
            limits.intervals[parameter],
            (limits.member_intervals or {}).get(parameter, {}),
            limits.best_fit[i],
        )
        for series in ordered(report, kind)
        for data, limits in by_data(series.subject.limits, series.subject.observed, kind)
        for i, parameter in enumerate(report.parameters)
    ]


def ordered(report: Report, kind: str) -> list[Series]:
    """Whose intervals are shown, from the top."""
    methods = {series.name: series for series in methods_of(report)}
    ranked = [methods[method.name] for method in rank(report.methods, kind, report.levels[-1])]
    everybody = [ceiling_of(report), *ranked, rate_of(report)]
    return [series for series in everybody if kind in series.subject.limits]


def draw(report: Report, rows: Sequence[Row]) -> Figure:
    """One panel per parameter. Boxes: expected; lines with caps: observed."""
    levels = report.levels
    labels = list(dict.fromkeys(row.series.label for row in rows))
    figure, panels = row_panels(report, labels, height=1.3, row=0.36)
    for name, axes in zip(report.parameters, panels, strict=True):
        shown = [row for row in rows if row.parameter == name]
        for row in shown:
            height = labels.index(row.series.label)
            if row.data == "observed":
                bars(axes, height, row, levels)
                continue
            boxes(axes, height, row, levels)
            for level in levels:
                ends(axes, height, row.members.get(level, []))
        axes.set_xlim(*reach(shown, levels[-1], report.grid[name]))
        mark_truth(axes, report, name)
        style.few_ticks(axes.xaxis)
    heading(panels, data_words(report), report)
    style.legend_below(figure, handles(rows, levels), 3 if len(panels) == 1 else 5)
    return figure


def handles(rows: Sequence[Row], levels: Sequence[str]) -> list[Any]:
    """The legend."""
    entries: list[Any] = level_patches(levels)
    if any(
        len(members) > 1
        for row in rows
        if row.data == "expected"
        for members in row.members.values()
    ):
        entries.append(style.handle("ensemble spread", color=style.INK, linewidth=0.9, marker="|"))
    if any(row.data == "observed" for row in rows):
        entries.append(style.handle("observed", color=style.INK, linewidth=2.2, marker="o"))
    return entries


def level_patches(levels: Sequence[str], words: str = "") -> list[Patch]:
    """What the boxes of the confidence levels look like."""
    return [
        Patch(facecolor=style.MUTED, alpha=shade(i, len(levels)), label=level_words(level) + words)
        for i, level in enumerate(levels)
    ]


def shade(i: int, n: int) -> float:
    """Opacity of the i-th of n confidence levels: the lowest is the darkest."""
    return float(np.linspace(0.85, 0.3, n)[i]) if n > 1 else 0.6


def boxes(axes: Axes, height: float, row: Row, levels: Sequence[str]) -> None:
    """One box per interval, lower levels darker and before higher ones."""
    for i in reversed(range(len(levels))):
        axes.broken_barh(
            [(low, high - low) for low, high in row.intervals[levels[i]]],
            (height - HEIGHT / 2, HEIGHT),
            facecolor=row.series.colour,
            alpha=shade(i, len(levels)) * row.series.alpha,
            linewidth=0,
        )


def ends(axes: Axes, height: float, members: Sequence[Sequence[Interval]]) -> None:
    """Where the members' intervals begin and end: a bar over all, and their ticks."""
    known = [intervals for intervals in members if intervals]
    if len(known) < 2:
        return
    height += HEIGHT / 2
    for values in ([one[0][0] for one in known], [one[-1][1] for one in known]):
        axes.plot([min(values), max(values)], [height] * 2, color=style.INK, linewidth=0.9)
        axes.plot(values, [height] * len(values), "|", color=style.INK, markersize=4.5, mew=0.9)


def bars(axes: Axes, height: float, row: Row, levels: Sequence[str]) -> None:
    """Observed intervals as lines over the boxes, and the best fit as a marker."""
    for level, width in zip(levels, np.linspace(3.2, 1.2, len(levels)), strict=True):
        for low, high in row.intervals[level]:
            axes.plot(
                [low, high],
                [height, height],
                color=style.INK,
                linewidth=width,
                marker="|",
                markersize=7,
                markeredgewidth=1.2,
                solid_capstyle="butt",
            )
    axes.plot(row.best_fit, height, "o", color=style.INK, markersize=5.5)


def reach(rows: Sequence[Row], level: str, axis: Sequence[float]) -> tuple[float, float]:
    """A range that shows all intervals in ``rows`` but those of the rate alone."""
    several = len({row.series.name for row in rows}) > 2
    edges = [
        edge
        for row in rows
        if not (several and row.series.name == "rate")
        for intervals in (row.intervals[level], *row.members.get(level, []))
        for interval in intervals
        for edge in interval
    ]
    return with_margin(edges, axis)


def with_margin(edges: Sequence[float], axis: Sequence[float]) -> tuple[float, float]:
    """A range that shows all ``edges``, or the whole ``axis`` if there are none."""
    low, high = (min(edges), max(edges)) if edges else (axis[0], axis[-1])
    return low - MARGIN * (high - low), high + MARGIN * (high - low)


def table(rows: Sequence[Row], kind: str, levels: Sequence[str]) -> Table:
    """One row per interval, whatever their number."""
    table_rows = list(_table_rows(rows, levels))
    values = list(zip(*table_rows, strict=True)) if table_rows else [()] * 9
    common = {"Limits from": kind.replace("_", " ")}
    return Table(
        f"intervals_{kind}",
        f"Intervals of every parameter from {kind.replace('_', ' ')}, with the others profiled; "
        "one row per interval if there are several. Errors: lowest and highest member of the "
        "ensemble.",
        columns(KEYS, [row[:4] for row in table_rows]),
        [
            Column("Lower end", values[4], "", {"ensemble": values[6]}, common),
            Column("Upper end", values[5], "", {"ensemble": values[7]}, common),
            Column("Best fit", values[8], "", {}, common),
        ],
        ["LIMIT"],
    )


def _table_rows(rows: Sequence[Row], levels: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    for row in rows:
        for level in levels:
            intervals = row.intervals[level]
            # Members with another number of intervals have no end to compare with.
            alike = [m for m in row.members.get(level, []) if m and len(m) == len(intervals)]
            for k, interval in enumerate(intervals):
                one_each = [intervals_of[k] for intervals_of in alike]
                errors = spread(one_each, interval) if len(alike) > 1 else [None, None]
                key = (row.series.title, row.parameter, float(level), row.data)
                yield (*key, *interval, *errors, row.best_fit)
