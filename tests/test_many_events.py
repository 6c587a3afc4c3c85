"""Many events: results as of all at once, and memory of a few numbers for each of them."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from madminer_workflow import large_arrays
from madminer_workflow.report import distributions
from madminer_workflow.statistics import closed_form, likelihood
from madminer_workflow.statistics.baselines import truth
from madminer_workflow.statistics.fits import candidates
from madminer_workflow.statistics.likelihood import DataSets, expected_data
from madminer_workflow.statistics.polynomial import PolynomialDensity
from madminer_workflow.statistics.problem import Problem
from madminer_workflow.statistics.toys import draw_toys
from tests.statistics.test_varied_events import partons_as_events, shaped_problem
from tests.support.known_process import KnownProcess, problem_of

NUMBER = np.dtype(float).itemsize


def largest(call: Callable[[], object]) -> int:
    """Bytes that are in use at once while something is called."""
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.fixture(scope="module")
def problem() -> Problem:
    return problem_of(KnownProcess.of(2).events(12_000, seed=1), 30.0, train=0.2)


@pytest.mark.parametrize("undefined", [0.0, 0.1])
def test_histograms_do_not_depend_on_pieces(
    undefined: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(1)
    weights = rng.normal(1.0, 0.5, size=1000)
    continuous, integers = rng.normal(size=1000), rng.integers(-3, 5, 1000).astype(float)
    mixed = np.append(integers[:-1], 0.5)
    for values in (continuous, integers, mixed):
        values[rng.random(1000) < undefined] = np.nan
        edges = distributions.histogram_edges(values, weights, None)
        at_once = distributions.normalised_histogram(values, weights, edges)
        with monkeypatch.context() as patch:
            patch.setattr(large_arrays, "ROWS", 97)
            in_pieces = distributions.histogram_edges(values, weights, None)
            np.testing.assert_array_equal(in_pieces, edges)
            found = distributions.normalised_histogram(values, weights, edges)
        np.testing.assert_allclose(found, at_once, rtol=1e-12)


def test_edges_take_no_copies_of_events() -> None:
    """Their order and sums of weights, and what is defined: 17 bytes for each."""
    n = 1_000_000
    rng = np.random.default_rng(1)
    values, weights = rng.normal(size=n), rng.random(n)
    assert largest(lambda: distributions.histogram_edges(values, weights, None)) < 20 * n


def test_the_truth_takes_its_coefficients_and_little_more(
    problem: Problem, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(large_arrays, "ROWS", 500)
    n = len(problem.test)
    numbers = problem.setup.morphing_matrix.shape[1] + 5
    assert largest(lambda: truth(problem)) < numbers * NUMBER * n


def starts_of(known: PolynomialDensity, data: DataSets, problem: Problem) -> dict[str, np.ndarray]:
    units = closed_form.standard_deviations(known, problem, problem.theta_true)
    points = candidates(problem.theta_true, units)
    return closed_form.log_likelihoods_at(known, data, problem, points)


def test_maxima_are_looked_for_in_pieces(problem: Problem, monkeypatch: pytest.MonkeyPatch) -> None:
    """As all points at once, in memory of a few of them."""
    known, data = truth(problem), expected_data(problem)
    at_once = starts_of(known, data, problem)
    n_points = at_once["shape"].shape[1]
    array = NUMBER * len(problem.test) * n_points
    assert largest(lambda: starts_of(known, data, problem)) > 2 * array
    monkeypatch.setattr(likelihood, "AT_ONCE", 1)
    monkeypatch.setattr(likelihood, "LARGEST_ARRAY", len(problem.test))
    for kind, values in starts_of(known, data, problem).items():
        np.testing.assert_allclose(values, at_once[kind], rtol=1e-12)
    assert largest(lambda: starts_of(known, data, problem)) < 0.3 * array


@pytest.mark.parametrize("uncertain", [False, True])
def test_toys_ask_for_the_events_that_they_have(
    problem: Problem, uncertain: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether events respond to nuisance parameters, each in its way, or not."""
    theta, known = problem.theta_true, truth(problem)
    if uncertain:
        problem, theta = shaped_problem(1, 3000), np.array([0.1])
        known = partons_as_events(problem)
    # Observed data are cells of the same density.
    cells = {"test": 1 + known.cells["test"], "observed": np.zeros(1, dtype=int)}
    rows = np.insert(known.coefficients, 0, known.norm, axis=0)
    response = known.response and replace(
        known.response,
        coefficients=np.insert(known.response.coefficients, 0, known.response.norm, axis=0),
    )
    known = replace(
        known, coefficients=rows, cells=cells, response=response, varied=None, measure=None
    )
    toys = draw_toys(problem, theta, 3, np.random.default_rng(1))
    n_used = len(np.unique(toys.multiplicities.indices))
    assert n_used < 0.5 * len(problem.test)
    of_all = closed_form.statistics(known, toys, problem, theta)
    asked: list[int] = []
    density_at = closed_form.density_at

    def noted(density: PolynomialDensity, *arguments: object) -> likelihood.Density:
        asked.append(len(density.coefficients))
        return density_at(density, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(likelihood, "AT_ONCE", 1)
    monkeypatch.setattr(likelihood, "LARGEST_ARRAY", 1)
    monkeypatch.setattr(closed_form, "density_at", noted)
    for kind, found in closed_form.statistics(known, toys, problem, theta).items():
        for some, every in zip(found, of_all[kind], strict=True):
            np.testing.assert_allclose(some, every, rtol=1e-9, atol=1e-9)
    assert set(asked) == {n_used}
