"""The first words of a report: intervals of every method, and which one to use."""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup

from madminer_workflow.report.comparison import rank
from madminer_workflow.report.goodness import p_words
from madminer_workflow.report.results import MethodReport, Report
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
    tested = any(method.goodness for method in report.methods)
    rows = [["method", "trusted", *header, *["p-value of data"] * tested]]
    for method in rank(report.methods, verdict.kind, level):
        limits = {"expected": method.limits, "observed": method.observed or {}}
        cells = [
            str(intervals(limits[word][verdict.kind].intervals[name][level], report.grid[name]))
            for name, word in columns_of
        ]
        p = [p_of(method, verdict.kind)] * tested
        rows.append([method.name, "yes" if method.believed else "no", *cells, *p])
    columns = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, columns, strict=True)).rstrip()
        for row in rows
    ]
    advice = [f"Use {' or '.join(verdict.use)}."] if verdict.use else []
    advice.append(verdict.sentence)
    if verdict.goodness and verdict.warning:
        lines = [f"WARNING: {verdict.goodness}", "", *lines]
    elif verdict.goodness:
        advice.append(verdict.goodness)
    return "\n".join([*lines, "", " ".join(advice)])


def p_of(method: MethodReport, kind: str) -> str:
    """The p-value of the observed data at a method's best fit."""
    found = (method.goodness or {}).get(kind)
    return "unknown" if found is None else p_words(found.p_value, found.n_toys)


def intervals(ranges: Sequence[Sequence[float]], axis: Sequence[float]) -> Markup:
    """Intervals with digits that suit their length; a star marks ends of the grid ``axis``.

    An empty ``axis`` has none.
    """
    if not ranges:
        return Markup("none")
    length = ranges[-1][1] - ranges[0][0]
    decimals = max(0, 2 - math.floor(math.log10(length))) if length > 0.0 else 3
    if length > 0.0 and math.log10(length) < -6:
        decimals = 2 - math.floor(math.log10(length))

    def edge(value: float) -> str:
        star = "*" if axis and value in (axis[0], axis[-1]) else ""
        return minus(f"{value:.{decimals}f}{star}")

    return Markup(" ∪ ".join(f"[{edge(low)}, {edge(high)}]" for low, high in ranges))


def minus(digits: str) -> str:
    """A number with a sign that is as wide as a digit."""
    return digits.replace("-", "−")
