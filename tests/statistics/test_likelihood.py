"""Likelihoods of data sets, and what profiling nuisance parameters does to them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse
from scipy.optimize import minimize

from madminer_workflow.analysis.systematics import Nuisance
from madminer_workflow.madminer_file import read_sample
from madminer_workflow.statistics import likelihood
from madminer_workflow.statistics.baselines import (
    rate_log_likelihood,
    truth,
    truth_log_likelihoods,
)
from madminer_workflow.statistics.events import union
from madminer_workflow.statistics.likelihood import (
    DataSets,
    Density,
    expected_data,
    log_likelihoods,
    profiling_gain,
    rate_response,
)
from madminer_workflow.statistics.limits import likelihood_ratio_statistic
from madminer_workflow.statistics.nuisance import response_of_counts
from madminer_workflow.statistics.problem import Problem
from madminer_workflow.statistics.setup import Setup
from tests.support.properties import examples

THETAS = np.array([[0.0, 0.0], [0.4, -0.3], [-1.0, 0.5]])


@pytest.fixture(scope="module")
def problem(setup: Setup, toy_file: Path) -> Problem:
    everything = union(read_sample(toy_file), setup)
    theta = setup.theta("sm")
    train, test = everything.part(0.0, 0.8), everything.part(0.8, 1.0)
    return Problem(setup, everything, train, test, theta, theta, theta, 3e6, seed=1)


def uncertain(problem: Problem, slopes: list[float]) -> Problem:
    """Nuisance parameters that change all rates by factors exp(slope * nu)."""
    nuisance = [Nuisance(f"n{i}", f"s{i}", "norm", f"up{i}", None) for i in range(len(slopes))]
    setup = replace(problem.setup, nuisance=nuisance)

    def changed(events: object) -> object:
        row = np.tile(slopes, (len(events), 1))  # type: ignore[arg-type]
        return replace(events, setup=setup, slopes=row, curvatures=np.zeros_like(row))  # type: ignore[type-var]

    return replace(
        problem,
        setup=setup,
        everything=changed(problem.everything),
        train=changed(problem.train),
        test=changed(problem.test),
    )


def log_likelihood_at(
    nu: np.ndarray,
    counts: np.ndarray,
    rates: np.ndarray,
    response: tuple[np.ndarray, np.ndarray],
    measured: np.ndarray,
    with_rate: bool,
) -> float:
    """Poisson's or the multinomial law, written down from scratch, for one parameter point."""
    a, b = response
    varied = rates * np.exp(a @ nu + b @ nu**2)
    constraint = -0.5 * np.sum((nu - measured) ** 2)
    if with_rate:
        return float(counts @ np.log(varied) - varied.sum() + constraint)
    return float(counts @ np.log(varied / varied.sum()) + constraint)


@examples(40)
@given(
    seed=st.integers(0, 10_000),
    cells=st.integers(1, 5),
    n_nuisance=st.integers(1, 3),
    with_rate=st.booleans(),
)
def test_profiling_finds_the_maximum(
    seed: int, cells: int, n_nuisance: int, with_rate: bool
) -> None:
    rng = np.random.default_rng(seed)
    rates = rng.uniform(20.0, 200.0, (2, cells))
    counts = rng.poisson(rates[0]).astype(float)
    a = rng.normal(0.0, 0.1, (2, cells, n_nuisance))
    b = rng.normal(0.0, 0.001, (2, cells, n_nuisance))
    measured = rng.normal(size=n_nuisance)
    ours = profiling_gain(counts, rates, (a, b), measured, with_rate)
    for i in range(2):
        own = (counts, rates[i], (a[i], b[i]), measured, with_rate)
        best = minimize(lambda nu, own=own: -log_likelihood_at(nu, *own), measured)
        # The gain is with respect to nu = 0 without the constraint.
        nominal = log_likelihood_at(np.zeros(n_nuisance), *own) + 0.5 * measured @ measured
        assert ours[i] == pytest.approx(-best.fun - nominal, abs=1e-4)


def test_a_count_against_its_normalisation() -> None:
    """n events, an uncertainty s: the error of log mu grows from n^-1/2 to (1/n + s^2)^1/2."""
    n, s, shift = 400.0, 0.05, 1e-3
    rates = n * np.exp([[shift], [0.0], [-shift]])
    nominal = n * np.log(rates[:, 0]) - rates[:, 0]
    response = (np.full((3, 1, 1), s), np.zeros((3, 1, 1)))
    profile = nominal + profiling_gain(np.array([n]), rates, response, np.zeros(1), True)
    curvature = (2.0 * profile[1] - profile[0] - profile[2]) / shift**2
    assert 1.0 / curvature == pytest.approx(1.0 / n + s**2, rel=1e-3)


