"""What ``run --dry-run`` tells: a line for each step, with what would run and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from madminer_workflow.graph import STEPS

if TYPE_CHECKING:
    from madminer_workflow.analysis.cost import Estimate, Whole
    from madminer_workflow.engines.dry_run import Foreseen

HEAD = ("step", "jobs", "to run", "CPU time", "memory", "disk", "why")
LEFT = {0, len(HEAD) - 1}
"""Columns with text, aligned to the left."""


def table(whole: Whole, foreseen: Mapping[str, Foreseen], fresh: bool = False) -> str:
    """The steps of a run, and what those cost that are to run, all together.

    ``foreseen`` is what is known of the jobs of steps; nothing, if nothing was done before.
    """
    rows: list[tuple[str, ...]] = [HEAD]
    costs = []
    for step in whole.steps:
        known = foreseen.get(step.step)
        reused = known.reused if known else 0
        certain = len(known.reasons) if known else 0
        # What comes after a step that runs may find its inputs as they were.
        most = max(step.jobs - reused, certain)
        if not foreseen:
            certain = most
        number = str(most) if certain == most else f"{certain} to {most}"
        why = _why(step, whole.by_name, foreseen, fresh)
        rows.append((step.step, str(step.jobs), number, *step.words, why))
        share = most / max(step.jobs, 1)
        costs.append(replace(step, cpu=share * step.cpu, disk=share * step.disk))
    lines = _aligned(rows)
    if not any(row[2] != "0" for row in rows[1:]):
        return "\n".join([*lines, "Nothing would run: everything is up to date."])
    some = [cost for cost, row in zip(costs, rows[1:], strict=True) if row[2] != "0"]
    known_all = all(" to " not in row[2] for row in rows[1:])
    words = replace(whole, steps=some).words
    return "\n".join([*lines, f"Estimated: {'' if known_all else 'at most '}{words}"])


def _why(
    step: Estimate, asked: Iterable[str], foreseen: Mapping[str, Foreseen], fresh: bool
) -> str:
    """The reasons of a step's jobs; ``asked`` are all steps of the run."""
    if not foreseen:
        return "--fresh" if fresh else "not run before"
    known = foreseen.get(step.step)
    told = _counted(known.reasons) if known else []
    if known and known.reused + len(known.reasons) >= step.jobs:
        return "; ".join(told)
    before = [s.name for s in STEPS[step.step].before if s.name in asked]
    upstream = [name for name in before if _runs(name, foreseen)]
    waiting = f"if products of {', '.join(upstream)} change" if upstream else ""
    return "; ".join(filter(None, [*told, waiting]))


def _runs(step: str, foreseen: Mapping[str, Foreseen]) -> bool:
    """Whether a step has jobs that run, or that nothing is known of."""
    return step not in foreseen or bool(foreseen[step].reasons)


def _counted(reasons: Iterable[str]) -> list[str]:
    """Each reason once, with the number of jobs that have it if others have another."""
    counts = Counter(reasons)
    return [r if len(counts) == 1 else f"{r} ({n})" for r, n in counts.items()]


def _aligned(rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if i in LEFT else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
