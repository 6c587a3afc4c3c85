"""Whether the members of an ensemble agree: what another training would have given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from madminer_workflow.statistics.checks import make, say
from madminer_workflow.statistics.quantiles import gaussian_deviations

LARGEST_SPREAD = 0.5

Intervals = Sequence[Sequence[float]]
"""The disjoint intervals of one parameter, [low, high] each."""


def spread_check(
    ensemble: Mapping[str, Intervals],
    members: Mapping[str, Sequence[Intervals]],
    level: float,
    ends: Mapping[str, Sequence[float]],
) -> dict[str, Any]:
    """Spread of the members' interval edges over the standard deviation of the parameter.

    ``ensemble`` maps each parameter to the ensemble's interval at confidence ``level``,
    ``members`` to those of its members, ``ends`` to the first and last value of the grid. The
    spread of the mean of k members is 1 / sqrt(k) of theirs. Passed with a value of None where it
    is not known: a single member has no spread, and where all reach the end of the grid no edge is
    seen.
    """
    name = "agreement of the ensemble"
    words = {
        "expected": f"at most {LARGEST_SPREAD} standard deviations",
        "meaning": "standard deviation, between the members, of the edges of their "
        "intervals, over the square root of their number, in units of the parameter's own "
        "standard deviation, worst edge",
        "reason": "this is by how much another training could move the edge; half a standard "
        "deviation, in quadrature, makes the error 12 % larger",
        "proves": "its members agree",
    }
    unknown = {"check": name, "value": None, "error": None, "passed": True, **words}
    if min(len(own) for own in members.values()) < 2:
        return unknown | {
            "sentence": "With a single member it is not known how much another training would "
            "move the limits: train an ensemble with --ntrainsamples."
        }
    spreads = {}
    for parameter in ensemble:
        for index, side in ((0, "lower"), (-1, "upper")):
            edges = [_edge(own, index) for own in members[parameter]]
            if any(edge != ends[parameter][index] for edge in edges):
                spread = _spread(edges, ensemble[parameter], level)
                spreads[f"the {side} edge of {parameter}"] = spread
    if not spreads:
        return unknown | {
            "sentence": "All members' intervals reach the ends of the grid, so that it is not "
            "known how much another training would move the limits: widen limits.grid."
        }
    values = np.array(list(spreads.values()))
    worst = int(np.argmax(values))
    return make(
        name,
        values[worst],
        None,
        values[worst] <= LARGEST_SPREAD,
        **words,
        sentence=f"Another training would move {list(spreads)[worst]} by {say(values[worst])} "
        "standard deviations.",
        plot={
            "kind": "ensemble",
            "parameters": list(ensemble),
            "intervals": [_hull(ensemble[each]) for each in ensemble],
            "members": [[_hull(own) for own in members[each]] for each in ensemble],
        },
    )


def _edge(intervals: Intervals, index: int) -> float:
    return intervals[index][index] if len(intervals) else np.nan


def _hull(intervals: Intervals) -> list[float]:
    return [_edge(intervals, 0), _edge(intervals, -1)]


def _spread(edges: Sequence[float], ensemble: Intervals, level: float) -> float:
    """Standard error of the mean of ``edges`` in standard deviations of the parameter.

    An interval of a Gaussian has 2 z(level) of these; NaN where there is no interval.
    """
    length = sum(high - low for low, high in ensemble)
    sigma = length / (2.0 * gaussian_deviations(0.5 * (1.0 - level)))
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(np.std(edges, ddof=1) / np.sqrt(len(edges)) / np.float64(sigma))
