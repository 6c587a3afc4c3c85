"""Checks of models: one figure a kind, with all methods that have it.

They are drawn from the ``plot`` entries of the checks in ``results.json``; see ``ml.checks``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from madminer_workflow.report.figures import style

ROW = 0.34
"""Height of a row of points [inches]."""

SPREAD = 0.6
"""How much of a row the points of the methods take."""


def drawn(content: dict[str, Any], kind: str) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """The methods with a check of a ``kind`` of plot, each with what it plots."""
    return [
        (method, check["plot"])
        for method in content["methods"]
        for check in method["checks"]
        if check.get("plot") and check["plot"]["kind"] == kind
    ]


def kinds(content: dict[str, Any]) -> list[str]:
    """The kinds of figures that these results have, in the order of ``KINDS``."""
    return [kind for kind in KINDS if drawn(content, kind)]


def look(content: dict[str, Any], method: dict[str, Any]) -> dict[str, Any]:
    """Arguments of a method's points."""
    return {
        "color": style.colour(content, method["name"]),
        "marker": style.marker(content, method["name"]),
        "alpha": style.opacity(method),
        "markersize": 5.0,
    }


def legend(figure: Figure, content: dict[str, Any], kind: str, columns: int) -> None:
    """The methods, below the panels."""
    handles = [
        Line2D([], [], linestyle="", label=style.method_label(method), **look(content, method))
        for method, _ in drawn(content, kind)
    ]
    style.legend_below(figure, handles, columns)


def point_label(content: dict[str, Any], point: list[float], names: list[str]) -> str:
    """A parameter point by what differs from the assumed truth's zero: "CWL2 = 0.5"."""
    words = [f"{name} = {value:.3g}" for name, value in zip(names, point, strict=True) if value]
    return (", ".join(words) or "all 0").replace("-", "−")


def reliability(content: dict[str, Any]) -> Figure:
    """True minus predicted class fraction against the prediction, a panel for each method."""
    own = drawn(content, "reliability")
    figure, panels = style.panels(len(own), height=3.5, sharex=True, sharey=True)
    for axes, (method, plot) in zip(panels, own, strict=True):
        reliability_band(axes, plot["tolerance"])
        colours = np.linspace(0.35, 1.0, len(plot["curves"]))
        for shade, curve in zip(colours, plot["curves"], strict=True):
            predicted = numbers(curve["predicted"])
            axes.errorbar(
                predicted,
                numbers(curve["true"]) - predicted,
                yerr=numbers(curve["error"]),
                linewidth=1.2,
                **{**look(content, method), "alpha": shade * style.opacity(method)},
            )
        axes.set_title(style.method_label(method), loc="left")
        axes.set_xlabel("predicted fraction of the denominator")
    every = np.concatenate([curve["predicted"] for _, plot in own for curve in plot["curves"]])
    low, high = every.astype(float).min(), every.astype(float).max()
    panels[0].set_xlim(low - 0.06 * (high - low), high + 0.06 * (high - low))
    for axes in panels[::2]:
        axes.set_ylabel("true − predicted fraction")
    return figure


def reliability_band(axes: Axes, tolerated: dict[str, float]) -> None:
    """What is passed whatever the statistics: less on the side of too much confidence."""
    bold, cautious = tolerated["overconfident"], tolerated["cautious"]
    for low, high, ends in ((-cautious, bold, (0.0, 0.5)), (-bold, cautious, (0.5, 1.0))):
        axes.fill_between(ends, low, high, color=style.MUTED, alpha=0.17, linewidth=0)
    axes.axhline(0.0, color=style.INK, linewidth=0.8)


