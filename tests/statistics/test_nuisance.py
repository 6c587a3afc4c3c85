"""Nuisance parameters in learning: responses, profiled information, scores."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from madminer.analysis import DataAnalyzer
from madminer.core import MadMiner
from madminer.fisherinformation import FisherInformation, profile_information
from madminer.ml import ScoreEstimator

from madminer_workflow import madminer_fixes
from madminer_workflow.errors import InputError
from madminer_workflow.files import write_json
from madminer_workflow.madminer_file import read_sample, read_setup, write_sample
from madminer_workflow.ml.evaluating import evaluating
from madminer_workflow.ml.methods import histogram, score
from madminer_workflow.ml.toys import toys
from madminer_workflow.physics.configure import add_nuisance_parameters
from madminer_workflow.products.results import read_results
from madminer_workflow.statistics.checks.score import nuisance_check
from madminer_workflow.statistics.events import Events, union
from madminer_workflow.statistics.information import (
    Bootstrap,
    Information,
    from_scores,
    information,
    profile,
    rate,
    truth,
)
from madminer_workflow.statistics.nuisance import response
from madminer_workflow.statistics.problem import Problem
from madminer_workflow.statistics.setup import Setup
from tests.conftest import toy_sample
from tests.support import learning, parts
from tests.support.chain import Physics
from tests.support.paths import DATA

LUMINOSITY = 1e6
SM = np.zeros(2)
SYSTEMATICS = [
    {"systematic_name": "mu", "effect": "scale", "scale": "mu", "scale_variations": [0.5, 2.0]},
    {"systematic_name": "lumi", "effect": "norm", "norm_variation": 1.05},
    {"systematic_name": "one", "effect": "scale", "scale": "muf", "scale_variations": [2.0]},
]


@pytest.fixture(scope="module", autouse=True)
def fixed_madminer() -> None:
    madminer_fixes.apply()


@pytest.fixture(scope="module")
def file(setup: Setup, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Toy events with a two-sided scale, a normalisation and a one-sided scale uncertainty."""
    directory = tmp_path_factory.mktemp("nuisance")
    miner = MadMiner()
    miner.load(str(DATA / "madminer_config.h5"))
    for systematic in SYSTEMATICS:
        miner.add_systematics(**systematic)
    miner.save(str(directory / "setup.h5"))
    add_nuisance_parameters(
        parts.systematics(SYSTEMATICS), setup.benchmark_names[0], directory / "setup.h5"
    )
    sample = toy_sample(setup, {"sm": 8000, "w": 2000}, seed=1)
    x0, x1 = sample.observations.T
    ratios = {
        "mu_nuisance_param_0_benchmark_0": np.exp(0.10 + 0.05 * x0),
        "mu_nuisance_param_0_benchmark_1": np.exp(-0.08 - 0.04 * x0 + 0.01 * x1),
        "lumi_nuisance_param_0_benchmark_0": np.full(len(x0), 1.05),
        "one_nuisance_param_0_benchmark_0": np.exp(0.03 * x1),
    }
    names = read_setup(directory / "setup.h5").nuisance_benchmarks
    columns = [ratios[name] * sample.weights[:, 0] for name in names]
    sample = type(sample)(**{**vars(sample), "nuisance_weights": np.stack(columns, axis=1)})
    definitions = {"x0": "x0", "x1": "x1"}
    write_sample(directory / "toy.h5", directory / "setup.h5", sample, definitions, {})
    return directory / "toy.h5"


@pytest.fixture(scope="module")
def events(file: Path) -> Events:
    return union(read_sample(file), read_setup(file))


@pytest.fixture(scope="module")
def madminer(file: Path) -> FisherInformation:
    return FisherInformation(str(file))


def problem_of(events: Events) -> Problem:
    return Problem(events.setup, events, events, events, SM, SM, SM, luminosity=LUMINOSITY, seed=1)


def same_as_madminers(
    ours: Information, theirs: np.ndarray, madminer: FisherInformation, rtol: float = 1e-6
) -> None:
    """``theirs`` is MadMiner's information on the parameters and nuisance parameters."""
    assert ours.profiled is not None
    np.testing.assert_allclose(ours.matrix, theirs[:2, :2], rtol=rtol)
    np.testing.assert_allclose(ours.profiled.full, theirs, rtol=rtol, atol=rtol * theirs[0, 0])
    constrained = theirs + madminer.calculate_fisher_information_nuisance_constraints()
    profiled = profile_information(constrained, [0, 1])
    np.testing.assert_allclose(ours.profiled.matrix, profiled, rtol=10.0 * rtol)
    assert np.all(ours.profiled.error > 0.0)


