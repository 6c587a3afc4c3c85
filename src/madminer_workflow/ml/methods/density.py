"""SCANDAL and NDE: a normalising flow for the density p(x | theta).

SCANDAL, arXiv:1805.00013 and arXiv:1805.00020, learns the joint score as well as the density; NDE
the density alone. The flow is a masked autoregressive one, arXiv:1705.07057. It gives a density of
numbers: observables that are whole numbers, or have many events at one value, do not suit it.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from madminer_workflow.analysis import types
from madminer_workflow.ml.member import Member
from madminer_workflow.ml.methods.drawing import (
    blocks,
    draw_at,
    draw_thetas,
    joined,
    joint_scores,
    with_validation,
)
from madminer_workflow.ml.methods.family import Arrays, Losses, OnEpoch
from madminer_workflow.ml.methods.unbinned import closed_form as closed_form
from madminer_workflow.ml.methods.unbinned import diagnostics as diagnostics
from madminer_workflow.ml.methods.unbinned import event_ratios as event_ratios
from madminer_workflow.ml.methods.unbinned import event_scores as event_scores
from madminer_workflow.ml.methods.unbinned import fisher_scores as fisher_scores
from madminer_workflow.ml.methods.unbinned import fluctuations as fluctuations
from madminer_workflow.ml.methods.unbinned import information as information
from madminer_workflow.ml.methods.unbinned import of_events
from madminer_workflow.ml.methods.unbinned import outputs as outputs
from madminer_workflow.ml.methods.unbinned import per_event as per_event
from madminer_workflow.statistics.events import Events
from madminer_workflow.statistics.likelihood import Density
from madminer_workflow.statistics.problem import Problem


def draw(events: Events, settings: types.Density, rng: np.random.Generator) -> Arrays:
    """Events drawn from parameter points theta of a prior, with the joint score if it is learned.

    The arrays are those of MadMiner's ``sample_train_density``.
    """

    def draw_from(part: Events, n: int) -> Arrays:
        inputs = part.columns(settings.inputs(part.observables))
        thetas = draw_thetas(settings.theta0, part.setup.parameters, n, rng)
        indices, points = draw_at(part, thetas, n, rng)
        parts = []
        for chosen, theta in zip(blocks(indices), blocks(thetas[points]), strict=True):
            arrays = {"theta": theta, "x": inputs[chosen]}
            if settings.learns_score:
                arrays["t_xz"] = joint_scores(part, chosen, theta)
            parts.append(arrays)
        return joined(parts)

    return with_validation(draw_from, events, settings)


def train(
    arrays: Arrays,
    settings: types.Density,
    directory: Path,
    seed: int,
    on_epoch: OnEpoch | None = None,
) -> Losses:
    """Train the flow; see ``networks.train``."""
    from madminer_workflow.ml import networks

    estimator = networks.make(networks.LikelihoodEstimator, settings.network)
    return networks.train(estimator, arrays, settings, directory, seed, on_epoch)


def density(outputs: Arrays, problem: Problem, thetas: np.ndarray, member: Member) -> Density:
    """The log densities as they are: a flow is normalised, whatever it has learned."""
    return of_events(outputs)
