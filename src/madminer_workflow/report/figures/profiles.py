"""The test statistic along each parameter."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from scipy.interpolate import PchipInterpolator

from madminer_workflow.report.figures import style
from madminer_workflow.report.figures.series import (
    Series,
    TestStatistic,
    axis_column,
    by_data,
    series_of,
)
from madminer_workflow.report.figures.tables import Table, spread
from madminer_workflow.report.results import Report
from madminer_workflow.statistics.quantiles import chi2_quantile

FINER = 8
TOP = 1.7
"""Height of the panels in thresholds of the highest confidence level."""

Profiles = dict[str, list[TestStatistic]]
"""By parameter."""


def profiles_of(report: Report, kind: str, part: str = "profiles") -> Profiles:
    """q of everybody along every parameter; ``part`` is "profiles" or "slices"."""
    along: Profiles = {name: [] for name in report.parameters}
    for series in series_of(report, kind):
        subject = series.subject
        for data, curves in by_data(subject.curves, subject.observed_curves, kind):
            members = (curves.member_profiles or {}) if part == "profiles" else {}
            for name, rows in along.items():
                q = getattr(curves, part)[name]
                rows.append(TestStatistic(series, data, q, members.get(name, [])))
    return along


def handles(drawn: Sequence[Series], report: Report) -> list[Line2D]:
    """The legend: everybody, and what dashed and solid lines are."""
    entries = [style.handle(series.label, **series.lines("expected")) for series in drawn]
    if report.observed:
        entries.append(style.handle("observed", color=style.MUTED, linewidth=2.1))
    return entries


def draw_curves(axes: Axes, report: Report, rows: Sequence[TestStatistic], name: str) -> None:
    """Draw ``rows`` in one panel, with bands where the members of ensembles are."""
    grid = np.array(report.grid[name])
    for row in rows:
        x, q = smooth(grid, row.q)
        axes.plot(x, q, **row.look)
        if len(row.members) > 1:
            band = np.array([smooth(grid, member)[1] for member in row.members])
            axes.fill_between(
                x,
                band.min(axis=0),
                band.max(axis=0),
                color=row.series.colour,
                alpha=0.2,
                linewidth=0,
            )
    for threshold in thresholds(report).values():
        axes.axhline(threshold, color=style.MUTED, linewidth=0.8, zorder=0)
    axes.set_ylim(0.0, top(report))
    style.few_ticks(axes.xaxis)


def thresholds(report: Report) -> dict[str, float]:
    """Of q, by confidence level, for one parameter."""
    return {level: chi2_quantile(float(level), 1) for level in report.levels}


def top(report: Report) -> float:
    """The height of panels."""
    return TOP * max(thresholds(report).values())


def smooth(x: np.ndarray, values: Sequence[float | None]) -> tuple[np.ndarray, np.ndarray]:
    """``values`` on a finer axis by a monotone interpolation, which adds no wiggles."""
    q = np.array(values, dtype=float)
    fine = np.linspace(x[0], x[-1], FINER * (len(x) - 1) + 1)
    if not np.all(np.isfinite(q)):
        return fine, np.interp(fine, x, q)
    return fine, PchipInterpolator(x, q)(fine)


def reach(report: Report, rows: Sequence[TestStatistic], name: str) -> tuple[float, float]:
    """Where any curve but that of the rate alone is within the panel, inside the grid."""
    axis = np.array(report.grid[name])
    low, high = axis[-1], axis[0]
    for row in rows:
        if row.series.name == "rate" and report.methods:
            continue
        x, q = smooth(axis, row.q)
        inside = x[q < top(report)]
        if len(inside):
            low, high = min(low, inside[0]), max(high, inside[-1])
    return (low, high) if low < high else (axis[0], axis[-1])


def tables(report: Report, rows: Profiles, kind: str, part: str = "profiles") -> list[Table]:
    """One table per parameter: q of everybody on the grid's points."""
    others = "profiled" if part == "profiles" else "at the assumed truth"
    return [
        Table(
            f"{part}_{kind}_{name}",
            f"Test statistic q along {name} from {kind.replace('_', ' ')}, all other parameters "
            f"{others}. Errors: lowest and highest member of the ensemble.",
            [axis_column(report, name, report.grid[name])],
            [
                row.column(
                    kind,
                    {"ensemble": spread(row.members, row.q)} if len(row.members) > 1 else None,
                )
                for row in rows_of_one
            ],
            ["-2*LOG(L)"],
        )
        for name, rows_of_one in rows.items()
    ]
