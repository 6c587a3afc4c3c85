"""MadMiner's neural estimators: made, trained, saved and loaded in one way."""

from __future__ import annotations

import json
import logging
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

from madminer_workflow import madminer_fixes
from madminer_workflow.analysis.types import Network, Trained, Training
from madminer_workflow.madminer_fixes.estimators import MORPHING_AWARE
from madminer_workflow.ml import dense
from madminer_workflow.ml.methods.family import Arrays, Losses, OnEpoch

MODEL = "model"
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


def load(directory: Path) -> Estimator:
    """The trained estimator of a model directory."""
    kind = json.loads((directory / f"{MODEL}_settings.json").read_text())["estimator_type"]
    estimator = SAVED[kind]()
    estimator.load(str(directory / MODEL))
    if isinstance(estimator, DoubleParameterizedRatioEstimator):
        estimator.reference = np.load(directory / REFERENCE)[None, :]
    return estimator


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
