"""Events in between those that are measured at -1, 0 and +1, against others measured there anew."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from madminer_workflow.ml.toys import measured_anew
from madminer_workflow.statistics.events import Events, draw
from madminer_workflow.statistics.limits import Grid
from madminer_workflow.statistics.moved_events import MovedEvents
from madminer_workflow.statistics.toys import ToyPoint
from tests.support import learning
from tests.support.known_process import problem_of
from tests.support.known_shifts import rescaled, shifted_events, shifted_otherwise

THETA = np.array([0.2])


@pytest.fixture(scope="module")
def events() -> Events:
    return shifted_events(30_000, rescaled)


@pytest.mark.parametrize(("benchmark", "nu"), [("up", 1.0), ("down", -1.0)])
def test_events_are_those_of_the_sides_there(events: Events, benchmark: str, nu: float) -> None:
    moved, side, at = MovedEvents.of(events), events.shifted[benchmark], np.array([nu, 0.0])
    weights = moved.pool(THETA, at)
    left = np.flatnonzero(weights)
    found = moved.measured(left, at, np.random.default_rng(1))
    known = side.weights_at(THETA, events.setup)
    assert weights.sum() == pytest.approx(known.sum())
    for x, w in ((found, weights[left]), (side.x, known)):
        assert len(x) == len(side)
        np.testing.assert_allclose(w @ x / w.sum(), known @ side.x / known.sum())
    order = np.lexsort(found.T), np.lexsort(side.x.T)
    np.testing.assert_allclose(found[order[0]], side.x[order[1]], atol=1e-12)


@pytest.mark.parametrize("nu", [-0.5, 0.3, 1.5])
def test_events_in_between_are_those_that_are_measured_anew(events: Events, nu: float) -> None:
    moved, at, rng = MovedEvents.of(events), np.array([nu, 0.0]), np.random.default_rng(1)
    pool = moved.pool(THETA, at)
    x = moved.measured(draw(pool, 50_000, rng), at, rng)[:, 0]
    others, weights = shifted_otherwise(30_000, nu, THETA)
    assert pool.sum() == pytest.approx(weights.sum(), rel=2e-3)
    for share in (0.05, 0.25, 0.5, 0.75, 0.95):
        edge = np.quantile(others[:, 0], share)
        known = weights[others[:, 0] < edge].sum() / weights.sum()
        assert np.mean(x < edge) == pytest.approx(known, abs=0.008)


def test_numbers_of_something_stay_whole(events: Events) -> None:
    def rounded(x: np.ndarray) -> np.ndarray:
        return np.column_stack([x, np.round(2.0 * x[:, 0])])

    names = [*events.observables, "number"]
    shifted = {
        name: replace(one, observables=names, x=rounded(one.x))
        for name, one in events.shifted.items()
    }
    events = replace(events, observables=names, x=rounded(events.x), shifted=shifted)
    moved, at, rng = MovedEvents.of(events), np.array([0.4, 0.0]), np.random.default_rng(1)
    x = moved.measured(draw(moved.pool(THETA, at), 20_000, rng), at, rng)
    np.testing.assert_array_equal(x[:, -1], np.round(x[:, -1]))
    up = shifted["up"]
    means = [
        np.average(events.x[:, -1], weights=events.weights_at(THETA)),
        np.average(up.x[:, -1], weights=up.weights_at(THETA, events.setup)),
    ]
    assert means[0] < x[:, -1].mean() < means[1]


def test_toys_of_a_histogram_cover(events: Events, tmp_path: Path) -> None:
    """All of the way from events to q, with the auxiliary measurement at 0."""
    problem = problem_of(events, 400.0)
    edges = {"x0": [-0.4, 0.3, 1.0]}
    settings = learning.settings("histogram", observables=["x0"], bins=edges)
    member = learning.trained(problem.train, settings, tmp_path)
    point, n = ToyPoint("here", (0.0,), None), 500
    grid = Grid(["p0"], [np.linspace(-2.0, 2.0, 5)])
    toys = measured_anew([member], problem, grid, point, n, np.random.default_rng(2))
    assert not member._kept
    covered = np.mean(toys.q["rate_and_shape"][0] < 1.0)
    assert covered == pytest.approx(0.683, abs=4.0 * np.sqrt(0.683 * 0.317 / n))
