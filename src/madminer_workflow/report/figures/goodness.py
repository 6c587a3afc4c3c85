"""Whether observed data look like the simulation: p-values, and what differs most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from madminer_workflow.report.comparison import KIND
from madminer_workflow.report.figures import style
from madminer_workflow.report.figures.series import MethodSeries, methods_of, parameter_labels
from madminer_workflow.report.figures.tables import Column, Table, columns
from madminer_workflow.report.goodness import DOUBTFUL, deciding, p_is, words
from madminer_workflow.report.results import Report
from madminer_workflow.statistics.results import Goodness, GoodnessPlot

TOGETHER = "all tests together"


@dataclass(frozen=True, eq=False)
class Row:
    """The p-values of a method's fit by test."""

    series: MethodSeries
    p: dict[str, float]


def rows_of(report: Report) -> list[Row]:
    """Of every method whose fit was tested, from rate and shape."""
    rows = []
    for series in methods_of(report):
        found = (series.subject.goodness or {}).get(KIND)
        if found:
            p = {words(test): test.p_value for test in found.tests}
            rows.append(Row(series, {TOGETHER: found.p_value, **p}))
    return rows


def shown(report: Report) -> tuple[str, Goodness]:
    """The method whose fit counts, and its tests."""
    by_name = {method.name: method for method in report.methods}
    ranked = [by_name[name] for name in report.verdict.order]
    method = deciding(ranked, [method for method in ranked if method.believed])
    assert method is not None and method.goodness, "there is a row for each method"
    return method.name, method.goodness[KIND]


def caption(found: tuple[str, Goodness]) -> str:
    """What is drawn."""
    method, goodness = found
    text = (
        "Left: p-values of the observed data at each method's best fit to rate and shape, from "
        f"toys; the line is at {DOUBTFUL:g}."
    )
    if goodness.plot is None:
        return text
    return (
        f"{text} Right: the largest discrepancy at the best fit of {method}, "
        f"{plot_words(goodness.plot)}: events per unit, with the simulation normalised to the "
        "observed number. Shaded: the least likely interval. Below: pulls."
    )


def plot_words(plot: GoodnessPlot) -> str:
    """What is drawn of the data."""
    return f"the score of {plot.name}" if plot.about == "score" else plot.name


def draw(report: Report, rows: Sequence[Row], found: tuple[str, Goodness]) -> Figure:
    """p-values beside the observable that differs most."""
    plot = found[1].plot
    figure = style.figure(1 if plot is None else 2, height=5.2)
    grid = figure.add_gridspec(2, 1 if plot is None else 2, height_ratios=[3, 1])
    left = figure.add_subplot(grid[:, 0])
    p_values(left, rows, found[1].n_toys)
    if plot is not None:
        top = figure.add_subplot(grid[0, 1])
        bottom = figure.add_subplot(grid[1, 1], sharex=top)
        compare(report, top, bottom, found[1])
    handles, _ = left.get_legend_handles_labels()
    style.legend_below(figure, handles, min(len(handles), 4))
    return figure


def p_values(axes: Axes, rows: Sequence[Row], n_toys: int) -> None:
    """By test, the one of all together on top."""
    names = list(dict.fromkeys(name for row in rows for name in row.p))
    for i, row in enumerate(rows):
        shift = 0.5 * (i + 0.5) / len(rows) - 0.25
        places = [names.index(name) + shift for name in row.p]
        axes.plot(list(row.p.values()), places, **row.series.points, label=row.series.label)
    axes.axvline(DOUBTFUL, color=style.INK, linewidth=1.0, linestyle="--")
    axes.axhspan(-0.5, 0.5, color=style.MUTED, alpha=0.12, linewidth=0)
    axes.set_xscale("log")
    axes.set_xlim(0.5 / (n_toys + 1.0) if n_toys > 300 else 1e-3, 1.3)
    axes.set_xlabel("p-value")
    style.name_rows(axes, names)
    axes.set_ylim(len(names) - 0.4, -0.6)


