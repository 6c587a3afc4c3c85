"""All parameters and pairs of parameters in one figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from madminer_workflow.report.figures import contours, profiles, style
from madminer_workflow.report.figures.contours import Pair, Planes, Surfaces
from madminer_workflow.report.figures.profiles import Profiles
from madminer_workflow.report.figures.series import (
    ASSUMED_TRUTH,
    Series,
    TestStatistic,
    conditions,
    data_words,
    level_words,
    mark_truth_of_pair,
    name_levels,
    parameter_labels,
)
from madminer_workflow.report.results import Report
from madminer_workflow.statistics.quantiles import chi2_quantile

PAIRS = {"profiles": "pairs", "slices": "slice_pairs"}
"""What fits below the diagonal of profiles, and of slices."""

THIN = 1.2
WIDTHS = {1: 4.6, 2: 3.4, 3: 2.9}
"""Of a panel in inches, by the number of parameters; MANY for more."""
MANY = 2.5


def draw(report: Report, diagonal: Profiles, planes: Planes, kind: str) -> Figure:
    """Diagonal: q along each parameter; below: joint contours of each pair.

    The recommended method has its contours filled and one line for each confidence level,
    everybody else a thin line at the highest level.
    """
    best = report.verdict.recommended
    along = {name: emphasised(rows, best) for name, rows in diagonal.items()}
    surfaces = {
        pair: contours.surfaces_of(report, pair, emphasised(rows, best))
        for pair, rows in planes.items()
    }
    drawn = [row.series for row in along[report.parameters[0]] if row.data == "expected"]
    figure, panels = triangle(report)
    for (column, row), axes in panels.items():
        if column == row:
            profiles.draw_curves(axes, report, along[row], row)
            # There is no other panel at the right of the diagonal, but at that of the last.
            name_levels(axes, profiles.thresholds(report), makes_room=row == report.parameters[-1])
            if row != report.parameters[0]:
                style.categories(axes, "y")
        else:
            plane(axes, report, surfaces[column, row])
            contours.best_fits(axes, report, drawn, kind, (column, row))
            mark_truth_of_pair(axes, report, (column, row), size=8)
    settle_axes(report, panels, along, surfaces)
    figure.align_labels()
    first = panels[report.parameters[0], report.parameters[0]]
    first.set_title(data_words(report), loc="left")
    legend(figure, first, report, drawn)
    return figure


def emphasised(rows: Sequence[TestStatistic], best: str | None) -> list[TestStatistic]:
    """All but the rate, thin, with the recommended method, which is not, on top."""
    return sorted(
        (
            row if row.series.name == best else replace(row, series=replace(row.series, width=THIN))
            for row in rows
            if row.series.name != "rate"
        ),
        key=lambda row: row.series.name == best,
    )


def triangle(report: Report) -> tuple[Figure, dict[Pair, Axes]]:
    """Panels on and below the diagonal, by the parameters along their columns and rows."""
    names = report.parameters
    n = len(names)
    width = WIDTHS.get(n, MANY)
    height = n * width * 0.92 + (0.9 if n < 3 else 0.3)
    if n == 1:
        figure, [axes] = style.panels(1, height=height, width=width)
        return figure, {(names[0], names[0]): axes}
    figure = style.figure(n, height=height, width=width)
    every = figure.subplots(n, n, squeeze=False)
    panels = {}
    for i, row in enumerate(names):
        for j, column in enumerate(names):
            if j > i:
                every[i, j].remove()
            else:
                panels[column, row] = every[i, j]
    return figure, panels


def settle_axes(
    report: Report,
    panels: Mapping[Pair, Axes],
    along: Profiles,
    surfaces: Mapping[Pair, Surfaces],
) -> None:
    """The same ranges in a whole column and row; labels and numbers at the outer edges only."""
    names = report.parameters
    labels = parameter_labels(report)
    ranges = {name: reach(report, along, surfaces, name) for name in names}
    ticks = 3 if len(names) > 2 else 5
    for (column, row), axes in panels.items():
        axes.set_xlim(*ranges[column])
        style.few_ticks(axes.xaxis, n=ticks)
        if column != row:
            axes.set_ylim(*ranges[row])
            style.few_ticks(axes.yaxis, n=ticks)
        if row == names[-1]:
            axes.set_xlabel(labels[column], loc="center")
        else:
            axes.xaxis.set_tick_params(labelbottom=False)
        if column == names[0]:
            axes.set_ylabel(labels[row] if row != names[0] else r"$q(\theta)$", loc="center")
        else:
            axes.yaxis.set_tick_params(labelleft=False)


def plane(axes: Axes, report: Report, surfaces: Surfaces) -> None:
    """Contours of one pair: all levels of the recommended method, the highest of the others."""
    levels = report.levels
    best = report.verdict.recommended
    by_name: dict[str, list[Any]] = {}
    for row, surface in surfaces:
        by_name.setdefault(row.series.name, []).append((row, surface))
    for name, shown in by_name.items():
        if name == best:
            row, surface = shown[0]
            fill(axes, surface, levels, row.series)
        for level in levels if name == best else levels[-1:]:
            for row, surface in shown:
                contours.line(axes, surface, level, row)


def fill(axes: Axes, surface: contours.Surface, levels: Sequence[str], series: Series) -> None:
    """Fill what is allowed, lower levels darker."""
    x, y, q = surface
    for level in levels:
        axes.contourf(
            x,
            y,
            q.T,
            levels=[-np.inf, chi2_quantile(float(level), 2)],
            colors=[series.colour],
            alpha=0.18,
        )


def reach(
    report: Report, along: Profiles, surfaces: Mapping[Pair, Surfaces], name: str
) -> tuple[float, float]:
    """The range of a parameter, the same in its whole column and row."""
    threshold = chi2_quantile(float(report.levels[-1]), 2)
    ranges = [profiles.reach(report, along[name], name)]
    for pair, shown in surfaces.items():
        if name in pair:
            ranges.append(contours.reach(shown, threshold)[pair.index(name)])
    return min(low for low, _ in ranges), max(high for _, high in ranges)


def legend(figure: Figure, panel: Axes, report: Report, drawn: Sequence[Series]) -> None:
    """In the empty corner; below ``panel`` if there is no other, and so no corner."""
    best = report.verdict.recommended
    first = sorted(drawn, key=lambda series: series.name != best)
    handles: list[Any] = list(profiles.handles(first, report))
    if len(report.parameters) < 2:
        style.legend_below(figure, handles, 2)
        panel.set_title(conditions(report), loc="right")
        return
    levels = report.levels
    handles += [
        Patch(
            facecolor=series.colour,
            alpha=1.0 - 0.82 ** (len(levels) - i),
            label=f"{best}, {level_words(level)}",
        )
        for series in drawn
        if series.name == best
        for i, level in enumerate(levels)
    ]
    handles.append(style.handle("assumed truth", **ASSUMED_TRUTH))
    figure.legend(
        handles=handles,
        loc="upper right",
        bbox_to_anchor=(0.99, 0.985),
        title=conditions(report),
        alignment="right",
        ncols=1,
    )
