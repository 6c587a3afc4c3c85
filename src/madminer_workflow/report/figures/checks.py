"""Checks of models: one figure a kind, with all methods that have it, and a table for each.

They are made from the ``plot`` of the checks; see ``statistics.checks``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from madminer_workflow.report.figures import style
from madminer_workflow.report.figures.series import (
    Look,
    MethodSeries,
    Series,
    methods_of,
    row_panels,
)
from madminer_workflow.report.figures.tables import Column, Table
from madminer_workflow.report.figures.tables import columns as columns_of
from madminer_workflow.report.results import Report
from madminer_workflow.statistics.results import (
    AnyPlot,
    BinsPlot,
    ClosurePlot,
    EnsemblePlot,
    ExtrapolationPlot,
    Number,
    ReliabilityPlot,
    ReliabilityTolerance,
    ReweightingPlot,
    SizesPlot,
)

ROW = 0.34
"""Height of a row of points [inches]."""

SPREAD = 0.6
"""How much of a row the points of the methods take."""

BAND: Look = {"color": style.MUTED, "alpha": 0.17, "linewidth": 0}
"""What is passed, whatever the statistics."""

THIN: Look = {"color": style.INK, "linewidth": 0.8}


def shown(report: Report) -> dict[str, list[tuple[MethodSeries, AnyPlot]]]:
    """The methods with each kind of plot, with what it shows, in the order of ``KINDS``."""
    plots = [
        (series, check.plot)
        for series in methods_of(report)
        for check in series.subject.checks
        if check.plot
    ]
    by_kind = {
        kind: [row for row in plots if row[1].__struct_config__.tag == kind] for kind in KINDS
    }
    return {kind: rows for kind, rows in by_kind.items() if rows}


def look(series: Series, opacity: float = 1.0) -> Look:
    """Arguments of a method's points."""
    return {
        "color": series.colour,
        "marker": series.marker,
        "alpha": opacity * series.alpha,
        "markersize": 5.0,
    }


def legend(figure: Figure, rows: Sequence[tuple[Series, Any]]) -> None:
    """The methods, below the panels."""
    handles = [style.handle(s.label, linestyle="", **look(s)) for s, _ in rows]
    style.legend_below(figure, handles, 2)


def reliability(report: Report, rows: Sequence[tuple[Series, ReliabilityPlot]]) -> Figure:
    """True minus predicted class fraction against the prediction, a panel for each method."""
    figure, panels = style.panels(len(rows), height=3.5, sharex=True, sharey=True)
    for axes, (series, plot) in zip(panels, rows, strict=True):
        reliability_band(axes, plot.tolerance)
        shades = np.linspace(0.35, 1.0, len(plot.curves))
        for shade, curve in zip(shades, plot.curves, strict=True):
            predicted = style.numbers(curve.predicted)
            axes.errorbar(
                predicted,
                style.numbers(curve.true) - predicted,
                yerr=style.numbers(curve.error),
                linewidth=1.2,
                **look(series, shade),
            )
        axes.set_title(series.label, loc="left")
        axes.set_xlabel("predicted fraction of the denominator")
    every = np.concatenate([style.numbers(c.predicted) for _, plot in rows for c in plot.curves])
    low, high = every.min(), every.max()
    panels[0].set_xlim(low - 0.06 * (high - low), high + 0.06 * (high - low))
    for axes in panels[::2]:
        axes.set_ylabel("true − predicted fraction")
    return figure


def reliability_band(axes: Axes, tolerated: ReliabilityTolerance) -> None:
    """What is passed whatever the statistics: less on the side of too much confidence."""
    bold, cautious = tolerated.overconfident, tolerated.cautious
    for low, high, ends in ((-cautious, bold, (0.0, 0.5)), (-bold, cautious, (0.5, 1.0))):
        axes.fill_between(ends, low, high, **BAND)
    axes.axhline(0.0, **THIN)