def test_response_is_madminers(file: Path) -> None:
    sample, setup = read_sample(file), read_setup(file)
    morpher = DataAnalyzer(str(file)).nuisance_morpher
    weights = np.hstack([sample.weights, sample.nuisance_weights])
    slopes, curvatures = response(sample, setup)
    np.testing.assert_allclose(slopes.T, morpher.calculate_a(weights), atol=1e-12)
    np.testing.assert_allclose(curvatures.T, morpher.calculate_b(weights), atol=1e-12)
    np.testing.assert_allclose(slopes[:, 1], np.log(1.05), rtol=1e-12)


def test_rate_information_is_madminers(events: Events, madminer: FisherInformation) -> None:
    theirs, _ = madminer.rate_information(SM, luminosity=LUMINOSITY)
    same_as_madminers(rate(events, SM, LUMINOSITY), theirs, madminer)


def test_truth_information_is_madminers(events: Events, madminer: FisherInformation) -> None:
    theirs, _ = madminer.truth_information(SM, luminosity=LUMINOSITY)
    same_as_madminers(truth(events, SM, LUMINOSITY), theirs, madminer)


def histogram_of(events: Events, directory: Path) -> Information:
    edges = {"x0": [-1.0, 0.0, 1.5]}
    settings = learning.settings("histogram", observables=["x0"], bins=edges)
    member = learning.trained(events, settings, directory)
    return histogram.information([member], problem_of(events))


def test_histogram_information_is_madminers(
    events: Events, madminer: FisherInformation, tmp_path: Path
) -> None:
    theirs, _ = madminer.histo_information(
        SM, observable="x0", bins=[-1.0, 0.0, 1.5], histrange=(-1.0, 1.5), luminosity=LUMINOSITY
    )
    same_as_madminers(histogram_of(events, tmp_path), theirs, madminer, rtol=1e-5)


def test_information_from_scores_is_madminers(
    events: Events, madminer: FisherInformation, tmp_path: Path
) -> None:
    estimator = ScoreEstimator(n_hidden=(5,))
    x = events.x.astype(np.float32)
    targets = np.hstack([events.scores_at(SM), events.nuisance_scores_at(SM)]).astype(np.float32)
    estimator.train("sally", x, targets, n_epochs=1, n_workers=0, verbose="none")
    estimator.save(str(tmp_path / "sally"))
    theirs, _ = madminer.full_information(
        SM, str(tmp_path / "sally"), luminosity=LUMINOSITY, test_split=None
    )
    ours = from_scores(estimator.evaluate_score(events.x), events, SM, LUMINOSITY, events, 1)
    same_as_madminers(ours, theirs, madminer, rtol=1e-4)


def test_scores_without_nuisance_components_profile_the_rate_only(events: Events) -> None:
    scores = events.scores_at(SM)
    ours, counts = from_scores(scores, events, SM, LUMINOSITY, events, 1), rate(events, SM, 1e6)
    assert ours.profiled is not None and counts.profiled is not None
    np.testing.assert_allclose(ours.profiled.full[2:], counts.profiled.full[2:])


@given(st.integers(0, 10_000), st.integers(1, 3), st.integers(1, 4), st.floats(1e-3, 1e3))
def test_profiling_never_increases_information(
    seed: int, n_parameters: int, n_nuisance: int, size: float
) -> None:
    n = n_parameters + n_nuisance
    root = np.random.default_rng(seed).normal(size=(n, n)) * size
    full = root @ root.T
    lost = full[:n_parameters, :n_parameters] - profile(full, n_parameters)
    assert np.linalg.eigvalsh(lost).min() > -1e-9 * np.trace(full)
    assert np.linalg.eigvalsh(profile(full, n_parameters)).min() > -1e-9 * np.trace(full)
    some = np.delete(np.delete(full, -1, axis=0), -1, axis=1)
    fewer = profile(some, n_parameters) - profile(full, n_parameters)
    assert np.linalg.eigvalsh(fewer).min() > -1e-9 * np.trace(full)


def test_profiling_one_rate_against_its_normalisation() -> None:
    """N events and an uncertainty s: the variance 1 / N of the signal strength grows by s^2."""
    n, s = 400.0, 0.05
    full = n * np.array([[1.0, s], [s, s**2]])
    assert 1.0 / profile(full, 1)[0, 0] == pytest.approx(1.0 / n + s**2)


def test_errors_are_those_of_profiled_replicas() -> None:
    rng = np.random.default_rng(3)
    roots = rng.normal(size=(3, 3)) + 0.1 * rng.normal(size=(100, 3, 3))
    replicas = roots @ roots.transpose(0, 2, 1)
    ours = information([Bootstrap(replicas[0], replicas)], 2).profiled
    assert ours is not None
    each = np.array([profile(replica, 2) for replica in replicas])
    np.testing.assert_allclose(ours.error, each.std(axis=0, ddof=1))


