"""MadMiner's neural estimators: made, trained, saved and loaded in one way."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from madminer.ml import ParameterizedRatioEstimator, ScoreEstimator, load_estimator
from madminer.utils.ml.trainer import Trainer

from madminer_workflow import madminer_fixes
from madminer_workflow.ml.methods import OnEpoch

MODEL = "model"

madminer_fixes.apply()
logging.getLogger("madminer").setLevel(logging.WARNING)


def make(kind: type, settings: dict[str, Any]) -> Any:
    """An untrained estimator with the network of ``settings``."""
    network = settings["network"]
    return kind(
        n_hidden=tuple(network["n_hidden"]),
        activation=network["activation"],
        dropout_prob=network["dropout_prob"],
    )


def train(
    estimator: ScoreEstimator | ParameterizedRatioEstimator,
    arrays: dict[str, np.ndarray],
    settings: dict[str, Any],
    directory: Path,
    seed: int,
    on_epoch: OnEpoch | None = None,
) -> dict[str, list[float]]:
    """Train with every setting of ``settings["training"]`` and save into ``directory``.

    ``arrays`` has the estimator's own training arguments, with the suffix ``_val`` those of the
    validation events. Returns the losses by epoch; ``on_epoch`` hears of them while they come.
    """
    torch.manual_seed(seed)
    np.random.seed(seed)
    with reporting(on_epoch, settings["training"]):
        training, validation = estimator.train(
            method=settings["method"],
            n_workers=0,
            verbose="all",
            **settings["training"],
            **arrays,
        )
    estimator.save(str(directory / MODEL))
    return {
        "training": [float(loss) for loss in training],
        "validation": [float(loss) for loss in validation if loss is not None],
    }


@contextmanager
def reporting(on_epoch: OnEpoch | None, training: dict[str, Any]) -> Iterator[None]:
    """Tell ``on_epoch`` what MadMiner's trainer would log, which offers no other way."""
    if on_epoch is None:
        yield
        return
    report = Trainer.report_epoch

    def report_epoch(
        epoch: int, labels: Any, loss: float, loss_val: float | None, *rest: Any, **words: Any
    ) -> None:
        report(epoch, labels, loss, loss_val, *rest, **words)
        rates = (training["n_epochs"], training["initial_lr"], training["final_lr"])
        lr = Trainer.calculate_lr(epoch, *rates)
        on_epoch(epoch + 1, {"loss_train": loss, "loss_val": loss_val, "learning_rate": lr})

    Trainer.report_epoch = staticmethod(report_epoch)
    try:
        yield
    finally:
        Trainer.report_epoch = staticmethod(report)


def load(directory: Path) -> Any:
    """The trained estimator of a model directory."""
    return load_estimator(str(directory / MODEL))
