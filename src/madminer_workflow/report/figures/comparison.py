"""Lengths of intervals over those of the method to use, with the errors of the ratios."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from madminer_workflow.report.figures import style
from madminer_workflow.report.figures.series import MethodSeries, heading, methods_of, row_panels
from madminer_workflow.report.figures.tables import Column, Table, columns
from madminer_workflow.report.results import IntervalComparison, Report
from madminer_workflow.statistics.results import Estimate

TOGETHER = "together"


@dataclass(frozen=True)
class Row:
    """One method beside the best."""

    series: MethodSeries
    comparison: IntervalComparison

    def ratios(self) -> Mapping[str, Estimate]:
        """By parameter and, if there are several, of all together."""
        comparison = self.comparison
        several = len(comparison.parameters) > 1
        return comparison.parameters | ({TOGETHER: comparison.together} if several else {})


def rows_of(report: Report) -> list[Row]:
    """The methods that are compared with another, most sensitive first."""
    order = report.verdict.order
    rows = [
        Row(series, series.subject.comparison)
        for series in methods_of(report)
        if series.subject.comparison and series.subject.comparison.best != series.name
    ]
    return sorted(rows, key=lambda row: order.index(row.series.name))


def draw(report: Report, rows: list[Row]) -> Figure:
    """A panel for each parameter, a line at 1 where there is no difference."""
    labels = [row.series.label for row in rows]
    figure, panels = row_panels(report, labels, height=1.1, row=0.36, label="relative length, {}")
    for name, axes in zip(report.parameters, panels, strict=True):
        for height, row in enumerate(rows):
            ratio = row.comparison.parameters[name]
            axes.errorbar(
                style.number(ratio.value),
                height,
                xerr=np.nan_to_num(style.number(ratio.error)),
                fmt="o",
                color=row.series.colour,
                alpha=row.series.alpha,
                capsize=3,
            )
        axes.axvline(1.0, color=style.INK, linewidth=0.7, zorder=0)
        style.few_ticks(axes.xaxis)
    heading(panels, "Expected", report)
    return figure


def table(rows: list[Row], report: Report) -> Table:
    """A row for each ratio."""
    ratios = [
        (row.series.name, name, ratio.value, ratio.error)
        for row in rows
        for name, ratio in row.ratios().items()
    ]
    level = float(report.verdict.confidence_level)
    return Table(
        "comparison",
        f"Lengths of expected intervals at {level} confidence level relative to those of "
        f"{report.verdict.recommended}, from rate and shape.",
        columns(("Method", "Parameter"), [row[:2] for row in ratios]),
        [
            Column(
                "Relative length",
                [row[2] for row in ratios],
                errors={"common events and trainings": [row[3] for row in ratios]},
            )
        ],
        ["LIMIT"],
    )