def points_in_rows(
    labels: Sequence[str],
    height: float,
    centre: float,
    tolerance: float,
    points: Sequence[tuple[Series, Any, Sequence[Number], Sequence[Number]]],
) -> tuple[Figure, Axes]:
    """Rows with the points of all methods side by side, and a band of what is tolerated.

    ``points`` are positions of rows, values and errors of each method.
    """
    n = len(points)
    figure, [axes] = style.panels(
        1, height=height + ROW * len(labels) * max(1.0, 0.5 * n), width=6.4
    )
    axes.axvspan(centre - tolerance, centre + tolerance, **BAND)
    axes.axvline(centre, **THIN)
    for offset, (series, rows, values, errors) in zip(
        style.offsets(n, SPREAD), points, strict=True
    ):
        axes.errorbar(
            style.numbers(values),
            np.asarray(rows) + offset,
            xerr=style.numbers(errors),
            linestyle="",
            elinewidth=1.2,
            **look(series),
        )
    style.name_rows(axes, labels)
    return figure, axes


def reweighting(report: Report, rows: Sequence[tuple[Series, ReweightingPlot]]) -> Figure:
    """The largest difference of the distributions of each observable, with its tolerance."""
    first = rows[0][1]
    labels = {one.name: style.label(one.latex, one.name) for one in report.observables}
    figure, axes = points_in_rows(
        [labels.get(name, name) for name in first.observables],
        1.3,
        0.0,
        first.tolerance,
        [(s, np.arange(len(plot.error)), plot.difference, plot.error) for s, plot in rows],
    )
    axes.set_xlim(left=0.0)
    axes.set_xlabel("largest difference of the cumulative distributions")
    legend(figure, rows)
    return figure


def closure(report: Report, rows: Sequence[tuple[Series, ClosurePlot]]) -> Figure:
    """Mean likelihood ratio at every point of the check."""
    points = list(dict.fromkeys(tuple(point) for _, plot in rows for point in plot.points))
    figure, axes = points_in_rows(
        [point_label(report, point) for point in points],
        1.4,
        1.0,
        rows[0][1].tolerance,
        [
            (s, [points.index(tuple(point)) for point in plot.points], plot.mean, plot.error)
            for s, plot in rows
        ],
    )
    axes.set_xlabel("mean likelihood ratio over events of the denominator")
    legend(figure, rows)
    return figure


def point_label(report: Report, point: Sequence[float]) -> str:
    """A parameter point by what differs from zero: "CWL2 = 0.5"."""
    values = zip(report.parameters, point, strict=True)
    words = [f"{name} = {value:.3g}" for name, value in values if value]
    return (", ".join(words) or "all 0").replace("-", "−")


def sizes(report: Report, rows: Sequence[tuple[Series, SizesPlot]]) -> Figure:
    """Effective simulated events at the truth and at the edges of intervals, and what is needed."""
    figure, [axes] = style.panels(1, height=1.4 + 1.2 * ROW * len(rows), width=6.4)
    for row, (series, plot) in enumerate(rows):
        values = style.numbers(plot.size)
        axes.plot(values, np.full(len(values), row), linestyle="", **look(series))
    needed = max(plot.needed for _, plot in rows)
    right = 1.1 * max(needed, *(style.numbers(plot.size).max() for _, plot in rows))
    axes.axvspan(needed, right, **BAND)
    axes.axvline(needed, **THIN)
    style.name_rows(axes, [series.label for series, _ in rows])
    axes.set_xlim(0.0, right)
    axes.set_xlabel("effective simulated events")
    return figure


