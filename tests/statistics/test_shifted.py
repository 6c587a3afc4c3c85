"""Uncertainties of what is measured: counts of shifted events in rates, information and limits."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import sparse
from scipy.optimize import minimize, minimize_scalar

from madminer_workflow.ml.member import Member
from madminer_workflow.ml.methods import histogram, score
from madminer_workflow.report.uncertainties import rate_change, shapes_left_out
from madminer_workflow.statistics import closed_form
from madminer_workflow.statistics.baselines import truth
from madminer_workflow.statistics.binning import bin_indices, binned_density, inner_edges
from madminer_workflow.statistics.closed_form import Model
from madminer_workflow.statistics.events import Events, Shifted
from madminer_workflow.statistics.fluctuations import SIMULATION, of_counts
from madminer_workflow.statistics.information import histogram as binned_information
from madminer_workflow.statistics.information import rate
from madminer_workflow.statistics.information import truth as truth_information
from madminer_workflow.statistics.likelihood import DataSets, expected_data, rate_response
from madminer_workflow.statistics.limits import Grid
from madminer_workflow.statistics.nuisance import changes_shape, varied_rates, varied_totals
from madminer_workflow.statistics.problem import Problem
from tests.support import learning
from tests.support.known_process import problem_of
from tests.support.known_shifts import shifted_events

EVENTS = 400
EDGES = [-0.4, 0.3, 1.0]
LEVELS = (0.6827, 0.95)


def rescaled(x: np.ndarray, size: float) -> np.ndarray:
    """Larger values of an observable, by more where it is large."""
    return x + size * (1.0 + np.abs(x))


def events_of(n: int = 12_000) -> Events:
    """Events with an uncertain scale of the first observable and another rate."""
    return shifted_events(n, rescaled)


@pytest.fixture(scope="module")
def problem() -> Problem:
    return problem_of(events_of(), EVENTS, train=0.6)


def counts(x: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Cross-sections of the bins, (4, n_benchmarks)."""
    edges = [-np.inf, *EDGES, np.inf]
    return np.stack([np.histogram(x, edges, weights=w)[0] for w in weights.T], axis=1)


def test_rates_are_counts_of_shifted_events(problem: Problem) -> None:
    events = problem.everything
    cells = np.searchsorted(EDGES, events.x[:, 0])
    moved = {name: np.searchsorted(EDGES, one.x[:, 0]) for name, one in events.shifted.items()}
    rates = varied_rates(events, cells, 4, moved)
    nominal = counts(events.x[:, 0], events.weights)
    np.testing.assert_allclose(rates[:, 0], nominal)
    for column, name in ((1, "up"), (3, "down")):
        one = events.shifted[name]
        np.testing.assert_allclose(rates[:, column], counts(one.x[:, 0], one.weights))
    np.testing.assert_allclose(rates[:, 2], nominal * np.exp(0.05))
    np.testing.assert_allclose(varied_totals(events), rates.sum(axis=0))
    a, b = rate_response(problem, np.zeros((1, 1)))
    total = rates.sum(axis=0) @ events.setup.morphing_weights(np.zeros(1))
    expected = [0.5 * np.log(total[1] / total[3]), 0.05]
    np.testing.assert_allclose(a[0, 0], expected)
    assert expected[0] > 0.02, "events migrate over the cut"
    np.testing.assert_allclose(b[0, 0, 0], 0.5 * np.log(total[1] * total[3] / total[0] ** 2))
    change = rate_change("jes", problem)
    np.testing.assert_allclose(change, [total[3] / total[0] - 1.0, total[1] / total[0] - 1.0])


def test_cells_that_only_shifted_events_fill_do_not_fluctuate(problem: Problem) -> None:
    """Their rate is the constant of an empty cell; nothing may be divided by it."""
    train, edges = problem.train, [*EDGES, problem.train.x[:, 0].max() + 0.01]
    cells = np.searchsorted(edges, train.x[:, 0])
    moved = {name: np.searchsorted(edges, one.x[:, 0]) for name, one in train.shifted.items()}
    rates = varied_rates(train, cells, 5, moved)
    assert not rates[4, 0].any() and rates[4, 1].any()
    fluctuations = of_counts(problem, cells, 5, moved)
    assert not fluctuations.cells[4].any() and fluctuations.cells[:4].any()
    known = binned_density(rates, {"data": np.arange(5)}, train.setup)
    model = Model(known, problem, "shape", fluctuations={SIMULATION: fluctuations})
    data = DataSets("data", sparse.csr_array([[100.0, 100.0, 100.0, 100.0, 0.1]]), np.zeros((1, 2)))
    [simulated] = model.simulated(data)
    change = simulated.changes(np.array([[0.1, 0.3, 0.0]]), np.zeros(1, dtype=int))
    assert 0.0 < np.sqrt(np.square(change).sum()) < 5.0


