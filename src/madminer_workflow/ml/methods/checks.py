"""Whether a trained model may be believed: checks that hold for any perfect estimator.

Every check is a dict with ``check``, ``value``, ``expected`` (words), ``passed`` and
``meaning``. Tolerances allow three statistical standard errors on top of what would still
leave limits useful.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from madminer_workflow.ml.events import Events

CLOSURE = 0.1
CALIBRATION = 0.15
BIAS = 0.05


def weighted_mean(values: np.ndarray, weights: np.ndarray) -> tuple[float, float]:
    """Mean of ``values`` (n,) under ``weights`` and its standard error."""
    p = weights / weights.sum()
    mean = float(p @ values)
    return mean, float(np.sqrt(np.square(p) @ np.square(values - mean)))


def ratio_checks(
    log_ratios: np.ndarray, events: Events, theta1: np.ndarray
) -> list[dict[str, Any]]:
    """E[r(x | theta, theta1)] = 1 under theta1; ``log_ratios`` is (n_thetas, n_events)."""
    weights = events.weights_at(theta1)
    means = [weighted_mean(np.exp(row), weights) for row in log_ratios]
    value, error = max(means, key=lambda mean: abs(mean[0] - 1.0))
    return [
        {
            "check": "closure of the ratio",
            "value": value,
            "error": error,
            "expected": f"1 within {CLOSURE} and 3 standard errors",
            "passed": bool(abs(value - 1.0) < CLOSURE + 3.0 * error),
            "meaning": "mean likelihood ratio over events of the denominator, worst of one "
            "standard deviation of the prior along every axis; it is 1 for any true ratio",
        }
    ]


def score_checks(scores: np.ndarray, events: Events, theta: np.ndarray) -> list[dict[str, Any]]:
    """Mean and calibration of ``scores`` (n_events, n_parameters) estimated at ``theta``.

    The true score averages to zero, and the best estimate of the joint score t(x, z) from x
    satisfies E[t t_hat] = E[t_hat^2] (it is the conditional mean), so that the slope of the
    joint on the estimated score is 1.
    """
    weights = events.weights_at(theta)
    joint = events.scores_at(theta)
    biases, slopes = [], []
    for estimated, true in zip(scores.T, joint.T, strict=True):
        scale = np.sqrt(weighted_mean(estimated**2, weights)[0])
        mean, error = weighted_mean(estimated, weights)
        biases.append((mean / scale, error / scale))
        residual, error = weighted_mean((true - estimated) * estimated, weights)
        slopes.append((1.0 + residual / scale**2, error / scale**2))
    bias, bias_error = max(biases, key=lambda pair: abs(pair[0]))
    slope, slope_error = max(slopes, key=lambda pair: abs(pair[0] - 1.0))
    return [
        {
            "check": "mean of the score",
            "value": bias,
            "error": bias_error,
            "expected": f"0 within {BIAS} and 3 standard errors",
            "passed": bool(abs(bias) < BIAS + 3.0 * bias_error),
            "meaning": "mean estimated score at its own point, in units of its standard "
            "deviation, worst parameter; it is 0 for any true score",
        },
        {
            "check": "calibration of the score",
            "value": slope,
            "error": slope_error,
            "expected": f"1 within {CALIBRATION} and 3 standard errors",
            "passed": bool(abs(slope - 1.0) < CALIBRATION + 3.0 * slope_error),
            "meaning": "slope of the parton-level score on the estimated one, worst parameter; "
            "below 1 the network claims more information than the events have",
        },
    ]
