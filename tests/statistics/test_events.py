from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from madminer.sampling import SampleAugmenter, benchmark, morphing_points

from madminer_workflow.errors import InputError
from madminer_workflow.madminer_file import read_sample
from madminer_workflow.ml.methods import ratio, score
from madminer_workflow.ml.methods.drawing import joint_ratios, joint_scores
from madminer_workflow.statistics.events import Events, draw, union
from madminer_workflow.statistics.setup import Setup
from madminer_workflow.statistics.weights import effective_size
from tests.support import learning


@pytest.fixture(scope="module")
def events(setup: Setup, toy_file: Path) -> Events:
    return union(read_sample(toy_file), setup)


def test_parts_keep_the_cross_section(events: Events, setup: Setup) -> None:
    theta = setup.theta("sm")
    for part in (events.part(0.0, 0.8), events.part(0.8, 1.0)):
        assert part.cross_section(theta) == pytest.approx(events.cross_section(theta), rel=0.05)
    assert len(events.part(0.0, 0.8)) + len(events.part(0.8, 1.0)) == len(events)


def test_an_empty_part_is_refused(events: Events) -> None:
    with pytest.raises(InputError, match="are too few"):
        events.part(0.99999, 1.0)


def test_mean_score_is_zero(events: Events) -> None:
    for theta in ([0.0, 0.0], [0.4, -0.3]):
        point = np.array(theta)
        mean = events.weights_at(point) @ events.scores_at(point)
        assert np.abs(mean / events.cross_section(point)).max() < 1e-12


def test_score_is_the_derivative_of_the_log_ratio(events: Events) -> None:
    theta, step = np.array([0.3, 0.2]), np.array([1e-4, 0.0])
    logs = [
        np.log(events.weights_at(point) / events.cross_section(point))
        for point in (theta + step, theta - step)
    ]
    np.testing.assert_allclose(
        (logs[0] - logs[1]) / 2e-4, events.scores_at(theta)[:, 0], rtol=1e-5, atol=1e-6
    )


SMALLEST = 5e-324
WEIGHT = st.sampled_from([0.0, SMALLEST]) | st.floats(0.0, 1.0)


@given(weights=st.lists(WEIGHT, min_size=1, max_size=9).filter(any))
@example(weights=[SMALLEST, 0.0])
@example(weights=[0.0, SMALLEST, 2.0 * SMALLEST, 0.0])
def test_draws_follow_the_weights(weights: list[float]) -> None:
    values = np.array(weights)
    counts = np.bincount(draw(values, 4000, np.random.default_rng(5)), minlength=len(values))
    expected = 4000 * values / values.sum()
    assert np.all(counts[values == 0.0] == 0)
    assert np.all(np.abs(counts - expected) < 6.0 * np.sqrt(expected + 1.0))


class Highest(np.random.Generator):
    """Draws nothing but the highest number below 1."""

    def random(self, size: int) -> np.ndarray:  # type: ignore[override]
        return np.full(size, np.nextafter(1.0, 0.0))


@pytest.mark.parametrize("weight", [SMALLEST, 1e-310, 1e-300, 0.1, 0.3, 1.0, 1e300])
def test_the_last_draw_has_a_weight(weight: float) -> None:
    values = np.array([0.0, weight, 0.0, weight, 0.0])
    assert draw(values, 1, Highest(np.random.PCG64(1))) == [3]


def test_nothing_is_drawn_without_weights() -> None:
    rng = np.random.default_rng(1)
    assert len(draw(np.zeros(3), 0, rng)) == 0
    with pytest.raises(InputError, match="none has a positive weight"):
        draw(np.zeros(3), 1, rng)


def test_effective_size() -> None:
    assert effective_size(np.full(7, 0.3)) == pytest.approx(7.0)
    assert effective_size(np.array([1.0, 0.0, 0.0])) == pytest.approx(1.0)


