from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from madminer.fisherinformation import FisherInformation
from madminer.ml import ScoreEstimator

from madminer_workflow.madminer_file import read_sample
from madminer_workflow.ml.methods import histogram
from madminer_workflow.statistics.events import Events, union
from madminer_workflow.statistics.information import (
    bootstrapped,
    from_scores,
    of_counts,
    rate,
    truth,
)
from madminer_workflow.statistics.problem import Problem
from madminer_workflow.statistics.setup import Setup
from tests.support import learning

LUMINOSITY = 1e6
THETA = np.array([0.3, -0.2])


@pytest.fixture(scope="module")
def events(setup: Setup, toy_file: Path) -> Events:
    return union(read_sample(toy_file), setup)


@pytest.fixture(scope="module")
def madminer(toy_file: Path) -> FisherInformation:
    return FisherInformation(str(toy_file))


def problem_of(events: Events) -> Problem:
    return Problem(
        events.setup, events, events, events, THETA, THETA, THETA, luminosity=LUMINOSITY, seed=1
    )


def test_rate_information_is_madminers(events: Events, madminer: FisherInformation) -> None:
    theirs, _ = madminer.rate_information(THETA, luminosity=LUMINOSITY)
    np.testing.assert_allclose(rate(events, THETA, LUMINOSITY).matrix, theirs, rtol=1e-6)


def test_truth_information_is_madminers(events: Events, madminer: FisherInformation) -> None:
    theirs, _ = madminer.truth_information(THETA, luminosity=LUMINOSITY)
    np.testing.assert_allclose(truth(events, THETA, LUMINOSITY).matrix, theirs, rtol=1e-6)


def test_histogram_information_is_madminers(
    events: Events, madminer: FisherInformation, tmp_path: Path
) -> None:
    edges = {"x0": [-1.0, 0.0, 1.5], "x1": [-0.5, 0.7]}
    one, _ = madminer.histo_information(
        THETA,
        observable="x0",
        bins=edges["x0"],
        histrange=(-1.0, 1.5),
        luminosity=LUMINOSITY,
    )
    two, _ = madminer.histo_information_2d(
        THETA,
        observable1="x0",
        bins1=edges["x0"],
        observable2="x1",
        bins2=edges["x1"],
        histrange1=(-1.0, 1.5),
        histrange2=(-0.5, 0.7),
        luminosity=LUMINOSITY,
    )
    for names, theirs in ((["x0"], one), (["x0", "x1"], two)):
        settings = learning.settings("histogram", observables=names, bins=edges)
        directory = tmp_path / str(len(names))
        directory.mkdir()
        member = learning.trained(events, settings, directory)
        ours = histogram.information([member], problem_of(events)).matrix
        np.testing.assert_allclose(ours, theirs, rtol=1e-5)


def test_information_from_scores_is_madminers(
    events: Events, madminer: FisherInformation, tmp_path: Path
) -> None:
    estimator = ScoreEstimator(n_hidden=(5,))
    x = events.x.astype(np.float32)
    estimator.train("sally", x, x[:, :2], n_epochs=1, n_workers=0, verbose="none")
    estimator.save(str(tmp_path / "sally"))
    theirs, _ = madminer.full_information(
        THETA, str(tmp_path / "sally"), luminosity=LUMINOSITY, test_split=None
    )
    ours = from_scores(estimator.evaluate_score(events.x), events, THETA, LUMINOSITY, events, 1)
    np.testing.assert_allclose(ours.matrix, theirs, rtol=1e-4)


def test_no_observable_beats_the_truth(events: Events, tmp_path: Path) -> None:
    settings = learning.settings("histogram", bins={"x0": 6, "x1": 6})
    member = learning.trained(events, settings, tmp_path)
    ours = histogram.information([member], problem_of(events)).matrix
    ceiling = truth(events, THETA, LUMINOSITY).matrix
    assert np.all(np.linalg.eigvalsh(ceiling - ours) > 0.0)
    assert np.all(np.linalg.eigvalsh(ours - rate(events, THETA, LUMINOSITY).matrix) > 0.0)


def test_bootstrap_error_of_a_mean() -> None:
    values = np.random.default_rng(2).normal(size=4000)

    def mean(n: np.ndarray) -> np.ndarray:
        return np.array([[n @ values / n.sum()]])

    assert bootstrapped(mean, len(values), seed=1).error[0, 0] == pytest.approx(
        values.std() / np.sqrt(len(values)), rel=0.25
    )


def test_empty_bins_carry_no_information() -> None:
    rates, gradients = np.array([2.0, 0.0]), np.array([[1.0], [5.0]])
    assert of_counts(rates, gradients, luminosity=10.0) == pytest.approx(np.array([[5.0]]))
