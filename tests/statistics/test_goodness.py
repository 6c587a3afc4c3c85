"""Goodness of fit: p-values, the tests behind them, and what they find."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kstest, norm, poisson

from madminer_workflow.statistics.events import Events, draw
from madminer_workflow.statistics.goodness import assess, kernel
from madminer_workflow.statistics.goodness.assess import goodness_of_fit, stages
from madminer_workflow.statistics.goodness.binned import bin_edges, excess, scan_intervals
from madminer_workflow.statistics.goodness.calibration import combined, log_p_values, p_values
from madminer_workflow.statistics.goodness.fits import (
    BestFits,
    Expectation,
    fit_in_closed_form,
)
from madminer_workflow.statistics.goodness.toys import responding, weights_at
from madminer_workflow.statistics.polynomial import PolynomialDensity, scores
from madminer_workflow.statistics.problem import Observation, Problem
from madminer_workflow.statistics.results import Goodness
from tests.support.known_process import KnownProcess, problem_of
from tests.support.known_shifts import SHIFT, shifted_events

KIND = "rate_and_shape"
PROCESS = KnownProcess.of(2)


def rows_of(x: np.ndarray) -> np.ndarray:
    """Coefficients of the density of events."""
    return PROCESS.coefficients(x) if len(x) else np.zeros((0, len(PROCESS.monomials)))


def density_of(problem: Problem) -> PolynomialDensity:
    """The exact one, of the observables of test and observed events."""
    assert problem.observed is not None
    parts = {"test": problem.test.x, "observed": problem.observed.x}
    rows = np.concatenate([rows_of(x) for x in parts.values()])
    ends = np.cumsum([len(x) for x in parts.values()])
    cells = {
        name: np.arange(end - len(x), end)
        for (name, x), end in zip(parts.items(), ends, strict=True)
    }
    # The cross-section over that of the normal distribution that events are drawn from.
    totals = problem.everything.weights.sum(axis=0) @ problem.setup.morphing_matrix
    return PolynomialDensity(PROCESS.monomials, rows, totals / PROCESS.cross_section, cells)


def assessed(
    problem: Problem, x: np.ndarray, n_toys: int | None = None, kind: str = KIND, seed: int = 1
) -> Goodness:
    """The tests of observed events at the best fit of the exact likelihood."""
    observed = Observation(problem.test.observables, x, "nature")
    problem = replace(problem, observed=observed)
    density = density_of(problem)
    of_cells = scores(density.coefficients, density.monomials, problem.theta_true)
    of_events = {
        name: (column[density.cells["test"]], column[density.cells["observed"]])
        for name, column in zip(problem.setup.parameters, of_cells.T, strict=True)
    }
    fit = partial(fit_in_closed_form, density, problem, kind)
    return goodness_of_fit(problem, fit, of_events, np.random.default_rng(seed), n_toys)


@pytest.fixture(scope="module")
def problem() -> Problem:
    return problem_of(PROCESS.events(32_000, seed=1), 400.0)


def nature(n: int, theta: np.ndarray, seed: int, events: Events | None = None) -> np.ndarray:
    """Observables of so many unweighted events that the simulation does not have."""
    rng = np.random.default_rng(seed)
    others = PROCESS.events(40 * n, seed=seed + 1000) if events is None else events
    return others.x[draw(others.weights_at(theta), n, rng)]


def by_name(found: Goodness) -> dict[str, float]:
    return {f"{test.about} {test.name}": test.p_value for test in found.tests}


def test_p_values_are_ranks() -> None:
    statistics = np.array([[3.0, 1.0], [1.0, 1.0], [2.0, 0.0], [2.0, 5.0]])
    np.testing.assert_allclose(
        p_values(statistics), [[0.25, 0.75], [1.0, 0.75], [0.75, 1.0], [0.75, 0.25]]
    )


def test_the_smallest_of_many_p_values_is_nothing_special() -> None:
    """Of 20 tests one has the largest of 500 statistics with 4 %."""
    rng = np.random.default_rng(1)
    whole = [combined(rng.normal(size=(500, 20)))[0] for _ in range(60)]
    assert kstest(whole, "uniform").pvalue > 0.01


def test_what_exceeds_all_toys_by_far_is_told_from_what_exceeds_them_by_little() -> None:
    statistics = np.random.default_rng(2).normal(size=(301, 10))
    statistics[0, 3] = 17.0
    assert combined(statistics)[0] == pytest.approx(1.0 / 301.0)


@given(st.integers(5, 400), st.integers(0, 100))
def test_tails_keep_the_order(n: int, seed: int) -> None:
    statistics = np.random.default_rng(seed).normal(size=(n, 1)).round(1)
    logs = log_p_values(statistics)[:, 0]
    order = np.argsort(statistics[:, 0], kind="stable")
    assert np.all(np.diff(logs[order]) <= 1e-9)
    assert logs.max() <= 1e-9


def test_the_interval_is_the_most_unlikely_one() -> None:
    """All intervals, one after another."""
    rng = np.random.default_rng(3)
    shares = rng.uniform(0.5, 1.5, 7)
    counts = rng.poisson(6.0, 7).astype(float)
    found = scan_intervals(counts[None], shares[None])
    heights = {}
    total = counts.sum()
    for first in range(7):
        for end in range(first + 1, 8):
            width = end - first
            if width == 7:
                continue
            n, p = counts[first:end].sum(), shares[first:end].sum() / shares.sum()
            parts = [(n, total * p), (total - n, total * (1.0 - p))]
            deviance = 2.0 * sum(k * np.log(k / mean) for k, mean in parts if k)
            penalty = np.sqrt(2.0 * np.log(np.e * 7.0 / min(width, 7 - width)))
            heights[first, end] = np.sqrt(max(deviance, 0.0)) - penalty
    best = max(heights, key=lambda interval: heights[interval])
    assert found.statistic[0] == pytest.approx(heights[best])
    assert heights[int(found.first[0]), int(found.end[0])] == pytest.approx(heights[best])


def test_bins_have_equal_shares_and_common_values_their_own() -> None:
    rng = np.random.default_rng(4)
    values = rng.exponential(size=10_000)
    edges = bin_edges(values, np.ones(10_000), 20)
    shares = np.histogram(values, [-1.0, *edges, np.inf])[0] / 10_000
    np.testing.assert_allclose(shares, 0.05, atol=2e-4)
    values[:3000] = 0.0
    edges = bin_edges(values, np.ones(10_000), 20)
    assert np.sum(values < edges[0]) == 3000
    np.testing.assert_allclose(bin_edges(rng.integers(0, 3, 999), np.ones(999), 20), [0.5, 1.5])
    assert len(bin_edges(np.full(10, 2.0), np.ones(10), 20)) == 0
    assert len(bin_edges(np.full(10, np.nan), np.ones(10), 20)) == 0


@pytest.mark.parametrize(("n", "expected"), [(40, 268.0), (268, 268.0), (300, 268.0)])
def test_counts_in_standard_deviations(n: int, expected: float) -> None:
    likely = poisson.cdf(n, expected) if n < expected else poisson.sf(n - 1, expected)
    size = float(excess(np.array(float(n)), np.array(expected)))
    if likely > 1e-12:
        assert size == pytest.approx(-np.sign(expected - n) * norm.isf(min(likely, 0.5)), abs=0.35)
    else:
        assert size < -15.0


def test_a_classifier_sees_what_single_observables_do_not_show() -> None:
    """A correlation of two observables that are normal all the same."""
    rng = np.random.default_rng(5)
    reference = rng.normal(size=(3000, 2))
    weights = rng.uniform(0.5, 1.5, 3000)
    features = kernel.Features.of(reference, weights, 1.0, 20, rng)
    there, penalty = features.at(reference), features.penalty(8.0)
    mean = weights @ there / weights.sum()
    np.testing.assert_allclose(mean, 0.0, atol=1e-9)
    np.testing.assert_allclose(weights @ there**2 / weights.sum(), 1.0)

    def statistics(correlation: float) -> np.ndarray:
        found = []
        for _ in range(40):
            x = rng.normal(size=(200, 2))
            x[:, 1] = correlation * x[:, 0] + np.sqrt(1.0 - correlation**2) * x[:, 1]
            found.append(kernel.statistic(features.at(x), there, weights, penalty))
        return np.array(found)

    assert np.mean(statistics(0.5) > statistics(0.0).max()) > 0.9
    assert kernel.statistic(features.at(reference[:0]), there, weights, penalty) == 0.0


def test_a_classifier_is_the_log_ratio() -> None:
    """Of two normal distributions, where there are events."""
    rng = np.random.default_rng(6)
    reference, x = rng.normal(size=(20_000, 1)), rng.normal(0.4, 1.0, size=(20_000, 1))
    ones = np.ones(len(reference))
    features = kernel.Features.of(reference, ones, 1.0, 20, rng)
    c = kernel.log_ratio(features.at(x), features.at(reference), ones, features.penalty(15.0))
    places = np.linspace(-1.5, 1.5, 7)[:, None]
    np.testing.assert_allclose(
        c[0] + features.at(places) @ c[1:], 0.4 * places[:, 0] - 0.08, atol=0.1
    )


def test_shifts_are_learned_as_factors() -> None:
    """The mean of the shifted observable, and the rate, from events that are not shifted."""
    events = shifted_events(20_000, lambda x, size: x + size)
    factors = responding(events, np.zeros(1), np.random.default_rng(7))
    assert not factors.shifted
    for name, nu in (("up", 1.0), ("down", -1.0)):
        moved = events.shifted[name]
        there = moved.weights_at(np.zeros(1), events.setup)
        weights = weights_at(factors, BestFits(np.zeros((1, 1)), np.array([[nu, 0.0]])))[0]
        assert weights.sum() == pytest.approx(there.sum(), rel=1e-6)
        means = [
            weights @ events.x[:, 0] / weights.sum(),
            there @ moved.x[:, 0] / there.sum(),
            events.weights_at(np.zeros(1)) @ events.x[:, 0] / events.weights_at(np.zeros(1)).sum(),
        ]
        assert means[0] - means[2] == pytest.approx(means[1] - means[2], rel=0.1)
        assert abs(means[1] - means[2]) > 0.5 * SHIFT


def test_what_is_expected_is_what_limits_expect(problem: Problem) -> None:
    thetas = np.array([[0.0, 0.0], [0.3, -0.1]])
    found = Expectation(problem).at(BestFits(thetas, np.zeros((2, 0))))
    np.testing.assert_allclose(found, problem.expected_events(thetas))


def test_data_of_another_simulation_look_like_this_one(
    problem: Problem, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(assess, "stages", stages)
    theta = np.array([0.1, 0.0])
    found = assessed(problem, nature(400, theta, 11))
    assert found.p_value > 0.01
    assert found.n_toys in (300, 1000)
    assert [test.about for test in found.tests] == [
        "count", "observable", "observable", "score", "score", "events", "events",
    ]  # fmt: skip
    assert found.observed_events == 400
    assert found == assessed(problem, nature(400, theta, 11))
    assert found.best_fit == pytest.approx(theta, abs=0.4)
    plot = found.plot
    assert plot is not None and plot.name in problem.test.observables
    assert sum(plot.observed) == 400
    assert np.sum(plot.expected) == pytest.approx(400.0)
    place = found.place
    assert place is not None and place.p_value == min(t.p_value for t in found.tests[1:3])


def test_too_few_events_are_the_number_of_events(problem: Problem) -> None:
    found = assessed(problem, nature(40, problem.theta_true, 12), n_toys=100)
    assert found.p_value == pytest.approx(1.0 / 101.0)
    assert (found.smallest.about, found.smallest.observed) == ("count", 40.0)
    assert found.smallest.expected == pytest.approx(found.expected_events)


def test_a_resonance_is_found_where_it_is(problem: Problem) -> None:
    x = nature(400, problem.theta_true, 13)
    x[:60, 1] = np.random.default_rng(1).normal(1.7, 0.05, 60)
    found = assessed(problem, x, n_toys=200, kind="shape")
    assert found.p_value == pytest.approx(1.0 / 201.0)
    place = found.place
    assert place is not None and place.name == "x1" and place.interval is not None
    low, high = place.interval
    assert low is not None and low < 1.7 and (high is None or high > 1.7)
    assert place.observed is not None and place.expected is not None
    assert place.observed > place.expected + 35.0


def test_no_event_at_all_is_few(problem: Problem) -> None:
    found = assessed(problem, problem.test.x[:0], n_toys=100)
    assert found.p_value == pytest.approx(1.0 / 101.0)
    assert found.smallest.about == "count"


def test_toys_are_fewer_where_data_are_many() -> None:
    assert stages(300.0) == [300, 700]
    assert stages(1e6) == [300, 100]


@pytest.mark.slow
def test_p_values_are_uniform(problem: Problem) -> None:
    """Of 200 data sets of other events than the simulation's, for every test and for all."""
    truth, rng = np.array([0.3, -0.3]), np.random.default_rng(8)
    others = PROCESS.events(400_000, seed=99)
    rows = []
    for seed in range(1, 201):
        n = int(rng.poisson(problem.expected_events(truth)))
        found = assessed(problem, nature(n, truth, seed, others), n_toys=100, seed=seed)
        rows.append({**by_name(found), "all": found.p_value})
    for name in rows[0]:
        assert kstest([row[name] for row in rows], "uniform").pvalue > 0.003, name
