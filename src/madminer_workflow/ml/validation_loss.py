"""The loss of a trained network on validation events of another sample than its own.

What training calls the validation loss depends on settings: the weight of the score in it, the
units of score components, which are those of the sample's parameter points, and how many events
there are. Networks with different settings can be compared only by one function of one sample.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from madminer.utils.ml.utils import get_loss

from madminer_workflow.ml import networks
from madminer_workflow.ml.methods import FAMILIES
from madminer_workflow.ml.methods.score import estimated_scores
from madminer_workflow.ml.model import read_model


def validation_loss(
    directory: Path, arrays: dict[str, np.ndarray], settings: dict[str, Any]
) -> float:
    """The loss of the network in ``directory`` on the validation events of ``arrays``.

    ``arrays`` are those that sampling drew with ``settings``, all observables among them: they
    decide what the loss is, whatever the network was trained with.
    """
    note = read_model(directory)
    features = note["settings"]["features"] or note["observables"]
    columns = [note["observables"].index(name) for name in features]
    x = arrays["x_val"][:, columns]
    if settings["method"] in FAMILIES["score"]:
        return _score_loss(directory, x, arrays)
    return _ratio_loss(directory, x, arrays, settings)


def _score_loss(directory: Path, x: np.ndarray, arrays: dict[str, np.ndarray]) -> float:
    """The mean squared error of the score, in the units that training would have it in."""
    difference = estimated_scores(directory, x) - arrays["t_xz_val"]
    return float(np.mean((difference / arrays.get("nuisance_scales", 1.0)) ** 2))


def _ratio_loss(
    directory: Path, x: np.ndarray, arrays: dict[str, np.ndarray], settings: dict[str, Any]
) -> float:
    """MadMiner's loss, with the score in units of the width of the prior, as it trains."""
    log_r, score = networks.load(directory).evaluate_log_likelihood_ratio(
        x, arrays["theta_val"], test_all_combinations=False, evaluate_score=True
    )
    units = np.maximum(np.std(arrays["theta"], axis=0), 1e-6)
    functions, _, weights = get_loss(settings["method"], settings["training"].get("alpha"))
    log_r, score, y, r_xz, t_xz = map(
        torch.as_tensor,
        (
            log_r[:, None],
            score * units,
            arrays["y_val"],
            arrays["r_xz_val"],
            arrays["t_xz_val"] * units,
        ),
    )
    losses = [function(None, log_r, score, None, y, r_xz, t_xz, None) for function in functions]
    return float(sum(weight * loss for weight, loss in zip(weights, losses, strict=True)))
