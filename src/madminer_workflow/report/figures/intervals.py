"""Intervals of every parameter, one row per method."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from madminer_workflow.report.figures import style
from madminer_workflow.report.figures.subjects import (
    Subject,
    data_words,
    level_words,
    levels_of,
    subjects,
)
from madminer_workflow.report.figures.tables import Column, Table
from madminer_workflow.report.verdict import rank

MARGIN = 0.08
HEIGHT = 0.52
"""Of the boxes, in rows."""

Intervals = Sequence[Sequence[float]]


def draw(content: dict[str, Any], kind: str) -> Figure:
    """One panel per parameter. Boxes: expected; lines with caps: observed."""
    rows = ordered(content, kind)
    levels = levels_of(content)
    labels = style.parameter_labels(content)
    observed = any(subject.observed("limits", kind) for subject in rows)
    figure, panels = style.panels(
        len(labels), height=1.3 + 0.36 * len(rows), sharey=len(labels) > 1
    )
    for i, ((name, text), axes) in enumerate(zip(labels.items(), panels, strict=True)):
        for row, subject in enumerate(rows):
            own = subject.own["limits"][kind]
            boxes(axes, row, own["intervals"][name], levels, subject)
            members = own.get("member_intervals", {}).get(name, {})
            for level in levels:
                ends(axes, row, members.get(level, []), subject)
            seen = subject.observed("limits", kind)
            if seen:
                bars(axes, row, seen["intervals"][name], levels, seen["best_fit"][i], subject)
        axes.set_xlim(*reach(rows, kind, name, levels[-1], content["grid"][name]))
        axes.axvline(
            content["setup"]["theta_true"]["theta"][i], color=style.INK, linewidth=0.7, zorder=0
        )
        axes.set_xlabel(text)
        axes.xaxis.set_major_locator(style.few_ticks())
        style.categories(axes, "y")
    panels[0].set_yticks(range(len(rows)), [subject.label for subject in rows])
    panels[0].set_ylim(len(rows) - 0.4, -0.6)
    style.heading(panels[0], panels[min(1, len(panels) - 1)], data_words(content), content)
    handles: list[Any] = [
        Patch(facecolor=style.MUTED, alpha=shade(i, len(levels)), label=level_words(level))
        for i, level in enumerate(levels)
    ]
    if any(several(subject, kind) for subject in rows):
        handles.append(
            Line2D([], [], color=style.INK, linewidth=0.9, marker="|", label="ensemble spread")
        )
    if observed:
        handles.append(Line2D([], [], color=style.INK, linewidth=2.2, marker="o", label="observed"))
    style.legend_below(figure, handles, 3 if len(panels) == 1 else 5)
    return figure


def ordered(content: dict[str, Any], kind: str) -> list[Subject]:
    """The ceiling, the methods from the most sensitive on, and the rate alone."""
    found = {subject.name: subject for subject in subjects(content, kind)}
    ranked = [m["name"] for m in rank(content["methods"], kind, levels_of(content)[-1])]
    return [found[name] for name in ("truth", *ranked, "rate") if name in found]


def several(subject: Subject, kind: str) -> bool:
    """Whether the intervals of more than one ensemble member are known."""
    return any(
        len(intervals) > 1
        for levels in subject.own["limits"][kind].get("member_intervals", {}).values()
        for intervals in levels.values()
    )


def shade(i: int, n: int) -> float:
    """Opacity of the i-th of n confidence levels: the lowest is the darkest."""
    return float(np.linspace(0.85, 0.3, n)[i]) if n > 1 else 0.6


def boxes(
    axes: Axes, row: float, own: dict[str, Intervals], levels: list[str], subject: Subject
) -> None:
    """One box per interval, lower levels darker and before higher ones."""
    for i in reversed(range(len(levels))):
        axes.broken_barh(
            [(low, high - low) for low, high in own[levels[i]]],
            (row - HEIGHT / 2, HEIGHT),
            facecolor=subject.colour,
            alpha=shade(i, len(levels)) * subject.alpha,
            linewidth=0,
        )


def ends(axes: Axes, row: float, members: Sequence[Intervals], subject: Subject) -> None:
    """Where the members' intervals begin and end: a bar over all, a tick for each."""
    found = [own for own in members if own]
    if len(found) < 2:
        return
    for values in ([own[0][0] for own in found], [own[-1][1] for own in found]):
        height = row + HEIGHT / 2
        axes.plot([min(values), max(values)], [height] * 2, color=style.INK, linewidth=0.9)
        axes.plot(values, [height] * len(values), "|", color=style.INK, markersize=4.5, mew=0.9)


