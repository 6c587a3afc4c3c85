from __future__ import annotations

import inspect
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from madminer.core import MadMiner
from madminer.core import madminer as core
from madminer.ml import (
    DoubleParameterizedRatioEstimator,
    LikelihoodEstimator,
    ParameterizedRatioEstimator,
    ScoreEstimator,
    double_parameterized_ratio,
    likelihood,
    parameterized_ratio,
    score,
)
from madminer.ml.base import Estimator
from madminer.ml.morphing_aware import (
    MorphingAwareRatioEstimator,
    QuadraticMorphingAwareRatioEstimator,
)
from madminer.models import SystematicScale
from madminer.utils.interfaces import hdf5
from madminer.utils.ml import trainer
from madminer.utils.ml.losses import ratio_mse
from madminer.utils.ml.models import ratio
from madminer.utils.ml.models import score as score_model
from madminer.utils.ml.models.batch_norm import BatchNorm
from madminer.utils.ml.models.made_mog import ConditionalMixtureMADE
from madminer.utils.ml.models.maf import ConditionalMaskedAutoregressiveFlow
from madminer.utils.ml.models.maf_mog import ConditionalMixtureMaskedAutoregressiveFlow

from madminer_workflow import madminer_fixes
from madminer_workflow.madminer_fixes.replacing import FIXES

RNG = np.random.default_rng(4)
X = RNG.normal(size=(600, 3)).astype(np.float32)
T = (X[:, :2] + 0.3 * RNG.normal(size=(600, 2))).astype(np.float32)


OWNERS = {
    core: ["save_madminer_settings"],
    hdf5: ["_load_systematics"],
    trainer.Trainer: ["make_dataloaders", "check_early_stopping"],
    Estimator: ["initialize_input_transform"],
    ParameterizedRatioEstimator: ["train"],
    DoubleParameterizedRatioEstimator: ["train", "evaluate_log_likelihood_ratio"],
    LikelihoodEstimator: ["train", "evaluate_log_likelihood"],
    MorphingAwareRatioEstimator: ["train", "_wrap_settings", "_unwrap_settings"],
    QuadraticMorphingAwareRatioEstimator: ["train", "_wrap_settings", "_unwrap_settings"],
    parameterized_ratio: ["evaluate_ratio_model", "get_optimizer"],
    double_parameterized_ratio: ["evaluate_ratio_model", "get_optimizer"],
    likelihood: ["evaluate_flow_model", "get_optimizer"],
    score: ["evaluate_local_score_model", "get_optimizer"],
    ratio.DenseSingleParameterizedRatioModel: ["__init__"],
    ratio.DenseDoublyParameterizedRatioModel: ["__init__", "forward"],
    ratio.DenseComponentRatioModel: ["__init__"],
    score_model.DenseLocalScoreModel: ["__init__"],
    BatchNorm: ["__init__", "forward"],
    ConditionalMaskedAutoregressiveFlow: ["__init__"],
    ConditionalMixtureMaskedAutoregressiveFlow: ["__init__"],
    ConditionalMixtureMADE: ["forward"],
}


@pytest.fixture
def original() -> Iterator[None]:
    """MadMiner as it is installed, for the time of a test."""
    for owner, names in OWNERS.items():
        for name in names:
            setattr(owner, name, inspect.unwrap(getattr(owner, name)))
    hdf5.SystematicScale = SystematicScale
    yield
    madminer_fixes.apply()


def test_every_fix_is_undone_for_the_tests_of_what_it_changes() -> None:
    """Nothing is fixed that ``OWNERS`` does not know, and applying twice changes nothing."""
    madminer_fixes.apply()
    before = {(owner, name): getattr(owner, name) for owner in OWNERS for name in OWNERS[owner]}
    madminer_fixes.apply()
    for (owner, name), function in before.items():
        assert getattr(owner, name) is function
        assert getattr(function, FIXES)
    modules = [module for name, module in sys.modules.items() if name.startswith("madminer.")]
    owners = {each for m in modules for each in vars(m).values() if inspect.isclass(each)}
    fixed = {
        (owner, name)
        for owner in [*modules, *owners]
        for name, value in list(vars(owner).items())
        if inspect.isfunction(value) and hasattr(value, FIXES)
    }
    assert fixed == set(before)


