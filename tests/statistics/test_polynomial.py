"""Likelihoods of polynomials: derivatives, fits and intervals, against other ways to find them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import iminuit
import numpy as np
import pytest
from scipy.optimize import minimize

from madminer_workflow.statistics import divergence, fits
from madminer_workflow.statistics.monomials import Monomials
from madminer_workflow.statistics.polynomial import Likelihoods, PolynomialDensity, scores
from madminer_workflow.statistics.quantiles import chi2_quantile
from tests.support.known_process import KnownProcess

LEVELS = (0.6827, 0.95)
EVENTS = 312


@dataclass(frozen=True)
class Posed:
    """The exact likelihood of events drawn at the reference, and what fits need."""

    likelihood: Likelihoods
    units: np.ndarray
    points: np.ndarray

    def log_likelihood(self, theta: np.ndarray) -> float:
        return float(self.likelihood.at(theta[None], np.zeros(1, dtype=int)).value[0])

    def maxima(self) -> fits.Maxima:
        sets = np.zeros(len(self.points), dtype=int)
        values = self.likelihood.at(self.points, sets).value[None]
        return fits.maxima(self.likelihood, values, self.points, self.units)


HIGHER = {"fourth": KnownProcess.fourth(), "product": KnownProcess.product()}
"""Processes with powers above two: of a parameter in two vertices, and of two in one each."""


def pose(which: int | str, seed: int = 1, n_events: int = EVENTS) -> Posed:
    """Events of a process of so many parameters, or of ``HIGHER``, known exactly."""
    process = KnownProcess.of(which) if isinstance(which, int) else HIGHER[which]
    events, origin = process.events(20_000, seed=3), np.zeros(process.n_parameters)
    weights = events.weights_at(origin)
    rows = process.coefficients(events.x)
    ratios = rows / rows[:, :1]
    rng = np.random.default_rng(seed)
    drawn = rng.choice(len(weights), rng.poisson(n_events), p=weights / weights.sum())
    totals = events.weights.sum(axis=0) @ events.setup.morphing_matrix
    units = divergence.units(rows[:4000], process.monomials, origin, n_events)
    return Posed(
        Likelihoods(
            monomials=process.monomials,
            coefficients=ratios[drawn].T[None],
            counts=np.ones((1, len(drawn))),
            norm=weights @ ratios / weights.sum(),
            expected=totals * n_events / totals[0],
        ),
        units,
        fits.candidates(origin, units),
    )


@pytest.mark.parametrize("which", [1, 2, 4, 10, *HIGHER])
@pytest.mark.parametrize("with_rate", [True, False])
def test_derivatives_are_those_of_the_value(which: int | str, with_rate: bool) -> None:
    posed = pose(which)
    n = len(posed.units)
    likelihood = posed.likelihood
    likelihood = likelihood if with_rate else replace(likelihood, expected=None)
    sets, step = np.zeros(3, dtype=int), 1e-5
    thetas = posed.units * np.random.default_rng(2).normal(size=(3, n))
    here = likelihood.at(thetas, sets)
    for i, direction in enumerate(step * np.eye(n)):
        up, down = (likelihood.at(thetas + side * direction, sets) for side in (1.0, -1.0))
        slope = (up.value - down.value) / (2.0 * step)
        np.testing.assert_allclose(here.gradient[:, i], slope, rtol=1e-5, atol=1e-3)
        slope = (up.gradient - down.gradient) / (2.0 * step)
        np.testing.assert_allclose(here.hessian[:, i], slope, rtol=1e-5, atol=1e-2)


@pytest.mark.parametrize("which", [1, 2, 4, 10, *HIGHER])
def test_best_fit_is_scipys(which: int | str) -> None:
    posed = pose(which)
    n = len(posed.units)
    best = posed.maxima()
    found = minimize(
        lambda theta: -posed.log_likelihood(theta), np.zeros(n), method="BFGS", tol=1e-8
    )
    assert best.values[0, 0] >= -found.fun - 1e-6
    np.testing.assert_allclose(best.thetas[0, 0] / posed.units, found.x / posed.units, atol=1e-2)


@pytest.mark.parametrize("which", [1, 2, 4, *HIGHER])
def test_profiles_reach_the_threshold_at_the_edges(which: int | str) -> None:
    """To a hundredth of a standard deviation: q rises by 2 sqrt(q) per standard deviation."""
    posed = pose(which)
    best = posed.maxima()
    thresholds = [chi2_quantile(level, 1) for level in LEVELS]
    ranges = np.tile([-10.0, 10.0], (len(posed.units), 1))
    found = fits.intervals(posed.likelihood, best, thresholds, ranges, posed.units)
    for i, by_level in enumerate(found):
        for threshold, [(low, high)] in zip(thresholds, by_level, strict=True):
            assert low < best.thetas[0, 0, i] < high
            for edge in (low, high):
                q = 2.0 * (best.values[0, 0] - profile(posed, i, edge, best.thetas[0, 0]))
                assert np.sqrt(q) == pytest.approx(np.sqrt(threshold), abs=0.01)


def profile(posed: Posed, i: int, value: float, start: np.ndarray) -> float:
    """The highest likelihood with a parameter fixed, by a search without derivatives."""

    def lost(others: np.ndarray) -> float:
        return -posed.log_likelihood(np.insert(others * np.delete(posed.units, i), i, value))

    others = np.delete(start / posed.units, i)
    return -minimize(lost, others, method="Powell", tol=1e-8).fun if len(others) else -lost(others)


@pytest.mark.parametrize("which", [1, 2, 4, pytest.param(10, marks=pytest.mark.slow), *HIGHER])
def test_edges_are_those_of_minos(which: int | str) -> None:
    posed = pose(which, seed=5)
    n = len(posed.units)
    best = posed.maxima()
    thresholds = [chi2_quantile(level, 1) for level in LEVELS]
    ranges = np.tile([-10.0, 10.0], (n, 1))
    found = fits.intervals(posed.likelihood, best, thresholds, ranges, posed.units)
    minuit = iminuit.Minuit(lambda x: -2.0 * posed.log_likelihood(np.array(x)), best.thetas[0, 0])
    minuit.strategy, minuit.tol = 2, 1e-3
    minuit.migrad()
    for t, level in enumerate(LEVELS):
        minuit.minos(cl=level)
        for i in range(n):
            errors = minuit.merrors[i]
            expected = minuit.values[i] + np.array([errors.lower, errors.upper])
            [ours] = found[i][t]
            np.testing.assert_allclose(ours, expected, atol=0.01 * posed.units[i])


def counting(observed: float) -> Likelihoods:
    """A number of events whose expectation is 100 (1 + theta)^2: maxima on both sides of -1."""
    squares = np.array([1.0, 2.0, 1.0])
    return Likelihoods(
        monomials=Monomials(np.array([[0], [1], [2]])),
        coefficients=squares[None, :, None],
        counts=np.array([[observed]]),
        norm=squares,
        expected=100.0 * squares,
    )


def test_two_maxima_have_an_interval_each() -> None:
    likelihood, units = counting(144.0), np.array([0.05])
    points = fits.candidates(np.zeros(1), units)
    values = likelihood.at(points, np.zeros(41, dtype=int)).value[None]
    best = fits.maxima(likelihood, values, points, units)
    np.testing.assert_allclose(np.sort(best.thetas[0, :2, 0]), [-2.2, 0.2], atol=1e-6)
    ranges = np.array([[-3.0, 1.0]])
    [[pairs]] = fits.intervals(likelihood, best, [1.0], ranges, units)
    (low, _), (start, end) = pairs
    # Poisson's likelihood of 144 events drops by 1/2 at known expectations mu = 100 (1 + theta)^2.
    for theta in (start, end):
        mu = 100.0 * (1.0 + theta) ** 2
        assert 144.0 * np.log(144.0 / mu) - 144.0 + mu == pytest.approx(0.5, abs=1e-3)
    assert 1.0 + low == pytest.approx(-(1.0 + end), abs=1e-4)
    # A range that has one of them only, and cuts it.
    [[pairs]] = fits.intervals(likelihood, best, [1.0], np.array([[0.2, 1.0]]), units)
    assert pairs == [(0.2, pytest.approx(end))]


def test_many_data_sets_are_those_of_one_at_a_time() -> None:
    posed = pose(2)
    n_cells = posed.likelihood.counts.shape[1]
    counts = np.random.default_rng(4).poisson(1.0, size=(5, n_cells)).astype(float)
    together = replace(posed.likelihood, counts=counts)
    values = np.array(
        [together.at(posed.points, np.full(len(posed.points), i)).value for i in range(5)]
    )
    best = fits.maxima(together, values, posed.points, posed.units)
    fixed = posed.points.copy()
    fixed[:, 0] = 0.1
    heights = np.array([together.at(fixed, np.full(len(fixed), i)).value for i in range(5)])
    profiles = fits.highest_near(
        together, np.array([0]), heights, fixed, posed.units, best.thetas[:, 0]
    ).values
    for i, row in enumerate(counts):
        alone = replace(posed, likelihood=replace(posed.likelihood, counts=row[None]))
        assert alone.maxima().values[0, 0] == pytest.approx(best.values[i, 0], abs=1e-5)
        assert profile(alone, 0, 0.1, best.thetas[i, 0]) == pytest.approx(profiles[i], abs=1e-5)
    assert np.all(profiles <= best.values[:, 0] + 1e-6)


def test_a_likelihood_without_interference_leaves_its_saddle() -> None:
    """At 0 its slope vanishes, and so does the information: the maxima lie on either side."""
    likelihood = Likelihoods(
        monomials=Monomials(np.array([[0], [1], [2]])),
        coefficients=np.array([1.0, 0.0, 1.0])[None, :, None],
        counts=np.array([[110.0]]),
        norm=np.array([1.0, 0.0, 1.0]),
        expected=100.0 * np.array([1.0, 0.0, 1.0]),
    )
    units = divergence.units(likelihood.coefficients[0].T, likelihood.monomials, np.zeros(1), 100.0)
    # The expectation rises by one standard deviation, 10 of 100, near theta^2 = 0.1.
    assert units[0] == pytest.approx(np.sqrt(0.1), rel=0.05)
    points = fits.candidates(np.zeros(1), units)
    values = likelihood.at(points, np.zeros(len(points), dtype=int)).value[None]
    best = fits.maxima(likelihood, values, points, units)
    np.testing.assert_allclose(np.abs(best.thetas[0, 0]), np.sqrt(0.1), atol=1e-4)
    [[pairs]] = fits.intervals(likelihood, best, [4.0], np.array([[-2.0, 2.0]]), units)
    assert len(pairs) == 1 and pairs[0][0] == pytest.approx(-pairs[0][1], abs=1e-3)


def test_score_and_density_of_a_polynomial() -> None:
    process = KnownProcess.of(2)
    x = process.events(50, seed=1).x
    rows = process.coefficients(x)
    theta, step = np.array([0.3, -0.2]), 1e-6
    norm = rows.mean(axis=0)
    density = PolynomialDensity(process.monomials, rows, norm, {"test": np.arange(len(rows))})
    slopes = [density.log_polynomials(np.array([theta + d, theta - d])) for d in step * np.eye(2)]
    numerical = np.array([(up - down) / (2.0 * step) for up, down in slopes]).T
    np.testing.assert_allclose(scores(rows, process.monomials, theta), numerical, rtol=1e-6)
    assert np.exp(density.log_density(theta[None])).mean() == pytest.approx(1.0)
