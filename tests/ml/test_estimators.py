"""Every method with every estimator, from samples to results, against MadMiner and the truth."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from madminer.ml import (
    DoubleParameterizedRatioEstimator,
    LikelihoodEstimator,
    ParameterizedRatioEstimator,
)
from madminer.ml.morphing_aware import (
    MorphingAwareRatioEstimator,
    QuadraticMorphingAwareRatioEstimator,
)
from pandas import DataFrame

from madminer_workflow import large_arrays
from madminer_workflow.madminer_file import read_sample, read_setup
from madminer_workflow.ml import methods
from madminer_workflow.ml.member import Member
from madminer_workflow.ml.methods.score import bins_of, informative, turn
from madminer_workflow.ml.methods.unbinned import log_ratios, scores
from madminer_workflow.ml.registered import Ensemble
from madminer_workflow.ml.validation_loss import validation_loss
from madminer_workflow.products.problem import pose_problem
from madminer_workflow.products.samples import read_samples
from madminer_workflow.statistics.binning import inner_edges
from madminer_workflow.statistics.events import union
from tests.support import learning
from tests.support.shared import shared

CASES = [
    *((name, {"estimator": each}) for name in learning.RATIO for each in learning.ESTIMATORS),
    *((method, {}) for method in (*learning.DENSITY, *learning.SCORE)),
    ("sally", {"binning": {"kind": "adaptive", "bins": None}}),
]
DOUBLE = {"estimator": "doubly_parameterized"}


def evaluation(n: int, **changes: Any) -> dict[str, Any]:
    """The evaluation of ``learning.analytic_file``."""
    axes = {f"p{i}": {"range": [-1.0, 1.0], "resolution": 3} for i in range(n)}
    limits = {**learning.EVALUATION["limits"], "grid": axes}
    return {"limits": limits, "luminosity": 1e5, **changes}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """Toy events of 1 and 3 parameters."""
    return {n: learning.analytic_file(tmp_path_factory.mktemp(f"n{n}"), n, 2000) for n in (1, 2, 3)}


ONE_EPOCH = {"n_epochs": 1, "batch_size": 1000, "early_stopping": False}
"""In one batch."""

Hardly = Callable[..., tuple[dict[str, Any], Path]]
"""Settings, and a model of them, by method, number of parameters and member."""


@pytest.fixture(scope="module")
def hardly_trained(files: dict[int, Path], tmp_path_factory: pytest.TempPathFactory) -> Hardly:
    """Models after one step of the optimizer, each made once for all tests."""

    def model(method: str, n: int, member: int = 0, **changes: Any) -> tuple[dict[str, Any], Path]:
        chosen = learning.analytic_settings(method, n, training=ONE_EPOCH, **changes)
        name = f"{method}_{'_'.join(map(str, changes.values()))}_{n}_{member}"
        name = "".join(letter for letter in name if letter.isalnum() or letter == "_")
        make = partial(learning.model, files[n], chosen, member=member)
        return chosen, shared(tmp_path_factory, name, make)

    return model


@pytest.mark.parametrize("n", [1, 3])
@pytest.mark.parametrize(("method", "changes"), CASES, ids=lambda case: str(case).replace("/", ""))
def test_from_samples_to_results(
    files: dict[int, Path],
    hardly_trained: Hardly,
    tmp_path: Path,
    method: str,
    changes: dict[str, Any],
    n: int,
) -> None:
    models = [hardly_trained(method, n, member, **changes)[1] for member in range(2)]
    summary, arrays = learning.results(files[n], models, tmp_path, **evaluation(n))
    assert summary["members"] == 2
    for kind in ("shape", "rate_and_shape"):
        q = arrays[f"q_{kind}"]
        assert q.shape == (3**n,)
        assert np.all(np.isfinite(q)) and q.min() >= 0.0 and q.max() > q.min()
        assert set(summary["limits"][kind]["intervals"]) == {f"p{i}" for i in range(n)}
    matrix = np.array(summary["fisher_information"]["matrix"])
    assert matrix.shape == (n, n)
    assert np.all(np.linalg.eigvalsh(matrix) >= 0.0)
    assert arrays["score"].shape == (400, n)
    json.dumps(summary, allow_nan=False)


def trained(data: Path, tmp_path: Path, method: str, n: int, **changes: Any) -> Member:
    """A model."""
    chosen = learning.analytic_settings(method, n, **changes)
    return learning.opened(learning.model(data, chosen, tmp_path), tmp_path / "model")


ORACLES = {
    "parameterized": ParameterizedRatioEstimator,
    "doubly_parameterized": DoubleParameterizedRatioEstimator,
    "morphing_aware": MorphingAwareRatioEstimator,
    "quadratic_morphing_aware": QuadraticMorphingAwareRatioEstimator,
    "scandal": LikelihoodEstimator,
}


@pytest.mark.parametrize("estimator", ORACLES)
@pytest.mark.parametrize("scaled", [True, False])
def test_evaluation_is_madminers(
    files: dict[int, Path],
    tmp_path: Path,
    estimator: str,
    scaled: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Log ratios and scores are those of MadMiner's estimator from the same file."""
    n = 1 if estimator == "quadratic_morphing_aware" else 3
    method = "scandal" if estimator == "scandal" else "alices"
    changes: dict[str, Any] = {"training": {"scale_inputs": scaled}}
    if method == "alices":
        changes["estimator"] = estimator
    model = trained(files[n], tmp_path, method, n, **changes)
    theirs = ORACLES[estimator]()
    theirs.load(str(model.directory / "model"))
    part = union(read_sample(files[n]), read_setup(files[n])).part(0.8, 1.0)
    thetas = np.array([[0.3] * n, [-0.8] * n])
    if estimator == "scandal":
        log_r, score = theirs.evaluate_log_likelihood(part.x, thetas, evaluate_score=True)
        log_r = log_r - np.log(theirs.x_scaling_stds).sum()
    elif estimator == "doubly_parameterized":
        log_r, score, _ = theirs.evaluate_log_likelihood_ratio(
            part.x, thetas, np.zeros((1, n)), evaluate_score=True
        )
    else:
        log_r, score = theirs.evaluate_log_likelihood_ratio(part.x, thetas, evaluate_score=True)
    np.testing.assert_allclose(log_ratios(model, part, thetas), log_r, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(scores([model], part, thetas[1]), score[1], rtol=1e-5, atol=1e-6)
    with monkeypatch.context() as patch:
        patch.setattr(large_arrays, "ROWS", 97)
        in_pieces = log_ratios(model, part, thetas)
    np.testing.assert_allclose(in_pieces, log_r, rtol=1e-5, atol=1e-6)
    # The score is the gradient of the log ratio, but where MadMiner's morphing cuts that off.
    step = np.zeros(n)
    step[-1] = 1e-2
    up, down = log_ratios(model, part, np.array([thetas[1] + step, thetas[1] - step]))
    gradient = (up - down) / 2e-2
    assert np.mean(np.isclose(score[1][:, -1], gradient, rtol=0.02, atol=5e-3)) > 0.98


@pytest.mark.parametrize(
    ("method", "changes"), [("alices", DOUBLE), ("alices", {}), ("scandal", {})]
)
def test_a_registered_ensemble_gives_the_same_numbers(
    files: dict[int, Path], tmp_path: Path, method: str, changes: dict[str, Any]
) -> None:
    chosen = learning.analytic_settings(method, 3, **changes)
    archive = learning.model(files[3], chosen, tmp_path)
    (tmp_path / "data").mkdir()
    archive.rename(tmp_path / "data" / "member_0.tar.gz")
    ensemble = Ensemble(tmp_path / "data")
    part = union(read_sample(files[3]), read_setup(files[3])).part(0.8, 1.0)
    table = DataFrame(part.x, columns=part.observables)
    for i in range(3):
        table[f"theta_p{i}"] = 0.1 * i
    found = ensemble.predict(table)
    expected = log_ratios(ensemble.members[0], part, np.array([[0.0, 0.1, 0.2]]))[0]
    assert list(found) == ["log_p" if method == "scandal" else "log_r"]
    np.testing.assert_allclose(found.to_numpy()[:, 0], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("method", "changes"),
    [
        *(
            (method, {"estimator": each})
            for method in learning.RATIO
            for each in learning.ESTIMATORS
        ),
        ("scandal", {}),
        ("nde", {}),
    ],
)
def test_the_validation_loss_is_the_trainings(
    files: dict[int, Path],
    hardly_trained: Hardly,
    tmp_path: Path,
    method: str,
    changes: dict[str, Any],
) -> None:
    """On its own sample, in one batch, up to the units of a density."""
    chosen, archive = hardly_trained(method, 3, **changes)
    model = learning.opened(archive, tmp_path / "model")
    samples = learning.samples(files[3], chosen, tmp_path)
    found = validation_loss(model, read_samples(samples).arrays, learning.typed(chosen))
    if method in learning.DENSITY:
        found -= np.log(model.network.x_scaling_stds).sum()
    assert found == pytest.approx(model.note.losses["validation"][-1], rel=1e-4)


def test_pairs_carry_joint_ratio_and_scores(files: dict[int, Path], tmp_path: Path) -> None:
    """Observables are the partons' momenta: what is joint is exact."""
    theta1 = {"n_thetas": 30, "priors": {}}
    chosen = learning.analytic_settings("alices", 2, **DOUBLE, theta1=theta1)
    arrays = read_samples(learning.samples(files[2], chosen, tmp_path)).arrays
    x, theta0, theta1 = (arrays[name].astype(float) for name in ("x", "theta0", "theta1"))
    expected = [
        learning.analytic_log_ratio(row, one) - learning.analytic_log_ratio(row, two)
        for row, one, two in zip(x, theta0, theta1, strict=True)
    ]
    # The sample's cross-sections are those of a finite number of events.
    np.testing.assert_allclose(np.log(arrays["r_xz"][:, 0]), expected, atol=0.2)
    for name, points in (("t_xz0", theta0), ("t_xz1", theta1)):
        amplitude = 1.0 + 0.5 * np.sum(x * points, axis=1, keepdims=True)
        norm = 1.0 + 0.25 * np.sum(points**2, axis=1, keepdims=True)
        score = x / amplitude - 0.5 * points / norm
        np.testing.assert_allclose(arrays[name], score, rtol=1e-3, atol=0.1)
    assert (len(np.unique(theta0, axis=0)), len(np.unique(theta1, axis=0))) == (40, 30)
    assert sorted(np.unique(arrays["y"], return_counts=True)[1]) == [300, 300]
    # Numerator events are drawn from the numerator: there the ratio is above 1 on average.
    log_r = np.log(arrays["r_xz"][:, 0])
    assert log_r[arrays["y"][:, 0] == 0].mean() > 0.0 > log_r[arrays["y"][:, 0] == 1].mean()
    np.testing.assert_array_equal(arrays["reference"], [0.0, 0.0])


def test_densities_see_events_of_their_points(files: dict[int, Path], tmp_path: Path) -> None:
    chosen = learning.analytic_settings("scandal", 1, n_samples=20000)
    arrays = read_samples(learning.samples(files[1], chosen, tmp_path)).arrays
    theta, x = arrays["theta"][:, 0], arrays["x"][:, 0]
    # The mean of x at theta is theta / (1 + theta^2 / 4).
    mean = theta / (1.0 + 0.25 * theta**2)
    slope = np.sum(x * mean) / np.sum(mean**2)
    assert slope == pytest.approx(1.0, abs=0.08)


@pytest.mark.parametrize("kind", ["fixed", "adaptive"])
@pytest.mark.parametrize(
    ("n", "numbers"),
    [(1, ([25], [25])), (2, ([12, 12], [15, 5])), (3, ([5, 5, 5], [12, 5, 5, 5]))],
)
def test_bins_are_the_usual_ones_unless_given(kind: str, n: int, numbers: Any) -> None:
    parameters = [f"p{i}" for i in range(n)]

    def bins(given: Any) -> list[Any]:
        binning = {"kind": kind, "bins": given}
        return bins_of(learning.typed(learning.settings("sally", binning=binning)), parameters)

    usual = numbers[kind == "adaptive"]
    assert bins(None) == bins({}) == usual
    assert bins(7) == [7] * len(usual)
    first = "along" if kind == "adaptive" else "p0"
    assert bins({first: [0.0, 1.0]}) == [(0.0, 1.0), *usual[1:]]
    assert bins_of(learning.typed(learning.settings("sallino")), parameters) == [25]


def test_bins_of_the_score_resolve_the_tail() -> None:
    """Half a hundredth of the rate has 60 % of the information: 30 % of what bins share."""
    scores = np.concatenate([np.linspace(-1.0, 1.0, 9900), np.linspace(9.0, 11.0, 50)])[:, None]
    weights = np.ones(len(scores))
    [edges] = inner_edges(scores, informative(scores, weights), [12])
    assert np.sum(edges > 1.0) in (3, 4)
    [equal] = inner_edges(scores, weights, [12])
    assert np.sum(equal > 1.0) == 0


def test_axes_are_madminers() -> None:
    from madminer.limits import AsymptoticLimits

    rng = np.random.default_rng(3)
    for n in (2, 3):
        limits = AsymptoticLimits.__new__(AsymptoticLimits)
        limits.n_parameters = n
        own, reference, theta = rng.normal(size=(50, n)), *rng.normal(size=(2, n))
        processor = limits._make_score_processor("adaptive-sally", None, reference)
        direction = (theta - reference) / np.linalg.norm(theta - reference)
        ours = turn(own, direction, 2 if n == 2 else n + 1)
        np.testing.assert_allclose(ours, processor(own, theta), rtol=1e-12)


@pytest.mark.parametrize("bins", [3, {"along": 3, "across": 3}, {"along": [-1.0, 1.0]}])
def test_bins_of_the_score_count(files: dict[int, Path], tmp_path: Path, bins: Any) -> None:
    found = []
    for given in (None, bins):
        binning = {"kind": "adaptive", "bins": given}
        chosen = learning.analytic_settings("sally", 2, binning=binning)
        model = learning.model(files[2], chosen, tmp_path / str(given is None))
        directory = tmp_path / str(given is None)
        found.append(learning.results(files[2], [model], directory, **evaluation(2))[1])
    assert not np.array_equal(found[0]["q_shape"], found[1]["q_shape"])
    np.testing.assert_array_equal(found[0]["score"], found[1]["score"])


# What follows trains networks that know the answer.

LONG = {"n_epochs": 6, "batch_size": 500, "initial_lr": 0.02, "final_lr": 0.0005}
NARROW = {"prior": "flat", "min": -0.5, "max": 0.5}


def well_trained(tmp_path: Path, method: str, **changes: Any) -> tuple[Member, Any]:
    """A model of one parameter and the problem that it solves."""
    data = learning.analytic_file(tmp_path, 1, 60000)
    chosen = learning.analytic_settings(method, 1, n_samples=60000, **changes)
    # Further out the amplitude vanishes within reach of the events, and logarithms diverge.
    chosen["theta0"] = {"n_thetas": 1000, "priors": {"p0": NARROW}}
    if isinstance(chosen.get("theta1"), dict):
        chosen["theta1"] = chosen["theta0"]
    model = learning.opened(learning.model(data, chosen, tmp_path), tmp_path / "model")
    return model, pose_problem(learning.evaluation(**evaluation(1)), data)


@pytest.mark.parametrize(
    ("method", "changes"),
    [
        ("alices", DOUBLE),
        ("alice", {"estimator": "morphing_aware"}),
        ("alices", {"estimator": "quadratic_morphing_aware"}),
        ("scandal", {}),
        ("nde", {}),
    ],
)
def test_a_good_network_knows_the_likelihood(
    tmp_path: Path, method: str, changes: dict[str, Any]
) -> None:
    """Log ratio and information are those of the true density (``learning.analytic_file``)."""
    network = {"n_hidden": [40]}
    if method in learning.DENSITY:
        network |= {"n_hidden": [30], "n_mades": 2, "n_components": 3}
    model, problem = well_trained(tmp_path, method, training=LONG, network=network, **changes)
    thetas = np.array([[0.0], [-0.4], [0.4]])
    p = problem.test.weights_at(np.zeros(1))
    p = p / p.sum()
    log_r = log_ratios(model, problem.test, thetas)
    log_r = log_r - log_r[0]
    for row, theta in zip(log_r[1:], thetas[1:], strict=True):
        true = learning.analytic_log_ratio(problem.test.x, theta)
        assert np.sqrt(p @ (row - true) ** 2) < 0.15 * np.sqrt(p @ true**2)
    found = methods.family_of(model.note.settings).information([model], problem)
    # The score at 0 is x, of variance 1; the rate does not change at first order.
    expected = problem.expected_events(np.zeros(1))
    assert found.matrix[0, 0] / expected == pytest.approx(1.0, abs=0.15)
