"""Expected limits: intervals, contours and profiles."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from scipy.interpolate import PchipInterpolator, RectBivariateSpline
from scipy.stats import chi2

from madminer_workflow.ml.figures import style
from madminer_workflow.ml.verdict import percent, rank

FINER = 8
MARGIN = 0.12


def subjects(content: dict[str, Any], kind: str) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Methods and baselines that have limits of this kind, with how to draw them."""
    for method in content["methods"]:
        look = {
            "color": style.colour(content, method["name"]),
            "alpha": style.opacity(method),
            "label": style.method_label(method),
        }
        yield method, look
    truth = {"color": style.INK, "linestyle": (0, (5, 2)), "label": "parton-level ceiling"}
    yield content["baselines"]["truth"], {**truth, "linewidth": 1.4}
    rate = content["baselines"]["rate"]
    if kind in rate["limits"]:
        yield rate, {"color": style.MUTED, "linestyle": ":", "label": "rate only"}


def intervals(content: dict[str, Any], kind: str) -> Figure:
    """One row per method, one panel per parameter."""
    looks = {subject["name"]: (subject, look) for subject, look in subjects(content, kind)}
    ranked = [method["name"] for method in rank(content["methods"], kind, highest(content))]
    order = ["truth", *ranked, *(["rate"] if "rate" in looks else [])]
    levels = sorted(content["confidence_levels"], key=float)
    labels = style.parameter_labels(content)
    figure = style.figure(len(labels), height=1.2 + 0.4 * len(order), width=4.3)
    panels = figure.subplots(1, len(labels), squeeze=False, sharey=True)[0]
    for i, ((name, text), axes) in enumerate(zip(labels.items(), panels, strict=True)):
        for row, key in enumerate(order):
            subject, look = looks[key]
            _bars(axes, row, subject["limits"][kind]["intervals"][name], levels, look)
        shown = [looks[key][0] for key in order if key != "rate"]
        axes.set_xlim(*interval_range(shown, kind, name, levels[-1], content["grid"][name]))
        axes.axvline(content["setup"]["theta_true"]["theta"][i], color=style.MUTED, linewidth=0.8)
        axes.set_xlabel(text)
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.tick_params(axis="y", which="both", left=False, right=False)
    panels[0].set_yticks(range(len(order)), [looks[key][1]["label"] for key in order])
    panels[0].set_ylim(len(order) - 0.5, -0.5)
    return figure


def highest(content: dict[str, Any]) -> str:
    """The highest confidence level."""
    return max(content["confidence_levels"], key=float)


def interval_range(
    shown: list[dict[str, Any]], kind: str, name: str, level: str, axis: list[float]
) -> tuple[float, float]:
    """A range that shows the intervals of ``name`` of all in ``shown``."""
    own = [subject["limits"][kind]["intervals"][name][level] for subject in shown]
    edges = [edge for intervals in own for interval in intervals for edge in interval]
    low, high = (min(edges), max(edges)) if edges else (axis[0], axis[-1])
    return low - MARGIN * (high - low), high + MARGIN * (high - low)


def _bars(
    axes: Axes,
    row: int,
    own: dict[str, list[list[float]]],
    levels: list[str],
    look: dict[str, Any],
) -> None:
    thickness = np.linspace(7.0, 2.0, len(levels))
    for level, width in zip(levels, thickness, strict=True):
        for low, high in own[level]:
            axes.plot(
                [low, high],
                [row, row],
                color=look["color"],
                alpha=look.get("alpha", 1.0),
                linewidth=width,
                solid_capstyle="butt",
            )


def contours(content: dict[str, Any], pair: int, kind: str) -> Figure:
    """Contours of one pair of parameters (by its position), one panel per confidence level."""
    levels = sorted(content["confidence_levels"], key=float)
    first, second = content["baselines"]["truth"]["curves"][kind]["pairs"][pair]["parameters"]
    x_axis, y_axis = (np.array(content["grid"][name]) for name in (first, second))
    labels = style.parameter_labels(content)
    names = list(labels)
    truth = [content["setup"]["theta_true"]["theta"][names.index(n)] for n in (first, second)]
    drawn = [
        (subject["name"], look, finer(x_axis, y_axis, subject["curves"][kind]["pairs"][pair]["q"]))
        for subject, look in subjects(content, kind)
    ]
    threshold = chi2.ppf(float(levels[-1]), 2)
    ranges = contour_range([q for name, _, q in drawn if name != "rate"], threshold)

    figure = style.figure(len(levels), height=4.2, width=4.4)
    panels = figure.subplots(1, len(levels), squeeze=False, sharex=True, sharey=True)[0]
    for level, axes in zip(levels, panels, strict=True):
        for _, look, (x, y, q) in drawn:
            axes.contour(
                x,
                y,
                q.T,
                levels=[chi2.ppf(float(level), 2)],
                colors=[look["color"]],
                alpha=look.get("alpha"),
                linestyles=[look.get("linestyle", "-")],
                linewidths=[look.get("linewidth", 1.8)],
            )
        axes.plot(*truth, "+", color=style.INK, markersize=9)
        axes.set_title(f"{percent(level)} confidence level", fontsize=11)
        axes.set_xlabel(labels[first])
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.set_xlim(*ranges[0])
        axes.set_ylim(*ranges[1])
    panels[0].set_ylabel(labels[second])
    handles = [Line2D([], [], **{"alpha": 1.0, "linestyle": "-", **look}) for _, look, _ in drawn]
    figure.legend(
        handles=handles, loc="outside lower center", ncols=min(len(handles), 2 * len(levels))
    )
    return figure


