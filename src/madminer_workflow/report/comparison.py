"""How much longer a method's intervals are than those of the best, and whether that is sure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from msgspec.structs import replace

from madminer_workflow.products.results import LENGTH_DIRECTIONS, LENGTH_REPLICAS, Results
from madminer_workflow.report.results import IntervalComparison, MethodReport
from madminer_workflow.statistics.plain import plain
from madminer_workflow.statistics.results import Estimate, Intervals, Limits

SURE = 2.0
"""Standard errors by which methods that can be told apart differ."""

NOTABLE_GAIN = 1.05
"""Where the error of the difference is not known."""

KIND = "rate_and_shape"
"""The likelihood that methods are compared by, which the headline is about."""

Changes = tuple[np.ndarray, np.ndarray]
"""Those of logarithms of lengths, (n_parameters, n): with test events, and with the simulation."""


def log_lengths(intervals: Intervals, level: str) -> np.ndarray:
    """Logarithms of the lengths of the intervals of each parameter, infinite without one."""
    totals = [sum(high - low for low, high in by_level[level]) for by_level in intervals.values()]
    return np.log([total if total > 0.0 else np.inf for total in totals])


def interval_size(limits: Limits, level: str) -> float:
    """Geometric mean over parameters of the lengths of the intervals: small is sensitive.

    Infinite if a parameter has none.
    """
    return float(np.exp(np.mean(log_lengths(limits.intervals, level))))


def rank(methods: Sequence[MethodReport], kind: str, level: str) -> list[MethodReport]:
    """The methods, most sensitive first.

    Those that leave uncertainties of shapes out come last: that alone makes intervals shorter.
    """

    def place(method: MethodReport) -> tuple[bool, float]:
        return bool(method.shapes_left_out), interval_size(method.limits[kind], level)

    return sorted(methods, key=place)


def with_comparison(
    methods: Sequence[MethodReport], results: Sequence[Results], level: str
) -> list[MethodReport]:
    """The methods, each compared with the best that may be believed, if there is one.

    ``level`` is the highest confidence level, that of the replicas among the ``results``.
    """
    changes = {
        result.summary.name: (result.arrays[LENGTH_REPLICAS], result.arrays[LENGTH_DIRECTIONS])
        for result in results
    }
    best = next((method for method in rank(methods, KIND, level) if method.believed), None)
    if best is None:
        return list(methods)
    return [
        replace(method, comparison=compared(method, best, changes, level)) for method in methods
    ]


def compared(
    method: MethodReport, best: MethodReport, changes: Mapping[str, Changes], level: str
) -> IntervalComparison:
    """Lengths of intervals over those of ``best``, with errors from common events and trainings."""
    ours, theirs = method.limits[KIND].intervals, best.limits[KIND].intervals
    with np.errstate(invalid="ignore"):
        logs = log_lengths(ours, level) - log_lengths(theirs, level)
    (replicas, directions), (of_best, directions_of_best) = changes[method.name], changes[best.name]
    # The last is that of the geometric mean over parameters.
    logs, variances = (
        np.append(logs, logs.mean()),
        with_mean(replicas - of_best).var(axis=1, ddof=1),
    )
    if directions.shape == directions_of_best.shape:
        simulated = [directions - directions_of_best]
    else:
        # Events are not in the same groups.
        simulated = [directions, directions_of_best]
    variances += sum(np.square(with_mean(one)).sum(axis=1) for one in simulated)
    if method.name != best.name:
        variances += of_training(method, level) + of_training(best, level)
    *single, together = [
        Estimate(value=value, error=error)
        for value, error in zip(
            plain(np.exp(logs)), plain(np.exp(logs) * np.sqrt(variances)), strict=True
        )
    ]
    parameters = dict(zip(ours, single, strict=True))
    return IntervalComparison(best=best.name, parameters=parameters, together=together)


def with_mean(changes: np.ndarray) -> np.ndarray:
    """Those of parameters (n_parameters, n), and their mean behind."""
    return np.vstack([changes, changes.mean(axis=0)])


def of_training(method: MethodReport, level: str) -> np.ndarray:
    """Variance of the logarithms of lengths, and of their mean, of an ensemble by its training.

    That of the mean of its members; not a number if there is but one to tell, (n_parameters + 1,).
    """
    n = len(method.limits[KIND].intervals)
    if not method.settings.trainable:
        return np.zeros(n + 1)
    of_members = method.limits[KIND].member_intervals
    if of_members is None or method.members < 2:
        return np.full(n + 1, np.nan)
    members = [
        {name: {level: by_level[level][i]} for name, by_level in of_members.items()}
        for i in range(method.members)
    ]
    logs = np.array([log_lengths(intervals, level) for intervals in members])
    with np.errstate(invalid="ignore"):
        spread = np.column_stack([logs, logs.mean(axis=1)]).var(axis=0, ddof=1)
    return spread / method.members


def as_sensitive(good: Sequence[MethodReport]) -> list[MethodReport]:
    """Methods whose intervals may well be as short as those of the first, the best.

    ``good`` are those that may be believed, the best first.
    """
    return [
        method
        for method in good[1:]
        if bool(method.shapes_left_out) == bool(good[0].shapes_left_out)
        and method.comparison
        and indistinguishable(method.comparison.together)
    ]


def indistinguishable(found: Estimate) -> bool:
    """Whether a ratio, at least 1, may well be 1."""
    if found.value is None:
        return False
    if found.error is None:
        return found.value < NOTABLE_GAIN
    return found.value - 1.0 < SURE * found.error


def times(method: MethodReport) -> str:
    """How much longer a method's intervals are than those of the best, nothing if not known."""
    if method.comparison is None or method.comparison.together.value is None:
        return ""
    return f"{ratio(method.comparison.together)} times"


def ratio(found: Estimate) -> str:
    """A ratio and its error, as "1.07 ± 0.01"."""
    if found.value is None:
        return "–"
    if not found.error:
        return f"{found.value:.2f}"
    decimals = max(2, -math.floor(math.log10(found.error)))
    return f"{found.value:.{decimals}f} ± {found.error:.{decimals}f}"
