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
        expected=f"at most {LARGEST_NUMBER}, and none for any test event at the 95 % interval "
        "of one parameter",
        meaning="expected number of events whose likelihood ratio is not positive, at the worst of "
        "the points where the 95 % region of two parameters ends",
        reason="the cross-section is not the square of an amplitude, so its ratio may become "
        "negative; a single such event excludes a parameter point, whatever the other "
        "events say",
        proves="its ratio, which may become negative because the cross-section is not the "
        "square of an amplitude, is positive as far as the limits extend",
        sentence=(
            "The cross-section is not the square of an amplitude, so its ratio may become negative"
        )
        + (
            f"; where limits are set it does, for {say(100.0 * share)} % of the events at "
            f"{at(points[worst], ratio.problem.setup.parameters)}."
            if share > 0.0
            else "; where limits are set it does not."
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
        meaning="difference between the mean network output for test events at the assumed "
        "truth and at a point where limits end, divided by the difference that the "
        "ratio claims, at the worst point; below 1, the ratio claims more than the "
        "events show, above 1, less",
        reason="without a square, the ratio is unbounded; intervals are wrong by the square "
        "root of this slope, as for the calibration of the score near the reference",
        proves="its ratio is calibrated where limits end",
        sentence=f"Where limits end, the events differ by {say(value, error)} times the "
        "difference that the ratio claims.",
    )


def at(theta: np.ndarray, parameters: list[str]) -> str:
    """A parameter point in a sentence."""
    pairs = zip(parameters, theta, strict=True)
    return ", ".join(f"{name} = {say(value)}" for name, value in pairs)