def finer(
    x: np.ndarray, y: np.ndarray, values: list[list[float]]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """``values`` on a finer grid by cubic splines, which follow a parabola exactly."""
    q = np.nan_to_num(np.array(values, dtype=float), nan=np.inf)
    if not np.all(np.isfinite(q)):
        return x, y, np.ma.masked_invalid(q)
    spline = RectBivariateSpline(x, y, q, kx=min(3, len(x) - 1), ky=min(3, len(y) - 1))
    x_fine = np.linspace(x[0], x[-1], FINER * (len(x) - 1) + 1)
    y_fine = np.linspace(y[0], y[-1], FINER * (len(y) - 1) + 1)
    return x_fine, y_fine, spline(x_fine, y_fine)


def contour_range(
    drawn: list[tuple[np.ndarray, np.ndarray, np.ndarray]], threshold: float
) -> list[tuple[float, float]]:
    """Ranges of x and y that show all points below ``threshold``, within the grid."""
    ranges = []
    for direction in (0, 1):
        axis = drawn[0][direction]
        low, high = np.inf, -np.inf
        for subject in drawn:
            inside = np.any(subject[2] < threshold, axis=1 - direction)
            own = subject[direction][np.asarray(inside)]
            if len(own):
                low, high = min(low, own[0]), max(high, own[-1])
        if low >= high:
            low, high = axis[0], axis[-1]
        pad = MARGIN * (high - low)
        ranges.append((max(low - pad, axis[0]), min(high + pad, axis[-1])))
    return ranges


def profiles(content: dict[str, Any], kind: str) -> Figure:
    """The test statistic along each parameter, one panel each."""
    labels = style.parameter_labels(content)
    levels = sorted(content["confidence_levels"], key=float)
    top = 1.7 * chi2.ppf(float(levels[-1]), 1)
    figure = style.figure(len(labels), height=4.2, width=4.4)
    panels = figure.subplots(1, len(labels), squeeze=False, sharey=True)[0]
    for (name, text), axes in zip(labels.items(), panels, strict=True):
        grid = np.array(content["grid"][name])
        for subject, look in subjects(content, kind):
            own = subject["curves"][kind]
            x, q = smooth(grid, own["profiles"][name])
            axes.plot(x, q, **look)
            members = own.get("member_profiles", {}).get(name, [])
            if len(members) > 1:
                curves = np.array([smooth(grid, member)[1] for member in members])
                axes.fill_between(
                    x,
                    curves.min(axis=0),
                    curves.max(axis=0),
                    color=look["color"],
                    alpha=0.15,
                    linewidth=0,
                )
        axes.set_xlim(*profile_range(content, kind, name, top))
        for level in levels:
            height = chi2.ppf(float(level), 1)
            axes.axhline(height, color=style.MUTED, linewidth=0.8)
            axes.annotate(
                percent(level),
                (0.985, height),
                xycoords=("axes fraction", "data"),
                xytext=(0, 2),
                textcoords="offset points",
                ha="right",
                fontsize=9,
            )
        axes.set_xlabel(text)
        axes.xaxis.set_major_locator(MaxNLocator(5))
    panels[0].set_ylim(0.0, top)
    panels[0].set_ylabel(r"$q(\theta)$")
    handles, names = panels[0].get_legend_handles_labels()
    figure.legend(
        handles, names, loc="outside lower center", ncols=min(len(names), 1 + len(labels))
    )
    return figure


def smooth(x: np.ndarray, values: list[float]) -> tuple[np.ndarray, np.ndarray]:
    """``values`` on a finer axis by a monotone interpolation, which adds no wiggles."""
    q = np.array(values, dtype=float)
    fine = np.linspace(x[0], x[-1], FINER * (len(x) - 1) + 1)
    if not np.all(np.isfinite(q)):
        return fine, np.interp(fine, x, q)
    return fine, PchipInterpolator(x, q)(fine)


def profile_range(content: dict[str, Any], kind: str, name: str, top: float) -> tuple[float, float]:
    """Where any method's profile is below ``top``, within the grid."""
    axis = np.array(content["grid"][name])
    low, high = len(axis) - 1, 0
    for subject, _ in subjects(content, kind):
        if subject["name"] == "rate" and len(content["methods"]):
            continue
        inside = np.flatnonzero(
            np.array(subject["curves"][kind]["profiles"][name], dtype=float) < top
        )
        if len(inside):
            low, high = min(low, inside[0] - 1), max(high, inside[-1] + 1)
    low, high = max(low, 0), min(high, len(axis) - 1)
    return (axis[low], axis[high]) if low < high else (axis[0], axis[-1])
