from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from madminer.limits import AsymptoticLimits
from madminer.utils import histo

from madminer_workflow.analysis.types import GridAxis
from madminer_workflow.madminer_file import read_sample
from madminer_workflow.ml.member import Member
from madminer_workflow.ml.scan import scan
from madminer_workflow.statistics import baselines
from madminer_workflow.statistics.baselines import rate_log_likelihood
from madminer_workflow.statistics.events import union
from madminer_workflow.statistics.likelihood import expected_data
from madminer_workflow.statistics.limits import (
    Grid,
    below,
    likelihood_ratio_statistic,
    make_grid,
    peak,
    summarise,
    with_nodes,
)
from madminer_workflow.statistics.problem import Problem
from madminer_workflow.statistics.setup import Setup
from tests.support import learning

RANGES = {
    "CWL2": GridAxis(range=(-2.0, 2.0), resolution=9),
    "CPWL2": GridAxis(range=(-1.0, 1.0), resolution=7),
}
LUMINOSITY = 3e7


@pytest.fixture(scope="module")
def problem(setup: Setup, toy_file: Path) -> Problem:
    everything = union(read_sample(toy_file), setup)
    theta = setup.theta("sm")
    train, test = everything.part(0.0, 0.8), everything.part(0.8, 1.0)
    return Problem(setup, everything, train, test, theta, theta, theta, LUMINOSITY, seed=1)


def as_madminer_splits(problem: Problem) -> Problem:
    """The problem with MadMiner's test events: it skips one, and takes rates from them."""
    x, weights = problem.everything.x[8001:], 5.0 * problem.everything.weights[8001:]
    test = replace(problem.everything, x=x, weights=weights)
    return replace(problem, test=test, everything=test)


@pytest.fixture
def madminer(toy_file: Path, monkeypatch: pytest.MonkeyPatch) -> AsymptoticLimits:
    """MadMiner's limits; it calls numpy.histogramdd with an argument that numpy removed."""
    histogramdd = np.histogramdd

    def with_normed(*args: object, normed: bool = False, **kwargs: object) -> object:
        return histogramdd(*args, density=normed, **kwargs)

    monkeypatch.setattr(histo.np, "histogramdd", with_normed)
    return AsymptoticLimits(str(toy_file))


def test_grid_has_madminers_order(problem: Problem, madminer: AsymptoticLimits) -> None:
    theirs, _ = madminer._make_theta_grid([(-2.0, 2.0), (-1.0, 1.0)], [9, 7])
    ours = make_grid(RANGES, problem.setup.parameters)
    np.testing.assert_array_equal(ours.thetas(), theirs)
    assert ours.shape == (9, 7)


def test_rate_limits_are_madminers(problem: Problem, madminer: AsymptoticLimits) -> None:
    thetas = make_grid(RANGES, problem.setup.parameters).thetas()
    _, _, _, _, theirs, _ = madminer.expected_limits(
        mode="rate",
        theta_true=[0.0, 0.0],
        grid_ranges=[(-2.0, 2.0), (-1.0, 1.0)],
        grid_resolutions=[9, 7],
        luminosity=LUMINOSITY,
        test_split=0.2,
    )
    problem = as_madminer_splits(problem)
    [ours] = rate_log_likelihood(problem, thetas, expected_data(problem))
    assert likelihood_ratio_statistic(theirs).max() > 4.0
    # MadMiner rounds the observed number of events to an integer.
    np.testing.assert_allclose(ours - ours.max(), theirs - theirs.max(), rtol=1e-3, atol=0.01)


def histogram(problem: Problem, directory: Path, bins: dict[str, Any]) -> Member:
    settings = learning.settings("histogram", observables=list(bins), bins=bins)
    return learning.trained(problem.train, settings, directory)


def expected_shape(member: Member, problem: Problem, thetas: np.ndarray) -> np.ndarray:
    """The log likelihood of the shape of expected data, (n_thetas,)."""
    [found] = scan([member], problem, thetas, [expected_data(problem)])
    return found["shape"][0, 0]


