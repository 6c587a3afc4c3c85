"""Ratios that are no squares: whether they are positive, and true, as far as limits reach."""

from __future__ import annotations

import numpy as np

from madminer_workflow.statistics.checks import allowance, make, say
from madminer_workflow.statistics.checks.reach import EstimatedRatio
from madminer_workflow.statistics.checks.score import CALIBRATION
from madminer_workflow.statistics.results import Check

INTERVAL = 4.5
"""2 log of the likelihood ratio just beyond the 95 % interval of one parameter, at 3.84."""

LARGEST_NUMBER = 0.01
"""Of expected events: one data set in a hundred has one."""


def positivity_checks(ratio: EstimatedRatio) -> list[Check]:
    """Of a ratio that can become negative, at points where its limits end."""
    points = ratio.surroundings()
    return [_positivity(ratio, points), _calibration(ratio, points)]


def _positivity(ratio: EstimatedRatio, points: np.ndarray) -> Check:
    within = ratio.monomials.values(ratio.surroundings(INTERVAL)) @ ratio.rows.T <= 0.0
    negative = ratio.monomials.values(points) @ ratio.rows.T <= 0.0
    shares = negative @ ratio.weights / ratio.weights.sum()
    worst = int(np.argmax(shares)) if len(points) else 0
    share = shares[worst] if len(points) else 0.0
    number = share * float(ratio.problem.expected_events(ratio.theta))
    return make(
        "positive ratio",
        number,
        None,
        number <= LARGEST_NUMBER and not within.any(),
        expected=f"at most {LARGEST_NUMBER}, and no test event nearer, at the 95 % interval of one",
        meaning="expected number of events whose likelihood ratio is not positive, at the worst of "
        "the points where the 95 % region of two parameters ends",
        reason="the cross-section is no square of an amplitude, so that its ratio may become "
        "negative; a single such event excludes a point, whatever the others say",
        proves="its ratio, which is that of no square of an amplitude and may become negative, is "
        "positive as far as limits reach",
        sentence="The cross-section is no square of an amplitude: its ratio may become negative"
        + (
            f", and is so where limits are set, for {say(100.0 * share)} % of the events at "
            f"{at(points[worst], ratio.problem.setup.parameters)}."
            if share > 0.0
            else ", but does not where limits are set."
        ),
    )


def _calibration(ratio: EstimatedRatio, points: np.ndarray) -> Check:
    """Slope of what the test events prove on what is claimed, at the worst point."""
    proofs = [ratio.proof(point[None]) for point in points]
    slopes = np.array([[proof.share, proof.share_error] for proof in proofs]).reshape(-1, 2)
    low, high = CALIBRATION
    few = allowance(max(len(slopes), 1))
    outside = np.maximum(low - slopes[:, 0], slopes[:, 0] - high) - few * slopes[:, 1]
    worst = int(np.argmax(outside)) if len(points) else 0
    value, error = slopes[worst] if len(points) else (1.0, 0.0)
    return make(
        "calibration where limits end",
        value,
        error,
        not len(points) or outside[worst] <= 0.0,
        expected=f"{low} to {high} within {few:.1f} standard errors",
        meaning="difference between the means of the network's output for test events of the "
        "assumed truth and of a point where limits end, over that which the ratio claims, at the "
        "worst point; below 1 it claims more than the events show, above 1 less",
        reason="without a square nothing keeps a ratio in bounds; intervals are as wrong as the "
        "square root of this slope, as the score's calibration near the reference",
        proves="its ratio is true where limits end",
        sentence=f"Where limits end, the events differ by {say(value, error)} of what the ratio "
        "claims.",
    )


def at(theta: np.ndarray, parameters: list[str]) -> str:
    """A parameter point in a sentence."""
    pairs = zip(parameters, theta, strict=True)
    return ", ".join(f"{name} = {say(value)}" for name, value in pairs)