def test_parts_have_the_whole_cross_section(problem: Problem) -> None:
    whole, theta = varied_totals(problem.everything), np.zeros(1)
    for part in (problem.train, problem.test):
        ratios = varied_totals(part) @ part.setup.morphing_weights(theta)
        ratios /= whole @ part.setup.morphing_weights(theta)
        # Of the same events, so that the ratio of varied to nominal hardly fluctuates.
        np.testing.assert_allclose(ratios / ratios[0], 1.0, atol=0.01)


def test_which_change_shapes(problem: Problem) -> None:
    events, theta = problem.everything, np.zeros(1)
    assert changes_shape(events, theta).tolist() == [True, False]
    assert shapes_left_out(learning.typed(learning.settings("polynomial")), problem) == []
    alices = learning.typed(learning.settings("alices"))
    assert shapes_left_out(alices, problem) == ["jes"]
    n = len(events)
    plain = Shifted(events.observables, events.x, events.weights, np.arange(n), np.empty(n))
    for factor in (1.1, 1.0):
        same = replace(plain, weights=factor * events.weights).ordered(plain.event, n)
        calm = replace(events, shifted=dict.fromkeys(("up", "down"), same))
        assert changes_shape(calm, theta).tolist() == [False, False]
    factors = 1.0 + 0.1 * (events.x[:, :1] > 0.0)
    other = replace(plain, weights=events.weights * factors).ordered(plain.event, n)
    fewer = replace(other, **{k: v[1:] for k, v in vars(other).items() if k != "observables"})
    for moved in (other, fewer):
        assert changes_shape(replace(events, shifted={"up": moved}), theta).tolist() == [
            True,
            False,
        ]


def test_information_of_counts(problem: Problem) -> None:
    """Of Poisson counts whose logarithm has the slope of the shifted ones."""
    events, theta = problem.everything, np.zeros(1)
    cells = np.searchsorted(EDGES, events.x[:, 0])
    moved = {name: np.searchsorted(EDGES, one.x[:, 0]) for name, one in events.shifted.items()}
    found = binned_information(events, cells, 4, theta, problem.luminosity, 1, moved)
    setup = events.setup
    at, slope = setup.morphing_weights(theta), setup.morphing_gradients(theta)[0]
    nominal = counts(events.x[:, 0], events.weights)
    up, down = (
        counts(events.shifted[name].x[:, 0], events.shifted[name].weights) @ at
        for name in ("up", "down")
    )
    q = nominal @ at
    scores = np.stack([nominal @ slope / q, 0.5 * np.log(up / down), np.full(4, 0.05)], axis=1)
    np.testing.assert_allclose(found.estimate, problem.luminosity * scores.T * q @ scores)
    # Events and the shifted ones fluctuate together.
    relative = found.error[1, 1] / found.estimate[1, 1]
    assert relative < 0.1


def test_parton_level_knows_the_rate(problem: Problem) -> None:
    """Without other uncertainties nothing but the rate tells the shift."""
    theta = np.zeros(1)
    of_rate = rate(problem.everything, theta, problem.luminosity).profiled
    found = truth_information(problem.everything, theta, problem.luminosity).profiled
    assert of_rate is not None and found is not None
    np.testing.assert_allclose(found.full[1:, 1:], of_rate.full[1:, 1:], rtol=1e-6)
    np.testing.assert_allclose(found.full[0, 1], of_rate.full[0, 1], rtol=1e-6)
    known = truth(problem)
    assert known.varied is not None
    totals = known.varied.sum(axis=0) / known.coefficients.sum(axis=0)
    # At the reference point only the first monomial is there.
    test = varied_totals(problem.test) @ problem.setup.morphing_weights(theta)
    np.testing.assert_allclose(totals[[0, 2], 0], test[[1, 3]] / test[0])


