"""Likelihoods of counts whose rates nuisance parameters change, with their derivatives.

With Q_c(theta) the cross-section of cell c, U_ci and D_ci that with nu_i at +1 and -1, the rate is

    log lambda_c = log Q_c + sum_i a_ci nu_i + b_ci nu_i^2
    a_ci = log(U_ci / D_ci) / 2, b_ci = log(U_ci D_ci / Q_c^2) / 2

(``statistics.nuisance``; a_ci = log(U_ci / Q_c), b_ci = 0 if only +1 is known), which is a sum of
logarithms of polynomials in theta, with factors that are quadratic in nu. The likelihoods are those
of ``statistics.likelihood``, unit Gaussian constraints of nu included.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from madminer_workflow.statistics.monomials import Monomials
from madminer_workflow.statistics.polynomial import (
    Derivatives,
    Likelihoods,
    dot_monomials,
    in_pieces,
    log_polynomial,
    of_sets,
)

TINY = 1e-300


@dataclass(frozen=True)
class Factors:
    """What log Q, log U_i and log D_i count for: ``constant`` + nu ``linear`` + nu^2 ``squares``.

    ``constant`` (n_variations,), the others (n_nuisance, n_variations).
    """

    constant: np.ndarray
    linear: np.ndarray
    squares: np.ndarray

    @classmethod
    def of(cls, two_sided: np.ndarray) -> Factors:
        """Those of nuisance parameters, (n_nuisance,), known at +1 and -1 or at +1 alone."""
        n = len(two_sided)
        both, one = np.diag(two_sided.astype(float)), np.diag(1.0 - two_sided)
        nominal = np.zeros((n, 1))
        linear = np.hstack([nominal - one.sum(axis=1)[:, None], 0.5 * both + one, -0.5 * both])
        squares = np.hstack([nominal - both.sum(axis=1)[:, None], 0.5 * both, 0.5 * both])
        return cls(np.eye(1, 1 + 2 * n)[0], linear, squares)

    def at(self, nu: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """At nu (n, n_nuisance): values (n, n_variations), slopes (n, n_nuisance, n_variations)."""
        values = self.constant + nu @ self.linear + np.square(nu) @ self.squares
        return values, self.linear + 2.0 * nu[:, :, None] * self.squares


@dataclass(frozen=True)
class VariedRates:
    """The likelihoods of data sets, in theta and nu together.

    ``coefficients`` are (n_cells, n_variations, n_monomials), of cross-sections at nu = 0, then
    with each nuisance parameter at +1, then at -1; ``norm`` (n_monomials,) those of their sum at
    nu = 0, which ``expected`` events stand for, None for the distribution over cells alone.
    ``counts`` are (n_sets, n_cells), ``auxiliary`` (n_sets, n_nuisance) what measured the nuisance
    parameters. Cross-sections are those with respect to ``measure``, (n_cells,), 1 if None.
    """

    monomials: Monomials
    coefficients: np.ndarray
    norm: np.ndarray
    expected: np.ndarray | None
    factors: Factors
    counts: np.ndarray
    auxiliary: np.ndarray
    measure: np.ndarray | None = None

    def __len__(self) -> int:
        """Number of data sets."""
        return len(self.counts)

    def at(self, points: np.ndarray, sets: np.ndarray) -> Derivatives:
        """Of ``sets`` (n,), each at its own of ``points`` (n, n_parameters + n_nuisance)."""
        n_cells, n_variations, _ = self.coefficients.shape
        return in_pieces(self._at, points, sets, n_cells * n_variations)

    def events_per_cross_section(self, thetas: np.ndarray) -> Derivatives:
        """The logarithm of expected events over the sum of cross-sections at nu = 0."""
        if self.expected is None:
            n, n_parameters = thetas.shape
            return Derivatives(
                np.zeros(n), np.zeros(thetas.shape), np.zeros((n, n_parameters, n_parameters))
            )
        at = self.monomials.derivatives(thetas)
        return log_polynomial(self.expected, *at) + log_polynomial(self.norm, *at).scaled(-1.0)

    def _at(self, points: np.ndarray, sets: np.ndarray) -> Derivatives:
        n_parameters = self.monomials.powers.shape[1]
        thetas, nu = points[:, :n_parameters], points[:, n_parameters:]
        counts, auxiliary = of_sets(self.counts, sets), of_sets(self.auxiliary, sets)
        cells = _Cells.at(self, thetas, nu)
        rates = np.exp(cells.log_rates) * (1.0 if self.measure is None else self.measure)
        expected, total = rates.sum(axis=1), counts.sum(axis=1)
        with_rate = self.expected is not None
        scale = np.ones_like(total) if with_rate else total / expected
        lost = expected if with_rate else total * np.log(expected)
        rates *= scale[:, None]
        residuals = counts - rates
        slopes = cells.slopes
        hessian = cells.curvature(residuals) - (slopes * rates[:, None]) @ np.swapaxes(slopes, 1, 2)
        if not with_rate:
            mean = (slopes @ rates[:, :, None])[:, :, 0]
            hessian += mean[:, :, None] * mean[:, None] / np.maximum(total, 1e-300)[:, None, None]
        pulls = np.zeros_like(points)
        pulls[:, n_parameters:] = nu - auxiliary
        constraint = np.diag(np.arange(points.shape[1]) >= n_parameters).astype(float)
        return Derivatives(
            np.sum(counts * cells.log_rates, axis=1) - lost - 0.5 * np.square(pulls).sum(axis=1),
            (slopes @ residuals[:, :, None])[:, :, 0] - pulls,
            hessian - constraint,
        )


@dataclass(frozen=True)
class _Cells:
    """Logarithms of the rates of cells at points, and what their second derivatives come from.

    ``log_rates`` (n, n_cells), ``slopes`` (n, n_parameters + n_nuisance, n_cells), ``logs`` log Q
    (n, n_cells, n_variations) and ``log_slopes`` (n, n_parameters, n_cells, n_variations). All
    cells have the ``events`` of a unit of cross-section in common.
    """

    rates: VariedRates
    thetas: np.ndarray
    factors: np.ndarray
    factor_slopes: np.ndarray
    values: np.ndarray
    log_slopes: np.ndarray
    logs: np.ndarray
    events: Derivatives

    @classmethod
    def at(cls, rates: VariedRates, thetas: np.ndarray, nu: np.ndarray) -> _Cells:
        """Those at points."""
        monomials, c = rates.monomials, rates.coefficients
        factors, factor_slopes = rates.factors.at(nu)
        values = np.tensordot(monomials.values(thetas), c, (1, 2))
        slopes = np.tensordot(monomials.gradients(thetas), c, (2, 2))
        # A cell without a rate, or with a variation that has none, does not vary.
        positive = np.all(values > 0.0, axis=2, keepdims=True)
        values = np.where(positive, values, np.maximum(values[..., :1], TINY))
        slopes = np.where(positive[:, None], slopes, slopes[..., :1])
        return cls(
            rates,
            thetas,
            factors,
            factor_slopes,
            values,
            slopes / values[:, None],
            np.log(values),
            rates.events_per_cross_section(thetas),
        )

    @property
    def log_rates(self) -> np.ndarray:
        return (self.logs @ self.factors[:, :, None])[:, :, 0] + self.events.value[:, None]

    @property
    def slopes(self) -> np.ndarray:
        """With respect to theta, then nu."""
        of_theta = (self.log_slopes @ self.factors[:, None, :, None])[..., 0]
        of_theta += self.events.gradient[:, :, None]
        return np.concatenate([of_theta, self.factor_slopes @ np.swapaxes(self.logs, 1, 2)], axis=1)

    def curvature(self, weights: np.ndarray) -> np.ndarray:
        """Sum over cells of ``weights`` (n, n_cells) times the second derivatives."""
        n, n_parameters = self.thetas.shape
        weighted = weights[:, :, None] * self.factors[:, None]
        summed = np.tensordot(weighted / self.values, self.rates.coefficients, ((1, 2), (0, 1)))
        flat = self.log_slopes.reshape(n, n_parameters, -1)
        of_theta = dot_monomials(self.rates.monomials.hessians(self.thetas), summed)
        of_theta -= (flat * weighted.reshape(n, 1, -1)) @ np.swapaxes(flat, 1, 2)
        of_theta += self.events.hessian * weights.sum(axis=1)[:, None, None]
        by_variation = (weights[:, None, None] @ self.log_slopes)[:, :, 0]
        mixed = by_variation @ np.swapaxes(self.factor_slopes, 1, 2)
        logs = (weights[:, None] @ self.logs)[:, 0]
        of_nu = 2.0 * (logs @ self.rates.factors.squares.T)
        corner = of_nu[:, :, None] * np.eye(of_nu.shape[1])
        return np.concatenate(
            [
                np.concatenate([of_theta, mixed], axis=2),
                np.concatenate([np.swapaxes(mixed, 1, 2), corner], axis=2),
            ],
            axis=1,
        )


@dataclass(frozen=True)
class Together:
    """The sum of the likelihoods of a shape, which knows theta alone, and of a varied rate."""

    shape: Likelihoods
    rate: VariedRates

    def __len__(self) -> int:
        """Number of data sets."""
        return len(self.shape)

    def at(self, points: np.ndarray, sets: np.ndarray) -> Derivatives:
        """Of ``sets`` (n,), each at its own of ``points`` (n, n_parameters + n_nuisance)."""
        whole = self.rate.at(points, sets)
        n = self.shape.monomials.powers.shape[1]
        part = self.shape.at(points[:, :n], sets)
        whole.gradient[:, :n] += part.gradient
        whole.hessian[:, :n, :n] += part.hessian
        return Derivatives(whole.value + part.value, whole.gradient, whole.hessian)
