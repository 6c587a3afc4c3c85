"""Closure of reweighting: events of theta1, weighted with r(x | theta, theta1), are those of theta.

One of the diagnostics of arXiv:1506.02169 and arXiv:1805.00020: there by eye or with another
classifier; here for every observable by the largest difference of its two cumulative
distributions (Kolmogorov and Smirnov). Both come from the same simulated events, so that most
fluctuations cancel in the difference, and its error is that of the difference.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from madminer_workflow import large_arrays
from madminer_workflow.statistics.checks import CHANCE, make, say
from madminer_workflow.statistics.plain import plain
from madminer_workflow.statistics.results import Check, ReweightingPlot
from madminer_workflow.statistics.weights import normalised

TOLERANCE = 0.03


def reweighting_check(
    log_ratios: np.ndarray,
    numerators: np.ndarray,
    denominator: np.ndarray,
    x: np.ndarray,
    observables: Sequence[str],
) -> Check:
    """Largest difference of the cumulative distributions, worst observable and point.

    ``log_ratios`` and ``numerators``, the weights of the events at the points, are (n_points,
    n_events); ``denominator`` (n_events,) are weights at the reference; ``x`` has shape
    (n_events, n_observables).
    """
    differences, errors, few = _at_worst_points(log_ratios, numerators, denominator, x)
    allowed = TOLERANCE + few * errors
    worst = int(np.argmax(differences - allowed))
    bad = [name for name, d, a in zip(observables, differences, allowed, strict=True) if not d <= a]
    value, error = differences[worst], errors[worst]
    return make(
        "closure of reweighting",
        value,
        error,
        not bad,
        expected=f"0 within {TOLERANCE} and {few:.1f} standard errors, for every observable",
        meaning="largest difference between the cumulative distribution of an observable at a "
        "parameter point and that of denominator events reweighted with the estimated "
        "ratio, for the worst observable at the tested points along every axis",
        reason="a thousand data events differ by 0.03 from their true distribution by chance; "
        "an error of this size looks like an effect of one standard deviation",
        proves="they reproduce every observable at other parameters",
        sentence=f"Reweighted events do not reproduce {' and '.join(bad)}: up to "
        f"{100.0 * value:.2g} % of them are misplaced."
        if bad
        else f"Reweighted events reproduce every observable, with {observables[worst]} the "
        f"worst: {say(100.0 * value)} % of the events are misplaced.",
        plot=ReweightingPlot(
            observables=list(observables),
            difference=plain(differences),
            error=plain(errors),
            allowed=plain(allowed),
            tolerance=TOLERANCE,
        ),
    )


def _at_worst_points(
    log_ratios: np.ndarray, numerators: np.ndarray, denominator: np.ndarray, x: np.ndarray
) -> tuple[np.ndarray, np.ndarray, float]:
    """Difference and error of every observable at its worst point, and the allowance in errors."""
    p1 = normalised(denominator)
    columns = (large_arrays.columns(x, [i])[:, 0] for i in range(x.shape[1]))
    by_observable = []
    for column in columns:
        order = np.argsort(column, kind="stable")
        by_observable.append(
            [
                largest_difference(column, reweighted(row, p1), normalised(weights), order)
                for row, weights in zip(log_ratios, numerators, strict=True)
            ]
        )
    # Each of shape (n_points, n_observables).
    differences, errors = np.transpose(by_observable, (2, 1, 0))
    few = supremum_allowance(differences.size)
    worst = np.argmax(differences - few * errors, axis=0)[None, :]
    return (
        np.take_along_axis(differences, worst, axis=0)[0],
        np.take_along_axis(errors, worst, axis=0)[0],
        few,
    )


def reweighted(log_ratios: np.ndarray, p1: np.ndarray) -> np.ndarray:
    """Normalised weights (n_events,) of the denominator's events times their ratio."""
    # What is too small or large for exp cancels in the normalisation.
    return normalised(p1 * np.exp(log_ratios - np.max(log_ratios)))


def largest_difference(
    x: np.ndarray, q: np.ndarray, p: np.ndarray, order: np.ndarray | None = None
) -> tuple[float, float]:
    """Largest difference of the distributions of ``x`` under ``q`` and ``p``, and its error.

    All have shape (n_events,); ``q`` and ``p`` are normalised weights of the same events, ``order``
    is that in which ``x`` ascend, if it is known. The error is the largest standard error of the
    difference at any value of ``x``: by its influence function, event i moves the difference at t
    by q_i (1[x_i <= t] - Q(t)) - p_i (1[x_i <= t] - P(t)).
    """
    order = np.argsort(x, kind="stable") if order is None else order
    q, p, x = q[order], p[order], x[order]
    Q, P = np.cumsum(q), np.cumsum(p)

    def split(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        below = np.cumsum(values)
        return below, below[-1] - below

    (qq, qq_above), (pp, pp_above), (qp, qp_above) = map(split, (q * q, p * p, q * p))
    variance = (1 - Q) ** 2 * qq - 2 * (1 - Q) * (1 - P) * qp + (1 - P) ** 2 * pp
    variance += Q**2 * qq_above - 2 * Q * P * qp_above + P**2 * pp_above
    ends = np.append(x[1:] != x[:-1], True)
    difference = np.abs(Q - P)[ends]
    return float(difference.max()), float(np.sqrt(np.maximum(variance[ends], 0.0).max()))


def supremum_allowance(n: int) -> float:
    """Standard errors to allow the largest of ``n`` largest differences.

    For a Brownian bridge with standard deviation s in its middle, as Kolmogorov's law has it, the
    largest difference exceeds c s with probability 2 exp(-c^2 / 2) at most.
    """
    return float(np.sqrt(2.0 * np.log(2.0 * n / CHANCE)))
