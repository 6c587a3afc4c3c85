"""Joint contours of pairs of parameters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from scipy.interpolate import RectBivariateSpline
from scipy.stats import chi2

from madminer_workflow.report.figures import style
from madminer_workflow.report.figures.profiles import handles
from madminer_workflow.report.figures.subjects import (
    Subject,
    data_words,
    level_words,
    levels_of,
    qualifiers,
    subjects,
)
from madminer_workflow.report.figures.tables import Column, Table

FINER = 8
MARGIN = 0.12

Surface = tuple[np.ndarray, np.ndarray, np.ndarray]
"""x (n_x,), y (n_y,) and q (n_x, n_y)."""


def draw(content: dict[str, Any], pair: int, kind: str) -> Figure:
    """Contours of one pair of parameters (by its position), one panel per confidence level."""
    levels = levels_of(content)
    drawn = subjects(content, kind)
    names = list(drawn[0].own["curves"][kind]["pairs"][pair]["parameters"])
    labels = style.parameter_labels(content)
    surfaces = surfaces_of(content, drawn, kind, "pairs", pair)
    ranges = reach(surfaces, chi2.ppf(float(levels[-1]), 2))

    figure, panels = style.panels(len(levels), height=4.1, sharex=True, sharey=True)
    for level, axes in zip(levels, panels, strict=True):
        for subject, expected, observed in surfaces:
            line(axes, expected, level, subject.look)
            if observed:
                line(axes, observed, level, subject.observed_look)
        best_fits(axes, content, drawn, kind, names)
        axes.plot(*truth(content, names), "+", color=style.INK, markersize=9)
        axes.annotate(
            level_words(level),
            (0.04, 0.96),
            xycoords="axes fraction",
            ha="left",
            va="top",
            fontsize=11,
        )
        axes.set_xlabel(labels[names[0]])
        axes.xaxis.set_major_locator(style.few_ticks())
        axes.yaxis.set_major_locator(style.few_ticks())
        axes.set_xlim(*ranges[0])
        axes.set_ylim(*ranges[1])
    for axes in panels[::2]:
        axes.set_ylabel(labels[names[1]])
    style.heading(panels[0], panels[min(1, len(panels) - 1)], data_words(content), content)
    entries = [
        *handles(drawn, content),
        Line2D([], [], color=style.INK, linestyle="", marker="+", label="assumed truth"),
    ]
    style.legend_below(figure, entries, 2 * min(len(panels), 2))
    return figure


def surfaces_of(
    content: dict[str, Any], drawn: Sequence[Subject], kind: str, part: str, pair: int
) -> list[tuple[Subject, Surface, Surface | None]]:
    """What is expected, and observed, of everybody; ``part`` is "pairs" or "slice_pairs"."""
    found = []
    for subject in drawn:
        own = subject.own["curves"][kind][part][pair]
        x, y = (np.array(content["grid"][name]) for name in own["parameters"])
        seen = subject.observed("curves", kind)
        observed = finer(x, y, seen[part][pair]["q"]) if seen else None
        found.append((subject, finer(x, y, own["q"]), observed))
    return found


def line(axes: Axes, surface: Surface, level: str, look: dict[str, Any]) -> None:
    """The contour of two parameters at a confidence level."""
    x, y, q = surface
    axes.contour(
        x,
        y,
        q.T,
        levels=[chi2.ppf(float(level), 2)],
        colors=[look["color"]],
        alpha=look["alpha"],
        linestyles=[look["linestyle"]],
        linewidths=[look["linewidth"]],
    )


def best_fits(
    axes: Axes, content: dict[str, Any], drawn: Sequence[Subject], kind: str, names: list[str]
) -> None:
    """Observed best fits, in the methods' markers."""
    positions = [content["parameters"].index(name) for name in names]
    for subject in drawn:
        seen = subject.observed("limits", kind)
        if seen and subject.name != "rate":
            axes.plot(
                *(seen["best_fit"][i] for i in positions),
                style.marker(content, subject.name),
                color=subject.colour,
                alpha=subject.alpha,
                markersize=5,
            )


def truth(content: dict[str, Any], names: Sequence[str]) -> list[float]:
    """The assumed truth of some parameters."""
    theta = content["setup"]["theta_true"]["theta"]
    return [theta[content["parameters"].index(name)] for name in names]


def finer(x: np.ndarray, y: np.ndarray, values: Sequence[Sequence[float | None]]) -> Surface:
    """``values`` on a finer grid by cubic splines, which follow a parabola exactly."""
    q = np.nan_to_num(np.array(values, dtype=float), nan=np.inf)
    if not np.all(np.isfinite(q)):
        return x, y, np.ma.masked_invalid(q)
    spline = RectBivariateSpline(x, y, q, kx=min(3, len(x) - 1), ky=min(3, len(y) - 1))
    x_fine = np.linspace(x[0], x[-1], FINER * (len(x) - 1) + 1)
    y_fine = np.linspace(y[0], y[-1], FINER * (len(y) - 1) + 1)
    return x_fine, y_fine, spline(x_fine, y_fine)


def reach(
    surfaces: Sequence[tuple[Subject, Surface, Surface | None]], threshold: float
) -> list[tuple[float, float]]:
    """Ranges of x and y that show all points below ``threshold``, but those of the rate alone."""
    drawn = [
        surface
        for subject, *both in surfaces
        for surface in both
        if surface is not None and subject.name != "rate"
    ]
    ranges = []
    for direction in (0, 1):
        axis = drawn[0][direction]
        low, high = np.inf, -np.inf
        for surface in drawn:
            inside = np.any(surface[2] < threshold, axis=1 - direction)
            own = surface[direction][np.asarray(inside)]
            if len(own):
                low, high = min(low, own[0]), max(high, own[-1])
        if low >= high:
            low, high = axis[0], axis[-1]
        pad = MARGIN * (high - low)
        ranges.append((max(low - pad, axis[0]), min(high + pad, axis[-1])))
    return ranges


def tables(content: dict[str, Any], pair: int, kind: str, part: str = "pairs") -> list[Table]:
    """q of every method at the points of the grid of one pair."""
    drawn = subjects(content, kind)
    names = drawn[0].own["curves"][kind][part][pair]["parameters"]
    labels = style.parameter_labels(content)
    x, y = np.meshgrid(*(content["grid"][name] for name in names), indexing="ij")
    columns = []
    for subject in drawn:
        for words, own in (
            ("expected", subject.own["curves"][kind]),
            ("observed", subject.observed("curves", kind)),
        ):
            if own is not None:
                values = [value for row in own[part][pair]["q"] for value in row]
                columns.append(Column("q", values, "", {}, qualifiers(subject, kind, words)))
    others = "profiled" if part == "pairs" else "at the assumed truth"
    stem = "limits" if part == "pairs" else "slices"
    return [
        Table(
            f"{stem}_{'_'.join(names)}_{kind}",
            f"Test statistic q of {' and '.join(names)} from {kind.replace('_', ' ')}"
            + (f", all other parameters {others}" if len(content["parameters"]) > 2 else "")
            + ". Joint contours are at the quantiles of χ² with two degrees of freedom.",
            [
                Column(label if label == name else f"{label} ({name})", values.ravel().tolist())
                for name, values in zip(names, (x, y), strict=True)
                for label in [labels[name]]
            ],
            columns,
            ["-2*LOG(L)"],
        )
    ]
