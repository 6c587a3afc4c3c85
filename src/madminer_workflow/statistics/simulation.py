"""The uncertainty from finite simulation in likelihoods and intervals.

With l(theta) the log likelihood of data, theta_hat its maximum, and l_k the same with the
simulation off by a standard deviation along one of independent directions k
(``statistics.fluctuations``),

    v(theta) = sum_k [(l_k - l)(theta) - (l_k - l)(theta_hat)]^2

is the variance of l(theta) - l(theta_hat) from the simulation. The test statistic becomes

    q_total = q^2 / (q + v) = q / (1 + v / q).

Where q = D^T I D, with I the information and D = theta - theta_hat, and S the covariance of
theta_hat from the simulation, v = D^T I S I D. For one parameter, the others profiled, q_total is
then D_i^2 / ((I^-1)_ii + S_ii): what a fit with both errors has. For several, by Cauchy and
Schwarz, it is at most D^T (I^-1 + S)^-1 D, and that if S is in proportion to I^-1. Elsewhere, v
depends on theta as it has to.

Changes are of first order, derivatives of the log likelihood: a replica of a bootstrap may have
none of a cell's few events, and no logarithm.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from madminer_workflow.large_arrays import ROWS
from madminer_workflow.statistics.fits import Likelihood, edges
from madminer_workflow.statistics.fluctuations import SIMULATION, TRAINING, Fluctuations
from madminer_workflow.statistics.plain import plain
from madminer_workflow.statistics.polynomial import PolynomialDensity
from madminer_workflow.statistics.results import ParameterError
from madminer_workflow.statistics.varied import TINY, Factors

LARGEST_ARRAY = 2_000_000
"""Numbers in an array of points by cells and variations: 16 MB."""


def q_total(q: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """The test statistic with the simulation's error: q^2 / (q + v), 0 where q is."""
    return np.where(q > 0.0, q * q / np.where(q > 0.0, q + variance, 1.0), 0.0)


def variance(
    simulated: Sequence[Simulated], points: np.ndarray, best: np.ndarray, sets: np.ndarray
) -> np.ndarray:
    """v at ``points`` (n, n_parameters + n_nuisance) of ``sets`` (n,) with maxima ``best``.

    The latter are (n, n_parameters + n_nuisance); all sources of error add up.
    """
    result = np.zeros(len(points))
    for one in simulated:
        result += one.variance(points, best, sets)
    return result


