"""Whether a trained model may be believed: checks that hold for any perfect estimator.

Every check is a dict with ``check``, ``value``, ``expected`` (words), ``passed`` and
``meaning``; with ``concerns`` it is about something else than the limits. Tolerances allow three
statistical standard errors on top of what would still leave limits useful.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from madminer_workflow.ml.events import Events

CLOSURE = 0.1
CALIBRATION = (0.9, 1.25)
"""Too small a slope fakes sensitivity; too large a one only loses some."""

BIAS = 0.05


def weighted_mean(values: np.ndarray, weights: np.ndarray) -> tuple[float, float]:
    """Mean of ``values`` (n,) under ``weights`` and its standard error."""
    p = weights / weights.sum()
    mean = float(p @ values)
    return mean, float(np.sqrt(np.square(p) @ np.square(values - mean)))


def closure_check(log_ratios: np.ndarray, events: Events, theta1: np.ndarray) -> dict[str, Any]:
    """E[r(x | theta, theta1)] = 1 under theta1; ``log_ratios`` is (n_thetas, n_events)."""
    weights = events.weights_at(theta1)
    means = [weighted_mean(np.exp(row), weights) for row in log_ratios]
    value, error = max(means, key=lambda mean: abs(mean[0] - 1.0))
    return {
        "check": "closure of the ratio",
        "value": value,
        "error": error,
        "expected": f"1 within {CLOSURE} and 3 standard errors",
        "passed": bool(abs(value - 1.0) < CLOSURE + 3.0 * error),
        "meaning": "mean likelihood ratio over events of the denominator, before it is "
        "normalised, worst of one standard deviation of the prior along every axis; it is 1 for "
        "any true ratio",
    }


def mean_check(scores: np.ndarray, events: Events, theta: np.ndarray) -> dict[str, Any]:
    """E[t_hat] = 0 for ``scores`` (n_events, n_parameters) estimated at ``theta``."""
    weights = events.weights_at(theta)
    biases = []
    for estimated in scores.T:
        scale = np.sqrt(weighted_mean(estimated**2, weights)[0])
        mean, error = weighted_mean(estimated, weights)
        biases.append((mean / scale, error / scale))
    value, error = max(biases, key=lambda pair: abs(pair[0]))
    return {
        "check": "mean of the score",
        "value": value,
        "error": error,
        "expected": f"0 within {BIAS} and 3 standard errors",
        "passed": bool(abs(value) < BIAS + 3.0 * error),
        "meaning": "mean estimated score at its own point, in units of its standard deviation, "
        "worst parameter; it is 0 for any true score",
    }


def calibration_check(scores: np.ndarray, events: Events, theta: np.ndarray) -> dict[str, Any]:
    """Slope of the joint score t(x, z) on ``scores`` (n_events, n_parameters), worst parameter.

    The best estimate of the joint score from x is its conditional mean, for which
    E[t t_hat] = E[t_hat^2]: the slope is 1.
    """
    return {
        "check": "calibration of the score",
        **_worst_slope(scores, events.scores_at(theta), events.weights_at(theta)),
        "meaning": "slope of the parton-level score on the estimated one, worst parameter; "
        "below 1 the network claims more information than the events have, above 1 it misses some",
    }


def nuisance_check(scores: np.ndarray, events: Events, theta: np.ndarray) -> list[dict[str, Any]]:
    """As ``calibration_check`` for the score of the nuisance parameters, (n_events, n_nuisance).

    Nothing for those that change no shape.
    """
    true = events.nuisance_scores_at(theta)
    shaped = true.std(axis=0) > 1e-6
    if not shaped.any():
        return []
    return [
        {
            "check": "calibration of the nuisance score",
            **_worst_slope(scores[:, shaped], true[:, shaped], events.weights_at(theta)),
            "concerns": "profiled Fisher information",
            "meaning": "the same for the score of the nuisance parameters, on which the profiled "
            "Fisher information depends, but no limit",
        }
    ]


def _worst_slope(estimated: np.ndarray, true: np.ndarray, weights: np.ndarray) -> dict[str, Any]:
    """The slope of ``true`` on ``estimated`` scores, (n_events, n_scores), farthest from 1."""
    slopes = []
    for ours, theirs in zip(estimated.T, true.T, strict=True):
        square = weighted_mean(ours**2, weights)[0]
        residual, error = weighted_mean((theirs - ours) * ours, weights)
        slopes.append((1.0 + residual / square, error / square))
    low, high = CALIBRATION

    def excess(slope: tuple[float, float]) -> float:
        distance = slope[0] - 1.0
        return distance / (high - 1.0 if distance > 0.0 else low - 1.0)

    value, error = max(slopes, key=excess)
    return {
        "value": float(value),
        "error": float(error),
        "expected": f"{low} to {high} within 3 standard errors",
        "passed": bool(low - 3.0 * error < value < high + 3.0 * error),
    }