def reweighting(content: dict[str, Any]) -> Figure:
    """The largest difference of the distributions of each observable, with its tolerance."""
    own = drawn(content, "reweighting")
    names = own[0][1]["observables"]
    rows = np.arange(len(names))
    figure = style.figure(height=1.3 + ROW * len(names) * max(1.0, 0.5 * len(own)), width=6.4)
    axes = figure.subplots()
    offsets = np.linspace(-0.5, 0.5, len(own)) * SPREAD if len(own) > 1 else [0.0]
    tolerance(axes, own[0][1]["tolerance"], "v")
    for offset, (method, plot) in zip(offsets, own, strict=True):
        axes.errorbar(
            numbers(plot["difference"]),
            rows + offset,
            xerr=numbers(plot["error"]),
            linestyle="",
            elinewidth=1.2,
            **look(content, method),
        )
    labels = {
        each["name"]: style.label(each["latex"], each["name"]) for each in content["observables"]
    }
    axes.set_yticks(rows, [labels.get(name, name) for name in names])
    style.categories(axes, "y")
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_xlim(left=0.0)
    axes.set_xlabel("largest difference of the cumulative distributions")
    legend(figure, content, "reweighting", 2)
    return figure


def closure(content: dict[str, Any]) -> Figure:
    """Mean likelihood ratio at every point of the check."""
    own = drawn(content, "closure")
    points = {tuple(point): None for _, plot in own for point in plot["points"]}
    rows = {point: i for i, point in enumerate(points)}
    figure = style.figure(height=1.4 + ROW * len(rows) * max(1.0, 0.5 * len(own)), width=6.4)
    axes = figure.subplots()
    axes.axvline(1.0, color=style.INK, linewidth=0.8)
    axes.axvspan(
        1.0 - own[0][1]["tolerance"],
        1.0 + own[0][1]["tolerance"],
        color=style.MUTED,
        alpha=0.17,
        linewidth=0,
    )
    offsets = np.linspace(-0.5, 0.5, len(own)) * SPREAD if len(own) > 1 else [0.0]
    for offset, (method, plot) in zip(offsets, own, strict=True):
        axes.errorbar(
            numbers(plot["mean"]),
            np.array([rows[tuple(point)] for point in plot["points"]]) + offset,
            xerr=numbers(plot["error"]),
            linestyle="",
            elinewidth=1.2,
            **look(content, method),
        )
    axes.set_yticks(
        range(len(rows)),
        [point_label(content, list(point), content["parameters"]) for point in rows],
    )
    style.categories(axes, "y")
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlabel("mean likelihood ratio over events of the denominator")
    legend(figure, content, "closure", 2)
    return figure


def sizes(content: dict[str, Any]) -> Figure:
    """Effective simulated events at the truth and at the edges of intervals, and what is needed."""
    own = drawn(content, "sizes")
    figure = style.figure(height=1.4 + 1.2 * ROW * len(own), width=6.4)
    axes = figure.subplots()
    for row, (method, plot) in enumerate(own):
        values = numbers(plot["size"])
        axes.plot(values, np.full(len(values), row), linestyle="", **look(content, method))
    needed = max(plot["needed"] for _, plot in own)
    right = 1.1 * max(needed, *(max(plot["size"]) for _, plot in own))
    axes.axvspan(needed, right, color=style.MUTED, alpha=0.17, linewidth=0)
    axes.axvline(needed, color=style.INK, linewidth=0.8)
    axes.set_yticks(range(len(own)), [style.method_label(method) for method, _ in own])
    style.categories(axes, "y")
    axes.set_ylim(len(own) - 0.4, -0.6)
    axes.set_xlim(0.0, right)
    axes.set_xlabel("effective simulated events")
    return figure


def spans(content: dict[str, Any], kind: str) -> tuple[Figure, list[Axes], list]:
    """Panels for ranges of the parameters, one row for each method."""
    own = drawn(content, kind)
    labels = style.parameter_labels(content)
    figure, panels = style.panels(len(labels), height=1.3 + 2.2 * ROW * len(own), sharey=True)
    for axes, text in zip(panels, labels.values(), strict=True):
        axes.set_yticks(range(len(own)), [style.method_label(method) for method, _ in own])
        style.categories(axes, "y")
        axes.set_ylim(len(own) - 0.4, -0.6)
        axes.set_xlabel(text)
    return figure, panels, own


def ensemble(content: dict[str, Any]) -> Figure:
    """Intervals of the ensemble, thick, and of each member, thin."""
    figure, panels, own = spans(content, "ensemble")
    for i, axes in enumerate(panels):
        for row, (method, plot) in enumerate(own):
            colour: dict[str, Any] = {
                "color": style.colour(content, method["name"]),
                "alpha": style.opacity(method),
            }
            axes.plot(plot["intervals"][i], [row - 0.2] * 2, linewidth=5.0, **colour)
            for k, member in enumerate(plot["members"][i], 1):
                height = row - 0.05 + 0.45 * k / len(plot["members"][i])
                axes.plot(numbers(member), [height] * 2, linewidth=1.2, **colour)
    return figure


