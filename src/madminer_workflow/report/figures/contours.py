"""Joint contours of pairs of parameters."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.interpolate import RectBivariateSpline

from madminer_workflow.report.figures import style
from madminer_workflow.report.figures.profiles import handles
from madminer_workflow.report.figures.series import (
    ASSUMED_TRUTH,
    Series,
    TestStatistic,
    axis_column,
    by_data,
    data_words,
    heading,
    level_words,
    mark_truth_of_pair,
    parameter_labels,
    series_of,
)
from madminer_workflow.report.figures.tables import Table
from madminer_workflow.report.results import Report
from madminer_workflow.statistics.quantiles import chi2_quantile

FINER = 8
MARGIN = 0.12

Pair = tuple[str, str]
"""Two parameters."""

Planes = dict[Pair, list[TestStatistic]]

Surface = tuple[np.ndarray, np.ndarray, np.ndarray]
"""x (n_x,), y (n_y,) and q (n_x, n_y)."""

Surfaces = Sequence[tuple[TestStatistic, Surface]]


def planes_of(report: Report, kind: str, part: str = "pairs") -> Planes:
    """q of everybody in the plane of every pair; ``part`` is "pairs" or "slice_pairs"."""
    planes: Planes = {}
    for series in series_of(report, kind):
        subject = series.subject
        for data, curves in by_data(subject.curves, subject.observed_curves, kind):
            for plane in getattr(curves, part):
                rows = planes.setdefault(plane.parameters, [])
                rows.append(TestStatistic(series, data, plane.q))
    return planes


def draw(report: Report, pair: Pair, rows: Sequence[TestStatistic], kind: str) -> Figure:
    """Contours of one pair of parameters, one panel per confidence level."""
    levels = report.levels
    labels = parameter_labels(report)
    surfaces = surfaces_of(report, pair, rows)
    ranges = reach(surfaces, chi2_quantile(float(levels[-1]), 2))
    drawn = [row.series for row in rows if row.data == "expected"]
    figure, panels = style.panels(len(levels), height=4.1, sharex=True, sharey=True)
    for level, axes in zip(levels, panels, strict=True):
        for row, surface in surfaces:
            line(axes, surface, level, row)
        best_fits(axes, report, drawn, kind, pair)
        mark_truth_of_pair(axes, report, pair, size=9)
        axes.annotate(
            level_words(level),
            (0.04, 0.96),
            xycoords="axes fraction",
            ha="left",
            va="top",
            fontsize=11,
        )
        axes.set_xlabel(labels[pair[0]])
        style.few_ticks(axes.xaxis, axes.yaxis)
        axes.set_xlim(*ranges[0])
        axes.set_ylim(*ranges[1])
    for axes in panels[::2]:
        axes.set_ylabel(labels[pair[1]])
    heading(panels, data_words(report), report)
    entries = [*handles(drawn, report), style.handle("assumed truth", **ASSUMED_TRUTH)]
    style.legend_below(figure, entries, 2 * min(len(panels), 2))
    return figure


def surfaces_of(report: Report, pair: Pair, rows: Sequence[TestStatistic]) -> Surfaces:
    """Rows with their smooth surfaces."""
    x, y = (np.array(report.grid[name]) for name in pair)
    return [(row, finer(x, y, row.q)) for row in rows]


def line(axes: Axes, surface: Surface, level: str, row: TestStatistic) -> None:
    """The contour of two parameters at a confidence level."""
    x, y, q = surface
    axes.contour(
        x,
        y,
        q.T,
        levels=[chi2_quantile(float(level), 2)],
        colors=[row.look["color"]],
        alpha=row.look["alpha"],
        linestyles=[row.look["linestyle"]],
        linewidths=[row.look["linewidth"]],
    )


def best_fits(axes: Axes, report: Report, drawn: Sequence[Series], kind: str, pair: Pair) -> None:
    """Observed best fits, in the methods' markers."""
    positions = [report.parameters.index(name) for name in pair]
    for series in drawn:
        observed = (series.subject.observed or {}).get(kind)
        if observed and series.name != "rate":
            axes.plot(
                *(observed.best_fit[i] for i in positions),
                series.marker,
                **series.paint,
                markersize=5,
            )


def finer(x: np.ndarray, y: np.ndarray, values: Sequence[Sequence[float | None]]) -> Surface:
    """``values`` on a finer grid by cubic splines, which follow a parabola exactly."""
    q = np.nan_to_num(np.array(values, dtype=float), nan=np.inf)
    if not np.all(np.isfinite(q)):
        return x, y, np.ma.masked_invalid(q)
    spline = RectBivariateSpline(x, y, q, kx=min(3, len(x) - 1), ky=min(3, len(y) - 1))
    x_fine = np.linspace(x[0], x[-1], FINER * (len(x) - 1) + 1)
    y_fine = np.linspace(y[0], y[-1], FINER * (len(y) - 1) + 1)
    return x_fine, y_fine, spline(x_fine, y_fine)


def reach(surfaces: Surfaces, threshold: float) -> list[tuple[float, float]]:
    """Ranges of x and y that show all points below ``threshold``, but those of the rate alone."""
    drawn = [surface for row, surface in surfaces if row.series.name != "rate"]
    ranges = []
    for direction in (0, 1):
        axis = drawn[0][direction]
        low, high = np.inf, -np.inf
        for surface in drawn:
            inside = np.any(surface[2] < threshold, axis=1 - direction)
            within = surface[direction][np.asarray(inside)]
            if len(within):
                low, high = min(low, within[0]), max(high, within[-1])
        if low >= high:
            low, high = axis[0], axis[-1]
        pad = MARGIN * (high - low)
        ranges.append((max(low - pad, axis[0]), min(high + pad, axis[-1])))
    return ranges


def table(
    report: Report, pair: Pair, rows: Sequence[TestStatistic], kind: str, part: str = "pairs"
) -> Table:
    """q of everybody at the points of the grid of one pair."""
    x, y = np.meshgrid(*(report.grid[name] for name in pair), indexing="ij")
    others = "profiled" if part == "pairs" else "at the assumed truth"
    stem = "limits" if part == "pairs" else "slices"
    return Table(
        f"{stem}_{'_'.join(pair)}_{kind}",
        f"Test statistic q of {' and '.join(pair)} from {kind.replace('_', ' ')}"
        + (f", all other parameters {others}" if len(report.parameters) > 2 else "")
        + ". Joint contours are at the quantiles of χ² with two degrees of freedom.",
        [
            axis_column(report, name, values.ravel().tolist())
            for name, values in zip(pair, (x, y), strict=True)
        ],
        [row.column(kind) for row in rows],
        ["-2*LOG(L)"],
    )
