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

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from scipy import sparse

from madminer_workflow.statistics.fits import climb
from madminer_workflow.statistics.likelihood import KINDS, DataSets
from madminer_workflow.statistics.nuisance import (
    response_of_rates,
    two_sided,
    varied_totals,
)
from madminer_workflow.statistics.polynomial import (
    IMPOSSIBLE,
    LARGEST_ARRAY,
    Derivatives,
    Likelihoods,
    PolynomialDensity,
    in_pieces,
    log_or_impossible,
    of_sets,
)
from madminer_workflow.statistics.problem import Problem
from madminer_workflow.statistics.varied import (
    Amounts,
    Cells,
    Factors,
    Polynomials,
    blocks,
    bounded_square,
    constraint,
)

N_PARTS = 30
"""With one, limits of 10 000 events and five nuisance parameters are within 0.2 % of those of a sum
over all events; more are for fits far from nu = 0."""

ENOUGH = 3000
"""Events that tell how a larger data set responds to nuisance parameters elsewhere, if its own
response is known at one point: to a hundredth of an interval."""

SMALLEST_PART = 25
"""Events that a part has at least, so that its cross-section is positive at other parameters."""


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


class Sums(Protocol):
    """Sums over the events of data sets."""

    def at(self, thetas: np.ndarray, sets: np.ndarray) -> tuple[Derivatives, Derivatives]:
        """Sums of log q of ``sets`` (n,), each at its own of ``thetas``, and their changes.

        The latter, of log q_v - log q, are (n, n_changing), their gradients and Hessians have the
        axes of the parameters behind these.
        """


