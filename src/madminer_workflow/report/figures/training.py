"""Training curves."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from madminer_workflow.report.figures import style
from madminer_workflow.report.figures.series import MethodSeries
from madminer_workflow.report.figures.tables import Column, Table
from madminer_workflow.report.results import MethodReport

LINES = {"training": "-", "validation": "--"}


def kinds(method: MethodReport) -> list[str]:
    """Which losses there are: not every method holds events back for validation."""
    return [kind for kind in LINES if any(member.get(kind) for member in method.losses)]


def losses(series: MethodSeries) -> Figure:
    """Training (solid) and validation (dashed) loss of every member."""
    figure, [axes] = style.panels(1, height=3.7)
    members = series.subject.losses
    for i, member in enumerate(members):
        alpha = 1.0 - 0.6 * i / max(len(members) - 1, 1)
        for kind, line in LINES.items():
            values = member.get(kind) or []
            # A single epoch has no line to draw.
            axes.plot(
                np.arange(1, len(values) + 1),
                style.numbers(values),
                line,
                color=series.colour,
                alpha=alpha,
                marker="o" if len(values) == 1 else None,
            )
    axes.set_xlabel("epoch")
    axes.set_ylabel("loss")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.xaxis.set_minor_locator(MaxNLocator(1))
    axes.set_title(series.label, loc="left")
    axes.legend(
        handles=[
            style.handle(kind, color=series.colour, linestyle=LINES[kind])
            for kind in kinds(series.subject)
        ]
    )
    return figure


def table(method: MethodReport) -> Table:
    """Both losses of every member, by epoch."""
    losses_of = [
        (kind, i, list(values))
        for i, member in enumerate(method.losses, 1)
        for kind in LINES
        if (values := member.get(kind))
    ]
    epochs = max(len(values) for _, _, values in losses_of)
    return Table(
        f"training_{method.name}",
        f"Loss of every ensemble member of {method.name} by epoch.",
        [Column("Epoch", list(range(1, epochs + 1)))],
        [
            Column(
                "Loss",
                values + [None] * (epochs - len(values)),
                qualifiers={"Events": kind, "Member": i},
            )
            for kind, i, values in losses_of
        ],
    )