def ensemble(report: Report, rows: Sequence[tuple[Series, EnsemblePlot]]) -> Figure:
    """Intervals of the ensemble, thick, and of each member, thin."""
    figure, panels = spans(report, rows)
    for i, axes in enumerate(panels):
        for row, (series, plot) in enumerate(rows):
            interval, members = plot.intervals[i], plot.members[i]
            axes.plot(style.numbers(interval), [row - 0.2] * 2, linewidth=5.0, **series.paint)
            for k, member in enumerate(members, 1):
                height = row - 0.05 + 0.45 * k / len(members)
                axes.plot(style.numbers(member), [height] * 2, linewidth=1.2, **series.paint)
    return figure


def extrapolation(report: Report, rows: Sequence[tuple[Series, ExtrapolationPlot]]) -> Figure:
    """The confidence region along every parameter, thick, within the prior, thin."""
    figure, panels = spans(report, rows)
    for i, axes in enumerate(panels):
        for row, (series, plot) in enumerate(rows):
            axes.plot(plot.prior[i], [row] * 2, color=style.MUTED, marker="|", linewidth=1.2)
            axes.plot(style.numbers(plot.region[i]), [row] * 2, linewidth=6.0, **series.paint)
    return figure


def spans(report: Report, rows: Sequence[tuple[Series, Any]]) -> tuple[Figure, list[Axes]]:
    """Panels for ranges of the parameters, one row for each method."""
    return row_panels(report, [series.label for series, _ in rows], height=1.3, row=2.2 * ROW)


def bins(report: Report, rows: Sequence[tuple[Series, BinsPlot]]) -> Figure:
    """Effective simulated events of every bin that counts, fewest first."""
    figure, [axes] = style.panels(1, height=3.6, width=6.0)
    for series, plot in rows:
        values = np.sort(style.numbers(plot.size))
        share = (np.arange(len(values)) + 0.5) / len(values)
        axes.plot(share, values, linewidth=1.2, **look(series))
    needed = rows[0][1].needed
    axes.set_yscale("log")
    low = min(needed, *(style.numbers(plot.size).min() for _, plot in rows))
    high = 2.0 * max(needed, *(style.numbers(plot.size).max() for _, plot in rows))
    axes.axhspan(needed, high, **BAND)
    axes.axhline(needed, **THIN)
    axes.set_ylim(0.5 * low, high)
    axes.set_xlim(0.0, 1.0)
    axes.set_xlabel("fraction of bins")
    axes.set_ylabel("effective simulated events")
    legend(figure, rows)
    return figure


Columns = tuple[list[Column], list[Column]]
"""Independent and dependent ones."""


def table(method: str, kind: str, plot: AnyPlot, report: Report) -> Table:
    """The table of a check of one method."""
    independent, dependent = KINDS[kind].columns(plot, report)
    return Table(
        f"check_{kind}_{method}",
        f"{KINDS[kind].title} {method}.",
        independent,
        [replace(column, qualifiers={"Method": method}) for column in dependent],
    )


def point_columns(values: Sequence[Sequence[float]], report: Report) -> list[Column]:
    """Parameter points as a column for each parameter."""
    return columns_of(report.parameters, values)


def closure_columns(plot: ClosurePlot, report: Report) -> Columns:
    """The mean ratio at every point."""
    mean = Column("Mean likelihood ratio", plot.mean, errors={"statistics": plot.error})
    return point_columns(plot.points, report), [mean]


def reliability_columns(plot: ReliabilityPlot, report: Report) -> Columns:
    """Bins of all curves below each other."""
    rows = [
        (point, *values)
        for point, curve in zip(plot.points, plot.curves, strict=True)
        for values in zip(curve.predicted, curve.true, curve.error, strict=True)
    ]
    every, predicted, true, errors = map(list, zip(*rows, strict=True))
    return (
        [*point_columns(every, report), Column("Predicted fraction", predicted)],
        [Column("True fraction", true, errors={"statistics": errors})],
    )


def reweighting_columns(plot: ReweightingPlot, report: Report) -> Columns:
    """Every observable."""
    return [Column("Observable", plot.observables)], [
        Column("Largest difference", plot.difference, errors={"statistics": plot.error}),
        Column("Largest difference allowed", plot.allowed),
    ]


