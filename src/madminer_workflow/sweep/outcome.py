"""What a sweep has found: the best trial, tables and figures."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter
from rich.console import Console
from rich.table import Table

from madminer_workflow.files import atomic_path, write_json
from madminer_workflow.report.figures import style
from madminer_workflow.sweep.plan import Axis, Plan

Record = dict[str, Any]
"""What ``trials.run_trial`` returns."""

FILE_WIDTH = 300

SHOWN = 10
"""Trials in the table that is printed; the file has all."""

OUTLIER = 5.0
"""Losses further above the lowest than this times the median are drawn at the upper edge."""

COLOUR = style.METHOD_COLOURS[0]


def ranked(records: Sequence[Record]) -> list[Record]:
    """The trials that have a loss: believed ones first, then by loss."""
    known = [record for record in records if record["loss"] is not None]
    return sorted(known, key=lambda record: (not record["believed"], record["loss"]))


def describe_best(plan: Plan, best: Record) -> dict[str, Any]:
    """The best trial, its settings as in the analysis file and as ``run --set`` takes them."""
    name = plan.settings["name"]
    return {
        "analysis": os.path.relpath(plan.analysis_file),
        "trial": best["number"],
        "validation_loss": best["loss"],
        "believed": best["believed"],
        "reason": best["reason"],
        "method": plan.settings_of(best["values"]),
        "set": [f"{name}.{axis.key}={_word(best['values'][axis.key])}" for axis in plan.space],
    }


def _word(value: Any) -> str:
    """A value without blanks or quotes around text, which have a meaning in shells."""
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))


def write_outcome(plan: Plan, records: Sequence[Record], workdir: Path) -> dict[str, Any] | None:
    """Write trials.csv, plots and, if any trial has a loss, best.json, which is returned."""
    _write_csv(plan, records, workdir / "trials.csv")
    order = ranked(records)
    if not order:
        return None
    best = describe_best(plan, order[0])
    with matplotlib.rc_context(style.RC), atomic_path(workdir / "plots") as directory:
        directory.mkdir()
        for name, figure in (
            ("history", history(records)),
            ("parameters", parameters(plan.space, records)),
        ):
            style.settle(figure)
            style.save(figure, directory / name)
    write_json(workdir / "best.json", best)
    return best


def _write_csv(plan: Plan, records: Sequence[Record], file: Path) -> None:
    keys = [axis.key for axis in plan.space]
    with atomic_path(file) as product, product.open("w", newline="") as content:
        writer = csv.writer(content)
        writer.writerow(["trial", "validation_loss", "believed", *keys, "seconds", "reason"])
        for record in records:
            values = [_word(record["values"][key]) for key in keys]
            loss = "" if record["loss"] is None else record["loss"]
            believed = "yes" if record["believed"] else "no"
            about = [record["seconds"], record["reason"]]
            writer.writerow([record["number"], loss, believed, *values, *about])


def show(plan: Plan, records: Sequence[Record]) -> None:
    """Print the best trials."""
    screen = Console()
    # In a file, lines need not fit a screen.
    console = screen if screen.is_terminal else Console(width=FILE_WIDTH)
    console.print(_table(plan, records))


def _table(plan: Plan, records: Sequence[Record]) -> Table:
    shown = Table(title=f"{plan.settings['name']}: {len(records)} trials", title_justify="left")
    names = [axis.key.replace(".", ".\n") for axis in plan.space]
    for name in ("trial", "validation loss", "believed", *names):
        shown.add_column(name, justify="right", overflow="fold")
    failed = [record for record in records if record["loss"] is None]
    order = [*ranked(records), *failed]
    for record in order[:SHOWN]:
        loss = "failed" if record["loss"] is None else f"{record['loss']:.6g}"
        believed = "yes" if record["believed"] else "no"
        values = [_word(record["values"][axis.key]) for axis in plan.space]
        shown.add_row(str(record["number"]), loss, believed, *values)
    if len(order) > SHOWN:
        shown.caption = f"{len(order) - SHOWN} more in trials.csv"
    return shown


def history(records: Sequence[Record]) -> Figure:
    """The loss of every trial, and the lowest believed one so far; failed trials are dotted."""
    figure = style.figure(height=3.6, width=6.6)
    axes = figure.subplots()
    known = [record for record in records if record["loss"] is not None]
    _draw(axes, [record["number"] for record in known], known)
    believed = [record for record in known if record["believed"]]
    if believed:
        numbers = [record["number"] for record in believed]
        lowest = np.minimum.accumulate([record["loss"] for record in believed])
        shown = np.minimum(lowest, _ceiling(known))
        axes.step(numbers, shown, where="post", color=COLOUR, label="lowest believed")
    for record in records:
        if record["loss"] is None:
            axes.axvline(record["number"], color=style.MUTED, linewidth=0.8, linestyle=":")
    axes.set_xlabel("trial")
    axes.set_ylabel("validation loss")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    style.legend_beside(figure, axes)
    return figure


def parameters(space: Sequence[Axis], records: Sequence[Record]) -> Figure:
    """The loss of every trial against each setting."""
    figure = style.figure(len(space), height=3.6, width=3.4)
    panels = figure.subplots(1, len(space), sharey=True, squeeze=False)[0]
    known = [record for record in records if record["loss"] is not None]
    for axis, panel in zip(space, panels, strict=True):
        values = [record["values"][axis.key] for record in known]
        if axis.choices:
            _draw(panel, [axis.choices.index(value) for value in values], known)
            names = [_word(choice) for choice in axis.choices]
            panel.set_xticks(range(len(names)), names, rotation=20, ha="right")
            panel.set_xlim(-0.5, len(names) - 0.5)
        else:
            _draw(panel, values, known)
            if axis.log:
                _logarithmic(panel, axis)
            else:
                panel.xaxis.set_major_locator(MaxNLocator(5, integer=axis.whole))
        panel.set_xlabel(axis.key, fontsize=11)
    panels[0].set_ylabel("validation loss")
    style.legend_beside(figure, panels[0])
    return figure


def _logarithmic(panel: Axes, axis: Axis) -> None:
    """A logarithmic axis with labels that do not overlap, and some at all."""
    panel.set_xscale("log")
    decades = np.log10(axis.high / axis.low)
    labelled = (1.0, 2.0, 5.0) if decades < 1.0 else (1.0, 3.0) if decades < 2.0 else (1.0,)
    panel.xaxis.set_major_locator(LogLocator(subs=labelled))
    panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    panel.xaxis.set_minor_formatter(NullFormatter())
    panel.set_xlim(axis.low / 10 ** (0.05 * decades), axis.high * 10 ** (0.05 * decades))


def _draw(axes: Axes, positions: Sequence[float], records: Sequence[Record]) -> None:
    """Losses as points: filled where the diagnostics pass; those far above all others on top."""
    ceiling = _ceiling(records)
    for believed, face, name in ((True, COLOUR, "believed"), (False, "none", "not believed")):
        for above, marker, words in ((False, "o", name), (True, "^", f"{name}, above")):
            points = [
                (position, min(record["loss"], ceiling))
                for position, record in zip(positions, records, strict=True)
                if record["believed"] == believed and (record["loss"] > ceiling) == above
            ]
            if points:
                x, y = zip(*points, strict=True)
                axes.scatter(
                    x, y, s=26, marker=marker, facecolors=face, edgecolors=COLOUR, label=words
                )


def _ceiling(records: Sequence[Record]) -> float:
    """The highest loss that is drawn where it is, so that a diverged trial hides no difference."""
    losses = [record["loss"] for record in records]
    lowest, middle = np.min(losses), np.median(losses)
    return float(lowest + OUTLIER * (middle - lowest)) if middle > lowest else np.inf