def settings(method: str, **extra: Any) -> Any:
    training = {"validation_split": 0.25, **extra.pop("training", {})}
    return learning.typed(learning.settings(method, n_samples=400, training=training, **extra))


PRIORS = {
    "CWL2": {"prior": "gaussian", "mean": 0.0, "std": 0.5},
    "CPWL2": {"prior": "flat", "min": -1.0, "max": 1.0},
}


def find(rows: np.ndarray, table: np.ndarray) -> np.ndarray:
    """Indices of float32 ``rows`` in ``table``."""
    index = {row.tobytes(): i for i, row in enumerate(table.astype(np.float32))}
    return np.array([index[row.tobytes()] for row in rows])


def test_joint_score_is_madminers(events: Events, setup: Setup, toy_file: Path) -> None:
    x, _, t_xz, _ = SampleAugmenter(str(toy_file)).sample_train_local(
        theta=benchmark("sm"),
        n_samples=200,
        folder=None,
        filename="none",
        sample_only_from_closest_benchmark=False,
    )
    # MadMiner trains on the first 60 % of the file.
    ours = events.part(0.0, 0.6)
    chosen = find(x, ours.x)
    np.testing.assert_allclose(
        ours.scores_at(setup.theta("sm"))[chosen], t_xz, rtol=2e-5, atol=1e-6
    )


def test_joint_ratio_and_score_are_madminers(events: Events, setup: Setup, toy_file: Path) -> None:
    thetas = np.array([[0.5, -0.4], [8.0, 1.0]])
    x, theta, _, y, r_xz, t_xz, _ = SampleAugmenter(str(toy_file)).sample_train_ratio(
        theta0=morphing_points(thetas),
        theta1=benchmark("sm"),
        n_samples=400,
        folder=None,
        filename="none",
        sample_only_from_closest_benchmark=False,
    )
    pool, theta1 = events.part(0.0, 0.6), setup.theta("sm")
    for label in (0, 1):
        for theta0 in thetas:
            rows = (y[:, 0] == label) & np.all(np.isclose(theta, theta0), axis=1)
            chosen = find(x[rows], pool.x)
            ours = joint_ratios(pool, chosen, theta0[None, :], theta1[None, :])
            np.testing.assert_allclose(ours, r_xz[rows], rtol=2e-5)
            scores = joint_scores(pool, chosen, np.tile(theta0, (len(chosen), 1)))
            np.testing.assert_allclose(scores, t_xz[rows], rtol=2e-4, atol=1e-5)


def test_ratio_draw_covers_the_prior_and_labels_evenly(events: Events) -> None:
    points = {"n_thetas": 50, "priors": PRIORS}
    chosen = settings("alices", theta0=points)
    arrays = ratio.draw(events, chosen, np.random.default_rng(1))
    assert {name: len(array) for name, array in arrays.items()} == {
        name + suffix: n
        for suffix, n in (("", 300), ("_val", 100))
        for name in ("theta", "x", "y", "r_xz", "t_xz")
    }
    assert arrays["y"].mean() == 0.5
    assert len(np.unique(arrays["theta"], axis=0)) == 50
    assert np.abs(arrays["theta"][:, 1]).max() < 1.0


def test_validation_events_are_not_trained_on(events: Events) -> None:
    arrays = score.draw(events, settings("sally"), np.random.default_rng(1))
    training = {row.tobytes() for row in arrays["x"]}
    assert (len(arrays["x"]), len(arrays["x_val"])) == (300, 100)
    assert not training & {row.tobytes() for row in arrays["x_val"]}


def test_no_validation_on_request(events: Events) -> None:
    chosen = settings("sally", training={"validation_split": None})
    arrays = score.draw(events, chosen, np.random.default_rng(1))
    assert set(arrays) == {"x", "t_xz"}
    assert len(arrays["x"]) == 400


def test_draws_are_reproducible(events: Events) -> None:
    first, again, other = (
        score.draw(events, settings("sally"), np.random.default_rng(seed))["x"]
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