@dataclass(frozen=True)
class SumsOfEvents:
    """The sums of likelihoods ``nominal``, and of those whose density is a varied one.

    ``changing`` are compared with those ``beside`` them, of the same events: the nominal ones, or,
    if the data are ``thinned``, some; then ``left_out`` (1 or n_sets, n_changing) are added.
    """

    nominal: Likelihoods
    changing: Sequence[Likelihoods]
    beside: Likelihoods
    left_out: np.ndarray

    def at(self, thetas: np.ndarray, sets: np.ndarray) -> tuple[Derivatives, Derivatives]:
        """As ``Sums`` has it; nothing changes where there is no density."""
        whole = self.nominal.at(thetas, sets)
        same = self.beside is self.nominal
        n_cells, n = self.beside.coefficients.shape[2], len(thetas)
        size = max(1, LARGEST_ARRAY // (n_cells * (2 + thetas.shape[1])))
        of = [*self.changing] if same else [self.beside, *self.changing]
        pieces = [_all_at(of, thetas[i : i + size], sets[i : i + size]) for i in range(0, n, size)]
        columns = [Derivatives.joined(column) for column in zip(*pieces, strict=True)]
        here, columns = (whole, columns) if same else (columns[0], columns[1:])
        possible = np.abs(here.value) < -0.5 * IMPOSSIBLE
        changes = [one + here.scaled(-1.0) for one in columns]
        some = _stacked(changes, n, thetas.shape[1], possible)
        value = some.value + np.where(possible[:, None], of_sets(self.left_out, sets), 0.0)
        return whole, replace(some, value=value)


def _all_at(
    likelihoods: Sequence[Likelihoods], thetas: np.ndarray, sets: np.ndarray
) -> list[Derivatives]:
    """Of likelihoods with the same monomials."""
    if not likelihoods:
        return []
    at = likelihoods[0].monomials.derivatives(thetas)
    return [one.of(*at, sets) for one in likelihoods]


def thinned(counts: sparse.csr_array) -> sparse.csr_array | None:
    """A part of a data set of many events that stands for it, with the same sum; None of others."""
    if counts.shape[0] > 1 or counts.nnz <= ENOUGH:
        return None
    step = -(-counts.nnz // ENOUGH)
    places, numbers = counts.indices[::step], counts.data[::step]
    return sparse.csr_array(
        (numbers * (counts.data.sum() / numbers.sum()), places, [0, len(places)]), counts.shape
    )


def changes_left_out(
    known: PolynomialDensity, few: sparse.csr_array, counts: sparse.csr_array, theta: np.ndarray
) -> np.ndarray:
    """By how much the sums of a whole data set and of ``few`` differ at ``theta``, (1, n_changing).

    With this added, the sums of few are the whole's there, and wrong by far less than the spread
    of what events respond elsewhere.
    """
    at = known.monomials.values(theta[None])
    return (_changes(known, at, counts) - _changes(known, at, few))[:, 0]


@dataclass(frozen=True)
class KnownSums:
    """Changes (n_sets, n_changing) at one point each, from sums of 0."""

    changes: np.ndarray

    def at(self, thetas: np.ndarray, sets: np.ndarray) -> tuple[Derivatives, Derivatives]:
        """As ``Sums`` has it, without any parameters."""
        n, n_changing = len(sets), self.changes.shape[1]
        return (
            Derivatives(np.zeros(n), np.zeros((n, 0)), np.zeros((n, 0, 0))),
            Derivatives(
                self.changes[sets], np.zeros((n, n_changing, 0)), np.zeros((n, n_changing, 0, 0))
            ),
        )


@dataclass(frozen=True)
class VariedEvents:
    """The likelihoods of data sets, in theta and nu together.

    ``numbers`` (n_sets,) are those of events, ``auxiliary`` (n_sets, n_nuisance) what measured the
    nuisance parameters. ``parts`` (1 or n_sets, n_parts, n_variations, n_monomials) are
    coefficients of ``EventResponse``, with its ``spreads``, and ``totals`` (1 or n_sets,
    n_variations, n_monomials) those of expected events, None for the distribution alone.
    ``changing`` are the variations (n_changing,) that ``sums`` knows.
    """

    monomials: Polynomials
    sums: Sums
    numbers: np.ndarray
    parts: np.ndarray
    spreads: np.ndarray
    totals: np.ndarray | None
    changing: np.ndarray
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
        number = self.numbers[sets]
        of_sets_parts = of_sets(self.parts, sets)
        nominal, changes = self.sums.at(thetas, sets)
        whole = _mixed(amounts, changes, self.changing)
        whole += _padded(nominal, n_nuisance)
        levels = self._levels(of_sets_parts.sum(axis=1), thetas)
        of_parts = self._log_whole(of_sets_parts, amounts, thetas, nu)
        whole += (_mixed(amounts, levels) + of_parts.scaled(-1.0)).scaled(number)
        whole += constraint(nu - self.auxiliary[sets], n_parameters)
        if self.totals is None:
            return whole
        known = self._levels(of_sets(self.totals, sets), thetas)
        more = _mixed(amounts, known) + _mixed(amounts, levels).scaled(-1.0)
        log_expected = more + of_parts
        return whole + _poisson(log_expected, number)

    def _levels(self, coefficients: np.ndarray, thetas: np.ndarray) -> Derivatives:
        """Logarithms of polynomials (1 or n, n_variations, n_monomials), (n, n_variations)."""
        values = _at_points(self.monomials.values(thetas), coefficients)
        gradients = _at_points(self.monomials.gradients(thetas), coefficients)
        hessians = _at_points(self.monomials.hessians(thetas), coefficients)
        # From (n, n_parameters, n_variations) to (n, n_variations, n_parameters), and so on.
        gradients, hessians = np.moveaxis(gradients, -1, 1), np.moveaxis(hessians, -1, 1)
        positive = np.where(values > 0.0, values, 1.0)
        slopes = gradients / positive[..., None]
        return Derivatives(
            log_or_impossible(values),
            slopes,
            hessians / positive[..., None, None] - slopes[..., :, None] * slopes[..., None, :],
        )

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


def _at_points(monomials: np.ndarray, coefficients: np.ndarray) -> np.ndarray:
    """Derivatives (n, ..., n_monomials) of polynomials (1 or n, n_variations, n_monomials)."""
    if len(coefficients) == 1:
        return monomials @ coefficients[0].T
    return np.einsum("n...k,nvk->n...v", monomials, coefficients)


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


def _stacked(
    changes: Sequence[Derivatives], n: int, n_parameters: int, possible: np.ndarray
) -> Derivatives:
    """Side by side, (n, n_changes), 0 unless ``possible``."""
    shape = (n, len(changes))
    value, gradient, hessian = (
        np.zeros(shape),
        np.zeros((*shape, n_parameters)),
        np.zeros((*shape, n_parameters, n_parameters)),
    )
    for k, one in enumerate(changes):
        value[possible, k] = one.value[possible]
        gradient[possible, k] = one.gradient[possible]
        hessian[possible, k] = one.hessian[possible]
    return Derivatives(value, gradient, hessian)


def _mixed(amounts: Amounts, of: Derivatives, variations: np.ndarray | None = None) -> Derivatives:
    """Derivatives in theta and nu of the sum of what variations count for times ``of`` each."""
    chosen = slice(None) if variations is None else variations
    f, df, ddf = amounts.values[:, chosen], amounts.slopes[:, :, chosen], amounts.curvatures
    corner = np.einsum("niv,nv->ni", ddf[:, :, chosen], of.value)
    return Derivatives(
        np.einsum("nv,nv->n", f, of.value),
        np.concatenate(
            [np.einsum("nv,nvp->np", f, of.gradient), np.einsum("niv,nv->ni", df, of.value)], axis=1
        ),
        blocks(
            np.einsum("nv,nvpq->npq", f, of.hessian),
            np.einsum("nvp,niv->npi", of.gradient, df),
            corner[:, :, None] * np.eye(corner.shape[1]),
        ),
    )


def _padded(of_theta: Derivatives, more: int) -> Derivatives:
    """Derivatives with respect to ``more`` parameters behind the others, all 0."""
    return Derivatives(
        of_theta.value,
        np.pad(of_theta.gradient, ((0, 0), (0, more))),
        np.pad(of_theta.hessian, ((0, 0), (0, more), (0, more))),
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
    of_total = varied_totals(problem.everything) @ problem.setup.morphing_matrix
    parts = np.tensordot(at, response.parts, (1, 2))
    totals = problem.luminosity * (at @ of_total.T)
    counts = sparse.csr_array(data.counts(known.cells, len(known.coefficients)))
    few = thinned(counts)
    changes = _changes(known, at, counts if few is None else few)
    if few is not None:
        changes = changes + changes_left_out(known, few, counts, problem.theta_true)[:, None]
    gains = {kind: np.empty((counts.shape[0], n)) for kind in KINDS}
    for i, number in enumerate(counts.sum(axis=1)):
        for kind, rows in gains.items():
            with_rate = kind == "rate_and_shape"
            likelihood = VariedEvents(
                Constant(),
                KnownSums(changes[i]),
                np.full(n, number),
                parts[..., None],
                response.spreads,
                totals[..., None] if with_rate else None,
                response.changing,
                sides,
                np.tile(data.auxiliary[i], (n, 1)),
            )
            _, there = climb(likelihood, np.arange(n), likelihood.auxiliary, np.ones(len(sides)))
            at_zero = number * log_or_impossible(totals[:, 0]) - totals[:, 0]
            rows[i] = there.value - (at_zero if with_rate else 0.0)
    return gains


def _changes(known: PolynomialDensity, at: np.ndarray, counts: sparse.csr_array) -> np.ndarray:
    """Sums of log q_v - log q of data sets, (n_sets, n_thetas, n_changing)."""
    response = known.response
    assert response is not None, "otherwise the rate alone knows nuisance parameters"
    # Few of many events are in a data set.
    used = np.flatnonzero(np.bincount(counts.indices, minlength=counts.shape[1]))
    counts = counts[:, used]
    number = counts.sum(axis=1)[:, None]

    def sums(coefficients: np.ndarray, norm: np.ndarray) -> np.ndarray:
        logs = log_or_impossible(coefficients[used] @ at.T)
        return counts @ logs - number * log_or_impossible(at @ norm)

    nominal = sums(known.coefficients, known.norm)
    changes = [
        np.where(np.abs(nominal) < -0.5 * IMPOSSIBLE, sums(c, norm) - nominal, 0.0)
        for c, norm in zip(np.moveaxis(response.coefficients, 1, 0), response.norm, strict=True)
    ]
    return np.stack(changes, axis=2) if changes else np.zeros((*nominal.shape, 0))


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
