"""MadMiner's defects in densities, ratios of two points and morphing-aware ratios, and their fixes.

Each test shows the defect first: one that fails there says that a fix can go.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from madminer.ml import (
    DoubleParameterizedRatioEstimator,
    LikelihoodEstimator,
    ScoreEstimator,
    score,
)
from madminer.ml.morphing_aware import MorphingAwareRatioEstimator
from madminer.utils.ml.models.batch_norm import BatchNorm
from madminer.utils.ml.models.made_mog import ConditionalMixtureMADE
from madminer.utils.ml.models.maf import ConditionalMaskedAutoregressiveFlow
from madminer.utils.ml.models.ratio import DenseDoublyParameterizedRatioModel
from madminer.utils.ml.models.score import DenseLocalScoreModel

from madminer_workflow.madminer_fixes import estimators, networks, trainer
from tests.madminer_fixes.test_madminer_fixes import original  # noqa: F401

RNG = np.random.default_rng(8)
N = 400
X = RNG.normal(size=(N, 2)).astype(np.float32)
THETA = (5.0 + 3.0 * RNG.normal(size=(N, 2))).astype(np.float32)
OTHER = (5.0 + 3.0 * RNG.normal(size=(N, 2))).astype(np.float32)
Y = (RNG.random((N, 1)) > 0.5).astype(np.float32)
POINTS = np.array([[4.0, 6.0], [7.0, 3.0]])

pytestmark = pytest.mark.usefixtures("original")


def seeded() -> None:
    torch.manual_seed(1)
    np.random.seed(1)


def fit(estimator: Any, method: str, **arrays: Any) -> Any:
    seeded()
    settings = {"n_epochs": 1, "n_workers": 0, "verbose": "none"}
    return estimator.train(method=method, x=X, **{**settings, **arrays})


def density(**settings: Any) -> LikelihoodEstimator:
    estimator = LikelihoodEstimator(n_hidden=(6,), n_mades=2, **settings)
    fit(estimator, "nde", theta=THETA)
    return estimator


def double() -> DoubleParameterizedRatioEstimator:
    estimator = DoubleParameterizedRatioEstimator(n_hidden=(6,))
    fit(estimator, "alice", y=Y, theta0=THETA, theta1=OTHER, r_xz=np.ones_like(Y))
    return estimator


def test_densities_are_evaluated_at_their_points() -> None:
    flow = density()
    scaled = torch.as_tensor(flow._transform_parameters(POINTS), dtype=torch.float)
    x = torch.as_tensor(flow._transform_inputs(X), dtype=torch.float)
    expected = [flow.model.log_likelihood(each.repeat(N, 1), x)[1] for each in scaled]
    expected = np.array([each.detach().numpy() for each in expected])
    before = flow.evaluate_log_likelihood(X, POINTS)[0]
    assert not np.allclose(before, expected, rtol=0.01)
    estimators.scale_evaluation_points()
    np.testing.assert_allclose(flow.evaluate_log_likelihood(X, POINTS)[0], expected, rtol=1e-4)


def test_densities_in_one_tensor_have_the_same_numbers() -> None:
    flow = density()
    log_p, flat = flow.evaluate_log_likelihood(X, POINTS, evaluate_score=True)
    estimators.evaluate_in_one_tensor()
    ours, scores = flow.evaluate_log_likelihood(X, POINTS, evaluate_score=True)
    np.testing.assert_array_equal(ours, log_p)
    np.testing.assert_array_equal(flow.evaluate_log_likelihood(X, POINTS)[0], log_p)
    assert (flat.shape, scores.shape) == ((2, 2 * N), (2, N, 2))
    np.testing.assert_allclose(scores.reshape(2, -1), flat, rtol=1e-5)


def test_ratios_of_two_points_are_evaluated_at_them() -> None:
    ratio, denominator = double(), np.array([[5.0, 5.0]])
    before, _, _ = ratio.evaluate_log_likelihood_ratio(X, POINTS, denominator)
    with pytest.raises(RuntimeError, match="backward through the graph a second time"):
        ratio.evaluate_log_likelihood_ratio(X, POINTS, denominator, evaluate_score=True)
    estimators.evaluate_in_one_tensor()
    found, _, _ = ratio.evaluate_log_likelihood_ratio(X, POINTS, denominator)
    np.testing.assert_array_equal(found, before)
    estimators.scale_evaluation_points()
    networks.give_second_score_its_sign()
    log_r, t0, t1 = ratio.evaluate_log_likelihood_ratio(X, POINTS, denominator, evaluate_score=True)
    points = (
        torch.as_tensor(ratio._transform_parameters(each)).float() for each in (POINTS, denominator)
    )
    theta0, theta1 = (each[:1].repeat(N, 1) for each in points)
    x = torch.as_tensor(ratio._transform_inputs(X)).float()
    expected = ratio.model(theta0, theta1, x, track_score=False)[1].detach().numpy()[:, 0]
    np.testing.assert_allclose(log_r[0], expected, rtol=1e-4, atol=1e-6)
    assert not np.allclose(before, log_r, rtol=0.01)

    def shifted(step0: float, step1: float) -> np.ndarray:
        moved = [POINTS + np.array([step0, 0.0]), denominator + np.array([step1, 0.0])]
        return ratio.evaluate_log_likelihood_ratio(X, *moved)[0]

    step = 0.05
    gradient0 = (shifted(step, 0.0) - shifted(-step, 0.0)) / (2.0 * step)
    gradient1 = (shifted(0.0, step) - shifted(0.0, -step)) / (2.0 * step)
    np.testing.assert_allclose(t0[..., 0], gradient0, atol=1e-4)
    # log r falls where p(x | theta1) grows.
    np.testing.assert_allclose(t1[..., 0], -gradient1, atol=1e-4)


def test_the_second_score_of_the_exact_ratio_has_no_loss() -> None:
    """The network is log r = (theta0 - theta1) . x, whose score at theta1 is x."""
    model = DenseDoublyParameterizedRatioModel(1, 1, (2,), activation="relu")

    def second_score() -> float:
        theta0, theta1, x = (torch.ones(1, 1) * value for value in (0.5, 0.2, 2.0))
        _, log_r, t0, t1 = model(theta0, theta1, x)
        assert log_r.item() != 0.0
        return t1.item() / t0.item()

    seeded()
    before = second_score()
    networks.give_second_score_its_sign()
    assert second_score() == pytest.approx(-before)


@pytest.mark.parametrize("kind", ["density", "double"])
def test_validation_is_at_the_points_of_its_events(kind: str) -> None:
    """With the training sample again for validation, both losses are those of one network."""

    def told() -> float:
        arrays = {"theta": THETA} if kind == "density" else {"theta0": THETA, "theta1": OTHER}
        if kind == "double":
            arrays |= {"y": Y, "r_xz": np.exp(0.02 * np.sum(X * (THETA - OTHER), 1))[:, None]}
        again = {f"{name}_val": array.copy() for name, array in {"x": X, **arrays}.items()}
        made = (
            LikelihoodEstimator(n_hidden=(6,), n_mades=1)
            if kind == "density"
            else DoubleParameterizedRatioEstimator(n_hidden=(6,))
        )
        method = "nde" if kind == "density" else "alice"
        # A learning rate of almost 0 leaves the network as it is in the epoch.
        rates = {"initial_lr": 1e-9, "final_lr": 1e-9, "batch_size": N}
        (loss,), (validation,) = fit(made, method, **arrays, **again, **rates)
        return validation / loss

    assert told() != pytest.approx(1.0, rel=1e-3)
    trainer.scale_validation_points()
    assert told() == pytest.approx(1.0, rel=1e-5)


def test_unscaled_inputs_can_be_evaluated() -> None:
    def evaluated() -> np.ndarray:
        estimator = ScoreEstimator(n_hidden=(6,))
        fit(estimator, "sally", t_xz=X.copy(), scale_inputs=False)
        expected = estimator.model(torch.as_tensor(X[:50])).detach().numpy()
        np.testing.assert_allclose(estimator.evaluate_score(X[:50]), expected, rtol=1e-5)
        return expected

    with pytest.raises(ValueError, match="broadcast"):
        evaluated()
    estimators.scale_inputs()
    assert evaluated().shape == (50, 2)


def test_the_momentum_is_nesterovs() -> None:
    assert score.get_optimizer("sgd", 0.9)[1] == {"momentum": 0.9}
    trainer.use_nesterov_momentum()
    assert score.get_optimizer("sgd", 0.9) == (torch.optim.SGD, {"momentum": 0.9, "nesterov": True})
    assert score.get_optimizer("sgd", None) == (torch.optim.SGD, None)
    assert score.get_optimizer("amsgrad", 0.9) == (torch.optim.Adam, {"amsgrad": True})


def morphing() -> MorphingAwareRatioEstimator:
    estimator = MorphingAwareRatioEstimator(n_hidden=(6,))
    estimator.components = np.array([[0, 0], [1, 0], [0, 1]])
    estimator.morphing_matrix = np.linalg.inv(np.array([[1.0, 0, 0], [1, 1, 0], [1, 0, 1]]).T).T
    return estimator


def test_morphing_aware_estimators_tell_losses_and_are_found_again(tmp_path: Path) -> None:
    arrays = {"theta": THETA, "y": Y, "r_xz": np.ones_like(Y)}
    estimator = morphing()
    assert fit(estimator, "alice", **arrays) is None
    before = estimator.evaluate_log_likelihood_ratio(X, POINTS)[0]
    estimators.complete_morphing_aware_estimators()
    estimator = morphing()
    losses = fit(estimator, "alice", **arrays)
    assert np.isfinite(losses[0]).all()
    np.testing.assert_array_equal(estimator.evaluate_log_likelihood_ratio(X, POINTS)[0], before)
    estimator.save(str(tmp_path / "model"))
    again = MorphingAwareRatioEstimator()
    again.load(str(tmp_path / "model"))
    assert '"morphing_aware_ratio"' in (tmp_path / "model_settings.json").read_text()
    np.testing.assert_allclose(again.evaluate_log_likelihood_ratio(X, POINTS)[0], before, rtol=1e-5)


def test_dropout_leaves_the_activation_of_inputs_alone() -> None:
    x = torch.as_tensor(X)

    def outputs(dropout: float) -> np.ndarray:
        seeded()
        model = DenseLocalScoreModel(2, 1, (5, 5), activation="relu", dropout_prob=dropout)
        return model.eval()(x).detach().numpy()

    plain, before = outputs(0.0), outputs(0.3)
    assert not np.allclose(plain, before)
    networks.activate_once_with_dropout()
    np.testing.assert_array_equal(outputs(0.3), plain)
    np.testing.assert_array_equal(outputs(0.0), plain)


def test_batch_statistics_are_kept() -> None:
    first, second = torch.as_tensor(X[:200]), torch.as_tensor(3.0 + 2.0 * X[200:])

    def trained() -> BatchNorm:
        norm = BatchNorm(2, alpha=0.25)
        norm(first)
        norm(second)
        return norm

    forgetful = trained()
    assert not forgetful.state_dict()
    torch.testing.assert_close(forgetful.running_mean, second.mean(0))
    networks.keep_batch_statistics()
    norm, plain = trained(), first.mean(0)
    torch.testing.assert_close(norm.running_mean, 0.75 * plain + 0.25 * second.mean(0))
    again = BatchNorm(2, alpha=0.25)
    again.load_state_dict(norm.state_dict())
    for ours, theirs in zip(again(first, True), norm(first, True), strict=True):
        torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(again.inverse(again(first, True)[0]), first)


def test_layers_of_a_flow_reverse_the_order() -> None:
    def orders() -> list[list[int]]:
        flow = ConditionalMaskedAutoregressiveFlow(1, 3, (6,), 3, batch_norm=False)
        return [made.input_order.tolist() for made in flow.mades]

    assert orders() == [[1, 2, 3]] * 3
    networks.alternate_order_of_features()
    assert orders() == [[1, 2, 3], [3, 2, 1], [1, 2, 3]]


def test_mixtures_of_any_shape() -> None:
    def log_p(x: torch.Tensor) -> np.ndarray:
        seeded()
        model = ConditionalMixtureMADE(2, x.shape[1], (6,), n_components=3).to(torch.float)
        theta = torch.as_tensor(np.tile(THETA[:1] / 5.0, (len(x), 1)))
        return model.log_likelihood(theta, x)[1].detach().numpy()

    two, line = torch.as_tensor(X[:50]), torch.linspace(-30.0, 30.0, 2001)[:, None]
    before = log_p(two)
    step = 60.0 / 2000
    assert np.exp(log_p(line)).sum() * step != pytest.approx(1.0, rel=0.01)
    networks.mix_densities_of_any_shape()
    np.testing.assert_allclose(log_p(two), before, rtol=1e-5)
    np.testing.assert_allclose(log_p(two[:1]), before[:1], rtol=1e-5)
    assert np.exp(log_p(line)).sum() * step == pytest.approx(1.0, rel=0.01)