def test_histogram_limits_are_madminers(
    problem: Problem, madminer: AsymptoticLimits, tmp_path: Path
) -> None:
    edges = [-1.0, 0.0, 1.0]
    member = histogram(problem, tmp_path, {"x0": edges})
    thetas = make_grid(RANGES, problem.setup.parameters).thetas()
    ours = expected_shape(member, as_madminer_splits(problem), thetas)
    _, _, _, theirs, _, _ = madminer.expected_limits(
        mode="histo",
        hist_vars=["x0"],
        hist_bins=[np.array([-20.0, *edges, 20.0])],
        include_xsec=False,
        theta_true=[0.0, 0.0],
        grid_ranges=[(-2.0, 2.0), (-1.0, 1.0)],
        grid_resolutions=[9, 7],
        luminosity=LUMINOSITY,
        sample_only_from_closest_benchmark=False,
        n_histo_toys=None,
        histo_theta_batchsize=1000,
    )
    ours_q, theirs_q = likelihood_ratio_statistic(ours), likelihood_ratio_statistic(theirs)
    assert theirs_q.max() > 4.0
    np.testing.assert_allclose(ours_q, theirs_q, rtol=1e-5, atol=1e-3)


def test_no_histogram_beats_the_truth(problem: Problem, tmp_path: Path) -> None:
    """Merging events into bins cannot add information, if templates and data are the same."""
    problem = replace(problem, train=problem.everything, test=problem.everything)
    thetas = make_grid(RANGES, problem.setup.parameters).thetas()
    known, data = baselines.truth(problem), expected_data(problem)
    found = baselines.truth_log_likelihoods(known, problem, thetas, data)
    truth = likelihood_ratio_statistic(found["shape"][0])
    assert thetas[np.argmin(truth)] == pytest.approx([0.0, 0.0])
    member = histogram(problem, tmp_path, {"x0": 5, "x1": 5})
    binned = likelihood_ratio_statistic(expected_shape(member, problem, thetas))
    elsewhere = np.any(thetas != 0.0, axis=1)
    assert np.all(truth[elsewhere] > binned[elsewhere])


@given(
    center=st.floats(-0.5, 0.5),
    width=st.floats(0.1, 0.4),
    threshold=st.sampled_from([1.0, 3.84]),
)
def test_intervals_of_a_parabola(center: float, width: float, threshold: float) -> None:
    axis = np.linspace(-2.0, 2.0, 201)
    ((low, high),) = below(axis, ((axis - center) / width) ** 2, threshold)
    assert low == pytest.approx(center - width * np.sqrt(threshold), abs=0.003)
    assert high == pytest.approx(center + width * np.sqrt(threshold), abs=0.003)


def test_intervals_that_are_split_or_open() -> None:
    axis = np.linspace(-2.0, 2.0, 401)
    two = below(axis, 9.0 * (np.abs(axis) - 1.0) ** 2, 1.0)
    np.testing.assert_allclose(two, [[-4 / 3, -2 / 3], [2 / 3, 4 / 3]], atol=0.01)
    assert below(axis, np.zeros_like(axis), 1.0) == [(-2.0, 2.0)]
    assert below(axis, np.full_like(axis, 5.0), 1.0) == []


