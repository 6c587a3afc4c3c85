"""Sums of logarithms over the events of data sets, at nu = 0 and where nuisance parameters vary.

Of the densities of all variations at once: events, variations and parameters are axes of the same
arrays, made for as few points at a time as fit the cache.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy import sparse

from madminer_workflow.statistics.monomials import Monomials
from madminer_workflow.statistics.polynomial import (
    IMPOSSIBLE,
    LARGEST_ARRAY,
    Derivatives,
    Likelihoods,
    PolynomialDensity,
    dot_monomials,
    log_or_impossible,
    log_polynomials,
    of_sets,
)
from madminer_workflow.statistics.varied import Amounts

ENOUGH = 1500
"""Events that tell how a larger data set responds to nuisance parameters elsewhere, if its own
response is known at one point: to a thousandth of an interval."""

PER_SUM = 10
"""Of these events at least, for each of the sums that are known."""

SMALLEST = 1e-12

NO_INTEGRAL = -10.0 * IMPOSSIBLE


class Sums(Protocol):
    """Sums over the events of data sets."""

    def at(self, thetas: np.ndarray, sets: np.ndarray, amounts: Amounts) -> Derivatives:
        """Of ``sets`` (n,), each at its own of ``thetas`` and of the ``amounts`` at nu.

        Those of log q + sum_v F_v log(q_v / q), with derivatives in theta and nu.
        """


@dataclass(frozen=True)
class SumsOfEvents:
    """The sums of densities (1 + n_changing,): the nominal one, and those that change the shape.

    ``coefficients`` are (1 or n_sets, n_monomials, 1 + n_changing, n_cells), ``counts`` (1 or
    n_sets, n_cells), ``norms`` (1 + n_changing, n_monomials), and ``changing`` the variations
    (n_changing,). If the data are ``thinned``, these are of some events; then ``whole`` are the
    likelihoods of all at nu = 0.
    """

    monomials: Monomials
    coefficients: np.ndarray
    counts: np.ndarray
    norms: np.ndarray
    changing: np.ndarray
    whole: Likelihoods | None

    def at(self, thetas: np.ndarray, sets: np.ndarray, amounts: Amounts) -> Derivatives:
        """As ``Sums`` has it; nothing changes where there is no density."""
        shares = amounts.of(self.changing).beside(1.0 if self.whole is None else 0.0)
        at = self.monomials.derivatives(thetas)
        norm = log_polynomials(self.norms[None], *at)
        norm.value[at[0] @ self.norms.T <= 0.0] = NO_INTEGRAL
        numbers = self.coefficients[0, 0].size * (2 + thetas.shape[1])
        size = max(1, LARGEST_ARRAY // numbers)
        pieces = []
        for start in range(0, len(thetas), size):
            rows = slice(start, start + size)
            m, dm, ddm = (of[rows] for of in at)
            pieces.append(self._of(m, dm, ddm, norm.take(rows), sets[rows], shares.at_points(rows)))
        if self.whole is None:
            return Derivatives.joined(pieces)
        nominal = padded(self.whole.of(*at, sets), amounts.slopes.shape[1])
        return Derivatives.joined(pieces) + nominal

    def _of(
        self,
        m: np.ndarray,
        dm: np.ndarray,
        ddm: np.ndarray,
        norm: Derivatives,
        sets: np.ndarray,
        shares: Amounts,
    ) -> Derivatives:
        counts = of_sets(self.counts, sets)[:, None]
        total = -counts.sum(axis=2)
        p, slopes = self._densities(m, dm, sets)
        logs = log_or_impossible(p)
        value = (logs @ np.swapaxes(counts, 1, 2))[..., 0] + total * norm.value
        shares = shares.where(np.abs(value[:, :1]) < -0.5 * IMPOSSIBLE)
        p[p <= 0.0] = 1.0
        per_event = counts / p
        gradient = np.einsum("nivc,nvc->nvi", slopes, per_event)
        gradient += total[..., None] * norm.gradient
        per_event *= shares.values[..., None]
        of_theta = dot_monomials(ddm, self._summed(per_event, sets))
        of_theta += np.einsum("nv,nvij->nij", total * shares.values, norm.hessian)
        per_event /= p
        flat = slopes.reshape(*slopes.shape[:2], p[0].size)
        of_theta -= (flat * per_event.reshape(len(p), 1, p[0].size)) @ np.swapaxes(flat, 1, 2)
        return shares.mixed(value, gradient, of_theta)

    def _densities(
        self, m: np.ndarray, dm: np.ndarray, sets: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """(n, n_densities, n_cells), and slopes (n, n_parameters, n_densities, n_cells)."""
        along = np.concatenate([m[:, None], dm], axis=1)
        rows = self.coefficients.reshape(*self.coefficients.shape[:2], -1)
        if len(rows) == 1:
            result = along.reshape(-1, along.shape[2]) @ rows[0]
        else:
            # Coefficients of every point's own data set side by side would not fit the cache.
            result = np.empty((*along.shape[:2], rows.shape[2]))
            for i, number in enumerate(sets.tolist()):
                np.matmul(along[i], rows[number], out=result[i])
        result = result.reshape(*along.shape[:2], *self.coefficients.shape[2:])
        return result[:, 0], result[:, 1:]

    def _summed(self, weights: np.ndarray, sets: np.ndarray) -> np.ndarray:
        """Coefficients with ``weights`` (n, n_densities, n_cells), summed to (n, n_monomials)."""
        rows = self.coefficients.reshape(*self.coefficients.shape[:2], -1)
        flat = weights.reshape(len(weights), -1)
        if len(rows) == 1:
            return flat @ rows[0].T
        return np.array([rows[number] @ one for number, one in zip(sets, flat, strict=True)])


@dataclass(frozen=True)
class KnownSums:
    """Changes (n_sets, n_changing) of ``changing`` at one point each, from sums of 0."""

    changing: np.ndarray
    changes: np.ndarray

    def at(self, thetas: np.ndarray, sets: np.ndarray, amounts: Amounts) -> Derivatives:
        """As ``Sums`` has it, without any parameters."""
        n = len(sets)
        nothing = np.zeros((n, len(self.changing), 0)), np.zeros((n, 0, 0))
        return amounts.of(self.changing).mixed(self.changes[sets], *nothing)


def padded(of_theta: Derivatives, more: int) -> Derivatives:
    """Derivatives with respect to ``more`` parameters behind the others, all 0."""
    return Derivatives(
        of_theta.value,
        np.pad(of_theta.gradient, ((0, 0), (0, more))),
        np.pad(of_theta.hessian, ((0, 0), (0, more), (0, more))),
    )


def thinned(
    known: PolynomialDensity, counts: sparse.csr_array, theta: np.ndarray
) -> sparse.csr_array | None:
    """A part of a data set of many events that stands for it; None of others.

    Every event stands for about as many, so that sums are those of the whole data set at ``theta``,
    of log q_v - log q and of their derivatives (calibration of weights, as in surveys: Deville and
    Sarndal, J. Am. Stat. Assoc. 87 (1992) 376).
    """
    response = known.response
    assert response is not None, "otherwise the rate alone knows nuisance parameters"
    n_sums = 1 + len(response.changing) * (1 + len(theta))
    step = -(-counts.nnz // max(ENOUGH, PER_SUM * n_sums))
    if counts.shape[0] > 1 or step == 1:
        return None
    places, numbers = counts.indices[::step], counts.data[::step]
    numbers = numbers * (counts.data.sum() / numbers.sum())
    of_all = _features(known, counts.indices, theta)
    some = of_all[:, ::step]
    missing = of_all @ counts.data - some @ numbers
    # In units of what they are, so that none is lost.
    units = np.maximum(np.abs(some).max(axis=1), SMALLEST)
    some = some / units[:, None]
    moments = (some * numbers) @ some.T
    numbers *= 1.0 + np.linalg.lstsq(moments, missing / units, rcond=SMALLEST)[0] @ some
    return sparse.csr_array((numbers, places, [0, len(places)]), counts.shape)


def _features(known: PolynomialDensity, cells: np.ndarray, theta: np.ndarray) -> np.ndarray:
    """What of ``cells`` is summed at ``theta``, and 1, (1 + n_changing (1 + n_parameters), n)."""
    response = known.response
    assert response is not None, "otherwise the rate alone knows nuisance parameters"
    at = np.vstack([known.monomials.values(theta), known.monomials.gradients(theta)])
    densities = np.moveaxis(response.coefficients, 1, 0)
    features = np.ones((1 + len(densities) * len(at), len(cells)))
    nominal = _log_and_slopes(known.coefficients, cells, at)
    for k, varied in enumerate(densities):
        rows = slice(1 + k * len(at), 1 + (k + 1) * len(at))
        np.subtract(_log_and_slopes(varied, cells, at), nominal, out=features[rows])
    return features


def _log_and_slopes(coefficients: np.ndarray, cells: np.ndarray, at: np.ndarray) -> np.ndarray:
    """The logarithm of the density of ``cells`` and its gradient, (1 + n_parameters, n)."""
    result = at @ coefficients[cells].T
    impossible = result[0] <= 0.0
    if impossible.any():
        result[:, impossible] = np.eye(len(at), 1)
    result[1:] /= result[0]
    np.log(result[0], out=result[0])
    return result


def changes_at(known: PolynomialDensity, at: np.ndarray, counts: sparse.csr_array) -> np.ndarray:
    """Sums of log q_v - log q of data sets, (n_sets, n_thetas, n_changing).

    Monomials ``at`` points are (n_thetas, n_monomials).
    """
    response = known.response
    assert response is not None, "otherwise the rate alone knows nuisance parameters"
    # Few of many events are in a data set.
    used = np.flatnonzero(np.bincount(counts.indices, minlength=counts.shape[1]))
    counts = counts[:, used]
    number = counts.sum(axis=1)[:, None]
    numbers = counts.toarray() if counts.shape[0] == 1 else counts
    n_thetas, size = len(at), max(1, LARGEST_ARRAY // max(len(used), 1))

    def sums(coefficients: np.ndarray, norm: np.ndarray) -> np.ndarray:
        result, rows = np.empty((counts.shape[0], n_thetas)), coefficients[used].T
        for start in range(0, n_thetas, size):
            some = at[start : start + size]
            result[:, start : start + size] = numbers @ log_or_impossible(some @ rows).T
        return result - number * log_or_impossible(at @ norm)

    nominal = sums(known.coefficients, known.norm)
    changes = [
        np.where(np.abs(nominal) < -0.5 * IMPOSSIBLE, sums(c, norm) - nominal, 0.0)
        for c, norm in zip(np.moveaxis(response.coefficients, 1, 0), response.norm, strict=True)
    ]
    return np.stack(changes, axis=2) if changes else np.zeros((*nominal.shape, 0))
