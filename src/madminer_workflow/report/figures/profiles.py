"""The test statistic along each parameter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from scipy.interpolate import PchipInterpolator
from scipy.stats import chi2

from madminer_workflow.report.figures import style
from madminer_workflow.report.figures.subjects import (
    Subject,
    data_words,
    level_words,
    levels_of,
    qualifiers,
    subjects,
)
from madminer_workflow.report.figures.tables import Column, Table, spread

FINER = 8
TOP = 1.7
"""Height of the panels in thresholds of the highest confidence level."""


def draw(content: dict[str, Any], kind: str) -> Figure:
    """One panel per parameter, the other parameters profiled."""
    labels = style.parameter_labels(content)
    figure, panels = style.panels(len(labels), height=3.9, sharey=True)
    drawn = subjects(content, kind)
    for (name, text), axes in zip(labels.items(), panels, strict=True):
        curves(axes, content, drawn, kind, "profiles", name)
        axes.set_xlim(*reach(content, drawn, kind, "profiles", name))
        axes.set_xlabel(text)
    for axes in panels[::2]:
        axes.set_ylabel(r"$q(\theta)$")
    for axes in {*panels[1::2], panels[-1]}:
        name_levels(axes, content)
    style.heading(panels[0], panels[min(1, len(panels) - 1)], data_words(content), content)
    style.legend_below(figure, handles(drawn, content), 2 if len(panels) == 1 else 4)
    return figure


def handles(drawn: Sequence[Subject], content: dict[str, Any]) -> list[Line2D]:
    """The legend: every subject, and what dashed and solid lines are."""
    found = [Line2D([], [], label=subject.label, **subject.look) for subject in drawn]
    if content.get("observed"):
        found.append(Line2D([], [], color=style.MUTED, linewidth=2.1, label="observed"))
    return found


def curves(
    axes: Axes,
    content: dict[str, Any],
    drawn: Sequence[Subject],
    kind: str,
    part: str,
    name: str,
) -> None:
    """Draw all of ``drawn`` in one panel; ``part`` is "profiles" or "slices"."""
    grid = np.array(content["grid"][name])
    for subject in drawn:
        own = subject.own["curves"][kind]
        x, q = smooth(grid, own[part][name])
        axes.plot(x, q, **subject.look)
        members = own.get("member_profiles", {}).get(name, []) if part == "profiles" else []
        if len(members) > 1:
            band = np.array([smooth(grid, member)[1] for member in members])
            axes.fill_between(
                x,
                band.min(axis=0),
                band.max(axis=0),
                color=subject.colour,
                alpha=0.2,
                linewidth=0,
            )
        seen = subject.observed("curves", kind)
        if seen:
            axes.plot(*smooth(grid, seen[part][name]), **subject.observed_look)
    levels = levels_of(content)
    for level in levels:
        axes.axhline(chi2.ppf(float(level), 1), color=style.MUTED, linewidth=0.8, zorder=0)
    axes.set_ylim(0.0, TOP * chi2.ppf(float(levels[-1]), 1))
    axes.xaxis.set_major_locator(style.few_ticks())


def name_levels(axes: Axes, content: dict[str, Any], makes_room: bool = True) -> None:
    """The confidence levels beside the right end of their lines, where no curve is."""
    for level in levels_of(content):
        words = axes.annotate(
            level_words(level),
            (1.02, chi2.ppf(float(level), 1)),
            xycoords=("axes fraction", "data"),
            va="center",
            fontsize=9,
            annotation_clip=False,
        )
        words.set_in_layout(makes_room)


def smooth(x: np.ndarray, values: Sequence[float | None]) -> tuple[np.ndarray, np.ndarray]:
    """``values`` on a finer axis by a monotone interpolation, which adds no wiggles."""
    q = np.array(values, dtype=float)
    fine = np.linspace(x[0], x[-1], FINER * (len(x) - 1) + 1)
    if not np.all(np.isfinite(q)):
        return fine, np.interp(fine, x, q)
    return fine, PchipInterpolator(x, q)(fine)


def reach(
    content: dict[str, Any], drawn: Sequence[Subject], kind: str, part: str, name: str
) -> tuple[float, float]:
    """Where any curve but that of the rate alone is within the panel, inside the grid."""
    axis = np.array(content["grid"][name])
    top = TOP * chi2.ppf(float(levels_of(content)[-1]), 1)
    low, high = axis[-1], axis[0]
    for subject in drawn:
        if subject.name == "rate" and content["methods"]:
            continue
        seen = subject.observed("curves", kind)
        for own in (subject.own["curves"][kind], *([seen] if seen else [])):
            x, q = smooth(axis, own[part][name])
            inside = x[q < top]
            if len(inside):
                low, high = min(low, inside[0]), max(high, inside[-1])
    return (low, high) if low < high else (axis[0], axis[-1])


def tables(content: dict[str, Any], kind: str, part: str = "profiles") -> list[Table]:
    """One table per parameter: q of every method on the grid's points."""
    return [table(content, kind, part, name) for name in content["parameters"]]


def table(content: dict[str, Any], kind: str, part: str, name: str) -> Table:
    """q along one parameter."""
    columns = []
    for subject in subjects(content, kind):
        own = subject.own["curves"][kind]
        members = own.get("member_profiles", {}).get(name, []) if part == "profiles" else []
        values = own[part][name]
        errors = {"ensemble": spread(members, values)} if len(members) > 1 else {}
        own_qualifiers = qualifiers(subject, kind, "expected")
        columns.append(Column("q", values, "", errors, own_qualifiers))
        seen = subject.observed("curves", kind)
        if seen:
            own_qualifiers = qualifiers(subject, kind, "observed")
            columns.append(Column("q", seen[part][name], "", {}, own_qualifiers))
    others = "profiled" if part == "profiles" else "at the assumed truth"
    label = style.parameter_labels(content)[name]
    return Table(
        f"{part}_{kind}_{name}",
        f"Test statistic q along {name} from {kind.replace('_', ' ')}, all other parameters "
        f"{others}. Errors: lowest and highest member of the ensemble.",
        [Column(label if label == name else f"{label} ({name})", content["grid"][name])],
        columns,
        ["-2*LOG(L)"],
    )
