"""Likelihoods of single events that respond to nuisance parameters, against sums over partons."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from madminer_workflow.statistics import closed_form
from madminer_workflow.statistics.baselines import truth
from madminer_workflow.statistics.event_parts import N_PARTS, divided, with_parts
from madminer_workflow.statistics.fits import Likelihood
from madminer_workflow.statistics.likelihood import KINDS, expected_data, log_likelihoods
from madminer_workflow.statistics.limits import Grid
from madminer_workflow.statistics.nuisance import varied_rates
from madminer_workflow.statistics.polynomial import EventResponse, PolynomialDensity
from madminer_workflow.statistics.problem import Problem
from madminer_workflow.statistics.toys import draw_toys
from tests.statistics.test_varied import LEVELS, uncertain_problem


def shaped_problem(n_parameters: int, n_events: int) -> Problem:
    """With two uncertainties of the shape, and with all events as test events."""
    problem = uncertain_problem(n_parameters, n_events)
    x = problem.everything.x
    slopes = problem.everything.slopes.copy()
    slopes[:, 1] = 0.05 + 0.08 * np.tanh(x[:, 0] + x[:, 1])
    events = replace(problem.everything, slopes=slopes)
    return replace(problem, everything=events, train=events, test=events)


def partons_as_events(problem: Problem) -> PolynomialDensity:
    """Every parton is an event, whose density and response are known."""
    events = problem.test
    rates = varied_rates(events, np.arange(len(events)), len(events))
    rates = rates @ problem.setup.morphing_matrix
    # The second has no side at -1.
    changing = np.array([1, 2, 3])
    nothing = np.empty((0, 5, rates.shape[2]))
    response = EventResponse(
        changing, rates[:, changing], rates[:, changing].sum(axis=0), nothing, nothing
    )
    known = replace(
        truth(problem),
        coefficients=rates[:, 0],
        norm=rates[:, 0].sum(axis=0),
        varied=None,
        measure=None,
        response=response,
    )
    return with_parts(known, "test", np.ones(len(events)), problem.theta_true, problem)


def assert_consistent(likelihood: Likelihood, points: np.ndarray) -> None:
    """Gradient and Hessian are derivatives of the value, at points none of which is a kink."""
    sets, step = np.arange(len(points)), 1e-5
    here = likelihood.at(points, sets)
    for i, direction in enumerate(step * np.eye(points.shape[1])):
        up, down = (likelihood.at(points + side * direction, sets) for side in (1.0, -1.0))
        slope = (up.value - down.value) / (2.0 * step)
        np.testing.assert_allclose(here.gradient[:, i], slope, rtol=1e-5, atol=1e-3)
        slope = (up.gradient - down.gradient) / (2.0 * step)
        np.testing.assert_allclose(here.hessian[:, i], slope, rtol=1e-5, atol=1e-2)


@pytest.mark.parametrize("kind", KINDS)
def test_derivatives_are_those_of_the_value(kind: str) -> None:
    """Within |nu| < 1 and beyond, for toys and for data that have all events in common."""
    problem = shaped_problem(2, 400)
    model = closed_form.Model(partons_as_events(problem), problem, kind)
    drawn = draw_toys(problem, problem.theta_true, 3, np.random.default_rng(1))
    points = np.random.default_rng(2).normal(size=(3, 4)) * [0.3, 0.3, 0.4, 0.4]
    for data, shift in product((drawn, expected_data(problem)), ([0, 0, 0, 0], [0, 0, 3, -2])):
        [likelihood] = model.likelihoods(data)
        assert_consistent(likelihood, points[: len(likelihood)] + shift)


@pytest.mark.parametrize("n_parts", [1, N_PARTS])
@pytest.mark.parametrize("kind", KINDS)
def test_limits_are_those_of_the_sum_over_partons(
    kind: str, n_parts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That sum is the likelihood of cells that are all there are: another code."""
    monkeypatch.setattr("madminer_workflow.statistics.event_parts.N_PARTS", n_parts)
    problem = shaped_problem(2, 4000)
    data = expected_data(problem)
    grid = Grid(problem.setup.parameters, [np.linspace(-2.0, 2.0, 5)] * 2)
    exact, ours = (
        closed_form.maximum(closed_form.Model(known, problem, kind), data, LEVELS, grid)
        for known in (truth(problem), partons_as_events(problem))
    )
    near = 3e-3 if n_parts == 1 else 5e-4
    np.testing.assert_allclose(ours.theta, exact.theta, atol=near)
    for parameter, by_level in exact.intervals.items():
        for level, pairs in by_level.items():
            np.testing.assert_allclose(ours.intervals[parameter][level], pairs, atol=near)


