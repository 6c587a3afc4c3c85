"""How single events respond to nuisance parameters, and parts of them that respond nearly alike."""

from __future__ import annotations

import heapq
from dataclasses import replace

import numpy as np
from scipy import sparse

from madminer_workflow.statistics.nuisance import response_of_rates
from madminer_workflow.statistics.polynomial import PolynomialDensity
from madminer_workflow.statistics.problem import Problem

N_PARTS = 30
"""With one, limits of 10 000 events and five nuisance parameters are within 0.2 % of those of a sum
over all events; more are for fits far from nu = 0."""

SMALLEST_PART = 25
"""Events that a part has at least, so that its cross-section is positive at other parameters."""


def varied_ratios(
    known: PolynomialDensity, sample: str, theta: np.ndarray, problem: Problem
) -> np.ndarray:
    """q_v / q of a sample's events at ``theta``, (n_events, 1 + 2 n_nuisance), nominal first.

    Those of variations that change no shape are 1.
    """
    response = known.response
    assert response is not None, "otherwise the rate alone knows nuisance parameters"
    rows, at = known.cells[sample], known.monomials.values(theta)
    ratios = np.ones((len(rows), 1 + 2 * len(problem.setup.nuisance)))
    nominal = (known.coefficients[rows] @ at) / (known.norm @ at)
    varied = (response.coefficients[rows] @ at) / (response.norm @ at)
    ratios[:, response.changing] = varied / nominal[:, None]
    return ratios


def event_response(
    known: PolynomialDensity, sample: str, theta: np.ndarray, problem: Problem
) -> tuple[np.ndarray, np.ndarray]:
    """a(x) and b(x) of the shape, each (n_events, n_nuisance), at ``theta``."""
    return response_of_rates(varied_ratios(known, sample, theta, problem), problem.setup)


def with_parts(
    known: PolynomialDensity, sample: str, weights: np.ndarray, theta: np.ndarray, problem: Problem
) -> PolynomialDensity:
    """``known`` with the cross-section in parts that respond to nuisance parameters nearly alike.

    The parts are made of the events of a ``sample``, whose density at nu = 0 is ``weights``
    (n_events,) times that of ``known``. Which events respond alike is found at ``theta``.
    """
    response = known.response
    assert response is not None, "otherwise the rate alone knows nuisance parameters"
    rows, n = known.cells[sample], len(problem.setup.nuisance)
    slopes, curvatures = event_response(known, sample, theta, problem)
    nominal = known.coefficients[rows]
    probable = weights * np.maximum(nominal @ known.monomials.values(theta), 0.0)
    of_event = divided(np.hstack([slopes, curvatures]), probable, N_PARTS)
    size = int(of_event.max(initial=0)) + 1
    sums = sparse.csc_array((weights, of_event, np.arange(len(rows) + 1)), (size, len(rows)))
    parts = np.repeat((sums @ nominal)[:, None], 1 + 2 * n, axis=1)
    for k, variation in enumerate(response.changing):
        parts[:, variation] = sums @ response.coefficients[rows, k]
    spreads = _spreads(np.hstack([slopes, curvatures]), probable, of_event, size)
    return replace(known, response=replace(response, parts=parts, spreads=spreads))


def _spreads(a: np.ndarray, weights: np.ndarray, of_event: np.ndarray, size: int) -> np.ndarray:
    """The covariance of columns ``a`` (n_events, n) within each of ``size`` parts, (size, n, n)."""
    sums = np.bincount(of_event, weights, size)
    share = weights / np.where(sums > 0.0, sums, 1.0)[of_event]
    means = np.stack([np.bincount(of_event, share * column, size) for column in a.T], axis=1)
    apart, n = a - means[of_event], a.shape[1]
    spreads = np.empty((size, n, n))
    for i in range(n):
        for j in range(i, n):
            moment = np.bincount(of_event, share * apart[:, i] * apart[:, j], size)
            spreads[:, i, j] = spreads[:, j, i] = moment
    return spreads


def divided(features: np.ndarray, weights: np.ndarray, n_parts: int) -> np.ndarray:
    """The part (n_events,) of each of events with ``features`` (n_events, n_features).

    The part with the largest sum of squares is cut at its mean, across its longest axis, until
    there are ``n_parts`` or none has enough events.
    """
    parts = np.zeros(len(features), dtype=int)
    waiting: list[tuple[float, int]] = []

    def consider(number: int) -> None:
        rows = np.flatnonzero(parts == number)
        if len(rows) >= 2 * SMALLEST_PART:
            w, apart = weights[rows], features[rows]
            apart = apart - w @ apart / max(w.sum(), 1e-300)
            heapq.heappush(waiting, (-float(w @ np.square(apart).sum(axis=1)), number))

    consider(0)
    count = 1
    while waiting and count < n_parts:
        size, number = heapq.heappop(waiting)
        if size == 0.0:
            break
        rows = np.flatnonzero(parts == number)
        w, apart = weights[rows], features[rows]
        apart = apart - w @ apart / w.sum()
        axis = np.linalg.eigh((w[:, None] * apart).T @ apart)[1][:, -1]
        beyond = apart @ axis > 0.0
        if min(beyond.sum(), (~beyond).sum()) < SMALLEST_PART:
            continue
        parts[rows[beyond]] = count
        consider(number)
        consider(count)
        count += 1
    return parts
