"""Likelihoods of data whose density is a polynomial in the parameters, with their derivatives.

Cells of the observation, single events or bins, have a density sum_k c_k m_k(theta) with known
coefficients, whose integral N(theta) and the expected number of events mu(theta) are polynomials,
too. With n_c events in cell c, n in all, the logarithms of the likelihoods are, up to constants,

    shape             sum_c n_c log p_c - n log N
    rate and shape    sum_c n_c log p_c - n log N + n log mu - mu

and so are their gradients and Hessians in closed form.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from madminer_workflow.large_arrays import ROWS, release
from madminer_workflow.statistics.monomials import Monomials

IMPOSSIBLE = -1e6
"""The log density where the polynomial is not positive: as good as minus infinity."""

LARGEST_ARRAY = 250_000
"""Numbers in an array of points by cells by parameters: 2 MB, so that they stay in the cache."""


@dataclass(frozen=True)
class EventResponse:
    """How nuisance parameters change the density of single events (``statistics.varied_events``).

    Of the variations, nu_i = +1 of every nuisance parameter, then -1, ``changing`` (n_changing,)
    change more than the rate, counted from 1 as 0 is the nominal one. ``coefficients`` (n_cells,
    n_changing, n_monomials) are those of the varied densities of cells, ``norm`` (n_changing,
    n_monomials) of their integrals. ``parts`` (n_parts, n_variations, n_monomials), nominal and
    varied, are those of the integrals over parts of all that can be measured, ``spreads``
    (n_parts, 2 n_nuisance, 2 n_nuisance) the covariance of a and b of events within each.
    """

    changing: np.ndarray
    coefficients: np.ndarray
    norm: np.ndarray
    parts: np.ndarray
    spreads: np.ndarray


@dataclass(frozen=True)
class PolynomialDensity:
    """A density of cells, single events or bins, that is a polynomial in the parameters.

    ``coefficients`` are (n_cells, n_monomials), ``norm`` (n_monomials,) those of its integral;
    ``cells`` maps the name of a sample to the cell of each of its events. ``varied`` (n_cells,
    n_variations, n_monomials) are the coefficients with one nuisance parameter at a time at +1 or
    -1 (``statistics.varied``), None where a method does not know how they change its distributions,
    or knows it as the ``response`` of single events. Densities are those with respect to
    ``measure``, (n_cells,), 1 if None.
    """

    monomials: Monomials
    coefficients: np.ndarray
    norm: np.ndarray
    cells: Mapping[str, np.ndarray]
    varied: np.ndarray | None = None
    measure: np.ndarray | None = None
    response: EventResponse | None = None

    def log_polynomials(self, thetas: np.ndarray, sample: str | None = None) -> np.ndarray:
        """The logarithm before it is normalised, of all cells or a sample's events.

        (n_thetas, n_cells) or (n_thetas, n_events).
        """
        rows = self.coefficients if sample is None else self.rows(sample)
        values = self.monomials.values(thetas) @ rows.T
        release(rows)
        return log_or_impossible(values)

    def log_density(self, thetas: np.ndarray) -> np.ndarray:
        """The logarithm of the density of all cells, (n_thetas, n_cells)."""
        norm = (self.monomials.values(thetas) @ self.norm)[:, None]
        # The integral of interference alone can be negative.
        log_p = self.log_polynomials(thetas) - log_or_impossible(norm)
        return np.where(norm > 0.0, log_p, IMPOSSIBLE)

    def rows(self, sample: str) -> np.ndarray:
        """Coefficients of every event of a sample, (n_events, n_monomials)."""
        cells = self.cells[sample]
        if len(cells) > ROWS and np.array_equal(cells, np.arange(len(self.coefficients))):
            return self.coefficients
        return self.coefficients[cells]


@dataclass(frozen=True)
class Derivatives:
    """Value (n,), gradient (n, n_parameters) and Hessian (n, n_parameters, n_parameters)."""

    value: np.ndarray
    gradient: np.ndarray
    hessian: np.ndarray

    @classmethod
    def joined(cls, pieces: Sequence[Derivatives]) -> Derivatives:
        """Those of pieces, one after the other."""
        names = ("value", "gradient", "hessian")
        return cls(*(np.concatenate([getattr(one, name) for one in pieces]) for name in names))

    def __add__(self, other: Derivatives) -> Derivatives:
        """The derivatives of a sum."""
        return Derivatives(
            self.value + other.value,
            self.gradient + other.gradient,
            self.hessian + other.hessian,
        )

    def scaled(self, factors: np.ndarray | float) -> Derivatives:
        """The derivatives of the products with ``factors``, (n,)."""
        f = np.broadcast_to(factors, self.value.shape)
        return Derivatives(
            f * self.value, f[:, None] * self.gradient, f[:, None, None] * self.hessian
        )

    def take(self, places: np.ndarray | slice) -> Derivatives:
        """Those at ``places``."""
        return Derivatives(self.value[places], self.gradient[places], self.hessian[places])

    def put(self, places: np.ndarray, some: Derivatives) -> None:
        """Replace those at ``places`` by ``some``."""
        self.value[places] = some.value
        self.gradient[places] = some.gradient
        self.hessian[places] = some.hessian


@dataclass(frozen=True)
class Likelihoods:
    """The likelihoods of data sets.

    ``coefficients`` are (n_sets, n_monomials, n_cells), ``counts`` (n_sets, n_cells), either with
    a first axis of 1 if sets have it in common. ``norm`` (n_monomials,) are the coefficients of N,
    ``expected`` (n_monomials,) those of mu, or None for the shape alone.
    """

    monomials: Monomials
    coefficients: np.ndarray
    counts: np.ndarray
    norm: np.ndarray
    expected: np.ndarray | None

    def __len__(self) -> int:
        """Number of data sets."""
        return max(len(self.coefficients), len(self.counts))

    @property
    def n_parameters(self) -> int:
        """Number of parameters."""
        return self.monomials.powers.shape[1]

    def at(self, thetas: np.ndarray, sets: np.ndarray) -> Derivatives:
        """Of the likelihood of ``sets`` (n,), each at its own of ``thetas`` (n, n_parameters)."""
        return in_pieces(self._at, thetas, sets, self.coefficients.shape[2])

    def _at(self, thetas: np.ndarray, sets: np.ndarray) -> Derivatives:
        return self.of(*self.monomials.derivatives(thetas), sets)

    def of(self, m: np.ndarray, dm: np.ndarray, ddm: np.ndarray, sets: np.ndarray) -> Derivatives:
        """``at`` points, of which the monomials and their derivatives are known."""
        c, counts = of_sets(self.coefficients, sets), of_sets(self.counts, sets)
        p_and_slopes = np.concatenate([m[:, None], dm], axis=1) @ c
        p, slopes = p_and_slopes[:, 0], p_and_slopes[:, 1:]
        positive = np.where(p > 0.0, p, 1.0)
        per_event = counts / positive
        summed = (c @ per_event[:, :, None])[:, :, 0]
        curved = (slopes * (per_event / positive)[:, None]) @ np.swapaxes(slopes, 1, 2)
        log_p = np.sum(counts * log_or_impossible(p), axis=1)
        events = Derivatives(log_p, dot_monomials(dm, summed), dot_monomials(ddm, summed) - curved)
        total = np.broadcast_to(counts.sum(axis=1), len(m))
        whole = events + log_polynomial(self.norm, m, dm, ddm).scaled(-total)
        whole = _where(m @ self.norm > 0.0, whole)
        if self.expected is None:
            return whole
        linear = Derivatives(m @ self.expected, dm @ self.expected, ddm @ self.expected)
        rate = log_polynomial(self.expected, m, dm, ddm).scaled(total)
        return _where(m @ self.expected > 0.0, whole + rate + linear.scaled(-1.0))


def in_pieces(
    at: Callable[[np.ndarray, np.ndarray], Derivatives],
    points: np.ndarray,
    sets: np.ndarray,
    n_cells: int,
) -> Derivatives:
    """``at`` of points (n, n_parameters) and sets (n,), as many at a time as fit the cache."""
    size = max(1, LARGEST_ARRAY // (n_cells * (2 + points.shape[1])))
    pieces = [
        at(points[start : start + size], sets[start : start + size])
        for start in range(0, len(points), size)
    ]
    return Derivatives.joined(pieces)


def log_polynomial(
    coefficients: np.ndarray, m: np.ndarray, dm: np.ndarray, ddm: np.ndarray
) -> Derivatives:
    """The logarithm of one polynomial at points; its monomials there and their derivatives."""
    logs = log_polynomials(coefficients[None, None], m, dm, ddm)
    return Derivatives(logs.value[:, 0], logs.gradient[:, 0], logs.hessian[:, 0])


def log_polynomials(
    coefficients: np.ndarray, m: np.ndarray, dm: np.ndarray, ddm: np.ndarray
) -> Derivatives:
    """Logarithms of several, with derivatives (n, n_polynomials, ...).

    ``coefficients`` (1 or n, n_polynomials, n_monomials) are the same at all points or not.
    """
    values = _at_points(m, coefficients)
    # From (n, n_parameters, n_polynomials) to (n, n_polynomials, n_parameters), and so on.
    slopes = np.moveaxis(_at_points(dm, coefficients), -1, 1)
    hessians = np.moveaxis(_at_points(ddm, coefficients), -1, 1)
    positive = np.where(values > 0.0, values, 1.0)
    slopes = slopes / positive[..., None]
    return Derivatives(
        log_or_impossible(values),
        slopes,
        hessians / positive[..., None, None] - slopes[..., :, None] * slopes[..., None, :],
    )


def _at_points(monomials: np.ndarray, coefficients: np.ndarray) -> np.ndarray:
    """Polynomials (n, ..., n_polynomials) of monomials or their derivatives at points."""
    if len(coefficients) == 1:
        return monomials @ coefficients[0].T
    return np.einsum("n...k,nvk->n...v", monomials, coefficients)


def scores(coefficients: np.ndarray, monomials: Monomials, theta: np.ndarray) -> np.ndarray:
    """The gradient of the logarithm of each polynomial at ``theta``, (n_events, n_parameters)."""
    slopes = coefficients @ monomials.gradients(theta).T
    return slopes / (coefficients @ monomials.values(theta))[:, None]


def _where(possible: np.ndarray, log_likelihoods: Derivatives) -> Derivatives:
    """Those that are ``possible``, (n,); all others are below any of them."""
    value = np.where(possible, log_likelihoods.value, 10.0 * IMPOSSIBLE)
    return Derivatives(value, log_likelihoods.gradient, log_likelihoods.hessian)


def of_sets(rows: np.ndarray, sets: np.ndarray) -> np.ndarray:
    """The rows of ``sets``, or the one that they have in common."""
    return rows if len(rows) == 1 else rows[sets]


def dot_monomials(derivatives: np.ndarray, coefficients: np.ndarray) -> np.ndarray:
    """Derivatives (n, ..., n_monomials) of monomials times coefficients (n, n_monomials)."""
    return np.einsum("n...k,nk->n...", derivatives, coefficients)


def log_or_impossible(values: np.ndarray) -> np.ndarray:
    """The logarithm; IMPOSSIBLE where there is none."""
    if values.min(initial=1.0) > 0.0:
        return np.log(values)
    positive = values > 0.0
    return np.where(positive, np.log(np.where(positive, values, 1.0)), IMPOSSIBLE)