def trained(kind: type, **arrays: np.ndarray) -> Any:
    torch.manual_seed(1)
    np.random.seed(1)
    estimator = kind(n_hidden=(8,), activation="tanh")
    method = "sally" if kind is ScoreEstimator else "alice"
    estimator.train(method=method, x=X, n_epochs=1, n_workers=0, verbose="none", **arrays)
    return estimator


def test_evaluation_gives_identical_numbers(original: None) -> None:
    theta = RNG.normal(size=(600, 2)).astype(np.float32)
    y = (RNG.random((600, 1)) > 0.5).astype(np.float32)
    ratio = trained(ParameterizedRatioEstimator, theta=theta, y=y, r_xz=np.ones_like(y))
    sally = trained(ScoreEstimator, t_xz=T)
    points = np.array([[0.1, 0.2], [-0.4, 0.6]])

    def numbers() -> list[np.ndarray]:
        log_r, t_hat = ratio.evaluate_log_likelihood_ratio(X, points, evaluate_score=True)
        plain, _ = ratio.evaluate_log_likelihood_ratio(X, points)
        return [log_r, t_hat, plain, sally.evaluate_score(X)]

    before = numbers()
    madminer_fixes.estimators.evaluate_in_one_tensor()
    for ours, theirs in zip(numbers(), before, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_every_epoch_sees_every_row_once_in_a_new_order() -> None:
    rows = torch.arange(10.0)
    batches = madminer_fixes.trainer.SlicedBatches([rows, 2.0 * rows], batch_size=4)
    epochs = [list(batches), list(batches)]
    assert len(batches) == 3
    for epoch in epochs:
        assert [len(batch[0]) for batch in epoch] == [4, 4, 2]
        assert sorted(torch.cat([batch[0] for batch in epoch]).tolist()) == rows.tolist()
        assert all(torch.equal(second, 2.0 * first) for first, second in epoch)
    assert not torch.equal(epochs[0][0][0], epochs[1][0][0])


def ratio_losses() -> tuple[float, float]:
    """The validation loss that training tells, and that of the network that it leaves."""
    rng = np.random.default_rng(3)
    theta = (5.0 + 3.0 * rng.normal(size=(600, 2))).astype(np.float32)
    y = (rng.random((600, 1)) > 0.5).astype(np.float32)
    log_r = (np.sum(X[:, :2] * (theta - 5.0), axis=1, keepdims=True) / 20.0).astype(np.float32)
    arrays = {"x": X, "theta": theta, "y": y, "r_xz": np.exp(log_r)}
    estimator = ParameterizedRatioEstimator(n_hidden=(8,), activation="tanh")
    torch.manual_seed(1)
    np.random.seed(1)
    _, told = estimator.train(
        method="rolr",
        n_epochs=10,
        initial_lr=0.02,
        n_workers=0,
        verbose="none",
        batch_size=100,
        early_stopping=False,
        **arrays,
        **{f"{name}_val": array.copy() for name, array in arrays.items()},
    )
    log_r_hat, _ = estimator.evaluate_log_likelihood_ratio(X, theta, test_all_combinations=False)
    found = [torch.as_tensor(values) for values in (log_r_hat[:, None], y, arrays["r_xz"])]
    return told[-1], float(ratio_mse(None, found[0], None, None, found[1], found[2], None, None))


def test_validation_is_at_the_points_of_its_events(original: None) -> None:
    told, true = ratio_losses()
    assert told != pytest.approx(true, rel=0.05)
    madminer_fixes.trainer.scale_validation_points()
    told, true = ratio_losses()
    assert told == pytest.approx(true, rel=1e-5)


def losses(n_epochs: int) -> np.ndarray:
    estimator = ScoreEstimator(n_hidden=(20,), activation="tanh")
    torch.manual_seed(2)
    np.random.seed(2)
    return np.array(
        estimator.train(
            method="sally",
            x=X,
            t_xz=T,
            n_epochs=n_epochs,
            initial_lr=0.01,
            n_workers=0,
            verbose="none",
        )
    )


def test_sliced_batches_train_as_well(original: None) -> None:
    before = losses(20)
    madminer_fixes.trainer.load_batches_by_slicing()
    after = losses(20)
    assert after[0, -1] < 0.5 * after[0, 0]
    np.testing.assert_allclose(after[:, -1], before[:, -1], rtol=0.2)


def test_early_stopping_restores_the_best_epoch(
    original: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The weights change every epoch and validation is best in the first of three."""

    def best_of_three() -> float:
        model = torch.nn.Linear(1, 1, bias=False)
        running = trainer.Trainer(model, run_on_gpu=False)

        def epoch(i_epoch: int, *_: object) -> tuple[float, float, list, list]:
            with torch.no_grad():
                model.weight.fill_(float(i_epoch))
            return 1.0, 1.0 + i_epoch, [1.0], [1.0]

        monkeypatch.setattr(running, "epoch", epoch)
        data = {"x": np.ones((8, 1), dtype=np.float32)}
        running.train(data, [None], epochs=3, loss_labels=["loss"], verbose="none")
        return model.weight.item()

    assert best_of_three() == 2.0, "MadMiner keeps the best weights itself: drop the fix"
    madminer_fixes.trainer.keep_best_weights()
    assert best_of_three() == 0.0


@pytest.mark.parametrize("optimizer", ["adam", "amsgrad", "sgd"])
def test_optimizers_step_as_ever(original: None, optimizer: str) -> None:
    def weights() -> dict[str, torch.Tensor]:
        estimator = trained(ScoreEstimator, t_xz=T, optimizer=optimizer)
        return estimator.model.state_dict()

    before = weights()
    madminer_fixes.trainer.spare_the_compiler()
    for name, tensor in weights().items():
        assert torch.equal(tensor, before[name])


def test_training_does_not_import_the_compiler() -> None:
    script = """
import sys, torch
from madminer_workflow import madminer_fixes
madminer_fixes.apply()
from madminer.ml import score
weight = torch.nn.Parameter(torch.ones(2))
kind, settings = score.get_optimizer("amsgrad", None)
optimizer = kind([weight], lr=0.1, **settings)
for _ in range(2):
    optimizer.zero_grad()
    (weight ** 2).sum().backward()
    optimizer.step()
assert weight[0] < 1.0
assert "torch._dynamo" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", script], check=True)


def set_up(*effects: str) -> MadMiner:
    miner = MadMiner()
    miner.add_parameter("dim6", 2, "theta")
    miner.add_benchmark({"theta": 0.0}, "sm")
    for effect in effects:
        miner.add_systematics(effect, f"my_{effect}", norm_variation=1.05, pdf_variation="CT18LO")
    return miner


def test_systematics_without_scale_are_saved(original: None, tmp_path: Path) -> None:
    with pytest.raises(AttributeError, match="has no attribute 'value'"):
        set_up("norm").save(str(tmp_path / "no.h5"))
    set_up("scale").save(str(tmp_path / "before.h5"))
    madminer_fixes.set_up.save_systematics_without_scale()
    set_up("scale").save(str(tmp_path / "after.h5"))
    assert (tmp_path / "after.h5").read_bytes() == (tmp_path / "before.h5").read_bytes()
    set_up("scale", "norm", "pdf").save(str(tmp_path / "all.h5"))
    assert [list(column) for column in hdf5._load_systematics(str(tmp_path / "all.h5"))] == [
        ["my_scale", "my_norm", "my_pdf"],
        ["scale", "norm", "pdf"],
        [b"0.5,1.0,2.0", b"1.05", b"CT18LO"],
        ["mu", None, None],
    ]


def test_systematics_are_loaded_as_they_were(original: None, tmp_path: Path) -> None:
    madminer_fixes.set_up.save_systematics_without_scale()
    ours, loaded = set_up("scale", "norm", "pdf"), MadMiner()
    ours.save(str(tmp_path / "all.h5"))
    with pytest.raises(ValueError, match="Invalid systematic scale: None"):
        loaded.load(str(tmp_path / "all.h5"))
    madminer_fixes.set_up.load_systematics_without_scale()
    loaded.load(str(tmp_path / "all.h5"))
    assert loaded.systematics == ours.systematics
    set_up("scale").save(str(tmp_path / "scale.h5"))
    loaded.load(str(tmp_path / "scale.h5"))
    assert loaded.systematics == set_up("scale").systematics
