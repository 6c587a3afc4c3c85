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
from madminer_workflow.statistics.nuisance import SHAPELESS
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
    denominator, shaped = events.weights_at(theta1), shape_changing(events, theta1)
    numerators = np.array([events.weights_at(theta) for theta in points])
    joint = events.scores_at(theta1)
    return [
        closure_check(log_ratios, denominator, points),
        reliability_check(log_ratios, numerators, denominator, points),
        reweighting_check(log_ratios, numerators, denominator, events.x, events.observables),
        *(
            [calibration_check(scores[:, shaped], joint[:, shaped], denominator)]
            if any(shaped)
            else []
        ),
        information_check(scores, joint, denominator),
    ]


def shape_changing(events: Events, theta: np.ndarray) -> np.ndarray:
    """Which parameters change more than the rate near a point, (n_parameters,).

    The score of others is rounding, and so is what is learned of it: a factor of all amplitudes has
    no score but that of the rate.
    """
    joint = events.scores_at(theta)
    slopes = np.abs(events.setup.morphing_gradients(theta))
    terms = np.abs(events.weights) @ slopes.T / np.abs(events.weights_at(theta))[:, None]
    return joint.std(axis=0) > SHAPELESS * np.median(terms, axis=0)


def score_checks(scores: np.ndarray, events: Events, theta: np.ndarray) -> list[Check]:
    """Checks of the score at theta, (n_events, n_scores).

    After the parameters' it may have components of the nuisance parameters.
    """
    weights, joint = events.weights_at(theta), events.scores_at(theta)
    estimated, nuisance = np.hsplit(scores, [len(theta)])
    shaped = shape_changing(events, theta)
    checks = [information_check(estimated, joint, weights)]
    if any(shaped):
        checks = [
            mean_check(estimated[:, shaped], weights),
            calibration_check(estimated[:, shaped], joint[:, shaped], weights),
            *checks,
        ]
    if nuisance.size:
        checks += nuisance_check(nuisance, events.nuisance_scores_at(theta), weights)
    return checks