def extrapolation(content: dict[str, Any]) -> Figure:
    """The confidence region along every parameter, thick, within the prior, thin."""
    figure, panels, own = spans(content, "extrapolation")
    for i, axes in enumerate(panels):
        for row, (method, plot) in enumerate(own):
            axes.plot(plot["prior"][i], [row] * 2, color=style.MUTED, marker="|", linewidth=1.2)
            axes.plot(
                numbers(plot["region"][i]),
                [row] * 2,
                linewidth=6.0,
                color=style.colour(content, method["name"]),
                alpha=style.opacity(method),
            )
    return figure


def bins(content: dict[str, Any]) -> Figure:
    """Effective simulated events of every bin that counts, fewest first."""
    own = drawn(content, "bins")
    figure = style.figure(height=3.6, width=6.0)
    axes = figure.subplots()
    for method, plot in own:
        values = np.sort(numbers(plot["size"]))
        share = (np.arange(len(values)) + 0.5) / len(values)
        axes.plot(share, values, linewidth=1.2, **look(content, method))
    needed = own[0][1]["needed"]
    axes.set_yscale("log")
    low = min(needed, *(min(plot["size"]) for _, plot in own))
    high = 2.0 * max(needed, *(max(plot["size"]) for _, plot in own))
    axes.axhspan(needed, high, color=style.MUTED, alpha=0.17, linewidth=0)
    axes.axhline(needed, color=style.INK, linewidth=0.8)
    axes.set_ylim(0.5 * low, high)
    axes.set_xlim(0.0, 1.0)
    axes.set_xlabel("bins, as a share of all")
    axes.set_ylabel("effective simulated events")
    legend(figure, content, "bins", 2)
    return figure


def tolerance(axes: Axes, width: float, direction: str) -> None:
    """A band around 0 that is passed whatever the statistics, and 0."""
    span, line = (axes.axhspan, axes.axhline) if direction == "h" else (axes.axvspan, axes.axvline)
    span(-width, width, color=style.MUTED, alpha=0.17, linewidth=0)
    line(0.0, color=style.INK, linewidth=0.8)


def numbers(values: list[float | None]) -> np.ndarray:
    """Numbers of a JSON list, NaN for what is none."""
    return np.array(values, dtype=float)


KINDS: dict[str, tuple[Callable[[dict[str, Any]], Figure], str]] = {
    "closure": (
        closure,
        "Mean estimated likelihood ratio over events of the denominator, one standard deviation of "
        "the prior along every axis. It is 1 for any true ratio; the band is tolerated whatever "
        "the statistics.",
    ),
    "reliability": (
        reliability,
        "What the likelihood ratio says about the fraction of events that come from its "
        "denominator, minus what is true, in bins; a shade for each of the points that are one "
        "standard deviation of the prior away. The band is tolerated whatever the statistics.",
    ),
    "reweighting": (
        reweighting,
        "How far events that are reweighted with the estimated ratio are from those at another "
        "parameter point: largest difference of the cumulative distributions of every observable, "
        "at the worst point. The band is tolerated whatever the statistics.",
    ),
    "ensemble": (
        ensemble,
        "Intervals of the ensemble, thick, and of each of its members, thin, from rate and shape.",
    ),
    "extrapolation": (
        extrapolation,
        "Where the network was trained, the central 99 % of the prior (thin), and how far the "
        "widest confidence region of all parameters reaches (thick).",
    ),
    "sizes": (
        sizes,
        "Effective number of simulated events at the assumed truth and reweighted to the edges of "
        "the intervals. In the band there are enough; left of it, their fluctuations make errors "
        "more than 12 % larger.",
    ),
    "bins": (
        bins,
        "Effective number of simulated events in the bins of histograms, fewest first. Below the "
        "band, a template fluctuates by more than 20 %.",
    ),
}
"""By kind of plot: how it is drawn, and its caption."""
