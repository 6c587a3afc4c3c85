"""Proven information: of scores whose worth is known, with errors that are those of repetitions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from madminer_workflow.statistics import efficiency, information
from madminer_workflow.statistics.events import union
from madminer_workflow.statistics.problem import Problem
from madminer_workflow.statistics.results import Estimate, Shares
from madminer_workflow.statistics.setup import Setup
from tests.conftest import toy_sample

LUMINOSITY = 1e6
NAMES = ["CWL2", "CPWL2"]
WIDTH = 0.2
"""The standard deviation of each component of the toys' score at sm."""


def problem_of(setup: Setup, n: int, seed: int) -> Problem:
    events = union(toy_sample(setup, {"sm": n}, seed), setup)
    sm = setup.theta("sm")
    return Problem(setup, events, events, events, sm, sm, sm, luminosity=LUMINOSITY, seed=1)


@pytest.fixture(scope="module")
def problem(setup: Setup) -> Problem:
    return problem_of(setup, 8000, seed=3)


def true_scores(problem: Problem) -> np.ndarray:
    return problem.test.scores_at(problem.fisher_theta)


def noisy(problem: Problem, widths: list[float], seed: int = 1) -> np.ndarray:
    """The true score with noise, in units of its standard deviation."""
    true = true_scores(problem)
    return true + np.random.default_rng(seed).normal(size=true.shape) * WIDTH * widths


def compared(first: np.ndarray, second: np.ndarray, problem: Problem) -> Shares:
    found = [efficiency.proven(scores, problem) for scores in (first, second)]
    directions = efficiency.known_directions(found, efficiency.of_partons(problem))
    return efficiency.shares(*found, directions, NAMES)


def test_the_partons_hold_what_information_says(problem: Problem) -> None:
    ours = efficiency.of_partons(problem)
    theirs = information.truth(problem.everything, problem.fisher_theta, LUMINOSITY)
    np.testing.assert_allclose(ours.estimate, theirs.matrix, rtol=1e-9)
    np.testing.assert_allclose(np.diag(ours.error), np.diag(theirs.error), rtol=0.3)


def test_scores_prove_as_much_in_other_units(problem: Problem) -> None:
    """Neither calibration, units, mixtures of components nor a constant change what is proven."""
    ceiling = efficiency.of_partons(problem)
    mixing = np.array([[3.0, 1e-4], [2.0, -5e-4]])
    for scores in (true_scores(problem), true_scores(problem) @ mixing + 7.0):
        found = efficiency.proven(scores, problem)
        np.testing.assert_allclose(found.estimate, ceiling.estimate, rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(found.replicas, ceiling.replicas, rtol=1e-9, atol=1e-9)


def test_noise_proves_less_and_claims_more(problem: Problem) -> None:
    """Of t = s + noise of a times its width, the information is 1 / (1 + a^2), the claim 1 + a^2.

    Of the rate of the toy nothing is known at sm, where its derivative is 0.
    """
    summary, found = efficiency.summarise_proven(noisy(problem, [0.5, 1.0]), problem)
    ceiling = efficiency.of_partons(problem)
    directions = efficiency.known_directions([found], ceiling)
    share = efficiency.shares(found, ceiling, directions, NAMES)
    claimed = summary.claimed
    expected = {"CWL2": 1.25, "CPWL2": 2.0}
    for name, inflation in expected.items():
        near(share.parameters[name], 1.0 / inflation)
        near(claimed.parameters[name], inflation**2)
    near(share.together, (1.25 * 2.0) ** -0.5)
    near(claimed.together, 1.25 * 2.0)
    np.testing.assert_allclose(summary.matrix, found.estimate)
    np.testing.assert_allclose(summary.error, found.error)


def near(estimate: Estimate, expected: float) -> None:
    assert estimate.value is not None and estimate.error is not None
    assert 0.0 < estimate.error < 0.05 * expected
    assert abs(estimate.value - expected) < 4.0 * estimate.error


def test_errors_are_those_of_the_comparison(setup: Setup) -> None:
    """Events that all methods are measured with fluctuate together."""
    problems = [problem_of(setup, 1000, seed) for seed in range(40)]
    shares = [
        compared(noisy(one, [0.3, 0.3], i), noisy(one, [0.2, 0.2], i), one)
        for i, one in enumerate(problems)
    ]
    for pick in (lambda share: share.together, lambda share: share.parameters["CWL2"]):
        values, errors = np.array([(pick(share).value, pick(share).error) for share in shares]).T
        assert np.mean(errors) == pytest.approx(values.std(ddof=1), rel=0.35)
        one = efficiency.proven(noisy(problems[0], [0.3, 0.3], 0), problems[0])
        assert np.mean(errors) < 0.3 * one.error[0, 0] / one.estimate[0, 0]


def test_what_nobody_sees_is_not_compared(problem: Problem) -> None:
    """A parameter of which no method knows anything does not count, others do as before."""
    blind = np.random.default_rng(5).normal(size=len(problem.test))
    seen, half = (noisy(problem, [width, 0.0])[:, 0] for width in (0.0, 1.0))
    share = compared(np.column_stack([half, blind]), np.column_stack([seen, blind]), problem)
    assert share.parameters["CPWL2"] == Estimate(value=None, error=None)
    near(share.parameters["CWL2"], 0.5)
    near(share.together, 0.5)
    # Where one of the two sees it, the other loses all.
    share = compared(np.column_stack([seen, blind]), true_scores(problem), problem)
    assert share.parameters["CPWL2"].value == pytest.approx(0.0, abs=0.01)
    assert share.together.value == pytest.approx(0.0, abs=0.05)
    # And where neither sees anything, nothing is said.
    share = compared(np.zeros((len(problem.test), 2)), blind[:, None], problem)
    assert share.together == Estimate(value=None, error=None)


def test_rates_count_for_all_methods(setup: Setup) -> None:
    theta = np.array([8.0, 1.0])
    problem = replace(problem_of(setup, 4000, seed=8), fisher_theta=theta)
    rate = information.rate(problem.everything, theta, LUMINOSITY).matrix
    nothing = efficiency.proven(np.zeros((4000, 2)), problem)
    np.testing.assert_allclose(nothing.estimate, rate)
    np.testing.assert_allclose(nothing.error, 0.0, atol=1e-9 * rate.max())


def test_events_without_weight_do_not_count(problem: Problem) -> None:
    test = problem.test
    weights = test.weights.copy()
    weights[:50] = 0.0
    empty = replace(problem, test=replace(test, weights=weights))
    scores = np.nan_to_num(test.scores_at(problem.fisher_theta))
    found = efficiency.proven(scores, empty)
    assert np.all(np.isfinite(found.replicas))
    np.testing.assert_allclose(found.estimate, efficiency.of_partons(empty).estimate, rtol=1e-9)
