"""The first words of a report: intervals of every method, and which one to use."""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup

from madminer_workflow.report.comparison import rank
from madminer_workflow.report.results import Report
from madminer_workflow.report.verdict import percent


def headline_text(report: Report) -> str:
    """The headline for a terminal: intervals of every method, and which one to use."""
    verdict = report.verdict
    level = verdict.confidence_level
    kinds = ["expected", "observed"] if report.observed else ["expected"]
    columns_of = [(name, word) for name in report.parameters for word in kinds]
    header = [
        f"{name} {percent(level)}" + (f" {word}" if len(kinds) > 1 else "")
        for name, word in columns_of
    ]
    rows = [["method", "believe", *header]]
    for method in rank(report.methods, verdict.kind, level):
        limits = {"expected": method.limits, "observed": method.observed or {}}
        cells = [
            str(intervals(limits[word][verdict.kind].intervals[name][level], report.grid[name]))
            for name, word in columns_of
        ]
        rows.append([method.name, "yes" if method.believed else "no", *cells])
    columns = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, columns, strict=True)).rstrip()
        for row in rows
    ]
    advice = f"Use {' or '.join(verdict.use)}. " if verdict.use else ""
    return "\n".join([*lines, "", advice + verdict.sentence])


def intervals(ranges: Sequence[Sequence[float]], axis: Sequence[float]) -> Markup:
    """Intervals with digits that suit their length; a star marks ends of the grid ``axis``."""
    if not ranges:
        return Markup("none")
    length = ranges[-1][1] - ranges[0][0]
    decimals = max(0, 2 - math.floor(math.log10(length))) if length > 0.0 else 3
    if length > 0.0 and math.log10(length) < -6:
        decimals = 2 - math.floor(math.log10(length))

    def edge(value: float) -> str:
        star = "*" if value in (axis[0], axis[-1]) else ""
        return minus(f"{value:.{decimals}f}{star}")

    return Markup(" ∪ ".join(f"[{edge(low)}, {edge(high)}]" for low, high in ranges))


def minus(digits: str) -> str:
    """A number with a sign that is as wide as a digit."""
    return digits.replace("-", "−")
