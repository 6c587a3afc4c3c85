"""What the polynomial method learns of nuisance parameters, against processes that are known."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from madminer_workflow.array_files import read_npz
from madminer_workflow.errors import InputError
from madminer_workflow.ml.member import Member
from madminer_workflow.ml.methods import polynomial
from madminer_workflow.statistics import closed_form
from madminer_workflow.statistics.information import rate
from madminer_workflow.statistics.likelihood import KINDS, expected_data
from madminer_workflow.statistics.limits import Grid
from madminer_workflow.statistics.polynomial import PolynomialDensity, scores
from madminer_workflow.statistics.problem import Problem
from tests.ml.test_polynomial import trained
from tests.support.known_process import KnownProcess, problem_of
from tests.support.uncertain_process import UncertainProcess

TILTS = np.array([[0.15, 0.05], [0.0, 0.0], [0.0, 0.1]])
PROCESS = UncertainProcess(
    KnownProcess.of(2), TILTS, np.array([0.05, 0.02, 0.0]), np.array([True, True, False])
)
"""The second nuisance parameter changes the rate only, the third is known at +1 alone."""

EVENTS = 300.0


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> tuple[Member, Problem]:
    problem = problem_of(PROCESS.events(20_000, seed=2), EVENTS)
    return trained(
        problem.train, tmp_path_factory.mktemp("model"), training={"n_steps": 500}
    ), problem


def log_changes(known: PolynomialDensity, theta: list[float]) -> np.ndarray:
    """log q_v / q of test events, (n_events, n_changing), less its mean."""
    assert known.response is not None
    at = known.monomials.values(np.array(theta))
    logs = np.log(known.response.coefficients @ at) - np.log(known.coefficients @ at)[:, None]
    return logs - logs.mean(axis=0)


def test_only_shapes_are_learned(learned: tuple[Member, Problem]) -> None:
    member, problem = learned
    response = polynomial.closed_form([member], problem).response
    assert response is not None
    # +1 of the first and the third, -1 of the first.
    assert response.changing.tolist() == [1, 3, 4]


@pytest.mark.parametrize("theta", [[0.0, 0.0], [0.3, 0.0], [-0.2, 0.2]])
def test_responses_are_the_exact_ones(learned: tuple[Member, Problem], theta: list[float]) -> None:
    member, problem = learned
    ours = log_changes(polynomial.closed_form([member], problem), theta)
    exact = log_changes(PROCESS.density(problem), theta)
    assert np.all(exact.std(axis=0) > 0.07)
    assert np.all((ours - exact).std(axis=0) < 0.1 * exact.std(axis=0))


def test_integrals_are_the_known_totals_at_every_point(learned: tuple[Member, Problem]) -> None:
    """Of the rate density, which is the density times the known total over its integral."""
    member, problem = learned
    known = polynomial.closed_form([member], problem)
    assert known.response is not None
    weights = problem.train.weights_at(problem.theta_ref)
    rows = polynomial.varied_coefficients(member, problem.train, known.monomials)
    for theta in np.array([[0.0, 0.0], [0.5, -0.3], [-2.0, 1.0]]):
        at = known.monomials.values(theta)
        integrals = weights @ (rows @ at) / weights.sum()
        np.testing.assert_allclose(integrals, known.response.norm @ at, rtol=1e-6)
    np.testing.assert_allclose(known.response.norm @ known.monomials.values(problem.theta_ref), 1.0)


def width(known: PolynomialDensity, problem: Problem, kind: str) -> np.ndarray:
    """Of 95 % intervals with nuisance parameters profiled."""
    grid = Grid(problem.setup.parameters, [np.linspace(-3.0, 3.0, 3)] * 2)
    model = closed_form.Model(known, problem, kind)
    intervals = closed_form.maximum(model, expected_data(problem), [0.95], grid).intervals
    return np.array([pairs["0.95"][0][1] - pairs["0.95"][0][0] for pairs in intervals.values()])


@pytest.mark.parametrize("kind", KINDS)
def test_profiled_limits_are_the_exact_ones(learned: tuple[Member, Problem], kind: str) -> None:
    member, problem = learned
    ours = polynomial.closed_form([member], problem)
    exact = width(PROCESS.density(problem), problem, kind)
    np.testing.assert_allclose(width(ours, problem, kind), exact, rtol=0.04)
    assert np.max(exact / width(polynomial.nominal([member], problem), problem, kind)) > 1.5


def test_information_knows_what_shapes_respond(learned: tuple[Member, Problem]) -> None:
    """On nuisance parameters and mixed, as the exact scores have it, which the rate has not."""
    member, problem = learned
    profiled = polynomial.information([member], problem).profiled
    assert profiled is not None
    events, theta = problem.test, problem.fisher_theta
    known, p = PROCESS.density(problem), events.weights_at(theta) / events.cross_section(theta)
    assert known.response is not None
    at = known.monomials.values(theta)
    up, third, down = np.log(known.response.coefficients @ at).T
    exact = np.column_stack(
        [
            scores(known.coefficients, known.monomials, theta),
            0.5 * (up - down),
            np.zeros(len(p)),
            third - np.log(known.coefficients @ at),
        ]
    )
    exact -= p @ exact
    of_shape = EVENTS * (p[:, None] * exact).T @ exact
    of_rate = rate(problem.everything, theta, problem.luminosity).profiled
    assert of_rate is not None
    scales = np.sqrt(np.diag(of_shape))
    scales[3] = 1.0
    difference = profiled.full - of_rate.full - of_shape
    np.testing.assert_allclose(difference / np.outer(scales, scales), 0.0, atol=0.06)


def changed(member: Member, directory: Path, scale: float) -> Member:
    """The same member with outputs of its response times ``scale``."""
    shutil.copytree(member.directory, directory)
    path = directory / polynomial.RESPONSE
    arrays = read_npz(path)
    last = max(name for name in arrays if name.startswith("weights_"))
    for name in (last, last.replace("weights", "biases")):
        arrays[name] = arrays[name] * scale
    np.savez(path, **arrays)  # type: ignore[arg-type]
    return Member(member.note, directory)


def failures(member: Member, problem: Problem) -> list[str]:
    checks = polynomial.nuisance_checks([member], problem)
    assert len(checks) >= 2
    return [check.name for check in checks if not check.passed]


def test_checks_fail_what_is_wrong(learned: tuple[Member, Problem], tmp_path: Path) -> None:
    """No response, one of the wrong sign, and one that is twice as large."""
    member, problem = learned
    assert failures(member, problem) == []
    assert "reweighting to nuisance parameters" in failures(
        changed(member, tmp_path / "none", 0.0), problem
    )
    for name, scale in {"wrong": -1.0, "large": 2.0}.items():
        failed = failures(changed(member, tmp_path / name, scale), problem)
        assert "reweighting to nuisance parameters" in failed
        assert "calibration of the response" in failed


def test_normalisation_is_checked(learned: tuple[Member, Problem], tmp_path: Path) -> None:
    member, problem = learned
    shutil.copytree(member.directory, tmp_path / "model")
    path = tmp_path / "model" / polynomial.RESPONSE
    arrays = read_npz(path)
    np.savez(path, **(arrays | {"norm": 1.05 * arrays["norm"]}))  # type: ignore[arg-type]
    assert failures(Member(member.note, tmp_path / "model"), problem) == ["closure of the response"]


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("norm", np.ones((3, 2)), "norm: has 2 entries along axis 1, expected 6"),
        ("changing", np.array([1, 1, 4]), "changing: contains other variations"),
        ("changing", np.array([1, 3, 7]), "changing: contains other variations"),
        ("scales", np.array([1.0, np.nan, 1.0]), "scales: 1 of 3 numbers are NaN"),
        ("weights_2", np.ones((32, 5)), "weights_2: has 5 entries along axis 1, expected 18"),
    ],
)
def test_damaged_responses_are_told(
    learned: tuple[Member, Problem], tmp_path: Path, name: str, value: np.ndarray, message: str
) -> None:
    member, problem = learned
    shutil.copytree(member.directory, tmp_path / "model")
    path = tmp_path / "model" / polynomial.RESPONSE
    np.savez(path, **(read_npz(path) | {name: value}))  # type: ignore[arg-type]
    with pytest.raises(InputError, match=message):
        polynomial.closed_form([Member(member.note, tmp_path / "model")], problem)


def test_pure_rates_need_no_network(tmp_path: Path) -> None:
    process = UncertainProcess.of(KnownProcess.of(1), np.zeros((1, 2)))
    problem = problem_of(process.events(3000, seed=1), EVENTS)
    member = trained(problem.train, tmp_path / "model", training={"n_steps": 20})
    known = polynomial.closed_form([member], problem)
    assert known.response is not None and not len(known.response.changing)
    assert polynomial.nuisance_checks([member], problem) == []
    by_rate = replace(known, response=None)
    grid = Grid(problem.setup.parameters, [np.linspace(-3.0, 3.0, 3)])
    for kind in KINDS:
        ours, theirs = (
            closed_form.maximum(
                closed_form.Model(one, problem, kind), expected_data(problem), [0.95], grid
            )
            for one in (known, by_rate)
        )
        np.testing.assert_allclose(
            ours.intervals["p0"]["0.95"], theirs.intervals["p0"]["0.95"], atol=1e-4
        )


def test_models_without_nuisance_parameters_have_no_response(tmp_path: Path) -> None:
    events = KnownProcess.of(1).events(2000, seed=1)
    member = trained(events, tmp_path / "model", training={"n_steps": 5})
    assert not (member.directory / polynomial.RESPONSE).exists()


@pytest.mark.slow
def test_ratios_that_are_no_squares_respond_too(tmp_path: Path) -> None:
    """Alike at all parameters; limits are those of the exact response."""
    process = UncertainProcess.of(KnownProcess.interference(1), np.array([[0.05, 0.2]]))
    problem = problem_of(process.events(20_000, seed=1), 2000.0)
    member = trained(problem.train, tmp_path / "model", training={"n_steps": 400})
    assert failures(member, problem) == []
    ours, exact = polynomial.closed_form([member], problem), process.density(problem)
    difference = log_changes(ours, [0.0]) - log_changes(exact, [0.0])
    assert np.all(difference.std(axis=0) < 0.1 * log_changes(exact, [0.0]).std(axis=0))
    grid = Grid(problem.setup.parameters, [np.linspace(-0.5, 0.5, 3)])
    for kind in KINDS:
        found = [
            closed_form.maximum(
                closed_form.Model(known, problem, kind), expected_data(problem), [0.6827], grid
            ).intervals["p0"]["0.6827"][0]
            for known in (ours, exact)
        ]
        np.testing.assert_allclose(np.diff(found[0]), np.diff(found[1]), rtol=0.1)
