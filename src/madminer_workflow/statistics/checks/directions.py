"""Whether observables show the parameters that limits are set on.

A network that learns from finitely many events claims some information on everything that partons
depend on, even where observables do not: a hundredth to a ten-thousandth of what the partons know,
from fluctuations that all members of an ensemble learn alike. Limits from it are wide, and wrong.
What is really there is proven by events that the network has not seen.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from madminer_workflow.statistics.checks import listing, say
from madminer_workflow.statistics.checks.reach import EstimatedRatio
from madminer_workflow.statistics.plain import plain
from madminer_workflow.statistics.results import Check

NAME = "directions that are seen"

LEAST = 2.0
"""Standard errors. With 4 effective test events for every one expected, as many as are asked for,
there are 4.9 at the edge of a true limit, sqrt(6 x 4): it fails one time in several hundred."""

NEGLIGIBLE = 0.1
"""Part of a direction, in standard deviations of the partons, that is not worth naming."""


def seen_check(ratio: EstimatedRatio) -> Check:
    """Whether the test events show every direction that limits are set on, the least proven one."""
    proofs = []
    for direction in ratio.principal():
        points = ratio.ends(np.stack([direction, -direction]))
        points = points[np.isfinite(points).all(axis=1)]
        if len(points):
            proofs.append((ratio.proof(points), direction))
    if not proofs:
        return _check(
            None,
            None,
            "It sets no limits, because it does not distinguish between parameter points.",
        )
    proofs.sort(key=lambda pair: pair[0].significance)
    worst = proofs[0][0]
    least = [direction for proof, direction in proofs if proof.significance < LEAST]
    names = named(least or [proofs[0][1]], ratio.units_of_partons, ratio.problem.setup.parameters)
    share = say(worst.share, worst.share_error)
    return _check(
        worst.significance,
        1.0,
        f"The test events show no sensitivity to {names}: they prove only {share} of the "
        "difference that it claims where these limits end. Such limits are spurious."
        if worst.significance < LEAST
        else f"The least proven direction is {names}: {share} of the claimed difference where "
        "its limits end.",
    )


def _check(value: float | None, error: float | None, sentence: str) -> Check:
    return Check(
        name=NAME,
        value=None if value is None else plain(float(value)),
        error=error,
        passed=value is None or value >= LEAST,
        expected=f"at least {LEAST:g}",
        meaning="difference between the mean network output for test events at the assumed "
        "truth and at the points where the limits end, divided by its standard error, "
        "for the direction in parameter space in which it is smallest",
        reason="fluctuations of the training events make a network claim some information even "
        "on directions that the observables do not resolve; for true limits the "
        "difference is 4.9 standard errors if there are enough test events",
        proves="the test events confirm its sensitivity in every direction",
        sentence=sentence,
    )


def named(directions: Sequence[np.ndarray], scales: np.ndarray, parameters: Sequence[str]) -> str:
    """Directions in the user's parameters: those that they span, or how several change together."""
    sizes = np.abs(directions / scales)
    counting = sizes >= NEGLIGIBLE * sizes.max(axis=1, keepdims=True)
    spanned = np.flatnonzero(counting.any(axis=0)).tolist()
    if len(spanned) == len(directions):
        return listing([parameters[i] for i in spanned])
    return listing(
        [
            _together(direction, np.argsort(-size, kind="stable")[: count.sum()], parameters)
            for direction, size, count in zip(directions, sizes, counting, strict=True)
        ]
    )


def _together(direction: np.ndarray, order: np.ndarray, parameters: Sequence[str]) -> str:
    if len(order) == 1:
        return parameters[order[0]]
    shares = " : ".join(say(direction[i] / direction[order[0]]) for i in order)
    return f"the direction {' : '.join(parameters[i] for i in order)} = {shares}"
