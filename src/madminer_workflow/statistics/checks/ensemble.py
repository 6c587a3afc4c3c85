"""Whether the members of an ensemble agree: what another training would have given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from madminer_workflow.statistics.checks import make, say
from madminer_workflow.statistics.plain import plain
from madminer_workflow.statistics.quantiles import gaussian_deviations
from madminer_workflow.statistics.results import Check, EnsemblePlot, Interval

LARGEST_SPREAD = 0.5

NAME = "agreement of the ensemble"
WORDS: dict[str, Any] = {
    "expected": f"at most {LARGEST_SPREAD} standard deviations",
    "meaning": "standard deviation of the interval edges between the members, divided by the "
    "square root of their number, in units of the standard deviation of the "
    "parameter, for the worst edge",
    "reason": "another training could shift the edge by this much; half a standard deviation, "
    "added in quadrature, makes the error 12 % larger",
    "proves": "its members agree",
}


def spread_check(
    ensemble: Mapping[str, Sequence[Interval]],
    members: Mapping[str, Sequence[Sequence[Interval]]],
    level: float,
    ends: Mapping[str, Sequence[float]],
) -> Check:
    """Spread of the members' interval edges over the standard deviation of the parameter.

    ``ensemble`` maps each parameter to the ensemble's intervals at confidence ``level``,
    ``members`` to those of its members, ``ends`` to the first and last value of the grid. The
    spread of the mean of k members is 1 / sqrt(k) of theirs. Passed with a value of None where it
    is not known: a single member has no spread, and where all reach the end of the grid no edge is
    seen.
    """
    if min(len(intervals) for intervals in members.values()) < 2:
        return _unknown(
            "With a single member, the effect of another training on the limits is unknown: "
            "train an ensemble with n_estimators or --ntrainsamples."
        )
    spreads = _spreads(ensemble, members, level, ends)
    if not spreads:
        return _unknown(
            "The intervals of all members reach the ends of the grid, so the effect of another "
            "training on the limits is unknown: widen limits.grid."
        )
    values = np.array(list(spreads.values()))
    worst = int(np.argmax(values))
    return make(
        NAME,
        values[worst],
        None,
        values[worst] <= LARGEST_SPREAD,
        **WORDS,
        sentence=f"Another training would shift {list(spreads)[worst]} by {say(values[worst])} "
        "standard deviations.",
        plot=EnsemblePlot(
            parameters=list(ensemble),
            intervals=plain([_hull(intervals) for intervals in ensemble.values()]),
            members=plain([[_hull(one) for one in members[name]] for name in ensemble]),
        ),
    )


def _unknown(sentence: str) -> Check:
    return Check(name=NAME, value=None, error=None, passed=True, sentence=sentence, **WORDS)


def _spreads(
    ensemble: Mapping[str, Sequence[Interval]],
    members: Mapping[str, Sequence[Sequence[Interval]]],
    level: float,
    ends: Mapping[str, Sequence[float]],
) -> dict[str, float]:
    """The spread of every edge that at least one member sees within the grid, by its name."""
    spreads = {}
    for parameter, intervals in ensemble.items():
        for index, side in ((0, "lower"), (-1, "upper")):
            edges = [_edge(one, index) for one in members[parameter]]
            if any(edge != ends[parameter][index] for edge in edges):
                spread = _spread(edges, intervals, level)
                spreads[f"the {side} edge of {parameter}"] = spread
    return spreads


def _edge(intervals: Sequence[Interval], index: int) -> float:
    return intervals[index][index] if len(intervals) else np.nan


def _hull(intervals: Sequence[Interval]) -> list[float]:
    return [_edge(intervals, 0), _edge(intervals, -1)]


def _spread(edges: Sequence[float], ensemble: Sequence[Interval], level: float) -> float:
    """Standard error of the mean of ``edges`` in standard deviations of the parameter.

    An interval of a Gaussian has 2 z(level) of these; NaN where there is no interval.
    """
    length = sum(high - low for low, high in ensemble)
    sigma = length / (2.0 * gaussian_deviations(0.5 * (1.0 - level)))
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(np.std(edges, ddof=1) / np.sqrt(len(edges)) / np.float64(sigma))
