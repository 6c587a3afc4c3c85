"""Fisher information."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from madminer_workflow.report.figures import style
from madminer_workflow.report.figures.series import (
    CEILING,
    Look,
    ceiling_of,
    heading,
    methods_of,
    parameter_labels,
    rate_of,
)
from madminer_workflow.report.figures.tables import Column, Table, columns
from madminer_workflow.report.results import MethodInformation, Report
from madminer_workflow.statistics.results import Matrix

MARGIN = 1.15
PUBLISHED = (0, (2.2, 1.4))
CEILING_LOOK: Look = {"linestyle": CEILING, "linewidth": 1.4, "color": style.INK}


def ellipses(report: Report, i: int, j: int) -> Figure:
    """Ellipses of parameters ``i`` and ``j`` around the reference, the others fixed."""
    figure, [axes] = style.panels(1, height=4.9, width=style.WIDTH)
    centre = np.array(report.setup.fisher_theta.theta)[[i, j]]
    half_widths = []
    handles = []

    def draw(matrix: Matrix | list[list[float]], **look: Any) -> np.ndarray:
        return _draw(axes, np.array(matrix, dtype=float)[np.ix_([i, j], [i, j])], centre, **look)

    def draw_labelled(matrix: Matrix | list[list[float]], label: str, **look: Any) -> None:
        half_widths.append(draw(matrix, **look))
        handles.append(style.handle(label, **look))

    for series in methods_of(report):
        information = series.subject.fisher_information
        for member in information.members if len(information.members) > 1 else []:
            draw(member, linewidth=0.7, alpha=0.45, color=series.colour)
        draw_labelled(information.matrix, series.label, **series.paint)
        if information.published is not None:
            look = {"linestyle": PUBLISHED, "linewidth": 1.2, **series.paint}
            draw_labelled(information.published, f"{series.name}, published", **look)
    ceiling = report.baselines.truth.fisher_information.matrix
    draw_labelled(ceiling, "parton-level ceiling", **CEILING_LOOK)

    reach = MARGIN * scale_of(half_widths)
    axes.set_xlim(centre[0] - reach[0], centre[0] + reach[0])
    axes.set_ylim(centre[1] - reach[1], centre[1] + reach[1])
    axes.plot(*centre, "+", color=style.INK, markersize=9)
    labels = list(parameter_labels(report).values())
    axes.set_xlabel(labels[i])
    axes.set_ylabel(labels[j])
    style.few_ticks(axes.xaxis, axes.yaxis)
    heading([axes], r"$\sum\; I_{ij}\,\Delta\theta_i\,\Delta\theta_j = 1$", report)
    style.legend_below(figure, handles, 2)
    return figure


def scale_of(half_widths: list[np.ndarray]) -> np.ndarray:
    """Half widths of the axes: those of the largest ellipse, without the nearly flat ones."""
    widths = np.array(half_widths)
    return np.array([column[column <= 4.0 * column.min()].max() for column in widths.T])


def _draw(axes: Axes, matrix: np.ndarray, centre: np.ndarray, **kwargs: Any) -> np.ndarray:
    """Draw x^T matrix x = 1 around ``centre`` and return its half widths along the axes."""
    eigenvalues, vectors = np.linalg.eigh(matrix)
    # A direction without information gets a finite, very long axis.
    radii = 1.0 / np.sqrt(np.maximum(eigenvalues, 1e-6 * max(eigenvalues.max(), 1e-300)))
    angles = np.linspace(0.0, 2.0 * np.pi, 721)
    curve = vectors @ (radii[:, None] * np.stack([np.cos(angles), np.sin(angles)]))
    axes.plot(centre[0] + curve[0], centre[1] + curve[1], **kwargs)
    return np.abs(curve).max(axis=1)


def values(report: Report) -> Figure:
    """The information on a single parameter, by method."""
    methods = methods_of(report)
    figure, [axes] = style.panels(1, height=1.7 + 0.4 * (len(methods) + 1), width=style.WIDTH)
    rate = report.baselines.rate.fisher_information
    value, error = style.numbers([rate.matrix[0][0], rate.error[0][0]])
    axes.errorbar(value, len(methods), xerr=error, fmt="s", color=style.MUTED)
    for row, series in enumerate(methods):
        information = series.subject.fisher_information
        value, error = style.numbers([information.matrix[0][0], information.error[0][0]])
        axes.errorbar(value, row, xerr=error, fmt=series.marker, **series.paint)
        members = style.numbers([member[0][0] for member in information.members])
        if len(members) > 1:
            axes.plot(members, [row + 0.25] * len(members), "|", markersize=5, **series.paint)
        if information.published is not None:
            published = information.published[0][0]
            hollow = {"markerfacecolor": "none", "markersize": 9, **series.paint}
            axes.plot(published, row, series.marker, **hollow)
    truth = report.baselines.truth.fisher_information.matrix[0][0]
    axes.axvline(style.number(truth), **CEILING_LOOK)
    style.name_rows(axes, [*(series.label for series in methods), "rate only"], below=0.6)
    axes.set_xlim(left=0.0)
    style.few_ticks(axes.xaxis)
    [text] = parameter_labels(report).values()
    axes.set_xlabel(f"Fisher information on {text}")
    heading([axes], "", report)
    style.legend_below(figure, [style.handle("parton-level ceiling", **CEILING_LOOK)], 1)
    return figure


def table(report: Report) -> Table:
    """The matrices of all methods and baselines, one row per entry on or above the diagonal."""
    rows = list(_rows(report))
    values = list(zip(*rows, strict=True))
    return Table(
        "fisher_information",
        "Fisher information from rate and shape at the point "
        f"{report.setup.fisher_theta.benchmark}.",
        columns(("Method", "Row", "Column"), [row[:3] for row in rows]),
        [
            Column("Fisher information", values[3], "", {"total": values[4]}),
            Column("Lowest member", values[5]),
            Column("Highest member", values[6]),
            Column("Published", values[7]),
        ],
        ["FISHER INFORMATION"],
    )


def _rows(report: Report) -> Iterator[tuple[Any, ...]]:
    names = report.parameters
    for series in (*methods_of(report), ceiling_of(report), rate_of(report)):
        information = series.subject.fisher_information
        members, published = [], None
        if isinstance(information, MethodInformation):
            published = information.published
            members = information.members if len(information.members) > 1 else []
        for i in range(len(names)):
            for j in range(i, len(names)):
                entries = [entry for member in members if (entry := member[i][j]) is not None]
                yield (
                    series.title,
                    names[i],
                    names[j],
                    information.matrix[i][j],
                    information.error[i][j],
                    min(entries, default=None),
                    max(entries, default=None),
                    None if published is None else published[i][j],
                )
