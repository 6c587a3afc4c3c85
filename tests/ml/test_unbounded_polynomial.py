"""The method polynomial where cross-sections are no squares: interference alone, odd powers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from madminer_workflow.ml.member import Member
from madminer_workflow.ml.methods import polynomial
from madminer_workflow.ml.polynomial_network import PolynomialNetwork
from madminer_workflow.ml.polynomial_training import extended, unconstrained
from madminer_workflow.statistics import closed_form
from madminer_workflow.statistics.events import Events
from madminer_workflow.statistics.likelihood import KINDS, expected_data
from madminer_workflow.statistics.limits import Grid
from madminer_workflow.statistics.polynomial import PolynomialDensity, scores
from madminer_workflow.statistics.problem import Problem
from tests.support import learning
from tests.support.known_process import KnownProcess, problem_of


def trained(events: Events, directory: Path, n_steps: int = 500) -> Member:
    cycle = {"n_epochs": 40, "n_steps": n_steps, "batch_size": 512}
    usual = learning.settings("polynomial", network={"n_hidden": [64, 64, 64]}, training=cycle)
    directory.mkdir(parents=True, exist_ok=True)
    return learning.trained(events, usual, directory)


Known = tuple[KnownProcess, Member, Problem]


@pytest.fixture(scope="module")
def interference(tmp_path_factory: pytest.TempPathFactory) -> Known:
    """Of two parameters."""
    process = KnownProcess.interference(2)
    problem = problem_of(process.events(30_000, seed=1), 312.0)
    return process, trained(problem.train, tmp_path_factory.mktemp("int"), 600), problem


@pytest.fixture(scope="module")
def cubic(tmp_path_factory: pytest.TempPathFactory) -> Known:
    """Of one parameter."""
    process = KnownProcess.cubic()
    problem = problem_of(process.events(30_000, seed=1), 312.0)
    return process, trained(problem.train, tmp_path_factory.mktemp("cubic"), 600), problem


def exact(known: Known) -> np.ndarray:
    """Coefficients of the true ratio of the test events."""
    process, _, problem = known
    rows = process.coefficients(problem.test.x)
    return rows / rows[:, :1]


@pytest.mark.parametrize("name", ["interference", "cubic"])
def test_most_of_the_information_is_proven_and_no_more_is_claimed(
    name: str, request: pytest.FixtureRequest
) -> None:
    known: Known = request.getfixturevalue(name)
    process, member, problem = known
    origin = np.zeros(process.n_parameters)
    ours = polynomial.coefficients(member, problem.test, process.monomials)
    s, t = (scores(rows, process.monomials, origin) for rows in (exact(known), ours))
    weights = problem.test.weights_at(origin)[:, None]
    crossed, claimed, most = ((weights * a).T @ b for a, b in ((s, t), (t, t), (s, s)))
    proven = crossed @ np.linalg.solve(claimed, crossed.T)
    assert np.linalg.eigvals(np.linalg.solve(most, proven)).real.min() > 0.985
    assert np.diag(claimed) == pytest.approx(np.diag(proven), rel=0.05)


def test_odd_powers_are_learned_far_away_and_of_either_sign(cubic: Known) -> None:
    process, member, problem = cubic
    ours = polynomial.coefficients(member, problem.test, process.monomials)
    weights = problem.test.weights_at(np.zeros(1))
    for theta in (-1.0, -0.3, 0.3, 1.0, 3.0):
        values = process.monomials.values(np.array([theta]))
        found, true = ours @ values, exact(cubic) @ values
        error = weights @ (found - true) ** 2 / (weights @ (true - 1.0) ** 2)
        assert error < 0.2**2
        assert weights @ found == pytest.approx(weights @ true, rel=0.02)
    # What is negative is learned as well as the rest.
    negative = exact(cubic) @ process.monomials.values(np.array([-3.0])) < -0.5
    assert np.mean(ours[negative] @ process.monomials.values(np.array([-3.0])) < 0.0) > 0.9
    assert negative.mean() > 0.05


@pytest.mark.parametrize("name", ["interference", "cubic"])
def test_its_checks_pass_and_say_that_ratios_may_be_negative(
    name: str, request: pytest.FixtureRequest
) -> None:
    _, member, problem = request.getfixturevalue(name)
    checks = polynomial.diagnostics([member], problem)
    assert [check.sentence for check in checks if not check.passed] == []
    assert [check.name for check in checks][-3:] == [
        "directions that are seen",
        "positive ratio",
        "calibration where limits end",
    ]
    assert "not the square of an amplitude" in checks[-2].sentence


def with_exact(ours: PolynomialDensity, known: Known) -> PolynomialDensity:
    """The true density in place of the network's."""
    process, _, problem = known
    rows = process.coefficients(problem.train.x)
    weights = problem.train.weights_at(problem.theta_ref)
    norm = weights @ (rows / rows[:, :1]) / weights.sum()
    return replace(ours, coefficients=exact(known), norm=norm)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("name", "theta"), [("interference", [0.02, -0.01]), ("cubic", [0.2])])
