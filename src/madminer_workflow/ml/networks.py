"""MadMiner's neural estimators: made, trained, saved and loaded in one way."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import torch
from madminer.ml import ParameterizedRatioEstimator, ScoreEstimator, load_estimator

from madminer_workflow import madminer_fixes

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
) -> dict[str, list[float]]:
    """Train with every setting of ``settings["training"]`` and save into ``directory``.

    ``arrays`` has the estimator's own training arguments, with the suffix ``_val`` those of the
    validation events. Returns the losses by epoch.
    """
    torch.manual_seed(seed)
    np.random.seed(seed)
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


def load(directory: Path) -> Any:
    """The trained estimator of a model directory."""
    return load_estimator(str(directory / MODEL))