def bars(
    axes: Axes,
    row: float,
    own: dict[str, Intervals],
    levels: list[str],
    best: float,
    subject: Subject,
) -> None:
    """Observed intervals as lines over the boxes, and the best fit as a marker."""
    for level, width in zip(levels, np.linspace(3.2, 1.2, len(levels)), strict=True):
        for low, high in own[level]:
            axes.plot(
                [low, high],
                [row, row],
                color=style.INK,
                linewidth=width,
                marker="|",
                markersize=7,
                markeredgewidth=1.2,
                solid_capstyle="butt",
            )
    axes.plot(best, row, "o", color=style.INK, markersize=5.5)


def reach(
    rows: Sequence[Subject], kind: str, name: str, level: str, axis: Sequence[float]
) -> tuple[float, float]:
    """A range that shows all intervals of ``name`` but those of the rate alone."""
    edges = []
    for subject in rows:
        if subject.name == "rate" and len(rows) > 2:
            continue
        seen = subject.observed("limits", kind)
        for own in (subject.own["limits"][kind], *([seen] if seen else [])):
            intervals = [
                *own["intervals"][name][level],
                *(
                    interval
                    for member in own.get("member_intervals", {}).get(name, {}).get(level, [])
                    for interval in member
                ),
            ]
            edges += [edge for interval in intervals for edge in interval]
    low, high = (min(edges), max(edges)) if edges else (axis[0], axis[-1])
    return low - MARGIN * (high - low), high + MARGIN * (high - low)


def tables(content: dict[str, Any], kind: str) -> list[Table]:
    """One row per interval, whatever their number."""
    keys = ("Method", "Parameter", "Confidence level", "Data")
    rows: list[tuple[Any, ...]] = []
    for subject in ordered(content, kind):
        name = subject.name if "believed" in subject.own else subject.label
        for words, own in (
            ("expected", subject.own["limits"][kind]),
            ("observed", subject.observed("limits", kind)),
        ):
            if own is None:
                continue
            members = own.get("member_intervals", {})
            for i, parameter in enumerate(content["parameters"]):
                for level in levels_of(content):
                    intervals = own["intervals"][parameter][level]
                    found = [m for m in members.get(parameter, {}).get(level, []) if m]
                    # Members with another number of intervals have no end to compare with each.
                    alike = [m for m in found if len(m) == len(intervals)]
                    for k, interval in enumerate(intervals):
                        low, high = (
                            error(interval[end], [m[k][end] for m in alike]) for end in (0, 1)
                        )
                        key = (name, parameter, float(level), words)
                        rows.append((*key, *interval, low, high, own["best_fit"][i]))
    columns = list(zip(*rows, strict=True)) if rows else [()] * 9
    qualifiers = {"Limits from": kind.replace("_", " ")}
    return [
        Table(
            f"intervals_{kind}",
            f"Intervals of every parameter from {kind.replace('_', ' ')}, the others profiled; "
            "a row for each interval where there are several. Errors: lowest and highest member "
            "of the ensemble.",
            [Column(key, values) for key, values in zip(keys, columns[:4], strict=True)],
            [
                Column("Lower end", columns[4], "", {"ensemble": columns[6]}, qualifiers),
                Column("Upper end", columns[5], "", {"ensemble": columns[7]}, qualifiers),
                Column("Best fit", columns[8], "", {}, qualifiers),
            ],
            ["LIMIT"],
        )
    ]


def error(value: float, members: Sequence[float]) -> tuple[float, float] | None:
    """How far the members reach below and above ``value``; None for fewer than two."""
    if len(members) < 2:
        return None
    return min(min(members) - value, 0.0), max(max(members) - value, 0.0)
