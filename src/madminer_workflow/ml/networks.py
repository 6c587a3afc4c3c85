"""MadMiner's neural estimators: made, trained, saved and loaded in one way."""

from __future__ import annotations

import logging
import pickle
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from madminer.ml import (
    DoubleParameterizedRatioEstimator,
    LikelihoodEstimator,
    ParameterizedRatioEstimator,
    ScoreEstimator,
)
from madminer.ml.base import Estimator
from madminer.ml.morphing_aware import (
    MorphingAwareRatioEstimator,
    QuadraticMorphingAwareRatioEstimator,
)
from madminer.utils.ml.models.ratio import DenseSingleParameterizedRatioModel
from madminer.utils.ml.trainer import Trainer

from madminer_workflow import archives, madminer_fixes
from madminer_workflow.analysis.types import Network, Trained, Training
from madminer_workflow.array_files import Checked, read_npy
from madminer_workflow.errors import StepError
from madminer_workflow.files import read_json, read_struct
from madminer_workflow.madminer_fixes.estimators import MORPHING_AWARE
from madminer_workflow.ml import dense
from madminer_workflow.ml.methods.family import Arrays, Losses, OnEpoch
from madminer_workflow.products.model import NOTE, ModelNote
from madminer_workflow.products.samples import MemberNote

MODEL = "model"
SMALLEST_WIDTH = 1e-30
"""Of what a network sees: MadMiner's own are 1e-6 at least."""

REFERENCE = "reference.npy"
"""The denominator of ratios with two parameter points, beside the network."""

RATIO = {
    "parameterized": ParameterizedRatioEstimator,
    "doubly_parameterized": DoubleParameterizedRatioEstimator,
    "morphing_aware": MorphingAwareRatioEstimator,
    "quadratic_morphing_aware": QuadraticMorphingAwareRatioEstimator,
}
"""MadMiner's estimators of the likelihood ratio, by the setting ``estimator``."""

SAVED = {
    "score": ScoreEstimator,
    "likelihood": LikelihoodEstimator,
    "parameterized_ratio": ParameterizedRatioEstimator,
    "double_parameterized_ratio": DoubleParameterizedRatioEstimator,
    **{kind: RATIO[kind.removesuffix("_ratio")] for kind in MORPHING_AWARE.values()},
}
"""All estimators by what they call themselves in a file."""

madminer_fixes.apply()
logging.getLogger("madminer").setLevel(logging.WARNING)
# It warns of parameters that are not scaled; that is a setting.
logging.getLogger("madminer.ml.base").setLevel(logging.ERROR)


def make(kind: type, network: Network) -> Estimator:
    """An untrained estimator with a ``network`` of these settings."""
    arguments = msgspec.to_builtins(network)
    return kind(n_hidden=tuple(arguments.pop("n_hidden")), **arguments)


def train(
    estimator: Estimator,
    arrays: Arrays,
    settings: Trained,
    directory: Path,
    seed: int,
    on_epoch: OnEpoch | None = None,
) -> Losses:
    """Train with every setting of ``settings.training`` and save into ``directory``.

    ``arrays`` has the estimator's own training arguments, with the suffix ``_val`` those of the
    validation events. Returns the losses by epoch; ``on_epoch`` hears of them while they come.
    """
    torch.manual_seed(seed)
    np.random.seed(seed)
    with reporting(on_epoch, settings.training):
        training, validation = estimator.train(
            method=settings.method,
            n_workers=0,
            verbose="all",
            **msgspec.to_builtins(settings.training),
            **arrays,
        )
    for name, tensor in estimator.model.state_dict().items():
        if not torch.isfinite(tensor).all():
            raise StepError(
                f"training of {settings.name}: the network weights {name} are not numbers; lower "
                f"initial_lr (now {settings.training.initial_lr}) or set clip_gradient"
            )
    estimator.save(str(directory / MODEL))
    return {
        "training": [float(loss) for loss in training],
        "validation": [float(loss) for loss in validation if loss is not None],
    }


@contextmanager
def reporting(on_epoch: OnEpoch | None, training: Training) -> Iterator[None]:
    """Tell ``on_epoch`` of every epoch of MadMiner's trainer, which offers no other way."""
    if on_epoch is None:
        yield
        return
    run_epoch = Trainer.epoch

    def epoch(self: Trainer, i_epoch: int, *rest: Any) -> tuple[float, float | None, Any, Any]:
        loss, loss_val, *parts = run_epoch(self, i_epoch, *rest)
        rates = (training.n_epochs, training.initial_lr, training.final_lr)
        lr = Trainer.calculate_lr(i_epoch, *rates)
        on_epoch(i_epoch + 1, {"loss_train": loss, "loss_val": loss_val, "learning_rate": lr})
        return (loss, loss_val, *parts)

    Trainer.epoch = epoch
    try:
        yield
    finally:
        Trainer.epoch = run_epoch


