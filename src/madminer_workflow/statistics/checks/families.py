"""Which checks apply to what: likelihood ratios, and scores at one point."""

from __future__ import annotations

import numpy as np

from madminer_workflow.statistics.checks.closure import closure_check
from madminer_workflow.statistics.checks.reliability import reliability_check
from madminer_workflow.statistics.checks.reweighting import reweighting_check
from madminer_workflow.statistics.checks.score import (
    calibration_check,
    information_check,
    mean_check,
    nuisance_check,
)
from madminer_workflow.statistics.events import Events
from madminer_workflow.statistics.results import Check


def ratio_checks(
    log_ratios: np.ndarray,
    scores: np.ndarray,
    events: Events,
    theta1: np.ndarray,
    points: np.ndarray,
) -> list[Check]:
    """Checks of log r(x | points, theta1), (n_points, n_events), and of its score at theta1.

    The scores are (n_events, n_parameters), the points (n_points, n_parameters). Densities are
    checked by the ratios that they imply.
    """
    denominator = events.weights_at(theta1)
    numerators = np.array([events.weights_at(theta) for theta in points])
    joint = events.scores_at(theta1)
    return [
        closure_check(log_ratios, denominator, points),
        reliability_check(log_ratios, numerators, denominator, points),
        reweighting_check(log_ratios, numerators, denominator, events.x, events.observables),
        calibration_check(scores, joint, denominator),
        information_check(scores, joint, denominator),
    ]


def score_checks(scores: np.ndarray, events: Events, theta: np.ndarray) -> list[Check]:
    """Checks of the score at theta, (n_events, n_scores).

    After the parameters' it may have components of the nuisance parameters.
    """
    weights, joint = events.weights_at(theta), events.scores_at(theta)
    estimated, nuisance = np.hsplit(scores, [len(theta)])
    checks = [
        mean_check(estimated, weights),
        calibration_check(estimated, joint, weights),
        information_check(estimated, joint, weights),
    ]
    if nuisance.size:
        checks += nuisance_check(nuisance, events.nuisance_scores_at(theta), weights)
    return checks