@given(st.integers(1, 4), st.integers(0, 10_000))
def test_peaks_of_paraboloids_lie_between_nodes(dimensions: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    axes = [np.sort(rng.uniform(-2.0, 2.0, 4)) for _ in range(dimensions)]
    axes = [np.unique(np.concatenate([[-2.5, 2.5], axis])) for axis in axes]
    root = rng.normal(size=(dimensions, dimensions)) * 0.3
    curvature = root @ root.T + 0.5 * np.eye(dimensions)
    centre = rng.uniform(-1.0, 1.0, dimensions)
    steps = Grid([], axes).thetas() - centre
    values = 7.0 - 0.5 * np.einsum("ni,ij,nj->n", steps, curvature, steps)
    [height], [place] = peak(values[None, :], axes)
    # Where the paraboloid is not used, the highest node stands.
    found = np.allclose([height, *place], [7.0, *centre])
    assert found or height == values.max()
    assert values.max() <= height < 7.0 + 1e-9


def test_peaks_that_are_nodes() -> None:
    axis = np.linspace(-1.0, 1.0, 5)
    edge = peak(axis[None, :] ** 2 + axis, [axis])
    np.testing.assert_allclose([edge[0][0], edge[1][0, 0]], [2.0, 1.0])
    steep = -200.0 * (axis - 0.1) ** 2
    assert peak(steep[None, :], [axis])[0][0] == steep.max(), "too steep to be told from nodes"
    gentle = -2.0 * (axis - 0.1) ** 2
    assert peak(gentle[None, :], [axis])[1][0, 0] == pytest.approx(0.1)


@pytest.mark.parametrize("dimensions", [1, 2, 3, 4])
def test_gaussian_limits_in_any_dimension(dimensions: int) -> None:
    names = [f"p{i}" for i in range(dimensions)]
    grid = Grid(names, [np.linspace(-1.0, 1.0, 15)] * dimensions)
    q = np.sum((grid.thetas() / 0.3) ** 2, axis=1)
    summary = summarise(q, grid, [0.6827, 0.95])
    assert summary.best_fit == pytest.approx([0.0] * dimensions)
    for name in names:
        ((low, high),) = summary.intervals[name]["0.6827"]
        assert (low, high) == pytest.approx((-0.3, 0.3), abs=0.01)
    assert summary.allowed_volume["0.6827"] < summary.allowed_volume["0.95"] <= 2.0**dimensions


@given(st.integers(1, 3), st.integers(0, 10_000))
def test_limits_grow_with_the_level_and_belong_to_their_parameters(
    dimensions: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    names = [f"p{i}" for i in range(dimensions)]
    axes = [np.linspace(-1.0, rng.uniform(0.5, 2.0), n) for n in rng.integers(3, 8, dimensions)]
    grid = Grid(names, axes)
    q = rng.uniform(0.0, 8.0, len(grid.thetas()))
    levels = [0.5, 0.6827, 0.95]
    limits = summarise(q, grid, levels)
    assert sorted(limits.allowed_volume.values()) == list(limits.allowed_volume.values())
    for intervals in limits.intervals.values():
        for narrow, wide in pairwise(levels):
            for low, high in intervals[str(narrow)]:
                assert any(a <= low <= high <= b for a, b in intervals[str(wide)])
    # Another order of the parameters changes nothing.
    order = rng.permutation(dimensions)
    other = Grid([names[i] for i in order], [axes[i] for i in order])
    turned = summarise(q.reshape(grid.shape).transpose(order).ravel(), other, levels)
    assert turned.intervals == limits.intervals
    assert turned.allowed_volume == pytest.approx(limits.allowed_volume)
    assert turned.best_fit == pytest.approx([limits.best_fit[i] for i in order])


@pytest.mark.parametrize("truth", [0.0, 0.25, 0.5])
def test_expected_limits_do_not_depend_on_where_nodes_are(truth: float) -> None:
    """Of the best node, those of a truth between nodes are too wide."""
    grid = Grid(["p"], [np.linspace(-4.0, 4.0, 9)])

    def log_likelihood(theta: np.ndarray) -> np.ndarray:
        # No paraboloid finds the top of this.
        return -0.5 * np.abs(theta - truth) ** 1.5

    at_truth = log_likelihood(np.array([truth]))
    q = likelihood_ratio_statistic(log_likelihood(grid.axes[0])[None], grid.axes, at_truth)[0]
    np.testing.assert_allclose(q, np.abs(grid.axes[0] - truth) ** 1.5)


def test_nodes_that_only_rounding_tells_apart_are_one() -> None:
    grid = Grid(["p"], [np.linspace(-0.3, 0.3, 7)])
    points = np.array([[0.1], [0.1 + 1e-16], [0.15]])
    assert not np.any(grid.axes[0] == 0.1), "what the test is about"
    [axis] = with_nodes(grid, points).axes
    np.testing.assert_allclose(axis, [-0.3, -0.2, -0.1, 0.0, 0.1, 0.15, 0.2, 0.3], atol=1e-12)
