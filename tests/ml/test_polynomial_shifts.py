"""What the polynomial method learns of uncertainties of what is measured."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from madminer_workflow.errors import InputError
from madminer_workflow.ml.member import Member
from madminer_workflow.ml.methods import polynomial
from madminer_workflow.statistics import closed_form
from madminer_workflow.statistics.event_parts import with_parts
from madminer_workflow.statistics.events import draw
from madminer_workflow.statistics.fits import climb
from madminer_workflow.statistics.likelihood import KINDS, DataSets, expected_data
from madminer_workflow.statistics.limits import Grid
from madminer_workflow.statistics.monomials import Monomials
from madminer_workflow.statistics.moved_events import drawn_anew, observation_of
from madminer_workflow.statistics.nuisance import varied_totals
from madminer_workflow.statistics.polynomial import EventResponse, PolynomialDensity
from madminer_workflow.statistics.problem import Observation, Problem
from madminer_workflow.statistics.toys import multiplicities
from tests.ml.test_polynomial import settings, trained
from tests.ml.test_polynomial_response import changed, failures
from tests.support.known_process import KnownProcess, problem_of
from tests.support.known_shifts import SHIFT, rescaled, shifted_events, shifted_otherwise

PROCESS = KnownProcess.of(1)
EVENTS = 400.0


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> tuple[Member, Problem]:
    problem = problem_of(shifted_events(30_000, rescaled), EVENTS)
    return trained(
        problem.train, tmp_path_factory.mktemp("model"), training={"n_steps": 400}
    ), problem


def exact(problem: Problem) -> PolynomialDensity:
    """The density of what is measured, which shifts change by a change of variables."""
    x = problem.test.x
    variance = 1.0 + PROCESS.smearing**2
    nominal, varied = PROCESS.coefficients(x), []
    for size in (SHIFT, -SHIFT):
        before = x.copy()
        before[:, 0] = (x[:, 0] - size) / (1.0 + 0.5 * size)
        density = np.exp(0.5 * (x[:, 0] ** 2 - before[:, 0] ** 2) / variance)
        varied.append(PROCESS.coefficients(before) * density[:, None])
    monomials = Monomials(problem.setup.components)
    at = monomials.values(problem.theta_ref)
    rows = np.stack([nominal, *varied], axis=1) / (nominal @ at)[:, None, None]
    weights = problem.test.weights_at(problem.theta_ref)
    norms = np.tensordot(weights, rows, (0, 0)) / weights.sum()
    nothing = np.empty((0, 5, len(monomials)))
    response = EventResponse(np.array([1, 3]), rows[:, 1:], norms[1:], nothing, nothing)
    cells = {"test": np.arange(len(x))}
    known = PolynomialDensity(monomials, rows[:, 0], norms[0], cells, response=response)
    return with_parts(known, "test", weights, problem.theta_true, problem)


def ratios(known: PolynomialDensity, theta: float) -> np.ndarray:
    """log q_v / q of test events, (n_events, 2)."""
    assert known.response is not None
    at = known.monomials.values(np.array([theta]))
    logs = np.log(known.response.coefficients @ at) - np.log(known.coefficients @ at)[:, None]
    return logs - logs.mean(axis=0)


@pytest.mark.parametrize("theta", [0.0, 0.3])
def test_responses_to_shifts_are_the_exact_ones(
    learned: tuple[Member, Problem], theta: float
) -> None:
    """Events that migrate across a cut included."""
    member, problem = learned
    known = polynomial.closed_form([member], problem)
    assert known.response is not None and known.response.changing.tolist() == [1, 3]
    ours, theirs = ratios(known, theta), ratios(exact(problem), theta)
    assert np.all(theirs.std(axis=0) > 0.1)
    assert np.all((ours - theirs).std(axis=0) < 0.15 * theirs.std(axis=0))


@pytest.mark.parametrize("kind", KINDS)
def test_limits_with_shifts_are_the_exact_ones(learned: tuple[Member, Problem], kind: str) -> None:
    member, problem = learned
    grid = Grid(problem.setup.parameters, [np.linspace(-3.0, 3.0, 3)])

    def width(known: PolynomialDensity) -> float:
        model = closed_form.Model(known, problem, kind)
        highest = closed_form.maximum(model, expected_data(problem), [0.95], grid)
        [(low, high)] = highest.intervals["p0"]["0.95"]
        return high - low

    known = polynomial.closed_form([member], problem)
    assert width(known) == pytest.approx(width(exact(problem)), rel=0.05)


def test_checks_fail_wrong_responses_to_shifts(
    learned: tuple[Member, Problem], tmp_path: Path
) -> None:
    member, problem = learned
    assert failures(member, problem) == []
    for name, scale in {"none": 0.0, "wrong": -1.0, "large": 2.0}.items():
        failed = failures(changed(member, tmp_path / name, scale), problem)
        assert "reweighting to nuisance parameters" in failed


def test_undefined_observables_of_shifted_events_are_told() -> None:
    events = shifted_events(400, rescaled)
    x = events.shifted["up"].x.copy()
    x[3, 1] = np.nan
    events = replace(events, shifted={**events.shifted, "up": replace(events.shifted["up"], x=x)})
    with pytest.raises(InputError, match=r"observable x1: is undefined in 1 of .* events at up"):
        polynomial.draw(events, settings(), np.random.default_rng(1))


@pytest.mark.slow
def test_a_shift_is_fitted_back(tmp_path: Path) -> None:
    """In 400 toys of events that are measured with it, each with its auxiliary measurements."""
    problem = problem_of(shifted_events(200_000, rescaled), EVENTS)
    member = trained(problem.train, tmp_path / "model", training={"n_steps": 2000})
    shifted, theta, n = problem.test.shifted["up"], problem.theta_true, 400
    observation = Observation(shifted.observables, shifted.x, "shifted")
    problem = replace(problem, observed=observation)
    rng = np.random.default_rng(1)
    weights = shifted.weights_at(theta, problem.setup)
    expected = problem.luminosity * varied_totals(problem.everything)[1]
    sizes = rng.poisson(expected @ problem.setup.morphing_weights(theta), n)
    chosen = draw(weights, int(sizes.sum()), rng)
    toys = DataSets(
        "observed",
        multiplicities(chosen, sizes, len(shifted)),
        rng.normal(loc=[1.0, 0.0], size=(n, 2)),
    )
    model = closed_form.Model(polynomial.closed_form([member], problem), problem, KINDS[1])
    starts = np.tile([*theta, 1.0, 0.0], (n, 1))
    pulls, done = [], 0
    for some in model.likelihoods(toys):
        rows = slice(done, done + len(some))
        fitted, there = climb(some, np.arange(len(some)), starts[rows], model.units(theta))
        errors = np.sqrt(np.diagonal(np.linalg.inv(-there.hessian), axis1=1, axis2=2))
        pulls.append((fitted - starts[rows]) / errors)
        done += len(some)
    found = np.concatenate(pulls)
    print(f"\npulls: {found.mean(axis=0)} +- {found.std(axis=0)}")
    np.testing.assert_allclose(found.mean(axis=0), 0.0, atol=0.2)
    np.testing.assert_allclose(found.std(axis=0), 1.0, atol=0.12)


@pytest.mark.slow
def test_toys_from_the_prior_of_a_shift_cover_as_those_measured_anew(tmp_path: Path) -> None:
    """If the response is known, and not with that of the rate alone."""
    n_events, n, theta = 200_000, 2000, np.array([0.2])
    problem = problem_of(shifted_events(n_events, rescaled), EVENTS)
    member = trained(problem.train, tmp_path / "model", training={"n_steps": 2000})
    rng = np.random.default_rng(3)
    nu, anew = rng.normal(size=(n, 2)), []
    for of_scale, of_rate in nu:
        x, weights = shifted_otherwise(n_events, of_scale, theta)
        expected = problem.luminosity * weights.sum() * np.exp(0.05 * of_rate)
        anew.append(x[draw(weights, rng.poisson(expected), rng)])
    covered = {}
    for name, (observation, toys) in {
        "anew": observation_of(problem.test, anew, np.zeros_like(nu)),
        "moved": drawn_anew(problem, theta, nu, rng),
    }.items():
        posed = replace(problem, observed=observation)
        known = polynomial.closed_form([member], posed)
        for what, density in {"learned": known, "rate": replace(known, response=None)}.items():
            q, _ = closed_form.statistics(density, toys, posed, theta)["rate_and_shape"]
            covered[name, what] = float(np.mean(q < 1.0))
    print(f"\ncoverage of 68.3 %: {covered}")
    error = np.sqrt(0.683 * 0.317 / n)
    # The nuisance parameters are the same, and of the error only a part.
    assert covered["moved", "learned"] == pytest.approx(covered["anew", "learned"], abs=3.0 * error)
    assert covered["moved", "learned"] == pytest.approx(0.683, abs=3.0 * error + 0.015)
    assert max(covered["moved", "rate"], covered["anew", "rate"]) < 0.4
