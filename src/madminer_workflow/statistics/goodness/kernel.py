"""Events in all observables together: a classifier of data and simulation.

The test statistic is that of the New Physics Learning Machine (R. T. D'Agnolo and A. Wulzer,
arXiv:1806.02350; arXiv:2305.14137): a model f of log p(x)/p_ref(x) is fitted to data and
reference events, and t = 2 [sum over data of f - n log E_ref[e^f]] is large where that fits better
than f = 0. f is a kernel logistic regression with weights (arXiv:2204.02317): sums of Gaussians
around some of the events, whose coefficients are regularised.

Observables are taken by their ranks in the reference, as normal scores, so that units and tails do
not matter.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial.distance import cdist, pdist
from scipy.special import ndtri

N_CENTRES = 250
WIDTHS = (1.0, 0.3)
"""Of Gaussians, over the median distance of events: a wide and a narrow kernel."""
DIRECTIONS = (20, 40)
"""Of the functions, those of most variance, for each width."""
FREEDOM = (8.0, 20.0)
"""Effective degrees of freedom of the fit, for each width."""
ITERATIONS = 25
PRECISION = 1e-3
CHUNK = 20_000
LARGEST = 15.0


@dataclass(frozen=True)
class Ranks:
    """The normal scores of observables: ``knots`` and ``scores`` are lists by observable."""

    knots: list[np.ndarray]
    scores: list[np.ndarray]

    @classmethod
    def of(cls, x: np.ndarray, weights: np.ndarray) -> Ranks:
        """From reference events ``x`` (n_events, n_observables)."""
        knots, scores = [], []
        positive = np.maximum(weights, 0.0)
        for column in x.T:
            known = np.isfinite(column)
            values, place = np.unique(column[known], return_inverse=True)
            share = np.bincount(place, weights=positive[known], minlength=len(values))
            n = len(values) + 1.0
            share = share / max(share.sum(), 1e-300)
            middle = np.clip(np.cumsum(share) - 0.5 * share, 0.5 / n, 1.0 - 0.5 / n)
            knots.append(values)
            scores.append(ndtri(middle))
        return cls(knots, scores)

    def at(self, x: np.ndarray) -> np.ndarray:
        """Scores of events, of the shape of ``x``; what has no value is at 0."""
        columns = [
            np.where(np.isfinite(column), np.interp(column, knots, scores), 0.0)
            if len(knots)
            else np.zeros(len(column))
            for column, knots, scores in zip(x.T, self.knots, self.scores, strict=True)
        ]
        return np.stack(columns, axis=1)


@dataclass(frozen=True)
class Features:
    """The directions that f is made of, of mean 0 and variance 1 in the reference.

    Of Gaussians of ``width`` around ``centres`` in ``ranks``: (K(x) - mean) @ ``directions``, whose
    ``variances`` (n_directions,) say how much of each a function may have.
    """

    ranks: Ranks
    centres: np.ndarray
    width: float
    mean: np.ndarray
    directions: np.ndarray
    variances: np.ndarray

    @classmethod
    def of(
        cls,
        x: np.ndarray,
        weights: np.ndarray,
        width: float,
        n_directions: int,
        rng: np.random.Generator,
    ) -> Features:
        """From reference events; ``width`` is over the median distance of them."""
        ranks = Ranks.of(x, weights)
        positive = np.maximum(weights, 0.0)
        p = positive / positive.sum()
        chosen = np.sort(rng.choice(len(x), min(N_CENTRES, int(np.sum(p > 0.0))), False, p))
        centres = ranks.at(x[chosen])
        distances = pdist(centres)
        median = float(np.median(distances)) if len(distances) else 1.0
        scale = width * (median if median > 0.0 else 1.0)
        kernel = _kernel(ranks.at(x), centres, scale)
        # Nystroem: functions of unit norm, then the directions of most variance among them.
        values, vectors = np.linalg.eigh(_kernel(centres, centres, scale))
        kept = values > 1e-8 * values[-1]
        unit = vectors[:, kept] / np.sqrt(values[kept])
        mean = p @ kernel
        spread = (kernel - mean) @ unit
        variances, axes = np.linalg.eigh(spread.T @ (p[:, None] * spread))
        most = np.argsort(-variances)[:n_directions]
        most = most[variances[most] > 1e-10 * max(variances[-1], 1e-300)]
        directions = unit @ axes[:, most] / np.sqrt(variances[most])
        return cls(ranks, centres, scale, mean, directions, variances[most])

    def at(self, x: np.ndarray) -> np.ndarray:
        """Of events, (n_events, n_directions)."""
        scores = self.ranks.at(x)
        pieces = [
            (_kernel(scores[i : i + CHUNK], self.centres, self.width) - self.mean) @ self.directions
            for i in range(0, max(len(x), 1), CHUNK)
        ]
        return np.concatenate(pieces)

    def penalty(self, freedom: float) -> np.ndarray:
        """What multiplies n times the squares of coefficients, so that so many of them are free.

        The penalty is one of the norm of f. It leaves of a coefficient that n events of data and
        of reference know the fraction h / (h + n penalty), h = n / 2 its information in the
        logistic loss: t has nearly the same distribution for all n.
        """
        information = 0.5
        low, high = -30.0, 30.0
        for _ in range(60):
            middle = 0.5 * (low + high)
            penalty = np.exp(middle) / self.variances
            free = np.sum(information / (information + penalty))
            low, high = (middle, high) if free > freedom else (low, middle)
        return np.exp(high) / self.variances


def _kernel(x: np.ndarray, centres: np.ndarray, width: float) -> np.ndarray:
    return np.exp(-0.5 * cdist(x, centres, "sqeuclidean") / width**2)


def log_ratio(
    data: np.ndarray,
    reference: np.ndarray,
    weights: np.ndarray,
    penalty: np.ndarray,
    data_weights: np.ndarray | None = None,
) -> np.ndarray:
    """Coefficients of f: the intercept, then those of features, (1 + n_directions,).

    Of events with features ``data`` (n, n_directions) against those of ``reference`` with
    ``weights`` (n_reference,), which count as much together. Data have ``data_weights``, or count
    once each; for ``penalty`` see ``Features``. The logistic loss is minimised with the Hessian at
    f = 0, the largest that it can have (D. Böhning, Ann. Inst. Stat. Math. 44 (1992) 197); features
    of the reference have the unit matrix for their covariance, or nearly so.
    """
    n, k = data.shape
    if n == 0 or k == 0:
        return np.zeros(k + 1)
    penalty = n * penalty
    w = weights * (n / weights.sum())
    v = np.ones(n) if data_weights is None else data_weights * (n / data_weights.sum())
    hessian = np.zeros((k + 1, k + 1))
    hessian[0, 0] = 0.5 * n
    of_data, weighted = v @ data, w @ reference
    hessian[0, 1:] = hessian[1:, 0] = 0.25 * (of_data + weighted)
    hessian[1:, 1:] = 0.25 * (data.T @ (v[:, None] * data) + n * np.eye(k)) + np.diag(penalty)
    inverse = np.linalg.inv(hessian)
    c = np.zeros(k + 1)
    for _ in range(ITERATIONS):
        left = v * _sigmoid(-(c[0] + data @ c[1:]))
        right = w * _sigmoid(c[0] + reference @ c[1:])
        gradient = np.empty(k + 1)
        gradient[0] = left.sum() - right.sum()
        gradient[1:] = left @ data - right @ reference - penalty * c[1:]
        step = inverse @ gradient
        c += step
        if step @ gradient < PRECISION:
            break
    return c


def _sigmoid(values: np.ndarray) -> np.ndarray:
    return 0.5 * (1.0 + np.tanh(0.5 * values))


def statistic(
    data: np.ndarray, reference: np.ndarray, weights: np.ndarray, penalty: np.ndarray
) -> float:
    """t of events with features ``data`` against a weighted reference: see ``log_ratio``."""
    if not len(data):
        return 0.0
    c = log_ratio(data, reference, weights, penalty)
    of_data, of_reference = data @ c[1:], np.clip(reference @ c[1:], -LARGEST, LARGEST)
    mean = weights @ np.exp(of_reference) / weights.sum()
    return float(2.0 * (of_data.sum() - len(data) * np.log(mean)))
