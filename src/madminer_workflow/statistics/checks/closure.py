"""Closure of the likelihood ratio: E[r(x | theta, theta1)] = 1 over events of theta1.

The expectation of the ratio is one of the diagnostics of arXiv:1805.00020.
"""

from __future__ import annotations

import numpy as np

from madminer_workflow.statistics.checks import allowance, make, say
from madminer_workflow.statistics.plain import plain
from madminer_workflow.statistics.results import Check, ClosurePlot
from madminer_workflow.statistics.weights import weighted_mean

TOLERANCE = 0.1


def closure_check(log_ratios: np.ndarray, weights: np.ndarray, points: np.ndarray) -> Check:
    """Mean estimated ratio over events of the denominator, worst of several points.

    ``log_ratios`` are (n_points, n_events), ``weights`` (n_events,) those of the denominator,
    ``points`` (n_points, n_parameters).
    """
    with np.errstate(over="ignore", invalid="ignore"):
        means = np.array([weighted_mean(np.exp(row), weights) for row in log_ratios])
    few = allowance(len(means))
    worst = int(np.argmax(np.abs(means[:, 0] - 1.0) - few * means[:, 1]))
    value, error = means[worst]
    return make(
        "closure of the ratio",
        value,
        error,
        abs(value - 1.0) <= TOLERANCE + few * error,
        expected=f"1 within {TOLERANCE} and {few:.1f} standard errors",
        meaning="mean likelihood ratio over events of the denominator, before normalisation, at "
        "the worst of the tested points along every axis; it is 1 for any true ratio",
        reason="the ratio is divided by its mean before limits are set; if the mean is wrong by "
        "more than 10 %, the shape has errors of the same size, which normalisation "
        "cannot correct",
        proves="its likelihood ratios are normalised",
        sentence=f"The mean of the likelihood ratios is {say(value, error)}; for true ratios it "
        "is 1.",
        plot=ClosurePlot(
            points=plain(points),
            mean=plain(means[:, 0]),
            error=plain(means[:, 1]),
            tolerance=TOLERANCE,
        ),
    )
