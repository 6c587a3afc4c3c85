"""Closure of the cross-sections and calibration of the scores."""

from __future__ import annotations

import textwrap
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from madminer_workflow.ml.figures import style


def closure(content: dict[str, Any]) -> Figure:
    """Pulls of all closure checks."""
    checks = content["closure"]["checks"]
    worst = max([abs(check["pull"] or 0.0) for check in checks])
    figure = style.figure(height=1.1 + 0.4 * len(checks), width=7.5)
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
    axes.set_yticks(rows, [textwrap.fill(check["what"], 42) for check in checks], fontsize=9)
    axes.tick_params(axis="y", which="both", left=False, right=False)
    axes.yaxis.set_minor_locator(NullLocator())
    axes.set_ylim(len(checks) - 0.4, -0.6)
    limit = max(3.5, worst + 1.5)
    axes.set_xlim(-limit, limit)
    axes.set_xlabel("pull")
    return figure


def calibration(content: dict[str, Any]) -> Figure:
    """Parton-level against estimated score, one panel per parameter."""
    labels = style.parameter_labels(content)
    figure = style.figure(len(labels), height=3.9, width=4.3)
    panels = figure.subplots(1, len(labels), squeeze=False)[0]
    for i, (axes, text) in enumerate(zip(panels, labels.values(), strict=True)):
        for method in content["methods"]:
            if method["calibration"]:
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
                    label=style.method_label(method),
                )
        low, high = axes.get_xlim()
        axes.plot([low, high], [low, high], color=style.MUTED, linewidth=1.0, zorder=0)
        axes.set_xlim(low, high)
        axes.set_xlabel("estimated score")
        axes.set_title(text, fontsize=12)
    panels[0].set_ylabel("parton-level score, mean")
    panels[0].legend(loc="upper left")
    return figure
