"""The error of finite simulation, against replicas of problems whose likelihood is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse

from madminer_workflow.statistics import closed_form
from madminer_workflow.statistics.binning import bin_indices, binned_density
from madminer_workflow.statistics.closed_form import Model
from madminer_workflow.statistics.coverage import coverage
from madminer_workflow.statistics.events import Events
from madminer_workflow.statistics.fluctuations import (
    SIMULATION,
    Fluctuations,
    directions,
    groups,
    groups_of,
    of_counts,
    of_members,
    of_norm,
)
from madminer_workflow.statistics.likelihood import KINDS, DataSets
from madminer_workflow.statistics.limits import Grid
from madminer_workflow.statistics.nuisance import varied_rates
from madminer_workflow.statistics.problem import Problem
from madminer_workflow.statistics.quantiles import chi2_quantile
from madminer_workflow.statistics.simulation import q_total
from tests.support.known_process import KnownProcess, problem_of
from tests.support.uncertain_process import UncertainProcess

PROCESS = KnownProcess.of(2)
EDGES = [np.array([-1.0, 0.0, 1.0]), np.array([-1.0, 0.0, 1.0])]
N_CELLS = 16
LUMINOSITY = 3e5
"""Events of the process in nature: 375."""


def test_one_parameter_has_the_sum_of_both_variances() -> None:
    deviations, variance, simulated = np.linspace(-3.0, 3.0, 7), 0.4, 0.3
    q = deviations**2 / variance
    v = deviations**2 * simulated / variance**2
    np.testing.assert_allclose(q_total(q, v), deviations**2 / (variance + simulated))
    np.testing.assert_array_equal(q_total(np.zeros(1), np.ones(1)), 0.0)


def test_several_parameters_are_never_too_far() -> None:
    rng = np.random.default_rng(1)
    for _ in range(20):
        a, b = rng.normal(size=(2, 3, 3))
        information, simulated = a @ a.T + np.eye(3), b @ b.T
        for covariance in (simulated, 0.7 * np.linalg.inv(information)):
            d = rng.normal(size=3)
            q = np.array(d @ information @ d)
            v = np.array(d @ information @ covariance @ information @ d)
            exact = d @ np.linalg.solve(np.linalg.inv(information) + covariance, d)
            assert q_total(q, v) <= exact * (1.0 + 1e-9)
        assert q_total(q, v) == pytest.approx(exact)


def test_groups_know_the_variance_of_sums() -> None:
    rng = np.random.default_rng(2)
    weights = rng.exponential(size=(50_000, 2)) * [1.0, -1.0] + [0.5, 0.0]
    group = groups(len(weights), 200, seed=3)
    np.testing.assert_array_equal(groups(100, 200, seed=3), group[:100])
    sums = np.stack([np.bincount(group, column) for column in weights.T], axis=1)
    found, true = directions(sums), weights.T @ weights
    np.testing.assert_allclose(found.T @ found, true, atol=0.3 * np.abs(true).max())


def test_numbers_of_drawn_events_do_not_fluctuate() -> None:
    """The variance of sums is that of samples of fixed sizes; of one, most events fail the cuts."""
    rng, n_drawn = np.random.default_rng(4), np.array([30_000, 40_000])
    drawn_from = np.repeat([0, 1], [30_000, 10_000])
    events = replace(PROCESS.events(40_000, seed=4), drawn_from=drawn_from, n_drawn=n_drawn)
    weights = np.where(drawn_from == 0, 5.0, 2.0) + rng.normal(size=len(events))
    true = sum(
        np.sum(weights[drawn_from == i] ** 2) - np.sum(weights[drawn_from == i]) ** 2 / n
        for i, n in enumerate(n_drawn)
    )
    found = [
        directions(np.bincount(groups_of(events, 200, seed=k), weights)[:, None]) for k in range(20)
    ]
    # Each is good to 10 %; Poisson's law would make it nine times as large.
    assert np.mean([np.sum(one**2) for one in found]) == pytest.approx(true, rel=0.07)
    part = events.part(0.5, 1.0)
    np.testing.assert_array_equal(part.drawn_from, drawn_from[20_000:])


def binned(events: Events, n_events: float, seed: int = 1) -> tuple[Problem, Model]:
    """The problem of a histogram that all ``events`` fill, and the model of rate and shape."""
    problem = replace(problem_of(events, n_events), train=events, luminosity=LUMINOSITY, seed=seed)
    cells = bin_indices(events.x, EDGES)
    samples = {"data": np.arange(N_CELLS), "test": bin_indices(problem.test.x, EDGES)}
    known = binned_density(varied_rates(events, cells, N_CELLS), samples, events.setup)
    fluctuations = {SIMULATION: of_counts(problem, cells, N_CELLS, {})}
    return problem, Model(known, problem, "rate_and_shape", fluctuations=fluctuations)


def data_of(counts: np.ndarray, n_nuisance: int = 0) -> DataSets:
    """Data sets from the numbers of events in cells, (n_sets, n_cells)."""
    return DataSets("data", sparse.csr_array(counts), np.zeros((len(counts), n_nuisance)))


@pytest.fixture(scope="module")
def nature() -> np.ndarray:
    """Expected numbers of events in the cells at the reference."""
    events = PROCESS.events(1_000_000, seed=99)
    weights = LUMINOSITY * events.weights_at(np.zeros(2))
    return np.bincount(bin_indices(events.x, EDGES), weights, minlength=N_CELLS)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_best_fits_scatter_as_stated_and_intervals_cover(nature: np.ndarray, kind: str) -> None:
    """200 replicas of 1500 simulated events, each compared with the same data, and with others."""
    n_replicas, n_sets = 200, 10
    rng = np.random.default_rng(5)
    same = data_of(nature[None])
    grid = Grid(["p0", "p1"], [np.linspace(-9.0, 9.0, 3)] * 2)
    fits, stated, exact, total = [], [], [], []
    for i in range(n_replicas):
        problem, model = binned(PROCESS.events(1500, seed=1000 + i), 300.0, seed=i)
        model = replace(model, kind=kind)
        best = closed_form.maximum(model, same, [0.6827], grid)
        assert best.errors is not None
        fits.append(best.theta)
        stated.append([best.errors[name].simulation for name in grid.parameters])
        others = data_of(rng.poisson(nature, size=(n_sets, N_CELLS)).astype(float))
        for statistics, fluctuations in ((exact, {}), (total, model.fluctuations)):
            q, each = closed_form.statistics(
                model.density, others, problem, np.zeros(2), fluctuations
            )[kind]
            statistics.append([q, *each])
    scatter = np.std(fits, axis=0)
    np.testing.assert_allclose(np.median(np.array(stated, dtype=float), axis=0), scatter, rtol=0.15)
    for level in (0.6827, 0.95):
        for row, dof in enumerate((2, 1, 1)):
            threshold = chi2_quantile(level, dof)
            without, _ = coverage(np.array(exact)[:, row].ravel(), threshold)
            value, error = coverage(np.array(total)[:, row].ravel(), threshold)
            # The sets of a replica have its simulation in common.
            assert value == pytest.approx(level, abs=4.0 * error)
            assert without < level - 4.0 * error


def test_it_is_small_in_proportion_to_the_events_and_only_widens(nature: np.ndarray) -> None:
    data = data_of(nature[None])
    grid = Grid(["p0", "p1"], [np.linspace(-9.0, 9.0, 3)] * 2)
    squares = []
    for n in (4000, 64_000):
        _, model = binned(PROCESS.events(n, seed=3), 300.0)
        best = closed_form.maximum(model, data, [0.6827, 0.95], grid)
        assert best.errors is not None and best.with_simulation is not None
        squares.append([best.errors[name].simulation ** 2 for name in grid.parameters])
        for name, by_level in best.intervals.items():
            for level, [(low, high)] in by_level.items():
                [(lower, higher)] = best.with_simulation[name][level]
                assert lower < low < high < higher
            errors = best.errors[name]
            [(low, high)] = best.with_simulation[name]["0.6827"]
            assert errors.training is None
            assert 0.5 * (high - low) == pytest.approx(
                np.hypot(errors.statistical, errors.simulation), rel=0.02
            )
    np.testing.assert_allclose(squares[0], 16.0 * np.array(squares[1]), rtol=0.3)


def perturbed(model: Model, k: int, size: float) -> Model:
    """The same with everything off by ``size`` along the direction ``k``."""
    [fluctuations], known = model.fluctuations.values(), model.density
    changed = replace(known, norm=known.norm + size * fluctuations.norm[k])
    if fluctuations.cells is not None:
        cells = size * fluctuations.cells[:, :, k]
        changed = replace(changed, coefficients=known.coefficients + cells[:, 0])
        if known.varied is not None and known.varied.shape[1]:
            changed = replace(changed, varied=known.varied + cells[:, 1:])
    other = replace(model, density=changed)
    if fluctuations.totals is not None:
        other.__dict__["_totals"] = model._totals + size * fluctuations.totals[:, k]
    return other


def uncertain(kind: str, profiled: bool, knows_shapes: bool) -> tuple[Model, DataSets]:
    """A histogram with two nuisance parameters, one of them known on one side alone."""
    process = UncertainProcess(
        PROCESS, 0.2 * np.eye(2), np.array([0.05, 0.1]), np.array([True, False])
    )
    events = process.events(4000, seed=6)
    problem = replace(problem_of(events, 300.0), luminosity=LUMINOSITY)
    cells = bin_indices(problem.train.x, EDGES)
    rates = varied_rates(problem.train, cells, N_CELLS)
    known = binned_density(rates, {"data": np.arange(N_CELLS)}, events.setup)
    fluctuations = of_counts(problem, cells, N_CELLS, {})
    if not knows_shapes:
        known = replace(known, varied=None)
        fluctuations = replace(fluctuations, cells=fluctuations.cells[:, :1])
    counts = np.random.default_rng(7).poisson(20.0, size=(3, N_CELLS)).astype(float)
    data = replace(data_of(counts), auxiliary=np.array([[0.0, 0.0], [1.0, 0.5], [-0.5, 0.2]]))
    return Model(known, problem, kind, profiled, {SIMULATION: fluctuations}), data


@pytest.mark.parametrize("knows_shapes", [True, False])
@pytest.mark.parametrize("profiled", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_changes_are_derivatives(kind: str, profiled: bool, knows_shapes: bool) -> None:
    model, data = uncertain(kind, profiled, knows_shapes)
    n = 2 + model.n_nuisance
    points = 0.4 * np.random.default_rng(8).normal(size=(6, n))
    sets = np.array([0, 1, 2, 2, 1, 0])
    [simulated] = model.simulated(data)
    found = simulated.changes(points, sets)
    step = 1e-3
    for k in (0, 17, 60):
        up, down = (
            next(iter(perturbed(model, k, size).likelihoods(data))).at(points, sets).value
            for size in (step, -step)
        )
        np.testing.assert_allclose(found[:, k], (up - down) / (2.0 * step), rtol=1e-4, atol=1e-6)


def test_members_that_disagree_are_an_error_of_their_mean() -> None:
    rng = np.random.default_rng(9)
    coefficients, norms = rng.normal(size=(5, 7, 3)), rng.normal(size=(5, 3))
    found = of_members(list(coefficients), list(norms))
    assert isinstance(found, Fluctuations) and found.cells is not None and found.totals is None
    variance = np.square(found.cells[:, 0]).sum(axis=1)
    np.testing.assert_allclose(variance, coefficients.var(axis=0, ddof=1) / 5)
    np.testing.assert_allclose(np.square(found.norm).sum(axis=0), norms.var(axis=0, ddof=1) / 5)


@pytest.mark.slow
def test_unbinned_fits_scatter_as_the_norm_and_the_rate() -> None:
    """With the exact ratio, whose integral alone is known from 2000 simulated events."""
    theta = np.array([0.2, -0.1])
    data_events = PROCESS.events(6000, seed=77)
    weights = LUMINOSITY * data_events.weights_at(theta)
    data = DataSets("data", sparse.csr_array(weights[None]), np.zeros((1, 0)))
    grid = Grid(["p0", "p1"], [np.linspace(-9.0, 9.0, 3)] * 2)
    rows = PROCESS.coefficients(data_events.x)
    at_reference = rows[:, :1]
    fits, stated = [], []
    for i in range(60):
        events = PROCESS.events(2000, seed=3000 + i)
        problem = replace(
            problem_of(events, 300.0, theta), train=events, test=data_events, luminosity=LUMINOSITY
        )
        of_train = PROCESS.coefficients(events.x)
        weighted = of_train / of_train[:, :1] * events.weights_at(np.zeros(2))[:, None]
        known = closed_form.PolynomialDensity(
            PROCESS.monomials,
            rows / at_reference,
            weighted.sum(axis=0),
            {"data": np.arange(len(rows)), "test": np.arange(len(rows))},
        )
        found = {SIMULATION: of_norm(problem, weighted.__getitem__)}
        model = Model(known, problem, "shape", fluctuations=found)
        best = closed_form.maximum(model, data, [0.6827], grid)
        assert best.errors is not None
        fits.append(best.theta)
        stated.append([best.errors[name].simulation for name in grid.parameters])
    scatter = np.std(fits, axis=0)
    # Of 60 replicas the scatter is known to 9 %.
    np.testing.assert_allclose(np.median(np.array(stated, dtype=float), axis=0), scatter, rtol=0.25)
