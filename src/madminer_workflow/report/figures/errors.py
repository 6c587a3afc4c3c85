"""What intervals are made of: the errors of data, simulation and training."""

from __future__ import annotations

from dataclasses import dataclass

from matplotlib.figure import Figure

from madminer_workflow.report.figures import style
from madminer_workflow.report.figures.series import (
    Look,
    MethodSeries,
    heading,
    methods_of,
    row_panels,
)
from madminer_workflow.report.figures.tables import Column, Table, columns
from madminer_workflow.report.results import Report
from madminer_workflow.statistics.results import ParameterError

KIND = "rate_and_shape"

MARKERS = {"statistical": "o", "simulation": "s", "training": "^"}
"""By source of error."""


@dataclass(frozen=True)
class Row:
    """The errors of one method, by parameter."""

    series: MethodSeries
    errors: dict[str, ParameterError]


def rows_of(report: Report) -> list[Row]:
    """Those of the methods that know the error of their simulation."""
    return [
        Row(series, errors)
        for series in methods_of(report)
        if (errors := series.subject.limits[KIND].errors)
    ]


def draw(report: Report, rows: list[Row]) -> Figure:
    """A panel for each parameter, a mark for each source of error."""
    labels = [row.series.label for row in rows]
    figure, panels = row_panels(report, labels, height=1.4, row=0.36, label=r"$\sigma$({})")
    for name, axes in zip(report.parameters, panels, strict=True):
        for height, row in enumerate(rows):
            paint: Look = {"color": row.series.colour, "alpha": row.series.alpha}
            for source, marker in MARKERS.items():
                value = getattr(row.errors[name], source)
                if value:
                    axes.plot(value, height, marker, markersize=7, **paint)
        axes.set_xscale("log")
    heading(panels, "Expected", report)
    grey: Look = {"color": style.MUTED, "linestyle": "", "markersize": 7}
    handles = [style.handle(source, marker=marker, **grey) for source, marker in MARKERS.items()]
    style.legend_below(figure, handles, len(handles))
    return figure


def table(rows: list[Row], report: Report) -> Table:
    """A row for each method and parameter."""
    entries = [
        (row.series.title, name, row.errors[name]) for row in rows for name in report.parameters
    ]
    return Table(
        "errors",
        "Expected contributions to one standard deviation of each parameter, with the others "
        "profiled, from rate and shape.",
        columns(("Method", "Parameter"), [entry[:2] for entry in entries]),
        [
            Column(
                "Standard deviation",
                [getattr(one, source) for _, _, one in entries],
                "",
                {},
                {"Source": source},
            )
            for source in MARKERS
        ],
    )