def sizes_columns(plot: SizesPlot, report: Report) -> Columns:
    """Every parameter point, by its name."""
    return [Column("Point", plot.points)], [
        Column("Effective simulated events", plot.size),
        Column("Needed", [plot.needed] * len(plot.points)),
    ]


def ensemble_columns(plot: EnsemblePlot, report: Report) -> Columns:
    """The intervals of the ensemble and of its members, 1, 2, ..., below each other."""
    rows = [
        (parameter, str(who), low, high)
        for parameter, interval, members in zip(
            plot.parameters, plot.intervals, plot.members, strict=True
        )
        for who, (low, high) in [("ensemble", interval), *enumerate(members, 1)]
    ]
    columns = columns_of(("Parameter", "Member", "Lower edge", "Upper edge"), rows)
    return columns[:2], columns[2:]


def extrapolation_columns(plot: ExtrapolationPlot, report: Report) -> Columns:
    """Prior and confidence region along every parameter."""
    edges = [
        Column(f"{side} end of the {what}", [pair[i] for pair in pairs])
        for pairs, what in ((plot.prior, "prior"), (plot.region, "confidence region"))
        for i, side in enumerate(("Lower", "Upper"))
    ]
    return [Column("Parameter", report.parameters)], edges


def bins_columns(plot: BinsPlot, report: Report) -> Columns:
    """Every bin that counts."""
    numbers = list(range(1, len(plot.size) + 1))
    return [Column("Bin", numbers)], [Column("Effective simulated events", plot.size)]


@dataclass(frozen=True)
class Kind:
    """How checks of a kind are drawn, what the figure shows, and what the table of a method."""

    draw: Callable[[Report, Any], Figure]
    caption: str
    columns: Callable[[Any, Report], Columns]
    title: str


KINDS = {
    "closure": Kind(
        closure,
        "Mean estimated likelihood ratio over events of the denominator, at points along every "
        "axis. It is 1 for any true ratio; values within the band are tolerated whatever the "
        "statistics.",
        closure_columns,
        "Mean of the likelihood ratio over events of the denominator, from",
    ),
    "reliability": Kind(
        reliability,
        "True minus predicted fraction of events from the denominator of the likelihood ratio, "
        "in bins of the predicted fraction; one shade per point along the axes. Values within "
        "the band are tolerated whatever the statistics.",
        reliability_columns,
        "True against predicted fraction of the denominator, from",
    ),
    "reweighting": Kind(
        reweighting,
        "Difference between events reweighted with the estimated ratio and events at another "
        "parameter point: the largest difference of the cumulative distributions of every "
        "observable, at the worst point. Values within the band are tolerated whatever the "
        "statistics.",
        reweighting_columns,
        "Distributions of observables against reweighted ones, from",
    ),
    "ensemble": Kind(
        ensemble,
        "Intervals of the ensemble (thick) and of each of its members (thin), from rate and shape.",
        ensemble_columns,
        "Intervals of the members of",
    ),
    "extrapolation": Kind(
        extrapolation,
        "The region in which the network was trained, the central 99 % of the prior (thin), and "
        "the extent of the widest confidence region of all parameters (thick).",
        extrapolation_columns,
        "Extent of the prior and of the confidence region, for",
    ),
    "sizes": Kind(
        sizes,
        "Effective number of simulated events at the assumed truth, and reweighted to the edges "
        "of the intervals. Within the band there are enough; to the left of it, their "
        "fluctuations make errors more than 12 % larger.",
        sizes_columns,
        "Effective numbers of simulated events for the limits of",
    ),
    "bins": Kind(
        bins,
        "Effective number of simulated events in the bins of histograms, fewest first. Below the "
        "band, a template fluctuates by more than 20 %.",
        bins_columns,
        "Effective numbers of simulated events in the bins of",
    ),
}
