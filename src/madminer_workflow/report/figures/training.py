"""Training curves."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from madminer_workflow.report.figures import style
from madminer_workflow.report.figures.tables import Column, Table


def losses(content: dict[str, Any], method: dict[str, Any]) -> Figure:
    """Training (solid) and validation (dashed) loss of every member."""
    figure = style.figure(height=3.7)
    axes = figure.subplots()
    colour = style.colour(content, method["name"])
    members = method["losses"]
    for i, member in enumerate(members):
        alpha = 1.0 - 0.6 * i / max(len(members) - 1, 1)
        for kind, line in (("training", "-"), ("validation", "--")):
            values = member.get(kind) or []
            # A single epoch has no line to draw.
            axes.plot(
                np.arange(1, len(values) + 1),
                np.array(values, dtype=float),
                line,
                color=colour,
                alpha=alpha,
                marker="o" if len(values) == 1 else None,
            )
    axes.set_xlabel("epoch")
    axes.set_ylabel("loss")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.xaxis.set_minor_locator(MaxNLocator(1))
    axes.set_title(style.method_label(method), loc="left")
    handles = [Line2D([], [], color=colour, linestyle=line) for line in ("-", "--")]
    axes.legend(handles, ["training", "validation"])
    return figure


def tables(method: dict[str, Any]) -> list[Table]:
    """Both losses of every member, by epoch."""
    members = method["losses"]
    epochs = max(len(values) for member in members for values in member.values())
    columns = []
    for i, member in enumerate(members, 1):
        for kind in ("training", "validation"):
            values = list(member.get(kind) or [])
            if values:
                values += [None] * (epochs - len(values))
                columns.append(Column("Loss", values, "", {}, {"Events": kind, "Member": i}))
    return [
        Table(
            f"training_{method['name']}",
            f"Loss of every ensemble member of {method['name']} by epoch.",
            [Column("Epoch", list(range(1, epochs + 1)))],
            columns,
        )
    ]
