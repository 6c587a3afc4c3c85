"""What profiling systematic uncertainties costs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.figure import Figure

from madminer_workflow.report.figures import style
from madminer_workflow.report.figures.series import (
    Look,
    Series,
    ceiling_of,
    heading,
    methods_of,
    rate_of,
    row_panels,
)
from madminer_workflow.report.figures.tables import Column, Table, columns
from madminer_workflow.report.results import Report
from madminer_workflow.statistics.results import Number

LARGEST_RATIO = 10.0
"""Of standard deviations that an axis from zero can show."""


@dataclass(frozen=True)
class Width:
    """Standard deviations of one parameter with nuisance parameters fixed and profiled."""

    series: Series
    parameter: str
    fixed: Number
    profiled: Number


def widths_of(report: Report) -> list[Width]:
    """Those of every method and of the baselines."""
    return [
        Width(series, name, fixed, profiled)
        for series in (*methods_of(report), rate_of(report), ceiling_of(report))
        for name, fixed, profiled in zip(report.parameters, *_sigmas(series.subject), strict=True)
    ]


def _sigmas(subject: Any) -> Iterator[list[Number]]:
    yield subject.fisher_information.sigma
    yield subject.fisher_information_profiled.sigma


def draw(report: Report, rows: Sequence[Width]) -> Figure:
    """Standard deviations of every parameter with nuisance parameters fixed and profiled."""
    labels = list(dict.fromkeys(row.series.label for row in rows))
    figure, panels = row_panels(report, labels, height=1.4, row=0.4, label=r"$\sigma$({})")
    for name, axes in zip(report.parameters, panels, strict=True):
        widths = []
        for row in rows:
            if row.parameter != name or row.fixed is None or row.profiled is None:
                continue
            height = labels.index(row.series.label)
            marker, paint = row.series.marker, row.series.paint
            axes.plot([row.fixed, row.profiled], [height, height], linewidth=1.2, **paint)
            axes.plot(row.fixed, height, marker, markerfacecolor="none", markersize=8, **paint)
            axes.plot(row.profiled, height, marker, markersize=8, **paint)
            widths += [row.fixed, row.profiled]
        # A method that is blind to a parameter must not hide what the others know of it.
        if widths and max(widths) > LARGEST_RATIO * min(widths):
            axes.set_xscale("log")
        else:
            axes.set_xlim(left=0.0)
            style.few_ticks(axes.xaxis)
    heading(panels, "Expected", report)
    grey: Look = {"color": style.MUTED, "linestyle": "", "marker": "o", "markersize": 8}
    handles = [
        style.handle("nuisance parameters fixed", markerfacecolor="none", **grey),
        style.handle("profiled", **grey),
    ]
    style.legend_below(figure, handles, 2)
    return figure


def table(rows: Sequence[Width]) -> Table:
    """Both standard deviations of every method and parameter."""
    return Table(
        "systematics",
        "Expected standard deviation of each parameter, all others free, from the Fisher "
        "information.",
        columns(("Method", "Parameter"), [(row.series.title, row.parameter) for row in rows]),
        [
            Column("Standard deviation", values, "", {}, {"Nuisance parameters": words})
            for values, words in (
                ([row.fixed for row in rows], "fixed"),
                ([row.profiled for row in rows], "profiled"),
            )
        ],
    )