def test_nothing_is_profiled_without_systematics(toy_file: Path) -> None:
    events = union(read_sample(toy_file), read_setup(toy_file))
    assert events.slopes.shape == (10_000, 0)
    assert rate(events, SM, LUMINOSITY).profiled is None
    assert truth(events, SM, LUMINOSITY).profiled is None


def test_sally_learns_the_nuisance_parameters(events: Events, tmp_path: Path) -> None:
    """The uncertainty of an observable is told from it; a normalisation has no shape."""
    settings = learning.settings(
        "sally", n_samples=8000, training={"n_epochs": 15}, network={"n_hidden": [20]}
    )
    arrays = score.draw(events, learning.typed(settings), np.random.default_rng(1))
    assert arrays["t_xz"].shape[1] == 5
    widths = arrays["t_xz"].std(axis=0) / arrays["nuisance_scales"]
    np.testing.assert_allclose(widths[[2, 4]], widths[:2].min(), rtol=1e-5)
    assert widths[3] < 1e-12, "rounding errors must not be learned"
    member = learning.trained(events, settings, tmp_path)
    estimated, true = score.all_scores([member], events), events.nuisance_scores_at(SM)
    for i in (0, 2):
        assert np.corrcoef(estimated[:, 2 + i], true[:, i])[0, 1] > 0.98
        assert estimated[:, 2 + i].std() == pytest.approx(true[:, i].std(), rel=0.1)
    np.testing.assert_allclose(true[:, 1], 0.0, atol=1e-12)
    named = score.outputs(member, problem_of(events), SM[None, :])
    assert named["test"].shape == (10_000, 2)


def test_calibration_of_the_nuisance_score(events: Events) -> None:
    true, weights = events.nuisance_scores_at(SM), events.weights_at(SM)
    [right] = nuisance_check(true, true, weights)
    assert right.passed and right.value == pytest.approx(1.0)
    [wrong] = nuisance_check(true * [1.0, 1.0, 2.0], true, weights)
    assert not wrong.passed and wrong.value == pytest.approx(0.5)


def test_other_methods_do_not_learn_them(events: Events) -> None:
    arrays = score.draw(
        events, learning.typed(learning.settings("sallino")), np.random.default_rng(1)
    )
    assert arrays["t_xz"].shape[1] == 2
    assert "nuisance_scales" not in arrays


def test_a_normalisation_of_the_signal_leaves_the_background(uncertain: Physics) -> None:
    events = union(read_sample(uncertain.combined), read_setup(uncertain.combined))
    signal = read_sample(uncertain.combined).sampling_ids >= 0
    np.testing.assert_allclose(events.slopes[:, 2], np.where(signal, np.log(1.05), 0.0), atol=1e-12)
    np.testing.assert_allclose(events.slopes[:, 1], np.log(1.02), rtol=1e-12)


def test_a_model_without_the_nuisance_parameters(
    toy_file: Path, file: Path, tmp_path: Path
) -> None:
    model = learning.model(toy_file, learning.settings("sally"), tmp_path)
    write_json(tmp_path / "evaluation.json", learning.EVALUATION)
    with pytest.raises(InputError, match=r"nuisance parameters are none; those of the data are mu"):
        evaluating(tmp_path / "evaluation.json", file, [model], tmp_path)


def test_polynomials_profile_the_rate(file: Path, tmp_path: Path) -> None:
    settings = learning.settings("polynomial", training={"n_epochs": 40, "n_steps": 400})
    model = learning.model(file, settings, tmp_path)
    evaluation = {**learning.EVALUATION, "limits": {**learning.EVALUATION["limits"]}}
    evaluation["limits"]["toys"] = {"n_toys": 5, "points": [], "resolution": 2, "njobs": 1}
    write_json(tmp_path / "evaluation.json", evaluation)
    write_json(tmp_path / "job.json", {"job": 0, "njobs": 1})
    evaluating(tmp_path / "evaluation.json", file, [model], tmp_path)
    toys(tmp_path / "evaluation.json", file, tmp_path / "job.json", [model], tmp_path)
    results = read_results(tmp_path / "Results.tar.gz")
    profiled, fixed = (
        results.arrays[name] for name in ("q_rate_and_shape", "q_fixed_rate_and_shape")
    )
    # The best node moves a little when the rate becomes uncertain.
    assert np.all(profiled <= fixed + 0.1) and profiled.mean() < fixed.mean()