def limits_of(problem: Problem, member: Member, profiled: bool = True) -> np.ndarray:
    """The intervals of the histogram's fits at both levels."""
    density = histogram.closed_form([member], problem)
    grid = Grid(problem.setup.parameters, [np.linspace(-3.0, 3.0, 61)])
    model = closed_form.Model(density, problem, "rate_and_shape", profiled)
    highest = closed_form.maximum(model, expected_data(problem), LEVELS, grid)
    [by_level] = highest.intervals.values()
    return np.array([np.ravel(pairs) for pairs in by_level.values()])


def test_limits_are_those_of_counts(problem: Problem, tmp_path: Path) -> None:
    """Against a likelihood written down from counts, minimised by scipy."""
    train, test, setup = problem.train, problem.test, problem.setup
    templates = [counts(train.x[:, 0], train.weights)]
    templates += [
        counts(train.shifted[name].x[:, 0], train.shifted[name].weights) for name in ("up", "down")
    ]
    total = varied_totals(problem.everything)
    observed = counts(test.x[:, 0], test.weights_at(np.zeros(1))[:, None])[:, 0]
    observed *= EVENTS / observed.sum()

    def expected(theta: float, nu: np.ndarray) -> np.ndarray:
        at = setup.morphing_weights(np.array([theta]))
        q, up, down = (template @ at for template in templates)
        logs = np.log(q) + 0.5 * np.log(up / down) * nu[0]
        logs += 0.5 * np.log(up * down / q**2) * nu[0] ** 2 + 0.05 * nu[1]
        scale = problem.luminosity * (total[0] @ at) / q.sum()
        return scale * np.exp(logs)

    def nll(theta: float, nu: np.ndarray) -> float:
        rates = expected(theta, nu)
        return float(np.sum(rates - observed * np.log(rates)) + 0.5 * nu @ nu)

    def profiled(theta: float) -> float:
        return float(minimize(lambda nu: nll(theta, nu), np.zeros(2), tol=1e-9).fun)

    settings = learning.settings("histogram", observables=["x0"], bins={"x0": EDGES})
    member = learning.trained(train, settings, tmp_path)
    found, fixed = (limits_of(problem, member, profiles) for profiles in (True, False))
    best = minimize_scalar(profiled, bounds=(-1.0, 1.0), method="bounded").fun
    for level, edges in zip((1.0, 3.8415), found, strict=True):
        for edge in edges.tolist():
            assert 2.0 * (profiled(edge) - best) == pytest.approx(level, rel=5e-3)
    assert np.all(found[:, 1] - found[:, 0] > 1.02 * (fixed[:, 1] - fixed[:, 0]))


def test_bins_of_the_score_know_it(problem: Problem, tmp_path: Path) -> None:
    """SALLY's bins are filled by the scores of shifted events."""
    settings = learning.settings("sally", n_samples=2000, theta="sm")
    member = learning.trained(problem.train, settings, tmp_path)
    density = score.closed_form([member], problem)
    assert density is not None and density.varied is not None
    totals = varied_totals(problem.train) @ problem.setup.morphing_matrix
    np.testing.assert_allclose(density.varied.sum(axis=0)[[0, 2]], totals[[1, 3]])
    ratios = density.varied[:, 0, 0] / density.coefficients[:, 0]
    assert np.ptp(ratios[np.isfinite(ratios)]) > 0.05


def test_information_of_scores_knows_the_bins(problem: Problem, tmp_path: Path) -> None:
    """Of the nuisance parameter it is that of counts in the same bins, of which there are many."""
    settings = learning.settings("sally", n_samples=2000, theta="sm")
    member = learning.trained(problem.train, settings, tmp_path)
    found, theta = score.information([member], problem).profiled, np.zeros(1)
    assert found is not None
    events, bins = problem.train, [12]
    scores = score.all_scores([member], events)[:, :1]
    edges = inner_edges(scores, score.informative(scores, events.weights_at(theta)), bins)
    moved = {
        name: bin_indices(score.all_scores([member], one)[:, :1], edges)
        for name, one in events.shifted.items()
    }
    of_bins = binned_information(
        events, bin_indices(scores, edges), 12, theta, problem.luminosity, 1, moved
    ).estimate
    assert (
        found.full[1, 1]
        > of_bins[1, 1]
        > 2.0 * rate(problem.everything, theta, problem.luminosity).profiled.full[1, 1]
    )
    assert found.full[1, 1] == pytest.approx(of_bins[1, 1], rel=0.2)
    assert found.full[0, 1] * of_bins[0, 1] > 0.0
