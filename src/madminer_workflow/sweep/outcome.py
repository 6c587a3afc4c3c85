"""What a sweep comes to: the best trial, in files and on the screen."""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table

from madminer_workflow.files import atomic_path, write_json
from madminer_workflow.sweep import figures
from madminer_workflow.sweep.plan import Plan, Settings, word
from madminer_workflow.sweep.results import TrialResult, ranked

FILE_WIDTH = 300

SHOWN = 10
"""Trials in the table that is printed; the file has all."""


class Best(msgspec.Struct, frozen=True, kw_only=True, rename={"changes": "set"}):
    """The best trial: its settings as in the analysis file, and as ``run --set`` takes them."""

    analysis: str
    trial: int
    validation_loss: float
    believed: bool
    reason: str
    method: Settings
    changes: list[str]


def write_outcome(plan: Plan, results: Sequence[TrialResult], workdir: Path) -> Best | None:
    """Write trials.csv, plots and, if any trial has a loss, best.json; return the best.

    None if all failed.
    """
    _write_csv(plan, results, workdir / "trials.csv")
    first = next(iter(ranked(results)), None)
    if first is None or first.loss is None:
        return None
    best = Best(
        analysis=os.path.relpath(plan.analysis_file),
        trial=first.number,
        validation_loss=first.loss,
        believed=first.believed,
        reason=first.reason,
        method=plan.settings_of(first.values),
        changes=[
            f"{plan.method_name}.{axis.key}={word(first.values[axis.key])}" for axis in plan.space
        ],
    )
    figures.draw(plan.space, results, workdir / "plots")
    write_json(workdir / "best.json", msgspec.to_builtins(best))
    return best


def _write_csv(plan: Plan, results: Sequence[TrialResult], file: Path) -> None:
    keys = [axis.key for axis in plan.space]
    with atomic_path(file) as product, product.open("w", newline="") as rows:
        writer = csv.writer(rows)
        writer.writerow(["trial", "validation_loss", "believed", *keys, "seconds", "reason"])
        for result in results:
            values = [word(result.values[key]) for key in keys]
            loss = "" if result.loss is None else result.loss
            believed = _yes_or_no(result)
            writer.writerow([result.number, loss, believed, *values, result.seconds, result.reason])


def show(plan: Plan, results: Sequence[TrialResult]) -> None:
    """Print the best trials."""
    screen = Console()
    # In a file, lines need not fit a screen.
    console = screen if screen.is_terminal else Console(width=FILE_WIDTH)
    console.print(_table(plan, results))


def _table(plan: Plan, results: Sequence[TrialResult]) -> Table:
    table = Table(title=f"{plan.method_name}: {len(results)} trials", title_justify="left")
    names = [axis.key.replace(".", ".\n") for axis in plan.space]
    for name in ("trial", "validation loss", "believed", *names):
        table.add_column(name, justify="right", overflow="fold")
    order = [*ranked(results), *(result for result in results if result.loss is None)]
    for result in order[:SHOWN]:
        loss = "failed" if result.loss is None else f"{result.loss:.6g}"
        values = [word(result.values[axis.key]) for axis in plan.space]
        table.add_row(str(result.number), loss, _yes_or_no(result), *values)
    if len(order) > SHOWN:
        table.caption = f"{len(order) - SHOWN} more in trials.csv"
    return table


def _yes_or_no(result: TrialResult) -> str:
    return "yes" if result.believed else "no"
