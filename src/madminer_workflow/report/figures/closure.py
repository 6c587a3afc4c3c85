"""Closure of the cross-sections and calibration of the scores."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from madminer_workflow.report.figures import style
from madminer_workflow.report.figures.series import Series, methods_of, parameter_labels
from madminer_workflow.report.figures.tables import Column, Table
from madminer_workflow.report.results import Calibration, ClosureCheck, Report


def closure(checks: Sequence[ClosureCheck]) -> Figure:
    """Pulls of all closure checks."""
    worst = max([abs(check.pull or 0.0) for check in checks])
    figure, [axes] = style.panels(1, height=1.1 + 0.42 * len(checks), width=7.0)
    for width, alpha in ((2.0, 0.13), (1.0, 0.2)):
        axes.axvspan(-width, width, color=style.MUTED, alpha=alpha, linewidth=0)
    axes.axvline(0.0, color=style.INK, linewidth=0.8)
    axes.errorbar(
        np.array([check.pull for check in checks], dtype=float),
        np.arange(len(checks)),
        xerr=1.0,
        fmt="o",
        color=style.METHOD_COLOURS[0],
    )
    style.name_rows(axes, [textwrap.fill(check.what, 42) for check in checks], fontsize=9.5)
    limit = max(3.5, worst + 1.5)
    axes.set_xlim(-limit, limit)
    axes.set_xlabel("pull")
    return figure


def closure_table(checks: Sequence[ClosureCheck]) -> Table:
    """Both cross-sections of every check, and the pull."""
    columns = {
        "predicted": [check.predicted for check in checks],
        "direct": [check.direct for check in checks],
    }
    return Table(
        "closure",
        "Cross-sections, known directly and predicted by reweighting or morphing other events.",
        [Column("Check", [check.what for check in checks])],
        [
            *(
                Column(
                    f"Cross-section, {words}",
                    [value for value, _ in values],
                    "pb",
                    {"statistics": [error for _, error in values]},
                )
                for words, values in columns.items()
            ),
            Column("Pull", [check.pull for check in checks]),
        ],
        ["SIG"],
    )


def calibrated(report: Report) -> list[tuple[Series, list[Calibration]]]:
    """The methods with a score, and its calibration for every parameter."""
    return [
        (series, series.subject.calibration)
        for series in methods_of(report)
        if series.subject.calibration
    ]


def calibration(report: Report, shown: Sequence[tuple[Series, list[Calibration]]]) -> Figure:
    """Parton-level against estimated score, one panel per parameter."""
    labels = parameter_labels(report)
    figure, panels = style.panels(len(labels), height=3.9)
    for i, (axes, text) in enumerate(zip(panels, labels.values(), strict=True)):
        for series, calibrations in shown:
            score = calibrations[i]
            axes.errorbar(
                style.numbers(score.estimated),
                style.numbers(score.true),
                yerr=style.numbers(score.error),
                fmt=series.marker,
                markersize=4.5,
                linewidth=1.2,
                **series.paint,
            )
        low, high = axes.get_xlim()
        axes.plot([low, high], [low, high], color=style.MUTED, linewidth=1.0, zorder=0)
        axes.set_xlim(low, high)
        axes.set_xlabel("estimated score")
        axes.annotate(text, (0.05, 0.95), xycoords="axes fraction", va="top")
    for axes in panels[::2]:
        axes.set_ylabel("parton-level score, mean")
    handles = [style.handle(series.label, **series.points) for series, _ in shown]
    style.legend_below(figure, handles, 2 * min(2, len(panels)))
    return figure


def calibration_tables(shown: Sequence[tuple[Series, list[Calibration]]]) -> list[Table]:
    """One table per method and parameter."""
    return [
        Table(
            f"score_calibration_{series.name}_{score.parameter}",
            f"Mean parton-level score on {score.parameter} in bins of the score estimated by "
            f"{series.name}.",
            [Column("Estimated score", score.estimated)],
            [
                Column(
                    "Parton-level score",
                    score.true,
                    "",
                    {"statistics": score.error},
                    {"Method": series.name, "Parameter": score.parameter},
                )
            ],
        )
        for series, calibrations in shown
        for score in calibrations
    ]
