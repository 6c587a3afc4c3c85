"""Methods where parameters enter two vertices: squares of amplitudes of second order.

The processes are those of one parameter up to its fourth power, and of one in production and
another in decay.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from madminer_workflow.ml.member import Member
from madminer_workflow.ml.methods import polynomial
from madminer_workflow.ml.polynomial_training import form_of
from madminer_workflow.statistics import closed_form
from madminer_workflow.statistics.likelihood import KINDS, expected_data
from madminer_workflow.statistics.limits import Grid
from madminer_workflow.statistics.polynomial import scores
from madminer_workflow.statistics.problem import Problem
from tests.support import learning
from tests.support.known_process import KnownProcess, problem_of

PROCESSES = {"fourth": KnownProcess.fourth(), "product": KnownProcess.product()}
LEVELS = (0.6827, 0.95)


@pytest.mark.parametrize("name", PROCESSES)
def test_they_are_squares(name: str) -> None:
    """Of (1, c, c^2), and of (1, a, b, a b): ratios are positive everywhere."""
    amplitude, squared = form_of(PROCESSES[name].monomials)
    assert squared
    assert sorted(amplitude.powers.tolist()) == sorted(PROCESSES[name].powers.tolist())


def learned(name: str, directory: Path) -> tuple[KnownProcess, Member, Problem]:
    process = PROCESSES[name]
    problem = problem_of(process.events(30_000, seed=1), 312.0)
    cycle = {"n_epochs": 20, "n_steps": 300, "batch_size": 512}
    usual = learning.settings("polynomial", network={"n_hidden": [64, 64, 64]}, training=cycle)
    return process, learning.trained(problem.train, usual, directory), problem


@pytest.fixture(scope="module", params=["fourth", pytest.param("product", marks=pytest.mark.slow)])
def known(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[KnownProcess, Member, Problem]:
    return learned(request.param, tmp_path_factory.mktemp(request.param))


def test_the_network_is_a_square_that_knows_the_score(
    known: tuple[KnownProcess, Member, Problem],
) -> None:
    process, member, problem = known
    origin, x = np.zeros(process.n_parameters), problem.test.x
    ours = polynomial.coefficients(member, problem.test, process.monomials)
    exact = process.coefficients(x)
    thetas = 3.0 * np.random.default_rng(1).normal(size=(200, len(origin)))
    assert np.all(ours @ process.monomials.values(thetas).T > -1e-9)
    weights = problem.test.weights_at(origin)[:, None]
    s, t = (scores(rows, process.monomials, origin) for rows in (exact, ours))
    crossed, claimed, most = ((weights * a).T @ b for a, b in ((s, t), (t, t), (s, s)))
    proven = crossed @ np.linalg.solve(claimed, crossed.T)
    assert np.linalg.eigvals(np.linalg.solve(most, proven)).real.min() > 0.98
    # Far away, where the fourth powers are.
    for theta in (2.0, -2.0):
        values = process.monomials.values(np.full(len(origin), theta))
        found, true = ours @ values, (exact / exact[:, :1]) @ values
        error = weights[:, 0] @ (found - true) ** 2 / (weights[:, 0] @ (true - 1.0) ** 2)
        assert error < 0.25**2


@pytest.mark.parametrize("kind", KINDS)
def test_best_fit_and_intervals_are_the_exact_ones(
    known: tuple[KnownProcess, Member, Problem], kind: str
) -> None:
    process, member, problem = known
    theta = np.array([0.4, -0.3])[: process.n_parameters]
    problem = replace(problem, theta_true=theta)
    ours = polynomial.closed_form([member], problem)
    rows, of_train = (process.coefficients(events.x) for events in (problem.test, problem.train))
    weights = problem.train.weights_at(problem.theta_ref)
    norm = weights @ (of_train / of_train[:, :1]) / weights.sum()
    exact = replace(ours, coefficients=rows / rows[:, :1], norm=norm)
    grid = Grid(problem.setup.parameters, [np.linspace(-3.0, 3.0, 5)] * len(theta))
    found, expected = (
        closed_form.maximum(
            closed_form.Model(density, problem, kind), expected_data(problem), LEVELS, grid
        )
        for density in (ours, exact)
    )
    np.testing.assert_allclose(found.theta, expected.theta, atol=0.02)
    for name, by_level in found.intervals.items():
        for level, pairs in by_level.items():
            np.testing.assert_allclose(pairs, expected.intervals[name][level], atol=0.02)