def load(directory: Path, note: MemberNote | None = None) -> Estimator:
    """The trained estimator of a model directory, with the network that its ``note`` describes.

    Raises an error of ``array_files.DAMAGES``, OSError or InputError if it is another one, lacks
    something, or has what are no numbers: MadMiner itself goes on without the scaling of inputs.
    """
    note = read_struct(directory / NOTE, "training", ModelNote) if note is None else note
    saved = read_json(directory / f"{MODEL}_settings.json")
    check_settings(saved, note)
    estimator = SAVED[saved["estimator_type"]]()
    estimator._unwrap_settings(saved)
    estimator._create_model()
    inputs = len(note.settings.inputs(note.observables))

    def scaling(name: str, size: int, least: float | None = None) -> np.ndarray:
        return Checked()(name, read_npy(directory / f"{MODEL}_{name}.npy"), size, least=least)

    estimator.x_scaling_means = scaling("x_means", inputs)
    estimator.x_scaling_stds = scaling("x_stds", inputs, SMALLEST_WIDTH)
    if hasattr(estimator, "theta_scaling_means"):
        estimator.theta_scaling_means = estimator.theta_scaling_stds = None
        assert isinstance(note.settings, Trained)
        morphing_aware = type(estimator).__name__ in MORPHING_AWARE
        if note.settings.training.scale_parameters and not morphing_aware:
            n = len(note.parameters)
            estimator.theta_scaling_means = scaling("theta_means", n)
            estimator.theta_scaling_stds = scaling("theta_stds", n, SMALLEST_WIDTH)
    load_weights(estimator, directory / f"{MODEL}_state_dict.pt")
    if isinstance(estimator, DoubleParameterizedRatioEstimator):
        reference = read_npy(directory / REFERENCE)
        estimator.reference = Checked()(REFERENCE, reference, len(note.parameters))[None, :]
    return estimator


def check_settings(saved: Any, note: MemberNote) -> None:
    """Raise ValueError unless what MadMiner ``saved`` of a network is what its note says."""
    assert isinstance(note.settings, Trained)
    network = msgspec.json.decode(msgspec.json.encode(note.settings.network))
    n_parameters = len(note.parameters)
    if note.settings.knows_nuisance:
        n_parameters += len(note.nuisance_parameters)
    expected = {**network, "features": None, "n_parameters": n_parameters}
    expected["n_observables"] = len(note.settings.inputs(note.observables))
    for name, value in expected.items():
        if name in saved and saved[name] != value:
            raise ValueError(f"{MODEL}_settings.json: {name} is {saved[name]!r}, not {value!r}")
    if saved["estimator_type"] not in SAVED:
        raise ValueError(f"{MODEL}_settings.json: there is no {saved['estimator_type']!r}")


def load_weights(estimator: Estimator, path: Path) -> None:
    """Load the weights of a network; ValueError unless they are finite and of its layers."""
    with archives.regular(path) as file, zipfile.ZipFile(file) as content:
        size = sum(member.file_size for member in content.infolist())
        if size > archives.limit_for(path.stat().st_size) or content.testzip():
            raise ValueError(f"{path.name}: is damaged")
    try:
        # Nothing but tensors: other pickles could run anything.
        weights = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise ValueError(f"{path.name}: does not contain the weights of a network") from None
    for name, tensor in estimator.model.state_dict().items():
        loaded = weights.get(name)
        if not isinstance(loaded, torch.Tensor) or loaded.shape != tensor.shape:
            raise ValueError(f"{path.name}: has no {name} of the shape {tuple(tensor.shape)}")
        if loaded.dtype != tensor.dtype and not (
            loaded.is_floating_point() and tensor.is_floating_point()
        ):
            raise ValueError(f"{path.name}: {name} is of the type {loaded.dtype}")
        if not torch.isfinite(loaded).all():
            raise ValueError(f"{path.name}: {name} has weights that are NaN or infinite")
    estimator.model.load_state_dict(weights)


def evaluate(
    estimator: Estimator,
    x: np.ndarray,
    thetas: np.ndarray,
    *,
    combined: bool = True,
    score: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """What a trained network says of events ``x`` (n_events, n_features) at ``thetas``.

    That is log r(x | theta, reference), or log p(x | theta) of an estimator of the density, and
    its gradient in theta, if ``score``: (n_thetas, n_events) and (n_thetas, n_events,
    n_parameters). Not ``combined``, there is a theta for each event, and no first axis.
    """
    options = {"test_all_combinations": combined, "evaluate_score": score}
    if isinstance(estimator, LikelihoodEstimator):
        log_p, t_hat = estimator.evaluate_log_likelihood(x, thetas, **options)
        # MadMiner's density is that of scaled observables.
        return log_p - np.sum(np.log(estimator.x_scaling_stds)), t_hat
    if isinstance(estimator, DoubleParameterizedRatioEstimator):
        return estimator.evaluate_log_likelihood_ratio(x, thetas, estimator.reference, **options)[
            :2
        ]
    return estimator.evaluate_log_likelihood_ratio(x, thetas, **options)


def at_all_points(estimator: Estimator, x: np.ndarray, thetas: np.ndarray) -> np.ndarray:
    """As ``evaluate`` without the score, (n_thetas, n_events), as fast as it goes."""
    if not isinstance(estimator.model, DenseSingleParameterizedRatioModel):
        return evaluate(estimator, x, thetas)[0]
    x, thetas = estimator._transform_inputs(x), estimator._transform_parameters(thetas)
    return dense.at_all_points(estimator.model, x, thetas)
