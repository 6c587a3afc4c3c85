"""Morphing with more benchmarks than the cross-section has terms, and what the surplus tests.

The weights w_b of an event at the benchmarks theta_b are a polynomial sum_k c_k m_k(theta_b) with
fewer coefficients than there are weights. These are fitted, c minimises

    sum_b (w_b - sum_k c_k m_k(theta_b))^2 / n_b^2,    n_b^2 = sum_k m_k(theta_b / s)^2,

with the largest coordinates of benchmarks as units s. Weights have a number of digits, so that
their errors grow with their sizes, and these, for all that is known before there are events, as
the monomials do: a benchmark far out, with large weights, must not spoil the fit near the origin.
Dividing by the norms of rows also leaves a problem that is conditioned nearly as well as scaling
can make it (van der Sluis, Numer. Math. 14 (1969) 14). The factors are the same for all events, so
that coefficients are linear in weights, c = w M, as they are without surplus.

What is left over, r = (w / n) (1 - H) with the projection H on the fit, is zero if weights are a
polynomial. Divided by 1 - H_bb it is the difference to the prediction of all other benchmarks.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from madminer_workflow.statistics.monomials import Monomials

PREDICTED = 1e-6
"""1 - H_bb of a benchmark that the others predict: below, they need it to determine all terms."""

ROUNDING = 1e-4
"""Relative errors that digits of weights explain: those of NanoAOD have four and a half."""


@dataclass(frozen=True)
class Fit:
    """The fit of polynomials to values at ``points`` (n_points, n_parameters)."""

    monomials: Monomials
    points: np.ndarray

    @cached_property
    def _units(self) -> np.ndarray:
        largest = np.abs(self.points).max(axis=0)
        return np.where(largest > 0.0, largest, 1.0)

    @cached_property
    def norms(self) -> np.ndarray:
        """The n_b, (n_points,)."""
        return np.linalg.norm(self.monomials.values(self.points / self._units), axis=1)

    @cached_property
    def _rows(self) -> np.ndarray:
        return self.monomials.values(self.points / self._units) / self.norms[:, None]

    def matrix(self) -> np.ndarray:
        """The M with coefficients = values @ M, (n_points, n_monomials)."""
        units = np.prod(self._units**self.monomials.powers, axis=1)
        return np.linalg.pinv(self._rows).T / self.norms[:, None] / units

    def basis_matrix(self) -> np.ndarray:
        """``matrix`` of a basis, the points that are farthest from depending on each other.

        They are as many as monomials, chosen by pivots; (n_monomials, n_monomials).
        """
        from scipy.linalg import qr

        *_, pivots = qr(self._rows.T, mode="economic", pivoting=True)
        points = self.points[np.sort(pivots[: len(self.monomials)])]
        return np.linalg.inv(self.monomials.values(points)).T

    @cached_property
    def left(self) -> np.ndarray:
        """The projection 1 - H on what no polynomial has, (n_points, n_points)."""
        basis, _ = np.linalg.qr(self._rows)
        return np.eye(len(self.points)) - basis @ basis.T

    @cached_property
    def predicted(self) -> np.ndarray:
        """Whether the other points predict the value at each point, (n_points,)."""
        return np.diag(self.left) > PREDICTED

    def residuals(self, values: np.ndarray) -> np.ndarray:
        """What is left over of values (..., n_points), in units of ``norms``."""
        left = values / self.norms @ self.left
        return np.where(self.predicted, left, 0.0)

    def deviations(self, values: np.ndarray) -> np.ndarray:
        """Values (..., n_points) minus those that all other points predict; 0 where none do."""
        return self.residuals(values) * self.norms / self._shares

    def deviation_squares(self, residual_squares: np.ndarray) -> np.ndarray:
        """Sums of the squared ``deviations`` from those of ``residuals``, (..., n_points)."""
        return residual_squares * (self.norms / self._shares) ** 2

    @cached_property
    def _shares(self) -> np.ndarray:
        """How much of a wrong value is left over at its point, 1 - H_bb."""
        return np.where(self.predicted, np.diag(self.left), 1.0)

    def error_squares(self, squares: np.ndarray) -> np.ndarray:
        """Expected squares of ``residuals`` if values have independent relative errors of 1.

        ``squares`` (..., n_points) are those of the values; the result has their shape.
        """
        expected = squares / self.norms**2 @ self.left**2
        return np.where(self.predicted, expected, 0.0)

    def suspects(self, residual_squares: np.ndarray, squares: np.ndarray) -> list[int]:
        """The points of which one may be the only one with wrong values.

        Without it, the other values are a polynomial, but for rounding. The squares of
        ``residuals``, and of values, are (n_points,), or their sums over data.
        """
        removed = residual_squares / self._shares
        rest = residual_squares.sum() - removed
        rounding = ROUNDING**2 * self.error_squares(squares).sum()
        return np.flatnonzero((removed > 0.0) & (rest <= rounding)).tolist()


def relative_errors(residual_squares: np.ndarray, error_squares: np.ndarray) -> np.ndarray:
    """The relative errors of values that explain residuals; 0 where there are none."""
    zero = np.zeros(np.shape(residual_squares))
    return np.sqrt(np.divide(residual_squares, error_squares, out=zero, where=error_squares > 0.0))
