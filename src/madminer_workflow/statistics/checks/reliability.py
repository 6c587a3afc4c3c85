"""Reliability of the classifier s = 1 / (1 + r) that a likelihood ratio is equivalent to.

Among events of which s says that a fraction s belongs to the denominator, that fraction must
(arXiv:1506.02169, arXiv:1805.00020 on calibration). The fractions are known from the weights of
the events, without drawing any label.
"""

from __future__ import annotations

import numpy as np
from scipy.special import expit

from madminer_workflow.statistics.checks import allowance, make, say
from madminer_workflow.statistics.plain import plain
from madminer_workflow.statistics.results import (
    Check,
    ReliabilityCurve,
    ReliabilityPlot,
    ReliabilityTolerance,
)
from madminer_workflow.statistics.weights import effective_size, normalised

OVERCONFIDENT = 0.025
CAUTIOUS = 0.05
"""What fakes sensitivity is less tolerable than what only loses some."""

BINS = 10
EVENTS_PER_BIN = 50.0


def reliability_check(
    log_ratios: np.ndarray, numerators: np.ndarray, denominator: np.ndarray, points: np.ndarray
) -> Check:
    """Predicted against true class fractions in bins of the prediction, worst bin and point.

    ``log_ratios`` and ``numerators``, the weights of the events at the points, are (n_points,
    n_events); ``denominator`` (n_events,) are weights at the reference.
    """
    p1 = normalised(denominator)
    curves = [
        reliability_curve(expit(-row), normalised(weights), p1)
        for row, weights in zip(log_ratios, numerators, strict=True)
    ]
    predicted, true, errors = (np.concatenate(column) for column in zip(*curves, strict=True))
    few = allowance(len(predicted))
    distances = np.abs(predicted - true)
    bold = np.abs(predicted - 0.5) > np.abs(true - 0.5)
    tolerances = np.where(bold, OVERCONFIDENT, CAUTIOUS)
    worst = int(np.argmax(distances - few * errors - tolerances))
    value, error = distances[worst] * (1.0 if bold[worst] else -1.0), errors[worst]
    return make(
        "reliability of the classifier",
        value,
        error,
        distances[worst] <= tolerances[worst] + few * error,
        expected=f"−{CAUTIOUS} to {OVERCONFIDENT} within {few:.1f} standard errors",
        meaning="difference between the predicted fraction 1 / (1 + r) of denominator events in "
        "an equal mixture with numerator events and the true fraction, in bins of the "
        "prediction; positive where the prediction is overconfident, negative where it "
        "is underconfident; worst bin of the tested points along every axis",
        reason="log ratios that are 10 % too steep make intervals 10 % too short, and are wrong "
        "by 0.02 in this fraction at r = e; those that are 20 % too flat are wrong by "
        "0.04, and make intervals longer, which is conservative",
        proves="as probabilities they are calibrated",
        sentence=f"Where the ratio predicts that {percent(predicted[worst])} of the events come "
        f"from the denominator, {percent(true[worst])} do.",
        plot=ReliabilityPlot(
            points=plain(points),
            curves=[
                ReliabilityCurve(predicted=plain(mean), true=plain(fraction), error=plain(spread))
                for mean, fraction, spread in curves
            ],
            tolerance=ReliabilityTolerance(overconfident=OVERCONFIDENT, cautious=CAUTIOUS),
        ),
    )


def reliability_curve(
    predicted: np.ndarray, p0: np.ndarray, p1: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean prediction, true fraction and standard error of their difference, each (n_bins,).

    ``predicted`` (n_events,) are probabilities of the denominator; ``p0`` and ``p1`` the
    normalised weights of numerator and denominator. Bins hold equal shares of both together, and
    enough effective events for an error.
    """
    share = 0.5 * (np.maximum(p0, 0.0) + np.maximum(p1, 0.0))
    bins = int(np.clip(effective_size(share) / EVENTS_PER_BIN, 1, BINS))
    order = np.argsort(predicted, kind="stable")
    below = np.cumsum(share[order]) - 0.5 * share[order]
    index = np.empty(len(order), dtype=int)
    index[order] = np.clip((below / share.sum() * bins).astype(int), 0, bins - 1)

    def total(values: np.ndarray) -> np.ndarray:
        return np.bincount(index, values, minlength=bins)

    filled = total(share) > 0.0
    size = np.where(filled, total(share), 1.0)
    mean = total(share * predicted) / size
    true = 0.5 * total(p1) / size
    residual = share * predicted - 0.5 * p1 - share * (mean - true)[index]
    with np.errstate(divide="ignore", invalid="ignore"):
        # As in ``weighted_mean``: a bin that one event fills has no error of its own.
        few = 1.0 - total(share**2) / size**2
        errors = np.sqrt(total(residual**2) / few) / size
    errors = np.where(np.isfinite(errors) | ~np.isfinite(mean), errors, np.inf)
    return mean[filled], true[filled], errors[filled]


def percent(fraction: float) -> str:
    """A fraction in a sentence."""
    return f"{say(100.0 * fraction)} %"