def test_expected_data_have_the_expected_number_of_events(problem: Problem) -> None:
    data = expected_data(problem)
    expected = problem.expected_events(problem.theta_true)
    assert data.multiplicities.sum() == pytest.approx(expected)
    assert data.auxiliary.shape == (1, 0)


def density_of(problem: Problem, seed: int = 3) -> Density:
    """Cells that have nothing to do with observables."""
    rng = np.random.default_rng(seed)
    p = rng.uniform(0.2, 1.0, (len(THETAS), 4))
    cells = {"test": rng.integers(0, 4, len(problem.test))}
    return Density(np.log(p / p.sum(axis=1, keepdims=True)), cells)


def test_likelihoods_are_sums_over_events(problem: Problem) -> None:
    density = density_of(problem)
    rng = np.random.default_rng(1)
    times = rng.integers(0, 3, (2, len(problem.test)))
    data = DataSets("test", sparse.csr_array(times.astype(float)), np.zeros((2, 0)))
    found = log_likelihoods(density, data, problem, THETAS)
    expected = problem.expected_events(THETAS)
    for i, row in enumerate(times):
        shape = density.log_p[:, density.cells["test"]] @ row
        np.testing.assert_allclose(found["shape"][i], shape)
        rate = row.sum() * np.log(expected) - expected
        np.testing.assert_allclose(found["rate_and_shape"][i], shape + rate)


@pytest.mark.parametrize("slopes", [[], [0.1, 0.02]])
def test_pieces_of_the_grid_do_not_matter(
    problem: Problem, monkeypatch: pytest.MonkeyPatch, slopes: list[float]
) -> None:
    problem = uncertain(problem, slopes)
    data = expected_data(problem)
    known = truth(problem)
    whole = truth_log_likelihoods(known, problem, THETAS, data)
    monkeypatch.setattr(likelihood, "LARGEST_ARRAY", 1)
    for kind, rows in truth_log_likelihoods(known, problem, THETAS, data).items():
        np.testing.assert_allclose(rows, whole[kind], rtol=1e-12)


def test_profiling_never_narrows(problem: Problem) -> None:
    sure, unsure = problem, uncertain(problem, [0.1, 0.05])
    axis = np.linspace(-1.0, 1.0, 9)
    thetas = np.stack([axis, 0.0 * axis], axis=1)
    fixed = likelihood_ratio_statistic(rate_log_likelihood(sure, thetas, expected_data(sure))[0])
    profiled = likelihood_ratio_statistic(
        rate_log_likelihood(unsure, thetas, expected_data(unsure))[0]
    )
    assert np.all(profiled <= fixed + 1e-9)
    assert profiled.max() < 0.5 * fixed.max()
    unprofiled = rate_log_likelihood(unsure, thetas, expected_data(unsure), profiled=False)
    np.testing.assert_allclose(likelihood_ratio_statistic(unprofiled[0]), fixed)


def test_a_normalisation_leaves_shapes_alone(problem: Problem) -> None:
    unsure = uncertain(problem, [0.1])
    known, data = truth(unsure), expected_data(unsure)
    with_, without = (
        truth_log_likelihoods(known, unsure, THETAS, data, profiled=each) for each in (True, False)
    )
    np.testing.assert_allclose(with_["shape"], without["shape"], atol=1e-6)
    assert not np.allclose(with_["rate_and_shape"], without["rate_and_shape"], rtol=0.0, atol=0.01)


def test_methods_that_know_the_rate_only(problem: Problem) -> None:
    """Without a response of cells, profiling changes what the number of events says."""
    unsure = uncertain(problem, [0.1])
    density, data = density_of(unsure), expected_data(unsure)
    found = log_likelihoods(density, data, unsure, THETAS)
    fixed = log_likelihoods(density, data, unsure, THETAS, profiled=False)
    rate = rate_log_likelihood(unsure, THETAS, data)
    np.testing.assert_allclose(found["shape"], fixed["shape"])
    np.testing.assert_allclose(found["rate_and_shape"], found["shape"] + rate)


def test_responses_of_cells(problem: Problem) -> None:
    unsure = uncertain(problem, [0.1, -0.02])
    a, b = rate_response(unsure, THETAS)
    np.testing.assert_allclose(a, np.tile([0.1, -0.02], (3, 1, 1)), rtol=1e-9)
    np.testing.assert_allclose(b, 0.0)
    cells = np.arange(len(unsure.train)) % 3
    a, _ = response_of_counts(unsure.train, cells, 4, THETAS)
    np.testing.assert_allclose(a[:, :3], np.tile([0.1, -0.02], (3, 3, 1)), rtol=1e-9)
    assert np.all(a[:, 3] == 0.0), "nothing is in the last cell"
