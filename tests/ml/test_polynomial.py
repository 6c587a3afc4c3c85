"""The method polynomial on processes whose likelihood is known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize

from madminer_workflow.analysis.types import Polynomial
from madminer_workflow.ml.member import Member
from madminer_workflow.ml.methods import polynomial
from madminer_workflow.ml.polynomial_network import PolynomialNetwork
from madminer_workflow.ml.polynomial_pool import DIVERGENCES, make_pool
from madminer_workflow.ml.polynomial_training import steps
from madminer_workflow.ml.training import fit
from madminer_workflow.products.samples import MemberNote, Samples
from madminer_workflow.statistics import closed_form
from madminer_workflow.statistics.divergence import divergences
from madminer_workflow.statistics.events import Events
from madminer_workflow.statistics.likelihood import (
    KINDS,
    expected_data,
    log_likelihoods,
    observed_data,
)
from madminer_workflow.statistics.limits import Grid, summarise
from madminer_workflow.statistics.monomials import Monomials
from madminer_workflow.statistics.polynomial import scores
from madminer_workflow.statistics.problem import Observation, Problem
from madminer_workflow.statistics.toys import draw_toys
from tests.support import learning
from tests.support.fine_grid import assert_toys_are_those_of
from tests.support.known_process import KnownProcess

LEVELS = (0.6827, 0.95)
EVENTS = 312


def settings(**changes: Any) -> Polynomial:
    cycle = {"n_epochs": 40, "n_steps": 700, "batch_size": 512, **changes.pop("training", {})}
    network = changes.pop("network", {"n_hidden": [64, 64, 64]})
    usual = learning.settings("polynomial", network=network, training=cycle, **changes)
    return learning.typed(usual)  # type: ignore[return-value]


def trained(events: Events, directory: Path, seed: int = 1, **changes: Any) -> Member:
    directory.mkdir(parents=True, exist_ok=True)
    chosen = settings(**changes)
    fingerprint = events.setup.fingerprint(events.observables)
    note = MemberNote(settings=chosen, member=0, seed=seed, fingerprint=fingerprint)
    drawn = polynomial.draw(events, chosen, np.random.default_rng(seed))
    return Member(fit(Samples(note, drawn), chosen, directory), directory)


def proven_and_claimed(
    process: KnownProcess, member: Member, test: Events, background: float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues of the information that a network proves and claims, over the exact one's.

    The former is E[s t] E[t t]^-1 E[t s] for the exact score s and the network's t.
    """
    theta, monomials = np.zeros(process.n_parameters), process.monomials
    known = process.coefficients(test.x)
    known[:, 0] += background
    weights = test.weights_at(theta) / test.weights_at(theta).sum()
    exact = scores(known, monomials, theta)
    ours = scores(polynomial.coefficients(member, test, monomials), monomials, theta)

    def mean(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return (weights[:, None] * a).T @ b

    whitening = np.linalg.cholesky(np.linalg.inv(mean(exact, exact)))
    crossed, claimed = mean(exact, ours), mean(ours, ours)
    proven = crossed @ np.linalg.solve(claimed, crossed.T)
    return tuple(np.linalg.eigvalsh(whitening.T @ m @ whitening) for m in (proven, claimed))  # type: ignore[return-value]


@pytest.mark.parametrize("n", [1, 2, 4, 10])
def test_coefficients_of_the_known_process_are_means_given_x(n: int) -> None:
    process = KnownProcess.of(n)
    events = process.events(100_000, seed=1)
    joint = events.weights @ events.setup.morphing_matrix * len(events) / process.cross_section
    difference = joint - process.coefficients(events.x)
    for function in (np.ones(len(events)), events.x[:, 0], np.sin(events.x).sum(axis=1)):
        terms = function[:, None] * difference
        error = terms.std(axis=0) / np.sqrt(len(events))
        assert np.all(np.abs(terms.mean(axis=0)) <= 4.5 * error + 1e-12)


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> tuple[KnownProcess, Member, Problem]:
    """A network for two parameters, and the problem it is asked about."""
    process = KnownProcess.of(2)
    events = process.events(40_000, seed=1)
    train, test = events.part(0.0, 0.75), events.part(0.75, 1.0)
    theta = np.zeros(2)
    problem = Problem(
        setup=events.setup,
        everything=events,
        train=train,
        test=test,
        theta_ref=theta,
        theta_true=theta,
        fisher_theta=theta,
        luminosity=EVENTS / events.cross_section(theta),
        seed=1,
    )
    return (
        process,
        trained(train, tmp_path_factory.mktemp("two"), training={"n_steps": 1500}),
        problem,
    )


def test_most_of_the_information_is_proven_and_no_more_is_claimed(
    two: tuple[KnownProcess, Member, Problem],
) -> None:
    process, member, _ = two
    proven, claimed = proven_and_claimed(process, member, process.events(40_000, seed=2))
    assert proven.min() > 0.985
    assert np.all(np.abs(claimed / proven - 1.0) < 0.03)


@pytest.mark.slow
def test_ten_parameters_lose_no_information(tmp_path: Path) -> None:
    process = KnownProcess.of(10)
    larger = {"n_hidden": [128, 128, 128]}
    train = process.events(100_000, seed=1)
    member = trained(train, tmp_path, training={"n_steps": 2000}, network=larger)
    proven, claimed = proven_and_claimed(process, member, process.events(50_000, seed=2))
    assert proven.mean() >= 0.995
    assert proven.min() >= 0.98
    assert np.all(np.abs(claimed / proven - 1.0) < 0.05)


def test_ratios_are_positive_everywhere_and_known_at_the_reference(
    two: tuple[KnownProcess, Member, Problem],
) -> None:
    process, member, problem = two
    rows = polynomial.coefficients(member, problem.test, process.monomials)
    thetas = 5.0 * np.random.default_rng(1).normal(size=(200, 2))
    assert np.all(rows @ process.monomials.values(thetas).T > -1e-9)
    np.testing.assert_allclose(rows[:, 0], 1.0)


def test_normalisation_is_that_of_the_training_events(
    two: tuple[KnownProcess, Member, Problem],
) -> None:
    process, member, problem = two
    known = polynomial.closed_form([member], problem)
    rows = polynomial.coefficients(member, problem.train, process.monomials)
    weights = problem.train.weights_at(problem.theta_ref)
    np.testing.assert_allclose(known.norm, weights @ rows / weights.sum())


def test_checks_of_the_network_pass(two: tuple[KnownProcess, Member, Problem]) -> None:
    _, member, problem = two
    assert [
        check.name for check in polynomial.diagnostics([member], problem) if not check.passed
    ] == []


def test_best_fit_and_intervals_at_another_point_are_the_exact_ones(
    two: tuple[KnownProcess, Member, Problem],
) -> None:
    process, member, problem = two
    problem = replace(problem, theta_true=np.array([0.5, -0.5]))
    ours = polynomial.closed_form([member], problem)
    rows, of_train = (process.coefficients(events.x) for events in (problem.test, problem.train))
    weights = problem.train.weights_at(problem.theta_ref)
    norm = weights @ (of_train / of_train[:, :1]) / weights.sum()
    known = replace(ours, coefficients=rows / rows[:, :1], norm=norm)
    grid = Grid(problem.setup.parameters, [np.linspace(-2.0, 2.0, 5)] * 2)
    found, expected = (
        closed_form.maximum(
            closed_form.Model(density, problem, "rate_and_shape"),
            expected_data(problem),
            LEVELS,
            grid,
        )
        for density in (ours, known)
    )
    np.testing.assert_allclose(found.theta, expected.theta, atol=0.015)
    for name, by_level in found.intervals.items():
        for level, pairs in by_level.items():
            np.testing.assert_allclose(pairs, expected.intervals[name][level], atol=0.015)


def test_limits_are_those_of_a_fine_grid(two: tuple[KnownProcess, Member, Problem]) -> None:
    _, member, problem = two
    density = polynomial.closed_form([member], problem)
    grid = Grid(problem.setup.parameters, [np.linspace(-0.3, 0.3, 41)] * 2)
    data = expected_data(problem)
    cells = closed_form.density_at(density, problem.setup, grid.thetas())
    scanned = log_likelihoods(cells, data, problem, grid.thetas())
    for kind in KINDS:
        found = closed_form.maximum(closed_form.Model(density, problem, kind), data, LEVELS, grid)
        q = closed_form.likelihood_ratio_statistic(scanned[kind], [found])[0]
        assert found.value == pytest.approx(scanned[kind].max(), abs=0.01)
        expected = summarise(q, grid, LEVELS).intervals
        for name, by_level in found.intervals.items():
            for level, pairs in by_level.items():
                np.testing.assert_allclose(pairs, expected[name][level], atol=2e-3)


def test_toys_are_those_of_a_fine_grid(two: tuple[KnownProcess, Member, Problem]) -> None:
    _, member, problem = two
    density, theta = polynomial.closed_form([member], problem), np.array([0.1, 0.0])
    drawn = draw_toys(problem, theta, 40, np.random.default_rng(3))
    grid = Grid(problem.setup.parameters, [np.linspace(-0.5, 0.5, 51)] * 2)
    assert_toys_are_those_of(grid, density, drawn, problem, theta, atol=0.02)


def test_no_event_at_all_allows_every_shape(two: tuple[KnownProcess, Member, Problem]) -> None:
    """Of the rate, those are allowed whose expectation is at most 1/2 above the lowest one."""
    _, member, problem = two
    nothing = Observation(problem.test.observables, problem.test.x[:0], "nothing")
    problem = replace(problem, observed=nothing)
    density = polynomial.closed_form([member], problem)
    grid = Grid(problem.setup.parameters, [np.linspace(-0.5, 0.5, 3)] * 2)
    shape, both = (
        closed_form.maximum(
            closed_form.Model(density, problem, kind), observed_data(problem), [0.6827], grid
        )
        for kind in KINDS
    )
    for name in grid.parameters:
        assert shape.intervals[name]["0.6827"] == [(-0.5, 0.5)]
    lowest = minimize(lambda theta: problem.expected_events(theta), np.zeros(2))
    np.testing.assert_allclose(both.theta, lowest.x, atol=1e-3)
    assert both.value == pytest.approx(-lowest.fun, rel=1e-6)


def test_background_is_events_that_do_not_depend_on_the_parameters(tmp_path: Path) -> None:
    process = KnownProcess.of(1)
    train, test = (
        replace(events, weights=events.weights + 0.7 * process.cross_section / len(events))
        for events in (process.events(20_000, seed=seed) for seed in (1, 2))
    )
    member = trained(train, tmp_path)
    proven, claimed = proven_and_claimed(process, member, test, background=0.7)
    assert proven.min() > 0.98
    assert claimed == pytest.approx(proven, rel=0.04)


def test_a_parameter_without_interference_is_learned(tmp_path: Path) -> None:
    """Its information vanishes at the reference; its ratio far away must be right all the same."""
    process = KnownProcess(
        alpha=np.array([[1.0, 0.0], [0.0, 0.2]]),
        beta=np.array([[[0.0], [0.0]], [[0.0], [0.5]]]),
        smearing=0.3,
    )
    member = trained(process.events(20_000, seed=1), tmp_path)
    test = process.events(5_000, seed=2)
    rows, theta = polynomial.coefficients(member, test, process.monomials), np.array([2.0])
    known = process.coefficients(test.x)
    ratio = (rows @ process.monomials.values(theta)) / (known @ process.monomials.values(theta))
    assert np.std(np.log(ratio * known[:, 0])) < 0.05


def test_the_reference_need_not_be_the_origin(tmp_path: Path) -> None:
    events = KnownProcess.of(2).events(100, seed=1)
    chosen = settings(theta="b1", training={"n_steps": 1})
    arrays = polynomial.draw(events, chosen, np.random.default_rng(1))
    origin = events.setup.theta("b1")
    np.testing.assert_allclose(arrays["origin"], origin)
    monomials, theta = Monomials(arrays["powers"]), np.array([0.4, -0.3])
    there = arrays["coefficients"] @ monomials.values(theta - origin)
    np.testing.assert_allclose(there, events.weights_at(theta), rtol=1e-9)
    member = trained(events, tmp_path, theta="b1", training={"n_steps": 3, "n_epochs": 40})
    rows = polynomial.coefficients(member, events, monomials)
    np.testing.assert_allclose(rows @ monomials.values(origin), 1.0, rtol=1e-6)


def test_networks_are_saved_as_they_are(tmp_path: Path) -> None:
    process = KnownProcess.of(1)
    events = process.events(200, seed=1)
    member = trained(events, tmp_path, training={"n_steps": 3})
    network = PolynomialNetwork.load(tmp_path / polynomial.MODEL)
    again = network.coefficients(events.x, process.monomials)
    kept = polynomial.coefficients(member, events, process.monomials)
    np.testing.assert_array_equal(again, kept)
    assert network.coefficients(events.x[:0], process.monomials).shape == (0, 3)


@pytest.mark.parametrize("n", [1, 2, 4])
def test_pools_reach_as_far_as_events_can_tell(n: int) -> None:
    process = KnownProcess.of(n)
    rows = process.coefficients(process.events(4_000, seed=1).x)
    pool = make_pool(rows, process.monomials, np.random.default_rng(1))
    found = divergences(rows, process.monomials, np.zeros(n), pool.points * pool.units)
    np.testing.assert_allclose(found, np.broadcast_to(DIVERGENCES[:, None], found.shape), rtol=0.1)
    nearest = divergences(rows, process.monomials, np.zeros(n), np.diag(pool.units))
    assert np.all(nearest <= 0.55)


def test_few_events_are_not_learned_by_heart() -> None:
    training = settings(training={"n_steps": 2000}).training
    assert steps(1_000_000, training) == 2000
    assert steps(7_000, training) == 547
