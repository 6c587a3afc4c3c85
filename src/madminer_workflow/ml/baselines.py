"""What any method is measured against: the rate alone, and the truth of every event."""

from __future__ import annotations

import numpy as np

from madminer_workflow.ml.problem import Problem


def truth_log_likelihood(problem: Problem, thetas: np.ndarray) -> np.ndarray:
    """Expected log likelihood per event if partons were observed: a ceiling, (n_thetas,).

    Uses the joint likelihood ratio of every test event with respect to ``theta_true``.
    """
    events = problem.test
    coefficients = problem.setup.morphing_weights(thetas)
    reference = events.weights_at(problem.theta_true)
    p = reference / reference.sum()
    totals = events.cross_section(thetas) / reference.sum()
    result = np.empty(len(thetas))
    for i, row in enumerate(coefficients):
        ratio = np.maximum(events.weights @ row, 1e-300) / np.maximum(reference, 1e-300)
        result[i] = p @ np.log(ratio) - np.log(totals[i])
    return result
