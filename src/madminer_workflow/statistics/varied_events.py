"""Likelihoods of single events whose density nuisance parameters change, with their derivatives.

The cross-section of the observables of an event, Q(x | theta) at nu = 0, changes with nu as that of
a bin does (``statistics.varied``),

    log lambda = log Q + sum_i a_i nu_i + b_i s(nu_i),

with a and b from U_i and D_i, those at nu_i = +1 and -1. As b(x) of the events of a data set may
exceed that of all of the cross-section by chance, so that a likelihood would rise for ever, s is
nu^2 for |nu| <= 1 alone and 2 |nu| - 1 beyond: log lambda goes on as a straight line, as in
HistFactory's exponential interpolation.

Single events are not all that could be measured: the total T(theta, nu) is the integral of lambda.
It is known as a sum of parts, groups of simulated events that respond nearly alike,

    T_p = Q_p exp(sum_i a_pi nu_i + b_pi s(nu_i) + y V_p y / 2 - c_p y),  y = (nu, s(nu)),

where a_p and b_p follow from the densities of the part at nu = 0, +1 and -1, and V_p is the
covariance of a(x) and b(x) within the part: the mean of an exponential to second order. Of that,
c_p is what a_p and b_p have in them already, so that it is exact at nu_i = +1 and -1. What two
nuisance parameters do together, and what a shape tells of each, is in the spread of a over the
parts and within them.

With densities q_v = Q_v / N_v of the observables, normalised by their integrals, for each
variation v, all is a sum over variations that ``varied.Factors`` F_v(nu) count for,

    log lambda = sum_v F_v log(q_v T_v),

with T_v the known total of each: at every theta the varied density has the total that it must.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from madminer_workflow.statistics.event_sums import (
    KnownSums,
    Sums,
    changes_at,
    thinned,
)
from madminer_workflow.statistics.fits import climb
from madminer_workflow.statistics.likelihood import KINDS, DataSets
from madminer_workflow.statistics.nuisance import two_sided
from madminer_workflow.statistics.polynomial import (
    Derivatives,
    Likelihoods,
    PolynomialDensity,
    in_pieces,
    log_or_impossible,
    log_polynomials,
    of_sets,
)
from madminer_workflow.statistics.problem import Problem
from madminer_workflow.statistics.varied import (
    Amounts,
    Cells,
    Factors,
    Polynomials,
    bounded_square,
    constraint,
)


class Constant:
    """The one monomial of no parameters: numbers as polynomials."""

    def values(self, thetas: np.ndarray) -> np.ndarray:
        """(n, 1) of points (n, 0)."""
        return np.ones((len(thetas), 1))

    def gradients(self, thetas: np.ndarray) -> np.ndarray:
        """(n, 0, 1)."""
        return np.zeros((len(thetas), 0, 1))

    def hessians(self, thetas: np.ndarray) -> np.ndarray:
        """(n, 0, 0, 1)."""
        return np.zeros((len(thetas), 0, 0, 1))

    def derivatives(self, thetas: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """All three."""
        return self.values(thetas), self.gradients(thetas), self.hessians(thetas)


@dataclass(frozen=True)
class VariedEvents:
    """The likelihoods of data sets, in theta and nu together.

    ``nominal`` are those at nu = 0, ``numbers`` (n_sets,) those of events, ``auxiliary`` (n_sets,
    n_nuisance) what measured the nuisance parameters. ``parts`` (1 or n_sets, n_parts,
    n_variations, n_monomials) are coefficients of ``EventResponse``, with its ``spreads``, and
    ``totals`` (1 or n_sets, n_variations, n_monomials) those of expected events, None for the
    distribution alone.
    """

    monomials: Polynomials
    sums: Sums
    nominal: Likelihoods | None
    numbers: np.ndarray
    parts: np.ndarray
    spreads: np.ndarray
    totals: np.ndarray | None
    two_sided: np.ndarray
    auxiliary: np.ndarray

    def __len__(self) -> int:
        """Number of data sets."""
        return len(self.numbers)

    def at(self, points: np.ndarray, sets: np.ndarray) -> Derivatives:
        """Of ``sets`` (n,), each at its own of ``points`` (n, n_parameters + n_nuisance)."""
        return in_pieces(self._at, points, sets, self.parts.shape[1])

    def _at(self, points: np.ndarray, sets: np.ndarray) -> Derivatives:
        n_nuisance = len(self.two_sided)
        n_parameters = points.shape[1] - n_nuisance
        thetas, nu = points[:, :n_parameters], points[:, n_parameters:]
        amounts = Factors.of(self.two_sided, bounded=True).at(nu)
        number, parts = self.numbers[sets], of_sets(self.parts, sets)
        at = self.monomials.derivatives(thetas)
        of_levels = amounts.mix(log_polynomials(parts.sum(axis=1), *at))
        of_parts = self._log_whole(parts, amounts, thetas, nu)
        whole = self.sums.at(thetas, sets, amounts)
        whole += (of_levels + of_parts.scaled(-1.0)).scaled(number)
        whole += constraint(nu - self.auxiliary[sets], n_parameters)
        if self.totals is None:
            return whole
        of_totals = amounts.mix(log_polynomials(of_sets(self.totals, sets), *at))
        return whole + _poisson(of_totals + of_levels.scaled(-1.0) + of_parts, number)

    def _log_whole(
        self, parts: np.ndarray, amounts: Amounts, thetas: np.ndarray, nu: np.ndarray
    ) -> Derivatives:
        """The logarithm of the sum of ``parts``."""
        cells = Cells.at(self.monomials, parts, amounts, thetas)
        exponents, tilts, bends = self._within(nu)
        logs = cells.log_rates + exponents
        largest = logs.max(axis=1, keepdims=True)
        rates = np.exp(logs - largest)
        whole = rates.sum(axis=1, keepdims=True)
        p, slopes = rates / whole, cells.slopes
        n_parameters = thetas.shape[1]
        slopes[:, n_parameters:] += tilts
        mean = (slopes @ p[:, :, None])[:, :, 0]
        curved = cells.curvature(p) + (slopes * p[:, None]) @ np.swapaxes(slopes, 1, 2)
        curved[:, n_parameters:, n_parameters:] += bends(p)
        return Derivatives(
            (largest + np.log(whole))[:, 0], mean, curved - mean[:, :, None] * mean[:, None]
        )

    def _within(
        self, nu: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, Callable[[np.ndarray], np.ndarray]]:
        """What the spread within parts adds to their logarithms, (n, n_parts).

        And its slopes (n, n_nuisance, n_parts), and second derivatives (n, n_nuisance, n_nuisance)
        summed over parts with weights (n, n_parts).
        """
        n = nu.shape[1]
        square, slope, curvature = bounded_square(nu)
        y = np.hstack([nu, square])
        known = self._known_within()
        along = np.moveaxis(y @ self.spreads, 0, 1)  # (n_points, n_parts, 2 n_nuisance)
        values = 0.5 * np.einsum("npk,nk->np", along, y) - y @ known.T
        steps = along - known
        tilts = steps[..., :n] + slope[:, None] * steps[..., n:]
        chain = np.concatenate(
            [np.tile(np.eye(n), (len(nu), 1, 1)), slope[:, :, None] * np.eye(n)], axis=2
        )

        def bends(p: np.ndarray) -> np.ndarray:
            mean = np.tensordot(p, self.spreads, (1, 0))
            bent = curvature * np.einsum("np,npk->nk", p, steps[..., n:])
            return chain @ mean @ np.swapaxes(chain, 1, 2) + bent[:, :, None] * np.eye(n)

        return values, np.swapaxes(tilts, 1, 2), bends

    def _known_within(self) -> np.ndarray:
        """Of the spread, what a_p and b_p have in them already, (n_parts, 2 n_nuisance)."""
        variances = np.diagonal(self.spreads, axis1=1, axis2=2)
        of_a, of_b = np.split(variances, 2, axis=1)
        n = len(self.two_sided)
        mixed = np.diagonal(self.spreads[:, :n, n:], axis1=1, axis2=2)
        return np.hstack(
            [
                np.where(self.two_sided, mixed, 0.5 * of_a),
                np.where(self.two_sided, 0.5 * (of_a + of_b), 0.0),
            ]
        )


def _poisson(log_expected: Derivatives, number: np.ndarray) -> Derivatives:
    """n log mu - mu from the derivatives of log mu."""
    expected = np.exp(np.minimum(log_expected.value, 700.0))
    of_rate = log_expected.scaled(number - expected)
    outer = log_expected.gradient[:, :, None] * log_expected.gradient[:, None, :]
    return Derivatives(
        number * log_expected.value - expected,
        of_rate.gradient,
        of_rate.hessian - expected[:, None, None] * outer,
    )


def gain_at_points(
    known: PolynomialDensity, thetas: np.ndarray, data: DataSets, problem: Problem
) -> dict[str, np.ndarray]:
    """What ``likelihood.profiling_gain`` is for cells, for data sets of events, by kind.

    Each (n_sets, n_thetas). At one point there is nothing left of the events but sums.
    """
    response = known.response
    assert response is not None, "otherwise the rate alone knows nuisance parameters"
    n, sides = len(thetas), two_sided(problem.setup)
    at = known.monomials.values(thetas)
    of_total = problem.varied_totals @ problem.setup.morphing_matrix
    parts = np.tensordot(at, response.parts, (1, 2))
    totals = problem.luminosity * (at @ of_total.T)
    counts = sparse.csr_array(data.counts(known.cells, len(known.coefficients)))
    few = thinned(known, counts, problem.theta_true)
    changes = changes_at(known, at, counts if few is None else few)
    gains = {kind: np.empty((counts.shape[0], n)) for kind in KINDS}
    for i, number in enumerate(counts.sum(axis=1)):
        for kind, rows in gains.items():
            with_rate = kind == "rate_and_shape"
            likelihood = VariedEvents(
                Constant(),
                KnownSums(response.changing, changes[i]),
                None,
                np.full(n, number),
                parts[..., None],
                response.spreads,
                totals[..., None] if with_rate else None,
                sides,
                np.tile(data.auxiliary[i], (n, 1)),
            )
            _, there = climb(likelihood, np.arange(n), likelihood.auxiliary, np.ones(len(sides)))
            at_zero = number * log_or_impossible(totals[:, 0]) - totals[:, 0]
            rows[i] = there.value - (at_zero if with_rate else 0.0)
    return gains
