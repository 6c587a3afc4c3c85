"""What pseudo-experiments say about the limits: distribution of q, coverage, intervals."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from madminer_workflow.report.figures import intervals, style
from madminer_workflow.report.figures.series import (
    Look,
    Series,
    by_data,
    heading,
    level_words,
    mark_truth,
    methods_of,
    name_levels,
    parameter_labels,
    row_panels,
)
from madminer_workflow.report.figures.tables import Column, Table, columns
from madminer_workflow.report.results import Report
from madminer_workflow.statistics.quantiles import chi2_density, chi2_probability, chi2_quantile
from madminer_workflow.statistics.results import (
    Estimate,
    JointThresholds,
    PointCoverage,
    ToySummary,
)

HEADROOM = 0.85
"""Part of the height that curves use; words above."""

ASYMPTOTIC: Look = {"color": style.INK, "linestyle": (0, (5, 2))}


@dataclass(frozen=True)
class Histogram:
    """q of the toys of one method at the point of that number."""

    series: Series
    number: int
    point: PointCoverage
    q: JointThresholds


@dataclass(frozen=True)
class Covered:
    """Coverage and critical value for one parameter, or "jointly", at the point of that number."""

    series: Series
    number: int
    point: PointCoverage
    parameter: str
    dof: int
    level: str
    coverage: Estimate
    critical: Estimate


def with_toys(report: Report) -> Iterator[tuple[Series, ToySummary]]:
    """The methods that have toys."""
    for series in methods_of(report):
        if series.subject.toys:
            yield series, series.subject.toys


def point_words(report: Report, point: PointCoverage) -> str:
    """A point by its name, or by its values."""
    labels = parameter_labels(report).values()
    values = [f"{text} = {value:.3g}" for text, value in zip(labels, point.theta, strict=True)]
    return point.name or textwrap.fill(", ".join(values), 60).replace("-", "−")


def point_panels(
    report: Report, points: Sequence[PointCoverage], place: tuple[float, float], **kwargs: Any
) -> tuple[Figure, list[Axes]]:
    """A panel for every point where toys are drawn, which it names at ``place``."""
    figure, panels = style.panels(len(points), height=3.9, sharey=True)
    for point, axes in zip(points, panels, strict=True):
        axes.annotate(
            f"toys at {point_words(report, point)}",
            place,
            xycoords="axes fraction",
            fontsize=11,
            **kwargs,
        )
    return figure, panels


def labelled(
    figure: Figure, panels: Sequence[Axes], handles: Sequence[Artist], report: Report, kind: str
) -> Figure:
    """The figure with its heading above at most two panels side by side, and a legend below."""
    heading(panels, kind.replace("_", " ").capitalize(), report)
    style.legend_below(figure, handles, 2 * min(2, len(panels)))
    return figure


def histograms_of(report: Report, kind: str) -> list[Histogram]:
    """Those of every method and point; bins may differ."""
    return [
        Histogram(series, number, point, point.kinds[kind])
        for series, toys in with_toys(report)
        for number, point in enumerate(toys.points)
    ]


def distributions(report: Report, rows: Sequence[Histogram], kind: str) -> Figure:
    """Density of q among the toys of each point, all parameters fixed, and χ²."""
    dof = len(report.parameters)
    levels = report.levels
    points = [row.point for row in rows if row.series == rows[0].series]
    figure, panels = point_panels(report, points, (0.96, 0.95), ha="right", va="top")
    for i, axes in enumerate(panels):
        shown = [row for row in rows if row.number == i]
        edges = shown[0].q.edges
        x = np.linspace(edges[0], edges[-1], 400)[1:]
        axes.plot(x, chi2_density(x, dof), linewidth=1.2, **ASYMPTOTIC)
        for level in levels:
            threshold = chi2_quantile(float(level), dof)
            axes.axvline(threshold, ymax=HEADROOM, linewidth=0.8, **ASYMPTOTIC)
        for row in shown:
            draw_histogram(axes, row, levels)
        axes.set_yscale("log")
        axes.set_xlim(shown[-1].q.edges[0], shown[-1].q.edges[-1])
        axes.set_xlabel(r"$q$")
    smallest = 0.3 / max(toys.n_toys for _, toys in with_toys(report))
    bottom = smallest / np.diff(rows[-1].q.edges).max()
    top = panels[0].get_ylim()[1]
    panels[0].set_ylim(bottom, bottom * (top / bottom) ** (1.0 / HEADROOM))
    for axes in panels[::2]:
        axes.set_ylabel("density of toys")
    series = dict.fromkeys(row.series for row in rows)
    words = f"critical values, {' and '.join(map(level_words, levels))}"
    ticks: Look = {"color": style.MUTED, "linestyle": "", "marker": "|", "markersize": 13}
    handles = [
        *(style.handle(one.label, **one.paint) for one in series),
        style.handle(rf"$\chi^2$, {dof} d.o.f.", linewidth=1.2, **ASYMPTOTIC),
        style.handle(words, **ticks),
    ]
    return labelled(figure, panels, handles, report, kind)


def draw_histogram(axes: Axes, row: Histogram, levels: Sequence[str]) -> None:
    """A density with statistical errors, and its critical values."""
    edges = np.array(row.q.edges)
    counts = np.array(row.q.q, dtype=float)
    width = np.diff(edges)
    n = max(counts.sum(), 1.0)
    density, error = counts / (n * width), np.sqrt(counts) / (n * width)
    paint = row.series.paint
    axes.stairs(density, edges, baseline=None, linewidth=1.6, **paint)
    centres = 0.5 * (edges[1:] + edges[:-1])
    axes.errorbar(centres, density, yerr=error, fmt="none", elinewidth=1, **paint)
    for level in levels:
        critical = style.number(row.q.critical[level].value)
        axes.axvline(critical, ymax=HEADROOM, linewidth=1.0, **paint)


def distribution_tables(report: Report, rows: Sequence[Histogram], kind: str) -> list[Table]:
    """Histograms of q, one table per method and point."""
    dof = len(report.parameters)
    tables = []
    for row in rows:
        name, point = row.series.name, row.point
        asymptotic = np.diff(chi2_probability(np.array(row.q.edges), dof)) * sum(row.q.q)
        qualifiers = {
            "Method": name,
            "Limits from": kind.replace("_", " "),
            **dict(zip(report.parameters, point.theta, strict=True)),
        }
        expected = f"χ² with {dof} degrees of freedom"
        tables.append(
            Table(
                f"toys_{kind}_{name}_{row.number}",
                f"Test statistic q of {name} at {point.name or 'the point'} in toys drawn there; "
                "the last bin includes the overflow.",
                [Column("q", list(pairwise(row.q.edges)))],
                [
                    Column("Toys", row.q.q, qualifiers=qualifiers),
                    Column(expected, asymptotic.tolist(), qualifiers=qualifiers),
                ],
            )
        )
    return tables


def coverage_of(report: Report, kind: str) -> list[Covered]:
    """Coverage by method, point, parameter and level, jointly first if there are several."""
    n = len(report.parameters)
    return [
        Covered(
            series,
            i,
            point,
            name,
            dof,
            level,
            q.coverage[level],
            q.critical[level],
        )
        for series, toys in with_toys(report)
        for i, point in enumerate(toys.points)
        for name, dof, q in (
            *([("jointly", n, point.kinds[kind])] if n > 1 else []),
            *((name, 1, point.kinds[kind].parameters[name]) for name in report.parameters),
        )
        for level in report.levels
    ]


def coverage(report: Report, rows: Sequence[Covered], kind: str) -> Figure:
    """Coverage of the asymptotic limits, jointly and of each parameter, by point and method."""
    labels = {"jointly": "jointly", **parameter_labels(report)}
    groups = list(dict.fromkeys(row.parameter for row in rows))
    series = list(dict.fromkeys(row.series for row in rows))
    points = next(toys.points for _, toys in with_toys(report))
    figure, panels = point_panels(report, points, (0.04, 0.05))
    for number, axes in enumerate(panels):
        for level in report.levels:
            axes.axhline(float(level), color=style.MUTED, linewidth=1.0, zorder=0)
        for one, offset in zip(series, style.offsets(len(series), 0.56), strict=True):
            for level in report.levels:
                shown = [
                    row.coverage
                    for row in rows
                    if row.series == one and row.number == number and row.level == level
                ]
                axes.errorbar(
                    np.arange(len(groups)) + offset,
                    style.numbers([estimate.value for estimate in shown]),
                    yerr=style.numbers([estimate.error for estimate in shown]),
                    fmt=one.marker,
                    markersize=5,
                    linewidth=1.3,
                    **one.paint,
                )
        axes.set_xticks(range(len(groups)), [labels[name] for name in groups])
        axes.set_xlim(-0.6, len(groups) - 0.4)
        style.categories(axes, "x")
    ends = style.numbers([(row.coverage.value, row.coverage.error) for row in rows])
    lowest = min((ends[:, 0] - ends[:, 1]).min(), *map(float, report.levels))
    panels[0].set_ylim(lowest - 0.12, 1.02)
    for axes in {*panels[1::2], panels[-1]}:
        name_levels(axes, {level: float(level) for level in report.levels})
    for axes in panels[::2]:
        axes.set_ylabel("coverage")
    handles = [style.handle(one.label, **one.points) for one in series]
    return labelled(figure, panels, handles, report, kind)


def coverage_table(report: Report, rows: Sequence[Covered], kind: str) -> Table:
    """Coverage and critical values, with errors of the number of toys."""
    error = "number of toys"
    return Table(
        f"coverage_{kind}",
        f"Coverage of the asymptotic limits from {kind.replace('_', ' ')}, and critical values "
        "of q in toys.",
        columns(
            ("Method", "Point", "Parameter", "Confidence level"),
            [
                (row.series.name, point_words(report, row.point), row.parameter, float(row.level))
                for row in rows
            ],
        ),
        [
            Column(
                "Coverage",
                [row.coverage.value for row in rows],
                errors={error: [row.coverage.error for row in rows]},
            ),
            Column(
                "Critical value of q",
                [row.critical.value for row in rows],
                errors={error: [row.critical.error for row in rows]},
            ),
            Column(
                "Asymptotic critical value of q",
                [chi2_quantile(float(row.level), row.dof) for row in rows],
            ),
        ],
    )


def constructed_of(report: Report, kind: str) -> list[intervals.Row]:
    """Intervals with thresholds from toys."""
    return [
        intervals.Row(series, data, name, by_parameter[name])
        for series, toys in with_toys(report)
        for data, by_parameter in by_data(toys.intervals, toys.observed_intervals, kind)
        for name in report.parameters
    ]


def constructed(report: Report, rows: Sequence[intervals.Row], kind: str) -> Figure:
    """Expected intervals: filled with asymptotic thresholds, framed with those from toys."""
    levels = report.levels
    labels = list(dict.fromkeys(row.series.label for row in rows))
    figure, panels = row_panels(report, labels, height=1.3, row=0.42)
    for name, axes in zip(report.parameters, panels, strict=True):
        edges = []
        for row in rows:
            if row.parameter != name or row.data == "observed":
                continue
            height = labels.index(row.series.label)
            asymptotic = row.series.subject.limits[kind].intervals[name]
            filled = intervals.Row(row.series, row.data, name, asymptotic)
            intervals.boxes(axes, height, filled, levels)
            frames(axes, height, row, levels)
            both = [*asymptotic[levels[-1]], *row.intervals[levels[-1]]]
            edges += [edge for interval in both for edge in interval]
        axes.set_xlim(*intervals.with_margin(edges, report.grid[name]))
        mark_truth(axes, report, name)
        style.few_ticks(axes.xaxis)
    heading(panels, "Expected", report)
    handles = [
        *intervals.level_patches(levels, ", asymptotic"),
        Patch(facecolor="none", edgecolor=style.INK, label="with toys (Neyman)"),
    ]
    style.legend_below(figure, handles, 2 if len(panels) == 1 else 4)
    return figure


def frames(axes: Axes, height: float, row: intervals.Row, levels: Sequence[str]) -> None:
    """A frame per interval, higher levels taller."""
    for level, tall in zip(levels, np.linspace(0.5, 0.76, len(levels)), strict=True):
        axes.broken_barh(
            [(low, high - low) for low, high in row.intervals[level]],
            (height - tall / 2, tall),
            facecolor="none",
            edgecolor=style.INK,
            linewidth=1.1,
        )


def constructed_table(rows: Sequence[intervals.Row], kind: str, levels: Sequence[str]) -> Table:
    """Intervals with thresholds from toys, a row each."""
    values = columns(
        (*intervals.KEYS, "Lower end", "Upper end"),
        [
            (row.series.name, row.parameter, float(level), row.data, low, high)
            for row in rows
            for level in levels
            for low, high in row.intervals[level]
        ],
    )
    return Table(
        f"neyman_{kind}",
        f"Intervals from {kind.replace('_', ' ')} with critical values from toys along each "
        "parameter, the other parameters profiled.",
        values[:4],
        values[4:],
        ["LIMIT"],
    )