def compare(report: Report, top: Axes, bottom: Axes, found: Goodness) -> None:
    """Data and simulation, and pulls."""
    plot, place = found.plot, found.place
    assert plot is not None and place is not None, "the largest discrepancy is drawn"
    edges, observed = clipped(plot), np.array(plot.observed)
    expected = style.numbers(plot.expected)
    widths, middle = np.diff(edges), 0.5 * (edges[1:] + edges[:-1])
    low, high = place.interval or (None, None)
    shaded = edges[0] if low is None else low, edges[-1] if high is None else high
    for axes in (top, bottom):
        axes.axvspan(*shaded, color=style.METHOD_COLOURS[4], alpha=0.18, linewidth=0)
    top.stairs(expected / widths, edges, color=style.MUTED, alpha=0.3, fill=True)
    top.stairs(expected / widths, edges, color=style.INK, linewidth=1.2, label="best fit")
    top.errorbar(
        middle,
        observed / widths,
        np.sqrt(observed) / widths,
        fmt="o",
        color=style.METHOD_COLOURS[1],
        markersize=4.0,
        elinewidth=1.2,
        label="data",
    )
    top.set_ylim(bottom=0.0)
    top.set_xlim(edges[0], edges[-1])
    top.tick_params(labelbottom=False)
    bottom.stairs(pulls(observed, expected), edges, color=style.METHOD_COLOURS[1], fill=True)
    bottom.axhline(0.0, color=style.INK, linewidth=0.8)
    largest = reach(pulls(observed, expected))
    bottom.set_ylim(-largest, largest)
    unit, label = labels(report, plot)
    top.set_ylabel(f"events / {unit}" if unit else "events per unit")
    bottom.set_ylabel("pull")
    bottom.set_xlabel(label)
    top.legend(frameon=False)
    top.set_title(p_is(place.p_value, found.n_toys), loc="right")


def clipped(plot: GoodnessPlot) -> np.ndarray:
    """Edges whose outer bins are no more than a few times as wide as those beside them."""
    edges = np.array(plot.edges)
    if len(edges) > 3:
        edges[0] = max(edges[0], edges[1] - 4.0 * (edges[2] - edges[1]))
        edges[-1] = min(edges[-1], edges[-2] + 4.0 * (edges[-2] - edges[-3]))
    return edges


def pulls(observed: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """Observed less expected events in standard deviations of Poisson's law."""
    return (observed - expected) / np.sqrt(np.maximum(expected, 1e-9))


def reach(shown: np.ndarray) -> float:
    """How far an axis of pulls extends on both sides of zero."""
    return max(3.5, 1.1 * float(np.abs(shown).max(initial=0.0)))


def labels(report: Report, plot: GoodnessPlot) -> tuple[str, str]:
    """The unit and the label of what is drawn."""
    if plot.about == "score":
        return "", f"score of {parameter_labels(report).get(plot.name, plot.name)}"
    for observable in report.observables:
        if observable.name == plot.name:
            return observable.unit, style.label(observable.latex, plot.name, observable.unit)
    return "", plot.name


def tables(report: Report, rows: Sequence[Row], found: tuple[str, Goodness]) -> list[Table]:
    """The p-values of all methods, and what differs most."""
    names = list(dict.fromkeys(name for row in rows for name in row.p))
    result = [
        Table(
            "goodness_of_fit",
            "p-values of the observed data at the best fits to rate and shape, from toys.",
            columns(("Test",), [(name,) for name in names]),
            [
                Column(
                    "p-value",
                    [row.p.get(name) for name in names],
                    qualifiers={"Method": row.series.name},
                )
                for row in rows
            ],
        )
    ]
    method, goodness = found
    plot = goodness.plot
    if plot is not None:
        unit, label = labels(report, plot)
        about = {"Method": method}
        result.append(
            Table(
                "goodness_of_fit_worst",
                f"Observed events and those expected at the best fit of {method}, normalised to "
                f"the observed number, in bins of {plot_words(plot)}.",
                [Column(label, list(pairwise(plot.edges)), unit)],
                [
                    Column("Observed events", plot.observed, qualifiers=about),
                    Column("Expected events", plot.expected, qualifiers=about),
                ],
            )
        )
    return result
