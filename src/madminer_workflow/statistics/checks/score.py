"""Properties of the score: its mean, its calibration, and the information it claims.

The score t(x) that is best in the mean square is the conditional mean of the joint score t(x, z)
(arXiv:1805.00020): its mean is zero, its covariance with the joint score is its own
covariance, and that, the Fisher information of an event, is at most that of the joint score.
"""

from __future__ import annotations

import numpy as np

from madminer_workflow.statistics.checks import allowance, make, say
from madminer_workflow.statistics.results import Check
from madminer_workflow.statistics.weights import weighted_mean

BIAS = 0.05

CALIBRATION = (0.9, 1.25)
"""Too small a slope fakes sensitivity; too large a one only loses some."""

EXCESS = 0.05

DIAGONAL_BINS = 10


def mean_check(scores: np.ndarray, weights: np.ndarray) -> Check:
    """E[t_hat] = 0 for ``scores`` (n_events, n_parameters) at the point of ``weights``."""
    scales = np.sqrt([weighted_mean(column**2, weights)[0] for column in scores.T])
    means = np.array([weighted_mean(column, weights) for column in scores.T])
    with np.errstate(divide="ignore", invalid="ignore"):
        biases = means / scales[:, None]
    few = allowance(len(biases))
    worst = int(np.argmax(np.abs(biases[:, 0]) - few * biases[:, 1]))
    value, error = biases[worst]
    return make(
        "mean of the score",
        value,
        error,
        abs(value) <= BIAS + few * error,
        expected=f"0 within {BIAS} and {few:.1f} standard errors",
        meaning="mean of the estimated score at its reference point, in units of its standard "
        "deviation, for the worst parameter; it is 0 for any true score",
        reason="a mean of 0.05 corresponds to 0.25 % of the score's variance, which does not "
        "affect limits; a much larger mean indicates that the training has not converged",
        proves="its score has no bias",
        sentence=f"The mean of the score is {say(value, error)} standard deviations; for a true "
        "score it is 0.",
    )


def calibration_check(scores: np.ndarray, joint: np.ndarray, weights: np.ndarray) -> Check:
    """Slope of the ``joint`` score on ``scores``, both (n_events, n_parameters), worst one."""
    value, error, passed, few = worst_slope(scores, joint, weights)
    low, high = CALIBRATION
    return make(
        "calibration of the score",
        value,
        error,
        passed,
        expected=f"{low} to {high} within {few:.1f} standard errors",
        meaning="slope of the parton-level score as a function of the estimated score, for the "
        "worst parameter; below 1, the network claims more information than the events "
        "contain, above 1, it misses some",
        reason="a slope of 0.9 makes an interval 10 % too short, which is a false claim of "
        "sensitivity; a slope of 1.25 only widens it by 25 %, which is conservative",
        proves="its score claims neither more nor much less information than the events contain",
        sentence=f"The parton-level score has a slope of {say(value, error)} as a function of "
        "the estimated score; for a calibrated score it is 1.",
    )


def nuisance_check(scores: np.ndarray, joint: np.ndarray, weights: np.ndarray) -> list[Check]:
    """As ``calibration_check`` for the score of the nuisance parameters, (n_events, n_nuisance).

    Nothing for those that change no shape.
    """
    shaped = joint.std(axis=0) > 1e-6
    if not shaped.any():
        return []
    value, error, passed, few = worst_slope(scores[:, shaped], joint[:, shaped], weights)
    low, high = CALIBRATION
    return [
        make(
            "calibration of the nuisance score",
            value,
            error,
            passed,
            expected=f"{low} to {high} within {few:.1f} standard errors",
            meaning="the same for the score with respect to the nuisance parameters, which "
            "affects only the profiled Fisher information, not limits",
            reason="a slope outside these bounds makes the information on the nuisance "
            "parameters, and the loss from profiling them, wrong by more than 20 %",
            proves="the score of its nuisance parameters is calibrated",
            sentence="The parton-level score of the nuisance parameters has a slope of "
            f"{say(value, error)} as a function of the estimated score; for a "
            "calibrated score it is 1.",
            concerns="profiled Fisher information",
        )
    ]


def worst_slope(
    estimated: np.ndarray, joint: np.ndarray, weights: np.ndarray
) -> tuple[float, float, bool, float]:
    """The slope of ``joint`` on ``estimated`` that is farthest from 1, relative to CALIBRATION.

    Both are (n_events, n_scores). Returns it, its standard error, whether it lies within
    CALIBRATION and the allowance, and this allowance in standard errors.
    """
    rows = []
    for ours, theirs in zip(estimated.T, joint.T, strict=True):
        square = weighted_mean(ours**2, weights)[0]
        residual, error = weighted_mean((theirs - ours) * ours, weights)
        with np.errstate(divide="ignore", invalid="ignore"):
            rows.append((1.0 + np.divide(residual, square), np.divide(error, square)))
    return worst_of(np.array(rows))


def worst_of(slopes: np.ndarray) -> tuple[float, float, bool, float]:
    """The same of slopes and their errors, (n_scores, 2)."""
    few = allowance(len(slopes))
    low, high = CALIBRATION
    above = slopes[:, 0] > 1.0
    outside = np.where(above, slopes[:, 0] - high, low - slopes[:, 0]) - few * slopes[:, 1]
    width = np.where(above, high - 1.0, 1.0 - low)
    worst = int(np.argmax(outside / width))
    return float(slopes[worst, 0]), float(slopes[worst, 1]), bool(outside[worst] <= 0.0), few


def information_check(scores: np.ndarray, joint: np.ndarray, weights: np.ndarray) -> Check:
    """Largest eigenvalue of I_joint^-1/2 I_hat I_joint^-1/2, which is 1 at most.

    The information of an event is the covariance of its score; both scores are (n_events,
    n_parameters). The error is that of the ratio of information in the direction of the
    eigenvector, from the same events.
    """
    p = weights / weights.sum()
    estimated, true = scores - p @ scores, joint - p @ joint
    ours, ceiling = ((p[:, None] * score).T @ score for score in (estimated, true))
    if not (np.all(np.isfinite(ours)) and np.all(np.isfinite(ceiling))):
        value = error = np.nan
    else:
        values, vectors = np.linalg.eigh(ceiling)
        # Directions of which not even the truth knows anything have no ratio.
        known = values > 1e-12 * values[-1]
        whiten = vectors[:, known] / np.sqrt(values[known])
        ratios, directions = np.linalg.eigh(whiten.T @ ours @ whiten)
        value = ratios[-1]
        direction = whiten @ directions[:, -1]
        squares, most = (estimated @ direction) ** 2, (true @ direction) ** 2
        error = weighted_mean(squares - value * most, weights)[1] / (p @ most)
    few = allowance(1)
    return make(
        "information below the truth's",
        value,
        error,
        value <= 1.0 + EXCESS + few * error,
        expected=f"at most 1 within {EXCESS} and {few:.1f} standard errors",
        meaning="ratio of the Fisher information of the estimated score to that of the "
        "parton-level truth, in the direction of parameter space in which it is largest",
        reason="no observable contains more information than the parton momenta; 5 % more "
        "information would shorten intervals by 2.5 %, which is negligible",
        proves="it claims less information than the parton-level truth",
        sentence=f"In the direction in which it claims most, it has {say(value, error)} times "
        "the information of the parton-level truth"
        + (", which is more than exists." if not value <= 1.0 + EXCESS + few * error else "."),
    )
