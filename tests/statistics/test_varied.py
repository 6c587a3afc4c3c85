"""Likelihoods whose rates nuisance parameters change: derivatives, and fits against grids."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from madminer_workflow.analysis.systematics import Nuisance
from madminer_workflow.statistics import closed_form
from madminer_workflow.statistics.baselines import truth
from madminer_workflow.statistics.binning import bin_indices, binned_density
from madminer_workflow.statistics.likelihood import (
    KINDS,
    DataSets,
    expected_data,
    log_likelihoods,
)
from madminer_workflow.statistics.limits import Grid, summarise, with_nodes
from madminer_workflow.statistics.nuisance import varied_rates
from madminer_workflow.statistics.polynomial import PolynomialDensity
from madminer_workflow.statistics.problem import Problem
from madminer_workflow.statistics.toys import draw_toys
from madminer_workflow.statistics.varied import Factors, VariedRates
from tests.support.fine_grid import assert_toys_are_those_of
from tests.support.known_process import KnownProcess

LEVELS = (0.6827, 0.95)
EVENTS = 300


def uncertain_problem(n_parameters: int, n_events: int) -> Problem:
    """A process with an uncertainty of its shape, known at +1 and -1, and one of its rate."""
    events = KnownProcess.of(n_parameters).events(n_events, seed=1)
    nuisance = [
        Nuisance("scale", "scale", "scale", "up", "down"),
        Nuisance("luminosity", "luminosity", "norm", "more", None),
    ]
    slopes = np.stack([0.1 + 0.1 * np.tanh(events.x[:, 0]), np.full(n_events, 0.05)], axis=1)
    curvatures = np.stack([0.03 * np.tanh(events.x[:, 1]), np.zeros(n_events)], axis=1)
    setup = replace(events.setup, nuisance=nuisance, nuisance_benchmarks=["up", "down", "more"])
    events = replace(events, setup=setup, slopes=slopes, curvatures=curvatures)
    theta = np.zeros(n_parameters)
    return Problem(
        setup=setup,
        everything=events,
        train=events.part(0.0, 0.5),
        test=events.part(0.5, 1.0),
        theta_ref=theta,
        theta_true=theta,
        fisher_theta=theta,
        luminosity=EVENTS / float(events.cross_section(theta)),
        seed=1,
    )


def densities(problem: Problem) -> dict[str, PolynomialDensity]:
    """Bins and partons, whose shapes know the nuisance parameters, and events that do not."""
    edges = [np.array([-1.0, 0.0, 1.0])] * 2
    cells = {name: bin_indices(events.x, edges) for name, events in problem.samples().items()}
    of_partons = truth(problem)
    return {
        "bins": binned_density(
            varied_rates(problem.train, cells["train"], 16), cells, problem.setup
        ),
        "partons": of_partons,
        "rate": replace(of_partons, varied=None),
    }


@pytest.mark.parametrize("with_rate", [True, False])
@pytest.mark.parametrize("name", ["bins", "partons"])
def test_derivatives_are_those_of_the_value(with_rate: bool, name: str) -> None:
    problem = uncertain_problem(2, 40)
    model = closed_form.Model(
        densities(problem)[name], problem, "rate_and_shape" if with_rate else "shape"
    )
    drawn = draw_toys(problem, problem.theta_true, 3, np.random.default_rng(1))
    [likelihood] = model.likelihoods(drawn)
    points = np.random.default_rng(2).normal(size=(3, 4)) * 0.3
    sets, step = np.arange(3), 1e-5
    here = likelihood.at(points, sets)
    for i, direction in enumerate(step * np.eye(4)):
        up, down = (likelihood.at(points + side * direction, sets) for side in (1.0, -1.0))
        slope = (up.value - down.value) / (2.0 * step)
        np.testing.assert_allclose(here.gradient[:, i], slope, rtol=1e-5, atol=1e-3)
        slope = (up.gradient - down.gradient) / (2.0 * step)
        np.testing.assert_allclose(here.hessian[:, i], slope, rtol=1e-5, atol=1e-2)


@pytest.mark.parametrize("name", ["bins", "partons", "rate"])
def test_limits_are_those_of_a_fine_grid(name: str) -> None:
    """Of which every node has the nuisance parameters profiled by another search."""
    problem = uncertain_problem(2, 4000 if name == "bins" else 600)
    density, data = densities(problem)[name], expected_data(problem)
    grid = Grid(problem.setup.parameters, [np.linspace(-0.7, 0.7, 31)] * 2)
    at_nodes = closed_form.density_at(density, problem.setup, grid.thetas())
    scanned = log_likelihoods(at_nodes, data, problem, grid.thetas())
    for kind in KINDS:
        model = closed_form.Model(density, problem, kind)
        highest = closed_form.maximum(model, data, LEVELS, grid)
        assert highest.value == pytest.approx(scanned[kind].max(), abs=0.02)
        q = closed_form.likelihood_ratio_statistic(scanned[kind], [highest])[0]
        expected = summarise(q, grid, LEVELS).intervals
        for parameter, by_level in highest.intervals.items():
            for level, pairs in by_level.items():
                np.testing.assert_allclose(pairs, expected[parameter][level], atol=1e-2)


def test_nuisance_parameters_widen_limits_unless_they_are_fixed() -> None:
    problem = uncertain_problem(1, 2000)
    known, data = densities(problem)["bins"], expected_data(problem)
    grid = Grid(problem.setup.parameters, [np.linspace(-1.0, 1.0, 3)])

    def width(profiled: bool) -> float:
        model = closed_form.Model(known, problem, "rate_and_shape", profiled)
        [(low, high)] = closed_form.maximum(model, data, [0.6827], grid).intervals["p0"]["0.6827"]
        return high - low

    assert width(True) > 1.1 * width(False)
    sure = replace(problem, setup=replace(problem.setup, nuisance=[]))
    model = closed_form.Model(replace(known, varied=None), sure, "rate_and_shape")
    [(low, high)] = closed_form.maximum(model, data, [0.6827], grid).intervals["p0"]["0.6827"]
    assert high - low == pytest.approx(width(False), rel=1e-6)


@pytest.mark.parametrize("name", ["bins", "rate"])
def test_toys_are_those_of_a_fine_grid(name: str) -> None:
    problem = uncertain_problem(1, 4000)
    density, theta = densities(problem)[name], np.array([0.1])
    drawn = draw_toys(problem, theta, 30, np.random.default_rng(3))
    axis = np.linspace(-4.0, 4.0, 801)
    grid = with_nodes(Grid(problem.setup.parameters, [axis]), theta[None])
    assert_toys_are_those_of(grid, density, drawn, problem, theta, atol=0.01)


def test_rates_are_those_of_the_varied_cross_sections() -> None:
    """At nu = +1 and -1 exactly; without a rate at -1, nu acts as a power of that at +1."""
    problem = uncertain_problem(1, 100)
    known = densities(problem)["bins"]
    assert known.varied is not None
    values = known.monomials.values(np.array([[0.2]]))
    one_event = np.eye(16)
    likelihood = VariedRates(
        known.monomials,
        np.concatenate([known.coefficients[:, None], known.varied], axis=1),
        known.norm,
        known.norm,
        Factors.of(np.array([True, False])),
        one_event,
        np.zeros((16, 2)),
    )

    def rates(nu: list[float]) -> np.ndarray:
        point = np.tile([0.2, *nu], (16, 1))
        value = likelihood.at(point, np.arange(16)).value
        # One event in a cell: log rate - sum of rates - nu^2 / 2; the sum is in all of them.
        with_sum = value + 0.5 * np.square(nu).sum()
        return np.exp(with_sum - with_sum[0])

    up, more, down, less = (values @ known.varied[:, i].T for i in range(4))
    assert less is not None
    for nu, expected in {
        (1.0, 0.0): up,
        (-1.0, 0.0): down,
        (0.0, 1.0): more,
        (0.0, -1.0): (values @ known.coefficients.T) ** 2 / more,
    }.items():
        ratios = expected[0] / expected[0, 0]
        np.testing.assert_allclose(rates(list(nu)), ratios, rtol=1e-9)


def test_data_sets_know_their_auxiliary_measurements() -> None:
    problem = uncertain_problem(1, 100)
    density = densities(problem)["rate"]
    nothing = expected_data(problem)
    measured = DataSets(nothing.sample, nothing.multiplicities, np.array([[0.5, -1.0]]))
    model = closed_form.Model(density, problem, "rate_and_shape")
    point = np.array([[0.1, 0.5, -1.0]])
    [at_zero], [at_measured] = (list(model.likelihoods(data)) for data in (nothing, measured))
    first = np.zeros(1, dtype=int)
    difference = at_measured.at(point, first).value - at_zero.at(point, first).value
    assert difference[0] == pytest.approx(0.5 * (0.25 + 1.0))
