"""ALICES and its relatives: a network for the likelihood ratio as a function of theta.

ALICE, ALICES: arXiv:1808.00973; ROLR, CARL, CASCAL, RASCAL: arXiv:1805.00013, arXiv:1805.00020,
arXiv:1506.02169; the quadratic morphing-aware estimator: arXiv:2007.10356. The denominator is one
fixed reference point, or a second parameter point, which is that reference in evaluation.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from scipy.special import logsumexp

from madminer_workflow.analysis.types import Ratio
from madminer_workflow.ml.member import Member
from madminer_workflow.ml.methods.drawing import (
    blocks,
    draw_at,
    draw_thetas,
    joined,
    joint_ratios,
    joint_scores,
    shares,
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
from madminer_workflow.statistics.events import draw as draw_events
from madminer_workflow.statistics.likelihood import Density
from madminer_workflow.statistics.problem import Problem


def draw(events: Events, settings: Ratio, rng: np.random.Generator) -> Arrays:
    """Events drawn from theta0 (y = 0) and theta1 (y = 1), half each, over priors.

    Each carries the joint likelihood ratio r_xz between the two points and the joint score t_xz
    at theta0. The arrays are those of MadMiner's ``sample_train_ratio`` or, with parameter points
    for theta1, of ``sample_train_more_ratios``, which has the score at theta1, too. To these come
    ``reference``, the denominator that this ratio will be evaluated with, (n_parameters,), or, for
    the morphing-aware estimator, ``components`` (n_components, n_parameters) and
    ``morphing_matrix`` of a basis, (n_components, n_components): its network has an output for each
    benchmark of the basis.
    """
    setup = events.setup
    theta1 = settings.theta1

    def draw_from(part: Events, n: int) -> Arrays:
        inputs = part.columns(settings.inputs(part.observables))
        theta0s = draw_thetas(settings.theta0, setup.parameters, n, rng)
        if settings.doubly_parameterized:
            theta1s = (
                setup.theta(theta1)[None, :]
                if isinstance(theta1, str)
                else draw_thetas(theta1, setup.parameters, n, rng)
            )
            pairs = max(len(theta0s), len(theta1s))
            # All pairs get as many events; the shorter list begins again, as in MadMiner.
            theta0s, theta1s = (
                np.resize(points, (pairs, points.shape[1])) for points in (theta0s, theta1s)
            )
            return joined(list(_of_pairs(part, inputs, theta0s, theta1s, n, rng)))
        denominator = setup.theta(settings.reference)
        return joined(list(_of_numerators(part, inputs, theta0s, denominator, n, rng)))

    arrays = with_validation(draw_from, events, settings)
    if settings.doubly_parameterized:
        arrays["reference"] = setup.theta(settings.reference)
    if settings.estimator == "morphing_aware":
        arrays |= {"components": setup.components, "morphing_matrix": setup.basis_matrix.T}
    return arrays


def _of_numerators(
    events: Events,
    inputs: np.ndarray,
    theta0s: np.ndarray,
    theta1: np.ndarray,
    n: int,
    rng: np.random.Generator,
) -> Iterator[Arrays]:
    """``n`` events for numerators ``theta0s`` and one denominator."""
    drawn = [draw_at(events, theta0s, n - n // 2, rng)]
    # One draw is enough for all of them: they have their denominator in common.
    chosen = draw_events(events.weights_at(theta1), n // 2, rng)
    drawn.append((chosen, np.repeat(np.arange(len(theta0s)), shares(n // 2, len(theta0s)))))
    for y, (indices, points) in enumerate(drawn):
        for chosen, thetas in zip(blocks(indices), blocks(theta0s[points]), strict=True):
            yield {
                "theta": thetas,
                "x": inputs[chosen],
                "y": np.full((len(chosen), 1), y),
                "r_xz": joint_ratios(events, chosen, thetas, theta1[None, :]),
                "t_xz": joint_scores(events, chosen, thetas),
            }


def _of_pairs(
    events: Events,
    inputs: np.ndarray,
    theta0s: np.ndarray,
    theta1s: np.ndarray,
    n: int,
    rng: np.random.Generator,
) -> Iterator[Arrays]:
    """``n`` events for pairs of a numerator and a denominator, half from each of the two."""
    for y, thetas, size in ((0, theta0s, n - n // 2), (1, theta1s, n // 2)):
        indices, pairs = draw_at(events, thetas, size, rng)
        for chosen, pair in zip(blocks(indices), blocks(pairs), strict=True):
            theta0, theta1 = theta0s[pair], theta1s[pair]
            yield {
                "theta0": theta0,
                "theta1": theta1,
                "x": inputs[chosen],
                "y": np.full((len(chosen), 1), y),
                "r_xz": joint_ratios(events, chosen, theta0, theta1),
                "t_xz0": joint_scores(events, chosen, theta0),
                "t_xz1": joint_scores(events, chosen, theta1),
            }


def train(
    arrays: Arrays,
    settings: Ratio,
    directory: Path,
    seed: int,
    on_epoch: OnEpoch | None = None,
) -> Losses:
    """Train the ratio estimator; see ``networks.train``."""
    from madminer_workflow.ml import networks

    estimator = networks.make(networks.RATIO[settings.estimator], settings.network)
    arrays = dict(arrays)
    if settings.estimator == "morphing_aware":
        # MadMiner would read them from a set-up file.
        estimator.components = arrays.pop("components")
        estimator.morphing_matrix = arrays.pop("morphing_matrix")
    if settings.doubly_parameterized:
        np.save(directory / networks.REFERENCE, arrays.pop("reference"))
    return networks.train(estimator, arrays, settings, directory, seed, on_epoch)


def density(outputs: Arrays, problem: Problem, thetas: np.ndarray, member: Member) -> Density:
    """Normalised log ratios; cells are events.

    The network's ratios are not exactly those of a density: their mean under the denominator
    differs from 1, and a slope of that mean in theta would shift the best fit once many events are
    observed. Dividing by the mean restores the normalisation.
    """
    weights = problem.test.weights_at(problem.setup.theta(member.note.settings.reference))
    norm = logsumexp(outputs["test"], b=weights / weights.sum(), axis=1)
    return of_events({name: log_r - norm[:, None] for name, log_r in outputs.items()})
