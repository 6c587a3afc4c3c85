"""Likelihoods of counts whose rates nuisance parameters change, with their derivatives.

With Q_c(theta) the cross-section of cell c, U_ci and D_ci that with nu_i at +1 and -1, the rate is

    log lambda_c = log Q_c + sum_i a_ci nu_i + b_ci nu_i^2
    a_ci = log(U_ci / D_ci) / 2, b_ci = log(U_ci D_ci / Q_c^2) / 2

(``statistics.nuisance``; a_ci = log(U_ci / Q_c), b_ci = 0 if only +1 is known), which is a sum of
logarithms of polynomials in theta, with factors that are quadratic in nu. The likelihoods are those
of ``statistics.likelihood``, unit Gaussian constraints of nu included. For cells that are single
events see ``statistics.varied_events``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

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


class Polynomials(Protocol):
    """What is asked of ``Monomials``."""

    def values(self, thetas: np.ndarray) -> np.ndarray:
        """At points (n, n_parameters), (n, n_monomials)."""

    def gradients(self, thetas: np.ndarray) -> np.ndarray:
        """First derivatives, (n, n_parameters, n_monomials)."""

    def hessians(self, thetas: np.ndarray) -> np.ndarray:
        """Second derivatives, (n, n_parameters, n_parameters, n_monomials)."""

    def derivatives(self, thetas: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """All three."""


@dataclass(frozen=True)
class Amounts:
    """What log Q, log U_i and log D_i count for at points of the nuisance parameters.

    ``values`` (n, n_variations), their ``slopes`` (n, n_nuisance, n_variations) and second
    derivatives ``curvatures``, of the same shape: there are none of two nuisance parameters.
    """

    values: np.ndarray
    slopes: np.ndarray
    curvatures: np.ndarray

    def of(self, variations: np.ndarray) -> Amounts:
        """What some ``variations`` count for."""
        return Amounts(
            self.values[:, variations],
            self.slopes[:, :, variations],
            self.curvatures[:, :, variations],
        )

    def at_points(self, rows: slice) -> Amounts:
        """Those at some of the points."""
        return Amounts(self.values[rows], self.slopes[rows], self.curvatures[rows])

    def beside(self, whole: float) -> Amounts:
        """Before them what is left of a ``whole`` for something else."""
        return Amounts(
            np.hstack([whole - self.values.sum(axis=1, keepdims=True), self.values]),
            np.concatenate([-self.slopes.sum(axis=2, keepdims=True), self.slopes], axis=2),
            np.concatenate([-self.curvatures.sum(axis=2, keepdims=True), self.curvatures], axis=2),
        )

    def where(self, known: np.ndarray) -> Amounts:
        """The whole for the first where the others are not ``known``, (n, 1)."""
        if known.all():
            return self
        of_first = np.eye(1, self.values.shape[1])[0] * self.values.sum(axis=1, keepdims=True)
        return Amounts(
            np.where(known, self.values, of_first),
            np.where(known[..., None], self.slopes, 0.0),
            np.where(known[..., None], self.curvatures, 0.0),
        )

    def mixed(self, value: np.ndarray, gradient: np.ndarray, of_theta: np.ndarray) -> Derivatives:
        """Derivatives in theta and nu of sums over variations.

        ``value`` (n, n_variations) and its ``gradient`` (n, n_variations, n_parameters) are those
        of what is summed, ``of_theta`` (n, n_parameters, n_parameters) the Hessian of the sum.
        """
        at = value[:, :, None]
        of_nu, corner = (self.slopes @ at)[:, :, 0], (self.curvatures @ at)[:, :, 0]
        slope = (self.values[:, None] @ gradient)[:, 0]
        return Derivatives(
            np.sum(self.values * value, axis=1),
            np.hstack([slope, of_nu]),
            blocks(
                of_theta,
                np.swapaxes(self.slopes @ gradient, 1, 2),
                corner[:, :, None] * np.eye(corner.shape[1]),
            ),
        )

    def mix(self, of: Derivatives) -> Derivatives:
        """The same where the Hessians (n, n_variations, n_parameters, n_parameters) are known."""
        return self.mixed(of.value, of.gradient, np.einsum("nv,nvpq->npq", self.values, of.hessian))


@dataclass(frozen=True)
class Factors:
    """What log Q, log U_i and log D_i count for: ``constant`` + nu ``linear`` + nu^2 ``squares``.

    ``constant`` (n_variations,), the others (n_nuisance, n_variations). Where they are ``bounded``,
    nu^2 goes on as 2 |nu| - 1 beyond |nu| = 1.
    """

    constant: np.ndarray
    linear: np.ndarray
    squares: np.ndarray
    bounded: bool = False

    @classmethod
    def of(cls, two_sided: np.ndarray, bounded: bool = False) -> Factors:
        """Those of nuisance parameters, (n_nuisance,), known at +1 and -1 or at +1 alone."""
        n = len(two_sided)
        both, one = np.diag(two_sided.astype(float)), np.diag(1.0 - two_sided)
        nominal = np.zeros((n, 1))
        linear = np.hstack([nominal - one.sum(axis=1)[:, None], 0.5 * both + one, -0.5 * both])
        squares = np.hstack([nominal - both.sum(axis=1)[:, None], 0.5 * both, 0.5 * both])
        return cls(np.eye(1, 1 + 2 * n)[0], linear, squares, bounded)

    def at(self, nu: np.ndarray) -> Amounts:
        """At nu (n, n_nuisance)."""
        square, slope, curvature = bounded_square(nu) if self.bounded else square_of(nu)
        return Amounts(
            self.constant + nu @ self.linear + square @ self.squares,
            self.linear + slope[:, :, None] * self.squares,
            curvature[:, :, None] * self.squares,
        )


def square_of(nu: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """nu^2 and its two derivatives."""
    return np.square(nu), 2.0 * nu, np.full_like(nu, 2.0)


def bounded_square(nu: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """nu^2, beyond |nu| = 1 continued as a straight line, and its two derivatives."""
    inside = np.abs(nu) <= 1.0
    return (
        np.where(inside, np.square(nu), 2.0 * np.abs(nu) - 1.0),
        2.0 * np.clip(nu, -1.0, 1.0),
        np.where(inside, 2.0, 0.0),
    )


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
        events = self.events_per_cross_section(thetas)
        amounts = self.factors.at(nu)
        cells = Cells.at(self.monomials, self.coefficients[None], amounts, thetas, events)
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
        of_cells = Derivatives(
            np.sum(counts * cells.log_rates, axis=1) - lost,
            (slopes @ residuals[:, :, None])[:, :, 0],
            hessian,
        )
        return of_cells + constraint(nu - auxiliary, n_parameters)


def constraint(pulls: np.ndarray, n_parameters: int) -> Derivatives:
    """Of unit Gaussian measurements that nuisance parameters are off by ``pulls``.

    They come after ``n_parameters`` others; ``pulls`` are (n, n_nuisance).
    """
    gradient = np.pad(-pulls, ((0, 0), (n_parameters, 0)))
    is_nuisance = np.arange(gradient.shape[1]) >= n_parameters
    hessian = np.tile(-np.diag(is_nuisance.astype(float)), (len(pulls), 1, 1))
    return Derivatives(-0.5 * np.square(pulls).sum(axis=1), gradient, hessian)


@dataclass(frozen=True)
class Cells:
    """Logarithms of the rates of cells at points, and what their second derivatives come from.

    ``log_rates`` (n, n_cells), ``slopes`` (n, n_parameters + n_nuisance, n_cells), ``logs`` log Q
    (n, n_cells, n_variations) and ``log_slopes`` (n, n_parameters, n_cells, n_variations);
    ``coefficients`` are (1 or n, n_cells, n_variations, n_monomials). All cells have the
    ``events`` of a unit of cross-section in common, if there are any.
    """

    monomials: Polynomials
    coefficients: np.ndarray
    amounts: Amounts
    thetas: np.ndarray
    values: np.ndarray
    log_slopes: np.ndarray
    logs: np.ndarray
    events: Derivatives | None

    @classmethod
    def at(
        cls,
        monomials: Polynomials,
        coefficients: np.ndarray,
        amounts: Amounts,
        thetas: np.ndarray,
        events: Derivatives | None = None,
    ) -> Cells:
        """Those at points ``thetas`` (n, n_parameters)."""
        values, slopes = _polynomials(monomials, coefficients, thetas)
        # A cell without a rate, or with a variation that has none, does not vary.
        positive = np.all(values > 0.0, axis=2, keepdims=True)
        values = np.where(positive, values, np.maximum(values[..., :1], TINY))
        slopes = np.where(positive[:, None], slopes, slopes[..., :1])
        return cls(
            monomials,
            coefficients,
            amounts,
            thetas,
            values,
            slopes / values[:, None],
            np.log(values),
            events,
        )

    @property
    def log_rates(self) -> np.ndarray:
        """Logarithms of the rates."""
        of_cells = (self.logs @ self.amounts.values[:, :, None])[:, :, 0]
        return of_cells if self.events is None else of_cells + self.events.value[:, None]

    @property
    def slopes(self) -> np.ndarray:
        """With respect to theta, then nu."""
        of_theta = (self.log_slopes @ self.amounts.values[:, None, :, None])[..., 0]
        if self.events is not None:
            of_theta += self.events.gradient[:, :, None]
        of_nu = self.amounts.slopes @ np.swapaxes(self.logs, 1, 2)
        return np.concatenate([of_theta, of_nu], axis=1)

    def curvature(self, weights: np.ndarray) -> np.ndarray:
        """Sum over cells of ``weights`` (n, n_cells) times the second derivatives."""
        n, n_parameters = self.thetas.shape
        weighted = weights[:, :, None] * self.amounts.values[:, None]
        summed = _summed(weighted / self.values, self.coefficients)
        flat = self.log_slopes.reshape(n, n_parameters, weighted[0].size)
        of_theta = dot_monomials(self.monomials.hessians(self.thetas), summed)
        of_theta -= (flat * weighted.reshape(n, 1, weighted[0].size)) @ np.swapaxes(flat, 1, 2)
        if self.events is not None:
            of_theta += self.events.hessian * weights.sum(axis=1)[:, None, None]
        by_variation = (weights[:, None, None] @ self.log_slopes)[:, :, 0]
        mixed = by_variation @ np.swapaxes(self.amounts.slopes, 1, 2)
        logs = (weights[:, None] @ self.logs)[:, 0]
        of_nu = (self.amounts.curvatures @ logs[:, :, None])[:, :, 0]
        corner = of_nu[:, :, None] * np.eye(of_nu.shape[1])
        return blocks(of_theta, mixed, corner)


def _polynomials(
    monomials: Polynomials, coefficients: np.ndarray, thetas: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Values (n, n_cells, n_variations) and slopes (n, n_parameters, n_cells, n_variations)."""
    values, gradients = monomials.values(thetas), monomials.gradients(thetas)
    if len(coefficients) == 1:
        [c] = coefficients
        return np.tensordot(values, c, (1, 2)), np.tensordot(gradients, c, (2, 2))
    return (
        np.einsum("nk,ncvk->ncv", values, coefficients, optimize=True),
        np.einsum("nik,ncvk->nicv", gradients, coefficients, optimize=True),
    )


def _summed(weights: np.ndarray, coefficients: np.ndarray) -> np.ndarray:
    """Sums (n, n_monomials) over cells and variations, with ``weights`` of these two axes."""
    if len(coefficients) == 1:
        return np.tensordot(weights, coefficients[0], ((1, 2), (0, 1)))
    return np.einsum("ncv,ncvk->nk", weights, coefficients, optimize=True)


def blocks(of_theta: np.ndarray, mixed: np.ndarray, of_nu: np.ndarray) -> np.ndarray:
    """Matrices (n, m, m) of blocks (n, p, p), (n, p, m - p) and (n, m - p, m - p)."""
    upper = np.concatenate([of_theta, mixed], axis=2)
    lower = np.concatenate([np.swapaxes(mixed, 1, 2), of_nu], axis=2)
    return np.concatenate([upper, lower], axis=1)


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
