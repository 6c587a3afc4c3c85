"""The loss of a trained network on validation events of another sample than its own.

What training calls the validation loss depends on settings: the weight of the score in it, the
units of score components, which are those of the sample's parameter points, and how many events
there are. Networks with different settings can be compared only by one function of one sample.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from madminer.utils.ml.utils import get_loss

from madminer_workflow.analysis.types import Density, Ratio, Settings, Trained
from madminer_workflow.ml import networks
from madminer_workflow.ml.member import Member
from madminer_workflow.ml.methods.family import Arrays
from madminer_workflow.ml.methods.score import estimated_scores


def validation_loss(member: Member, arrays: Arrays, settings: Settings) -> float:
    """The loss of a member's network on the validation events of ``arrays``.

    ``arrays`` are those that sampling drew with ``settings``, all observables among them: they
    decide what the loss is, whatever the network was trained with.
    """
    observables = member.note.observables
    inputs = member.note.settings.inputs(observables)
    x = arrays["x_val"][:, [observables.index(name) for name in inputs]]
    if isinstance(settings, Ratio):
        return _ratio_loss(member, x, arrays, settings)
    if isinstance(settings, Density):
        return _density_loss(member, x, arrays, settings)
    return _score_loss(member, x, arrays)


def _score_loss(member: Member, x: np.ndarray, arrays: Arrays) -> float:
    """The mean squared error of the score, in the units that training would have it in."""
    difference = estimated_scores(member, x) - arrays["t_xz_val"]
    return float(np.mean((difference / arrays.get("nuisance_scales", 1.0)) ** 2))


def _ratio_loss(member: Member, x: np.ndarray, arrays: Arrays, settings: Ratio) -> float:
    """MadMiner's loss of a likelihood ratio, with one parameter point or two."""
    double = settings.doubly_parameterized
    points, joint = (["theta0", "theta1"], ["t_xz0", "t_xz1"]) if double else (["theta"], ["t_xz"])
    log_r, *scores = member.network.evaluate_log_likelihood_ratio(
        x,
        *(arrays[f"{name}_val"] for name in points),
        test_all_combinations=False,
        evaluate_score=True,
    )
    units = score_units(np.concatenate([arrays[name] for name in points]), settings)
    # Without a second point there is no second score.
    t_hat, t_true = (
        [torch.as_tensor(score * units) for score in values] + [None] * (2 - len(points))
        for values in (scores, [arrays[f"{name}_val"] for name in joint])
    )
    log_r, y, r_xz = map(torch.as_tensor, (log_r[:, None], arrays["y_val"], arrays["r_xz_val"]))
    method = settings.method + ("2" if double else "")
    return _sum_of(method, settings, None, log_r, *t_hat, y, r_xz, *t_true)


def _density_loss(member: Member, x: np.ndarray, arrays: Arrays, settings: Density) -> float:
    """MadMiner's loss of a density, that of the observables in their own units."""
    thetas = arrays["theta_val"]
    log_p, score = networks.evaluate(member.network, x, thetas, combined=False, score=True)
    units = score_units(arrays["theta"], settings)
    joint = arrays.get("t_xz_val", np.zeros_like(score))
    values = map(torch.as_tensor, (log_p, score * units, joint * units))
    return _sum_of(settings.method, settings, *values)


def score_units(thetas: np.ndarray, settings: Trained) -> np.ndarray | float:
    """The units that training has scores in: those of parameters scaled to variance 1, if any."""
    if not settings.training.scale_parameters:
        return 1.0
    return np.maximum(np.std(thetas, axis=0), 1e-6)


def _sum_of(method: str, settings: Trained, *values: Any) -> float:
    """The weighted sum of the losses of MadMiner's ``method``."""
    functions, _, weights = get_loss(method, settings.training.alpha)
    losses = [function(*values) for function in functions]
    return float(sum(weight * loss for weight, loss in zip(weights, losses, strict=True)))
