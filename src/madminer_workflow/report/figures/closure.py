"""Closure of the cross-sections and calibration of the scores."""

from __future__ import annotations

import textwrap
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from madminer_workflow.report.figures import style
from madminer_workflow.report.figures.tables import Column, Table


def closure(content: dict[str, Any]) -> Figure:
    """Pulls of all closure checks."""
    checks = content["closure"]["checks"]
    worst = max([abs(check["pull"] or 0.0) for check in checks])
    figure = style.figure(height=1.1 + 0.42 * len(checks), width=7.0)
    axes = figure.subplots()
    for width, alpha in ((2.0, 0.13), (1.0, 0.2)):
        axes.axvspan(-width, width, color=style.MUTED, alpha=alpha, linewidth=0)
    axes.axvline(0.0, color=style.INK, linewidth=0.8)
    rows = np.arange(len(checks))
    axes.errorbar(
        np.array([check["pull"] for check in checks], dtype=float),
        rows,
        xerr=1.0,
        fmt="o",
        color=style.METHOD_COLOURS[0],
    )
    axes.set_yticks(rows, [textwrap.fill(check["what"], 42) for check in checks], fontsize=9.5)
    style.categories(axes, "y")
    axes.set_ylim(len(checks) - 0.4, -0.6)
    limit = max(3.5, worst + 1.5)
    axes.set_xlim(-limit, limit)
    axes.set_xlabel("pull")
    return figure


def calibration(content: dict[str, Any]) -> Figure:
    """Parton-level against estimated score, one panel per parameter."""
    labels = style.parameter_labels(content)
    figure, panels = style.panels(len(labels), height=3.9)
    drawn = [method for method in content["methods"] if method["calibration"]]
    for i, (axes, text) in enumerate(zip(panels, labels.values(), strict=True)):
        for method in drawn:
            own = method["calibration"][i]
            axes.errorbar(
                own["estimated"],
                own["true"],
                yerr=own["error"],
                fmt=style.marker(content, method["name"]),
                markersize=4.5,
                linewidth=1.2,
                color=style.colour(content, method["name"]),
                alpha=style.opacity(method),
            )
        low, high = axes.get_xlim()
        axes.plot([low, high], [low, high], color=style.MUTED, linewidth=1.0, zorder=0)
        axes.set_xlim(low, high)
        axes.set_xlabel("estimated score")
        axes.annotate(text, (0.05, 0.95), xycoords="axes fraction", va="top")
    for axes in panels[::2]:
        axes.set_ylabel("parton-level score, mean")
    handles = [
        Line2D(
            [],
            [],
            linestyle="",
            marker=style.marker(content, method["name"]),
            color=style.colour(content, method["name"]),
            alpha=style.opacity(method),
            label=style.method_label(method),
        )
        for method in drawn
    ]
    style.legend_below(figure, handles, 2 * min(2, len(panels)))
    return figure


def closure_tables(content: dict[str, Any]) -> list[Table]:
    """Both cross-sections of every check, and the pull."""
    checks = content["closure"]["checks"]
    columns = {
        key: ([check[key][0] for check in checks], [check[key][1] for check in checks])
        for key in ("predicted", "direct")
    }
    return [
        Table(
            "closure",
            "Cross-sections that are known directly, and predicted by reweighting or morphing "
            "other events.",
            [Column("Check", [check["what"] for check in checks])],
            [
                *(
                    Column(f"Cross-section, {key}", values, "pb", {"statistics": errors})
                    for key, (values, errors) in columns.items()
                ),
                Column("Pull", [check["pull"] for check in checks]),
            ],
            ["SIG"],
        )
    ]


def calibration_tables(content: dict[str, Any]) -> list[Table]:
    """One table per method and parameter."""
    return [
        Table(
            f"score_calibration_{method['name']}_{own['parameter']}",
            f"Mean parton-level score on {own['parameter']} in bins of the score that "
            f"{method['name']} estimates.",
            [Column("Estimated score", own["estimated"])],
            [
                Column(
                    "Parton-level score",
                    own["true"],
                    "",
                    {"statistics": own["error"]},
                    {"Method": method["name"], "Parameter": own["parameter"]},
                )
            ],
        )
        for method in content["methods"]
        if method["calibration"]
        for own in method["calibration"]
    ]
