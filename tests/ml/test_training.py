from __future__ import annotations

import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from madminer_workflow.analysis.types import Method
from madminer_workflow.errors import InputError, StepError
from madminer_workflow.files import unpack
from madminer_workflow.madminer_fixes.trainer import stepping_as_it_is
from madminer_workflow.ml import methods, networks
from madminer_workflow.ml.training import training
from madminer_workflow.products.samples import read_samples
from madminer_workflow.statistics.plain import plain
from tests.support import learning
from tests.support.shared import shared


def weights(archive: Path, directory: Path) -> np.ndarray:
    """All parameters of a trained network."""
    state = networks.load(unpack(archive, directory)).model.state_dict()
    return np.concatenate([tensor.numpy().ravel() for tensor in state.values()])


KINDS = {
    "sally": {},
    "alices": {},
    "alices-doubly_parameterized": {"estimator": "doubly_parameterized"},
    "alices-morphing_aware": {"estimator": "morphing_aware"},
    "scandal": {},
}
"""One method of every estimator of MadMiner, and what makes it one of it."""


def chosen(name: str, **changes: Any) -> dict[str, Any]:
    """Settings of one of ``KINDS``."""
    return learning.settings(name.partition("-")[0], **KINDS[name], **changes)


@pytest.fixture(scope="module")
def default(toy_file: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    """Weights after training with the default settings."""

    def make(directory: Path) -> dict[str, np.ndarray]:
        models = {name: learning.model(toy_file, chosen(name), directory / name) for name in KINDS}
        return {name: weights(model, directory / name / "x") for name, model in models.items()}

    return shared(tmp_path_factory, "default", make)


CHANGES: list[dict[str, Any]] = [
    {"training": {"n_epochs": 3}},
    {"training": {"batch_size": 50}},
    {"training": {"initial_lr": 0.01}},
    {"training": {"final_lr": 0.0001}},
    {"training": {"optimizer": "adam", "n_epochs": 2}},
    {"training": {"optimizer": "sgd"}},
    {"training": {"validation_split": 0.5}},
    {"training": {"scale_inputs": False}},
    {"training": {"limit_samplesize": 200}},
    {"training": {"clip_gradient": 1e-3}},
    {"network": {"activation": "relu"}},
    {"network": {"dropout_prob": 0.5}},
    {"network": {"n_hidden": [4, 4]}},
    {"n_samples": 600},
    {"features": ["x1"]},
]


FLOW = [{"n_mades": 3}, {"n_components": 2}, {"batch_norm": 0.1}]
SGD = {"training": {"optimizer": "sgd", "nesterov_momentum": None}}
MOMENTUM = {"training": {"optimizer": "sgd", "nesterov_momentum": 0.9}}
PATIENCE = {"initial_lr": 0.01, "final_lr": 5.0, "n_epochs": 8}
COMPARED = [
    # AMSGrad differs from Adam only when gradients shrink again, as they do in time.
    ({"training": {"n_epochs": 6}}, {"training": {"optimizer": "adam", "n_epochs": 6}}),
    (SGD, MOMENTUM),
]


def cases() -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Every setting of every kind: its name, the settings compared with, the settings changed."""
    for name in KINDS:
        settings = chosen(name)
        changes = [({}, change) for change in CHANGES] + COMPARED
        if name == "scandal":
            changes += [({}, {"network": change}) for change in FLOW]
        if "scale_parameters" in settings["training"]:
            changes.append(({}, {"training": {"scale_parameters": False}}))
        if "theta0" in settings:
            changes.append(({}, {"theta0": {**settings["theta0"], "n_thetas": 30}}))
        if isinstance(settings.get("theta1"), dict):
            changes.append(({}, {"theta1": {**settings["theta1"], "n_thetas": 30}}))
        elif "theta1" in settings:
            changes.append(({}, {"theta1": "w"}))
        for before, after in changes:
            if "dropout_prob" not in after.get("network", ()) or name != "scandal":
                yield name, before, after


@pytest.mark.parametrize(
    ("name", "before", "after"), list(cases()), ids=lambda case: str(case).replace("/", " ")
)
def test_every_setting_counts(
    toy_file: Path,
    tmp_path: Path,
    default: dict[str, np.ndarray],
    name: str,
    before: dict[str, Any],
    after: dict[str, Any],
) -> None:
    compared = default[name]
    if before:
        model = learning.model(toy_file, chosen(name, **before), tmp_path / "before")
        compared = weights(model, tmp_path / "compared")
    found = weights(learning.model(toy_file, chosen(name, **after), tmp_path), tmp_path / "x")
    assert found.shape != compared.shape or not np.array_equal(found, compared)


def test_patience_ends_training(toy_file: Path, tmp_path: Path) -> None:
    """The learning rate grows until validation gets worse; every epoch is told."""
    told: list[int] = []
    settings = chosen("sally", training={**PATIENCE, "early_stopping_patience": 0})
    samples = learning.samples(toy_file, settings, tmp_path)
    training(samples, tmp_path, on_epoch=lambda epoch, losses: told.append(epoch))
    losses = learning.note(tmp_path / "Model.tar.gz").losses["validation"]
    assert len(losses) < 8
    assert losses[-1] > losses[-2] == min(losses)
    assert told == list(range(1, len(losses) + 1))


def test_alpha_counts(toy_file: Path, tmp_path: Path, default: dict[str, np.ndarray]) -> None:
    for method in ("alices", "cascal", "rascal", "scandal"):
        found = [
            weights(
                learning.model(
                    toy_file,
                    learning.settings(method, training={"alpha": alpha}),
                    tmp_path / f"{method}{alpha}",
                ),
                tmp_path / f"{method}{alpha}/x",
            )
            for alpha in (0.5, 5.0)
        ]
        assert not np.array_equal(*found)


@pytest.mark.parametrize("method", ["sally", "alices"])
def test_settings_reach_the_trainer(toy_file: Path, tmp_path: Path, method: str) -> None:
    """The numbers of epochs and steps, and the sizes of the sets, are those asked for."""
    chosen = learning.settings(
        method, n_samples=1000, training={"n_epochs": 4, "batch_size": 30, "validation_split": 0.4}
    )
    steps: list[int] = []
    optimizer = stepping_as_it_is(torch.optim.Adam)
    original = optimizer.step

    def counting(self: Any, *args: Any, **kwargs: Any) -> Any:
        steps.append(self.param_groups[0]["lr"])
        return original(self, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(optimizer, "step", counting)
        archive = learning.model(toy_file, chosen, tmp_path)
    losses = learning.note(archive).losses
    assert len(losses["training"]) == len(losses["validation"]) == 4
    # 600 training events in batches of 30.
    assert len(steps) == 4 * 20
    rates = [chosen["training"][name] for name in ("initial_lr", "final_lr")]
    np.testing.assert_allclose([steps[0], steps[-1]], rates)


@pytest.mark.parametrize("method", ["sally", "alices"])
def test_early_stopping_keeps_the_best_epoch(toy_file: Path, tmp_path: Path, method: str) -> None:
    """With a learning rate that grows, the kept weights are not the last ones."""
    rates = {"n_epochs": 8, "initial_lr": 0.01, "final_lr": 5.0}
    found, losses = [], []
    for stop in (True, False):
        chosen = learning.settings(method, training={**rates, "early_stopping": stop})
        archive = learning.model(toy_file, chosen, tmp_path / str(stop))
        found.append(weights(archive, tmp_path / f"{stop}/x"))
        losses.append(learning.note(archive).losses["validation"])
    best = int(np.argmin(losses[1]))
    assert losses[0] == losses[1]
    assert (best != len(losses[1]) - 1) == (not np.array_equal(*found))
    assert best != len(losses[1]) - 1


@pytest.mark.parametrize("estimator", learning.ESTIMATORS)
@pytest.mark.parametrize("method", learning.RATIO)
def test_every_ratio_with_every_estimator(
    toy_file: Path, tmp_path: Path, method: str, estimator: str
) -> None:
    """Trained twice, a network is the same, and both of its losses fall or are finite."""
    settings = learning.settings(method, estimator=estimator)
    samples = learning.samples(toy_file, settings, tmp_path)
    for name in ("a", "b"):
        training(samples, tmp_path / name)
    one, two = (tmp_path / name / "Model.tar.gz" for name in ("a", "b"))
    assert one.read_bytes() == two.read_bytes()
    losses = learning.note(one).losses
    assert len(losses["training"]) == len(losses["validation"]) == 2
    assert np.all(np.isfinite([losses["training"], losses["validation"]]))
    assert networks.load(unpack(one, tmp_path / "x")).__class__ is networks.RATIO[estimator]


@pytest.mark.parametrize("n", [1, 3])
@pytest.mark.parametrize("name", KINDS)
def test_any_number_of_parameters(tmp_path: Path, name: str, n: int) -> None:
    data = learning.analytic_file(tmp_path, n, 1000)
    method = name.partition("-")[0]
    settings = learning.analytic_settings(method, n, **KINDS[name])
    model = learning.model(data, settings, tmp_path)
    assert weights(model, tmp_path / "x").size


def test_the_quadratic_estimator_is_trained(tmp_path: Path) -> None:
    data = learning.analytic_file(tmp_path, 1, 1000)
    for method in learning.RATIO:
        settings = learning.analytic_settings(method, 1, estimator="quadratic_morphing_aware")
        model = learning.model(data, settings, tmp_path / method)
        assert weights(model, tmp_path / f"{method}/x").size


@pytest.mark.parametrize("method", learning.METHODS)
def test_same_samples_same_bytes(toy_file: Path, tmp_path: Path, method: str) -> None:
    samples = learning.samples(toy_file, learning.settings(method), tmp_path)
    texts = []
    for name in ("a", "b"):
        training(samples, tmp_path / name)
        assert [path.name for path in (tmp_path / name).iterdir()] == ["Model.tar.gz"]
        texts.append((tmp_path / name / "Model.tar.gz").read_bytes())
    assert texts[0] == texts[1]
    assert (
        str(tmp_path).encode()
        not in unpack(tmp_path / "a/Model.tar.gz", tmp_path / "x")
        .joinpath("method.json")
        .read_bytes()
    )


def test_no_validation_on_request(toy_file: Path, tmp_path: Path) -> None:
    chosen = learning.settings("sally", training={"validation_split": None})
    note = learning.note(learning.model(toy_file, chosen, tmp_path))
    assert note.losses["validation"] == ()
    assert len(note.losses["training"]) == 2


def test_every_method_has_a_family() -> None:
    families = {kind.family for kind in typing.get_args(Method)}
    assert families == set(methods.FAMILIES)
    assert {learning.typed(learning.settings(name)).family for name in learning.METHODS} == families


def test_divergence_is_a_failed_step(toy_file: Path, tmp_path: Path) -> None:
    chosen = learning.settings("sally", training={"initial_lr": 1e30, "final_lr": 1e30})
    samples = learning.samples(toy_file, chosen, tmp_path)
    with pytest.raises(StepError, match=r"training of sally: .* lower initial_lr \(now 1e\+30\)"):
        training(samples, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_is_no_sample_is_refused(toy_file: Path, tmp_path: Path) -> None:
    good = learning.samples(toy_file, learning.settings("sally"), tmp_path).read_bytes()
    bad = {
        "empty": b"",
        "text": b"{}",
        "half": good[: len(good) // 2],
        "end": good[:-10],
    }
    paths = [tmp_path / f"{name}.npz" for name in bad]
    for path, text in zip(paths, bad.values(), strict=True):
        path.write_bytes(text)
    for name, content in (("list", "[1]"), ("other", '{"settings": {}}'), ("broken", "{")):
        paths.append(tmp_path / f"{name}.npz")
        np.savez(paths[-1], content=np.array(content))
    paths.append(tmp_path / "nothing.npz")
    np.savez(paths[-1], x=np.ones(3))
    for path in paths:
        with pytest.raises(InputError, match=rf"{path.name}: is not a training sample"):
            training(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_samples_say_whose_they_are(toy_file: Path, tmp_path: Path) -> None:
    drawn = read_samples(
        learning.samples(toy_file, learning.settings("alices"), tmp_path, member=3)
    )
    note = drawn.note
    assert (note.member, note.parameters) == (3, ["CWL2", "CPWL2"])
    assert note.observables == ["x0", "x1"]
    assert plain(note.settings) == plain(learning.settings("alices"))
    assert set(drawn.arrays) == {
        name + end for name in ("theta", "x", "y", "r_xz", "t_xz") for end in ("", "_val")
    }