@dataclass(frozen=True)
class Simulated:
    """The simulation behind likelihoods of data sets, whose ``counts`` are (n_sets, n_cells).

    ``totals`` (n_variations, n_monomials) are coefficients of the cross-section of all events,
    which ``luminosity`` makes expected events of, None for the shape alone. ``factors`` are those
    of the nuisance parameters that are fitted, None without any.
    """

    density: PolynomialDensity
    fluctuations: Fluctuations
    counts: sparse.csr_array
    totals: np.ndarray
    luminosity: float | None
    factors: Factors | None

    def variance(self, points: np.ndarray, best: np.ndarray, sets: np.ndarray) -> np.ndarray:
        """As the function ``variance`` has it, (n,)."""
        return np.square(self.changes(points, sets) - self.changes(best, sets)).sum(axis=1)

    def changes(self, points: np.ndarray, sets: np.ndarray) -> np.ndarray:
        """Those of the log likelihood of ``sets`` (n,) at points, (n, n_directions)."""
        n_cells, n_variations = len(self.density.coefficients), 1
        if self.factors is not None and self.density.varied is not None:
            n_variations += self.density.varied.shape[1]
        size = max(1, LARGEST_ARRAY // (n_cells * n_variations))
        of = self._varied if n_variations > 1 else self._nominal
        pieces = [
            of(points[start : start + size], sets[start : start + size])
            for start in range(0, len(points), size)
        ]
        return np.concatenate(pieces)

    def _split(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        n = self.density.monomials.powers.shape[1]
        return self.density.monomials.values(points[:, :n]), points[:, n:]

    def _nominal(self, points: np.ndarray, sets: np.ndarray) -> np.ndarray:
        """Where the rate alone knows nuisance parameters, if there are any."""
        m, nu = self._split(points)
        known, total = self.density, self.counts.sum(axis=1)[sets]
        result = -(total / (m @ known.norm))[:, None] * (m @ self.fluctuations.norm.T)
        if self.fluctuations.cells is not None:
            cells, weights = self._per_rate(m, sets)
            result += _summed(weights, self.fluctuations.cells[cells, 0], m)
        if self.luminosity is not None and self.fluctuations.totals is not None:
            amounts = np.ones((len(m), 1)) if self.factors is None else self.factors.at(nu).values
            n_variations = amounts.shape[1]
            values = np.maximum(m @ self.totals[:n_variations].T, TINY)
            expected = self.luminosity * np.exp(np.sum(amounts * np.log(values), axis=1))
            weights = (total - expected)[:, None] * amounts / values
            result += _summed(weights, self.fluctuations.totals[:n_variations], m)
        return result

    def _per_rate(
        self, m: np.ndarray, sets: np.ndarray
    ) -> tuple[slice | np.ndarray, sparse.csr_array | np.ndarray]:
        """Cells, and numbers of events in each over its cross-section at points, (n, n_cells)."""
        coefficients = self.density.coefficients
        if self.counts.shape[0] == 1:
            # All points see the same cells.
            filled = self.counts.indices
            every = len(filled) > ROWS and np.array_equal(filled, np.arange(len(coefficients)))
            cells = slice(None) if every else filled
            rates = m @ coefficients[cells].T
            return cells, np.where(
                rates > 0.0, self.counts.data / np.where(rates > 0.0, rates, 1.0), 0.0
            )
        counts = self.counts[sets]
        row = np.repeat(np.arange(len(m)), np.diff(counts.indptr))
        rates = np.einsum("nk,nk->n", coefficients[counts.indices], m[row])
        per_rate = np.divide(counts.data, rates, out=np.zeros_like(rates), where=rates > 0.0)
        return slice(None), sparse.csr_array(
            (per_rate, counts.indices, counts.indptr), counts.shape
        )

    def _varied(self, points: np.ndarray, sets: np.ndarray) -> np.ndarray:
        """Where cells know nuisance parameters."""
        m, nu = self._split(points)
        known, fluctuations, counts = self.density, self.fluctuations, self.counts[sets].toarray()
        assert known.varied is not None and self.factors is not None, "cells know them"
        assert fluctuations.cells is not None, "they are made of simulated events"
        rates = np.concatenate([known.coefficients[:, None], known.varied], axis=1)
        values = np.tensordot(m, rates, (1, 2))
        # A cell without a rate, or with a variation that has none, does not vary.
        positive = np.all(values > 0.0, axis=2)
        amounts = np.where(positive[:, :, None], self.factors.at(nu).values[:, None], 0.0)
        amounts[..., 0] = np.where(positive, amounts[..., 0], values[..., 0] > 0.0)
        logs = np.log(np.where(values > 0.0, values, 1.0))
        expected = np.exp(np.sum(amounts * logs, axis=2))
        if known.measure is not None:
            expected *= known.measure
        common = np.zeros((len(m), len(fluctuations)))
        if self.luminosity is None:
            expected *= (counts.sum(axis=1) / expected.sum(axis=1))[:, None]
        else:
            norm, total = m @ known.norm, m @ self.totals[0]
            expected *= (self.luminosity * total / norm)[:, None]
            common -= (m @ fluctuations.norm.T) / norm[:, None]
            if fluctuations.totals is not None:
                common += (m @ fluctuations.totals[0].T) / total[:, None]
        residuals = counts - expected
        weights = residuals[:, :, None] * amounts / np.where(values > 0.0, values, 1.0)
        n_cells, n_variations, n_directions, n_monomials = fluctuations.cells.shape
        flat = fluctuations.cells.reshape(n_cells * n_variations, n_directions, n_monomials)
        result = _summed(weights.reshape(len(m), -1), flat, m)
        return result + residuals.sum(axis=1)[:, None] * common


def _summed(
    weights: np.ndarray | sparse.csr_array, fluctuations: np.ndarray, m: np.ndarray
) -> np.ndarray:
    """Sums over cells of ``weights`` (n, n_cells) times polynomials with monomials ``m`` at points.

    Their coefficients are (n_cells, n_directions, n_monomials), the result (n, n_directions).
    """
    n_cells, n_directions, n_monomials = fluctuations.shape
    summed = weights @ fluctuations.reshape(n_cells, n_directions * n_monomials)
    return np.einsum("ndk,nk->nd", summed.reshape(-1, n_directions, n_monomials), m)


@dataclass(frozen=True)
class Around:
    """The simulation behind the likelihood of one data set, around its maximum ``best``.

    That is (n_parameters + n_nuisance,).
    """

    simulated: Sequence[Simulated]
    best: np.ndarray

    def variance(self, points: np.ndarray) -> np.ndarray:
        """v at points (n, n_parameters + n_nuisance), (n,)."""
        return np.sum([self._of(one, points) for one in self.simulated], axis=0)

    def _of(self, one: Simulated, points: np.ndarray) -> np.ndarray:
        first = np.zeros(len(points), dtype=int)
        here = one.changes(self.best[None], first[:1])
        return np.square(one.changes(points, first) - here).sum(axis=1)

    def errors(
        self,
        likelihood: Likelihood,
        height: float,
        ranges: np.ndarray,
        units: np.ndarray,
        sources: Sequence[str],
    ) -> list[ParameterError]:
        """What one standard deviation of each parameter, the others profiled, is made of.

        The likelihood's maximum is ``height``, parameters have ``ranges`` (n_parameters, 2), and
        the simulation's errors are those of the ``sources``.
        """
        n = len(ranges)
        parameters, sides = np.tile(np.arange(n), 2), np.repeat([-1.0, 1.0], n)
        ends = np.concatenate(ranges.T)
        inside = np.all((self.best[:n] > ranges[:, 0]) & (self.best[:n] < ranges[:, 1]))
        if not inside:
            nothing = ParameterError(statistical=None, simulation=None, training=None)
            return [nothing] * n
        found = edges(
            likelihood,
            np.zeros(2 * n, dtype=int),
            np.tile(self.best, (2 * n, 1)),
            np.full(2 * n, height),
            parameters,
            np.ones(2 * n),
            sides,
            ends,
            units,
        )
        distances = np.abs(found.places - self.best[parameters])
        distances[(found.places - ends) * sides >= 0.0] = np.nan
        squares = {name: np.full(2 * n, np.nan) for name in (SIMULATION, TRAINING)}
        for source, one in zip(sources, self.simulated, strict=True):
            share = self._of(one, found.points) / np.maximum(found.q, 1e-12)
            squares[source] = share * np.square(distances)

        # Without other trainings their error is not known.
        squares = {"statistical": np.square(distances)} | squares
        columns = {
            name: plain(np.sqrt(of_both.reshape(2, n).mean(axis=0)))
            for name, of_both in squares.items()
        }
        return [ParameterError(**{name: c[i] for name, c in columns.items()}) for i in range(n)]
