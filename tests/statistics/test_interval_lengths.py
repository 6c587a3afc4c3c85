"""How lengths of intervals fluctuate with simulated events, against fits to replicas of them."""

from __future__ import annotations

from dataclasses import replace
from unittest.mock import Mock

import numpy as np
import pytest
from scipy import sparse

from madminer_workflow.statistics.baselines import truth
from madminer_workflow.statistics.binning import bin_indices, binned_density
from madminer_workflow.statistics.closed_form import Model, density_at, maximum
from madminer_workflow.statistics.fluctuations import SIMULATION, of_counts
from madminer_workflow.statistics.information import bootstrapped
from madminer_workflow.statistics.interval_lengths import (
    edges_of,
    log_length_directions,
    log_length_replicas,
)
from madminer_workflow.statistics.likelihood import DataSets, expected_data, log_likelihoods
from madminer_workflow.statistics.limits import Grid, likelihood_ratio_statistic
from madminer_workflow.statistics.nuisance import varied_rates
from madminer_workflow.statistics.problem import Problem
from madminer_workflow.statistics.results import Intervals
from tests.support.known_process import KnownProcess, problem_of

LEVEL = 0.95
SETS = 20
BINNINGS = [[np.array([-1.0, 0.0, 1.0])] * 2, [np.linspace(-1.5, 1.5, 7)] * 2]


@pytest.fixture(scope="module")
def problem() -> Problem:
    return problem_of(KnownProcess.of(2).events(24000, seed=4), n_events=100.0)


def replicas_of(problem: Problem) -> np.ndarray:
    """The multiplicities that lengths are found with, (n_replicas, n_events)."""
    return bootstrapped(lambda n: n, len(problem.test), problem.seed).replicas


def log_lengths(intervals: Intervals) -> np.ndarray:
    return np.log([high - low for [(low, high)] in (row[str(LEVEL)] for row in intervals.values())])


@pytest.mark.slow
def test_edges_move_as_fits_to_replicas_say(problem: Problem) -> None:
    axis = np.linspace(-1.0, 1.0, 41)
    grid = Grid(problem.setup.parameters, [axis, axis])
    known, data = truth(problem), expected_data(problem)
    model = Model(known, problem, "rate_and_shape")
    nominal = maximum(model, data, [LEVEL], grid)
    points = np.concatenate([grid.thetas(), problem.theta_true[None, :]])
    rows = log_likelihoods(density_at(known, problem.setup, points), data, problem, points)
    q = likelihood_ratio_statistic(rows["rate_and_shape"][0, :-1], grid.axes)
    edges = edges_of(nominal.intervals, q, grid, LEVEL)
    assert edges.parameters.tolist() == [0, 0, 1, 1]
    density = density_at(known, problem.setup, edges.points(problem.theta_true))
    told = log_length_replicas([density], edges, problem, nominal.intervals, LEVEL)

    weights = problem.test.weights_at(problem.theta_true)
    expected = float(problem.expected_events(problem.theta_true))
    fitted = []
    for multiplicities in replicas_of(problem)[:SETS]:
        replica = multiplicities * weights
        row = sparse.csr_array((replica * expected / replica.sum())[None, :])
        fit = maximum(model, DataSets("test", row, np.zeros((1, 0))), [LEVEL], grid)
        fitted.append(log_lengths(fit.intervals) - log_lengths(nominal.intervals))
    fitted_lengths = np.transpose(fitted)
    assert told.shape == (2, 100)
    for ours, theirs in zip(told[:, :SETS], fitted_lengths, strict=True):
        # Edges move together by 3 %, of which lengths of 0.5 % are a small difference.
        assert np.corrcoef(ours, theirs)[0, 1] > 0.98
        assert ours.std() / theirs.std() == pytest.approx(1.0, abs=0.1)


def two_histograms(problem: Problem, data: DataSets, grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """Logs of lengths of two histograms of the training events, and how they may be off.

    (2, n_parameters), and with the directions of the simulation's error behind.
    """
    logs, directions = [], []
    for edges in BINNINGS:
        n_cells = int(np.prod([len(axis) + 1 for axis in edges]))
        train = problem.train
        cells = bin_indices(train.x, edges)
        samples = {"test": bin_indices(problem.test.x, edges)}
        known = binned_density(varied_rates(train, cells, n_cells), samples, problem.setup)
        found = {SIMULATION: of_counts(problem, cells, n_cells, {})}
        model = Model(known, problem, "rate_and_shape", fluctuations=found)
        best = maximum(model, data, [LEVEL], grid)
        logs.append(log_lengths(best.intervals))
        points = grid.thetas()
        rows = log_likelihoods(density_at(known, problem.setup, points), data, problem, points)
        q = 2.0 * (best.value - rows["rate_and_shape"][0])
        [simulated] = model.simulated(data)
        directions.append(
            log_length_directions(
                simulated,
                best.theta,
                edges_of(best.intervals, q, grid, LEVEL),
                best.intervals,
                LEVEL,
            )
        )
    return np.array(logs), np.array(directions)


@pytest.mark.slow
def test_templates_change_lengths_as_other_simulations_say() -> None:
    """Also the difference between two methods that have the simulated events in common."""
    process = KnownProcess.of(2)
    axis = np.linspace(-1.5, 1.5, 61)
    nature = problem_of(process.events(100_000, seed=4), n_events=300.0)
    grid, data = Grid(nature.setup.parameters, [axis, axis]), expected_data(nature)
    told, scattered = [], []
    for seed in range(100):
        drawn = process.events(6000, seed=100 + seed)
        train = replace(drawn, drawn_from=np.zeros(6000, dtype=int), n_drawn=np.array([6000]))
        problem = replace(nature, everything=train, train=train, seed=seed)
        logs, directions = two_histograms(problem, data, grid)
        scattered.append([*logs, logs[1] - logs[0]])
        told.append([*directions, directions[1] - directions[0]])
    stated = np.sqrt(np.square(told).sum(axis=-1).mean(axis=0))
    np.testing.assert_allclose(np.std(scattered, axis=0, ddof=1), stated, rtol=0.15)


def test_edges_of_the_grid_and_missing_intervals() -> None:
    axis = np.linspace(-1.0, 1.0, 21)
    grid = Grid(["a"], [axis])
    intervals: Intervals = {"a": {"0.95": [(-1.0, 0.5)]}}
    edges = edges_of(intervals, (axis + 0.2) ** 2 * 3.84 / 0.49, grid, LEVEL)
    # Only an edge within the grid can move.
    assert edges.parameters.tolist() == [0]
    assert edges.nodes[0, :, 0] + 0.1 * edges.fractions == pytest.approx([0.5, 0.6])
    assert edges.slopes == pytest.approx(2.0 * 3.84 / 0.7, rel=1e-3)
    assert len(edges_of({"a": {"0.95": []}}, axis**2, grid, LEVEL).nodes) == 0


@pytest.mark.parametrize("n_parameters", [1, 2])
def test_intervals_that_the_grid_ends_do_not_move(n_parameters: int) -> None:
    axis = np.linspace(-1.0, 1.0, 5)
    names = ["a", "b"][:n_parameters]
    grid = Grid(names, [axis] * n_parameters)
    intervals: Intervals = {name: {"0.95": [(-1.0, 1.0)]} for name in names}
    edges = edges_of(intervals, np.zeros(5**n_parameters), grid, LEVEL)
    simulated = Mock(changes=lambda points, _: np.ones((len(points), 3)))
    best = np.zeros(n_parameters)
    changes = log_length_directions(simulated, best, edges, intervals, LEVEL)
    assert changes.tolist() == [[0.0] * 3] * n_parameters