@pytest.mark.parametrize("kind", KINDS)
def test_some_events_tell_how_all_respond(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exactly at the assumed truth, and nearly elsewhere, with consistent derivatives."""
    problem = shaped_problem(2, 20_000)
    known, data = partons_as_events(problem), expected_data(problem)
    model = closed_form.Model(known, problem, kind)
    [thin] = model.likelihoods(data)
    grid = Grid(problem.setup.parameters, [np.linspace(-2.0, 2.0, 5)] * 2)
    few = closed_form.maximum(model, data, LEVELS, grid)
    assert_consistent(thin, np.array([[0.2, -0.1, 0.3, -0.6]]))
    monkeypatch.setattr("madminer_workflow.statistics.event_sums.ENOUGH", 10**9)
    [whole] = model.likelihoods(data)
    first, at_truth = np.zeros(1, int), np.array([[0.0, 0.0, 0.5, -0.5]])
    values = [one.at(at_truth, first).value[0] for one in (thin, whole)]
    assert values[0] == pytest.approx(values[1], abs=1e-6)
    every = closed_form.maximum(model, data, LEVELS, grid)
    for parameter, by_level in every.intervals.items():
        for level, pairs in by_level.items():
            np.testing.assert_allclose(few.intervals[parameter][level], pairs, atol=2e-3)


def test_toys_are_those_of_the_sum_over_partons() -> None:
    """Each with its auxiliary measurements; beyond one standard deviation b(x) is another's."""
    problem, theta = shaped_problem(1, 4000), np.array([0.1])
    straight = replace(problem.everything, curvatures=np.zeros_like(problem.everything.slopes))
    problem = replace(problem, everything=straight, train=straight, test=straight)
    toys = draw_toys(problem, theta, 12, np.random.default_rng(3))
    exact, ours = (
        closed_form.statistics(known, toys, problem, theta)
        for known in (truth(problem), partons_as_events(problem))
    )
    for kind in KINDS:
        for theirs, q in zip(exact[kind], ours[kind], strict=True):
            np.testing.assert_allclose(q, theirs, atol=0.05)


def test_grids_have_the_maxima_of_fits() -> None:
    problem = shaped_problem(1, 1000)
    known, data = partons_as_events(problem), expected_data(problem)
    toys = draw_toys(problem, problem.theta_true, 2, np.random.default_rng(1))
    thetas = np.array([[-0.2], [0.3]])
    for sets in (data, toys):
        scanned = log_likelihoods(
            closed_form.density_at(known, problem.setup, thetas), sets, problem, thetas
        )
        for kind in KINDS:
            [likelihood] = closed_form.Model(known, problem, kind).likelihoods(sets)
            for i in range(len(likelihood)):
                fitted = [highest_at(likelihood, i, theta) for theta in thetas]
                gains, offsets = np.diff(scanned[kind][i]), np.diff(fitted)
                np.testing.assert_allclose(gains, offsets, atol=1e-4)


def highest_at(likelihood: Likelihood, number: int, theta: np.ndarray) -> float:
    """The maximum over nu at theta, by small steps of another kind."""
    from scipy.optimize import minimize

    def value(nu: np.ndarray) -> float:
        point = np.append(theta, nu)[None]
        return -float(likelihood.at(point, np.array([number])).value[0])

    return -float(minimize(value, np.zeros(2), method="Nelder-Mead", options={"fatol": 1e-7}).fun)


def test_nuisance_parameters_do_not_run_away() -> None:
    """Though the events of a data set bend upwards more than the total does."""
    problem = shaped_problem(1, 1000)
    known = partons_as_events(problem)
    response = known.response
    assert response is not None
    # 300 events: 0.9 nu^2 more than the total knows, of which a constraint takes 0.5 nu^2 only.
    bent = response.coefficients.copy()
    bent[:, [0, 2]] *= np.exp(0.003)
    known = replace(known, response=replace(response, coefficients=bent))
    for kind in KINDS:
        model = closed_form.Model(known, problem, kind)
        grid = Grid(problem.setup.parameters, [np.linspace(-3.0, 3.0, 3)])
        highest = closed_form.maximum(model, expected_data(problem), LEVELS, grid)
        assert np.isfinite(highest.value)
        [likelihood] = model.likelihoods(expected_data(problem))
        along = np.outer([0.0, 20.0, 60.0], [0.0, 1.0, 0.0])
        for side in (1.0, -1.0):
            at_zero, far, further = likelihood.at(side * along, np.zeros(3, int)).value
            assert at_zero > far > further


def test_parts_respond_alike_and_lose_nothing() -> None:
    rng = np.random.default_rng(1)
    features, weights = rng.normal(size=(3000, 3)), rng.random(3000)
    parts = divided(features, weights, 40)
    assert parts.max() == 39
    assert np.bincount(parts).min() >= 25
    within = sum(features[parts == part].var(axis=0) * np.mean(parts == part) for part in range(40))
    assert np.max(within) < 0.2
    assert not divided(np.ones((3000, 3)), weights, 40).any()