def test_best_fit_and_intervals_are_the_exact_ones(
    name: str, theta: list[float], kind: str, request: pytest.FixtureRequest
) -> None:
    """Far away, where not even the rate is positive, is no better fit."""
    known: Known = request.getfixturevalue(name)
    _, member, problem = known
    problem = replace(problem, theta_true=np.array(theta))
    ours = polynomial.closed_form([member], problem)
    grid = Grid(problem.setup.parameters, [np.linspace(-20.0, 20.0, 5)] * len(theta))
    data, levels = expected_data(problem), (0.6827, 0.95)
    found, expected = (
        closed_form.maximum(closed_form.Model(density, problem, kind), data, levels, grid)
        for density in (ours, with_exact(ours, known))
    )
    np.testing.assert_allclose(found.theta, expected.theta, atol=0.015)
    for parameter, by_level in found.intervals.items():
        for level, pairs in by_level.items():
            np.testing.assert_allclose(pairs, expected.intervals[parameter][level], atol=0.015)


def test_negative_rates_are_impossible(interference: Known) -> None:
    """On a grid as in fits, for any data."""
    _, member, problem = interference
    density = polynomial.closed_form([member], problem)
    slope = problem.everything.weights.sum(axis=0) @ problem.setup.morphing_matrix
    far = -2.0 * slope[0] * slope[1:] / (slope[1:] @ slope[1:])
    assert problem.expected_events(far) < 0.0
    thetas = np.stack([0.0 * far, far])
    data = expected_data(problem)
    for kind, values in closed_form.log_likelihoods_at(density, data, problem, thetas).items():
        [likelihood] = closed_form.Model(density, problem, kind).likelihoods(data)
        fitted = likelihood.at(thetas, np.zeros(2, dtype=int)).value
        assert fitted[0] == pytest.approx(values[0, 0])
        assert values[0, 1] < values[0, 0] - 1e5 and fitted[1] < fitted[0] - 1e5


def test_a_parameter_that_observables_do_not_show_is_not_believed(tmp_path: Path) -> None:
    process = KnownProcess.blind()
    problem = problem_of(process.events(12_000, seed=1), 312.0)
    member = trained(problem.train, tmp_path, 400)
    failing = [c for c in polynomial.diagnostics([member], problem) if not c.passed]
    assert "directions that are seen" in [check.name for check in failing]
    [check] = [check for check in failing if check.name == "directions that are seen"]
    assert check.concerns is None
    assert check.sentence.startswith("The test events show no sensitivity to p1:")


def test_negative_weights_leave_the_square(tmp_path: Path) -> None:
    """Counter-events of other weights, which cancel in the mean, as at next-to-leading order."""
    process = KnownProcess.of(2)
    events, test = process.events(10_000, seed=1), process.events(10_000, seed=2)
    counter = 0.5 * events.weights[::-1]
    both = replace(
        events,
        x=np.concatenate([events.x, events.x]),
        weights=np.concatenate([events.weights + counter, -counter]),
        slopes=np.zeros((20_000, 0)),
        curvatures=np.zeros((20_000, 0)),
    )
    member = trained(both, tmp_path)
    assert PolynomialNetwork.load(tmp_path / polynomial.MODEL).squared
    ours = polynomial.coefficients(member, test, process.monomials)
    known = process.coefficients(test.x)
    for theta in ([0.3, 0.0], [0.0, -0.3]):
        values = process.monomials.values(np.array(theta))
        found, true = np.log(ours @ values), np.log(known @ values / known[:, 0])
        assert np.std(found - true) < 0.2 * np.std(true)


def test_both_losses_are_smallest_at_the_true_ratio() -> None:
    """Of two events at the same place: the sum of their weights over that at the reference."""
    ratios = torch.linspace(-2.0, 4.0, 6001)[:, None]

    def best(loss: Any, rates: list[float], reference: list[float]) -> float:
        weights = torch.tensor([rates, reference])[:, :, None, None]
        total = sum(loss(ratios, w, w0) for w, w0 in zip(*weights, strict=True))
        return float(ratios[torch.nan_to_num(total, nan=1e9).argmin()])

    for loss in (unconstrained, extended):
        assert best(loss, [3.0, -1.0], [2.0, 1.0]) == pytest.approx(2.0 / 3.0, abs=2e-3)
        assert best(loss, [2.0, 1.0], [3.0, -1.0]) == pytest.approx(1.5, abs=2e-3)
    assert best(unconstrained, [-3.0, 1.0], [2.0, 1.0]) == pytest.approx(-2.0 / 3.0, abs=2e-3)


def test_networks_are_saved_as_they_are(tmp_path: Path) -> None:
    process = KnownProcess.cubic()
    events = process.events(200, seed=1)
    member = trained(events, tmp_path, 3)
    network = PolynomialNetwork.load(tmp_path / polynomial.MODEL)
    again = network.coefficients(events.x, process.monomials)
    kept = polynomial.coefficients(member, events, process.monomials)
    np.testing.assert_array_equal(again, kept)
    np.testing.assert_allclose(again[:, 0], 1.0)
