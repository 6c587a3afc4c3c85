"""Which method to believe and to use, in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from madminer_workflow.report.results import Baseline, MethodReport, Verdict
from madminer_workflow.statistics.checks import deciding, failures
from madminer_workflow.statistics.results import Check, Limits

KIND = "rate_and_shape"
"""The likelihood that the headline is about."""

CEILING_PULL = 3.0
GRID_POINTS = 4.0
NOTABLE_GAIN = 1.05


def check_table(
    methods: Sequence[Sequence[Check]],
) -> list[tuple[Check, list[Check | None]]]:
    """Every check of any of ``methods``, each of which is given by the checks of its ensemble.

    A row has the check, for its words, and what each method has of it, None if nothing. Checks
    that few methods have come first, those that do not decide last.
    """
    rows: dict[str, list[Check | None]] = {}
    for i, checks in enumerate(methods):
        for check in checks:
            rows.setdefault(check.name, [None] * len(methods))[i] = check
    table = [(next(check for check in row if check), row) for row in rows.values()]
    return sorted(table, key=lambda row: (row[0].concerns is not None, -row[1].count(None)))


def interval_size(limits: Limits, level: str) -> float:
    """Geometric mean over parameters of the lengths of the intervals: small is sensitive.

    Infinite if a parameter has none.
    """
    totals = [
        sum(high - low for low, high in intervals[level]) for intervals in limits.intervals.values()
    ]
    widths = [total if total > 0.0 else float("inf") for total in totals]
    return float(np.exp(np.mean(np.log(widths))))


def remarks(
    method: MethodReport, truth: Baseline, grid: Mapping[str, Sequence[float]], level: str
) -> list[str]:
    """What a reader should know about a method's numbers beyond its checks."""
    return [
        *_on_the_grid(method.limits[KIND], grid, level),
        *(
            f"Its {check.concerns} is not to be believed: it fails “{check.name}”. {check.sentence}"
            for check in failures(method.checks)
            if check.concerns is not None
        ),
        *(
            check.sentence
            for check in deciding(method.checks)
            if check.passed and check.value is None
        ),
        *_on_lone_members(method),
        *_on_the_ceiling(method, truth, list(grid)),
    ]


def _on_the_grid(limits: Limits, grid: Mapping[str, Sequence[float]], level: str) -> Iterator[str]:
    for name, intervals in limits.intervals.items():
        axis = grid[name]
        edges = [edge for interval in intervals[level] for edge in interval]
        span = (edges[-1] - edges[0]) / (axis[1] - axis[0]) if edges else 0.0
        if not edges:
            yield f"No {percent(level)} interval of {name} was found on the grid."
        elif edges[0] <= axis[0] or edges[-1] >= axis[-1]:
            yield (
                f"The {percent(level)} interval of {name} reaches the end of the grid: the true "
                "interval is longer; widen limits.grid."
            )
        elif span < GRID_POINTS:
            yield (
                f"The {percent(level)} interval of {name} spans {span:.1f} steps of the grid only: "
                "refine limits.grid."
            )


def _on_lone_members(method: MethodReport) -> list[str]:
    """What members fail that the ensemble passes."""
    members = [deciding(checks) for checks in method.diagnostics]
    if len(members) < 2:
        return []
    names = {check.name for check in failures(method.checks)}
    failing: dict[str, int] = {}
    for checks in members:
        for check in failures(checks):
            if check.name not in names:
                failing[check.name] = failing.get(check.name, 0) + 1
    return [
        f"Taken alone, {n} of its {len(members)} members fail “{name}”, which their mean passes."
        for name, n in failing.items()
    ]


def _on_the_ceiling(method: MethodReport, truth: Baseline, names: Sequence[str]) -> Iterator[str]:
    ours, ceiling = method.fisher_information, truth.fisher_information
    excess = np.diag(np.array(ours.matrix)) - np.diag(np.array(ceiling.matrix))
    error = np.hypot(np.diag(np.array(ours.error)), np.diag(np.array(ceiling.error)))
    for name, above in zip(names, excess > CEILING_PULL * error, strict=True):
        if above:
            yield (
                f"Its Fisher information on {name} exceeds the parton-level ceiling by more than "
                f"{CEILING_PULL:g} standard errors, which no true estimate can."
            )


def rank(methods: Sequence[MethodReport], kind: str, level: str) -> list[MethodReport]:
    """The methods, most sensitive first."""
    return sorted(methods, key=lambda method: interval_size(method.limits[kind], level))


def verdict(methods: Sequence[MethodReport], level: str) -> Verdict:
    """The order by sensitivity, the method to use (or None) and a sentence that says why."""
    ranked = rank(methods, KIND, level)
    good = [method for method in ranked if method.believed]
    return Verdict(
        kind=KIND,
        confidence_level=level,
        order=[method.name for method in ranked],
        recommended=good[0].name if good else None,
        sentence=_sentence(ranked, good, level),
    )


def _sentence(ranked: Sequence[MethodReport], good: Sequence[MethodReport], level: str) -> str:
    if not good:
        return (
            "No method passes its checks, so none of these limits should be used. Give the "
            "networks more events, samples or epochs, or the histograms fewer bins."
        )
    best = good[0]
    text = (
        f"{best.name} has the shortest {percent(level)} intervals of the "
        f"{len(good)} method{'s' if len(good) > 1 else ''} that pass their checks"
        if len(ranked) > 1
        else f"{best.name} passes its checks"
    )
    if len(good) > 1:
        following = good[1]
        gain = interval_size(following.limits[KIND], level) / interval_size(
            best.limits[KIND], level
        )
        if gain < NOTABLE_GAIN:
            text += f", though hardly shorter than those of {following.name}, the next"
        elif np.isfinite(gain):
            text += f", {gain:.2f} times shorter than those of {following.name}, the next"
    tighter = [method.name for method in ranked[: ranked.index(best)]]
    text += "."
    if tighter:
        verb = "looks" if len(tighter) == 1 else "look"
        text += f" {' and '.join(tighter)} {verb} more sensitive but cannot be believed."
    return text


def percent(level: str | float) -> str:
    """A confidence level as people write it: 0.95 as "95 %", 0.6827 as "68.3 %"."""
    return f"{100.0 * float(level):.3g} %"
