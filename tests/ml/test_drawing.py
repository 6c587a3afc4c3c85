"""Draws from many parameter points at once are those from one point after the other."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from madminer_workflow.madminer_file import read_sample
from madminer_workflow.ml.methods import drawing
from madminer_workflow.ml.methods.drawing import draw_at, joint_scores, nowhere_negative
from madminer_workflow.statistics.events import Events, draw, union
from madminer_workflow.statistics.setup import Setup

THETAS = np.random.default_rng(2).normal(0.0, 3.0, (70, 2))


@pytest.fixture(scope="module")
def events(setup: Setup, toy_file: Path) -> Events:
    return union(read_sample(toy_file), setup)


def one_by_one(events: Events, n: int) -> np.ndarray:
    rng = np.random.default_rng(1)
    sizes = drawing.shares(n, len(THETAS))
    return np.concatenate(
        [
            draw(events.weights_at(theta), size, rng)
            for theta, size in zip(THETAS, sizes, strict=True)
        ]
    )


@pytest.mark.parametrize("n", [5, 70, 3001])
@pytest.mark.parametrize("block", [64, 100_000])
def test_draws_are_those_of_single_points(
    events: Events, monkeypatch: pytest.MonkeyPatch, n: int, block: int
) -> None:
    monkeypatch.setattr(drawing, "BLOCK", block)
    assert nowhere_negative(events, THETAS)
    indices, points = draw_at(events, THETAS, n, np.random.default_rng(1))
    np.testing.assert_array_equal(indices, one_by_one(events, n))
    np.testing.assert_array_equal(np.bincount(points, minlength=70), drawing.shares(n, 70))


def test_events_with_negative_weights_are_not_drawn_where_they_are(events: Events) -> None:
    weights = events.weights.copy()
    weights[::3] *= -1.0
    partly = replace(events, weights=weights)
    assert not nowhere_negative(partly, THETAS)
    indices, points = draw_at(partly, THETAS, 3000, np.random.default_rng(1))
    np.testing.assert_array_equal(indices, one_by_one(partly, 3000))
    drawn = [partly.weights_at(THETAS[point])[i] for i, point in zip(indices, points, strict=True)]
    assert min(drawn) > 0.0


def test_higher_orders_are_never_taken_to_be_positive(events: Events) -> None:
    components = events.setup.components * 2
    quartic = replace(events, setup=replace(events.setup, components=components))
    assert not nowhere_negative(quartic, THETAS)


def test_scores_at_many_points_are_those_at_each(events: Events) -> None:
    chosen = np.arange(len(THETAS))
    expected = [events.scores_at(theta)[i] for i, theta in enumerate(THETAS)]
    np.testing.assert_allclose(joint_scores(events, chosen, THETAS), expected, rtol=1e-9)
