"""ALICES and its relatives: a network for the likelihood ratio as a function of theta.

ALICE, ALICES: arXiv:1808.00973; ROLR, CARL, CASCAL, RASCAL: arXiv:1805.00013, arXiv:1805.00020,
arXiv:1506.02169. The denominator is one fixed reference point.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import logsumexp

from madminer_workflow.ml.events import Events
from madminer_workflow.ml.events import draw as draw_events
from madminer_workflow.ml.information import Information, from_scores
from madminer_workflow.ml.likelihood import Density
from madminer_workflow.ml.methods import OnEpoch
from madminer_workflow.ml.methods.checks import calibration_check, closure_check
from madminer_workflow.ml.methods.drawing import (
    Arrays,
    draw_at,
    draw_thetas,
    joined,
    joint_ratio,
    prior_spread,
    repeated,
    shares,
)
from madminer_workflow.ml.methods.validation import with_validation
from madminer_workflow.ml.model import model_inputs, model_settings
from madminer_workflow.ml.observed import Observation
from madminer_workflow.ml.problem import Problem

MORPHING = {"components", "morphing_matrix"}


def draw(
    events: Events, settings: dict[str, Any], rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Events drawn from theta0 (y = 0) and theta1 (y = 1), half each, over priors.

    Each carries the joint likelihood ratio r_xz between the two points and the joint score t_xz
    at theta0. The arrays are those of MadMiner's ``sample_train_ratio`` or, with parameter points
    for theta1, of ``sample_train_more_ratios``, which has the score at theta1, too. The
    morphing-aware estimator needs ``components`` (n_components, n_parameters) and
    ``morphing_matrix`` (n_components, n_benchmarks).
    """
    setup = events.setup
    theta1 = settings["theta1"]

    def draw_from(part: Events, n: int) -> Arrays:
        inputs = model_inputs(part, settings)
        theta0s = draw_thetas(settings["theta0"], setup.parameters, n, rng)
        if settings["estimator"] == "doubly_parameterized":
            theta1s = (
                setup.theta(theta1)[None, :]
                if isinstance(theta1, str)
                else draw_thetas(theta1, setup.parameters, n, rng)
            )
            pairs = max(len(theta0s), len(theta1s))
            # All pairs get as many events; the shorter list begins again, as in MadMiner.
            theta0s, theta1s = (
                np.resize(each, (pairs, each.shape[1])) for each in (theta0s, theta1s)
            )
            return joined(list(_of_pairs(part, inputs, theta0s, theta1s, n, rng)))
        return joined(list(_of_numerators(part, inputs, theta0s, setup.theta(theta1), n, rng)))

    arrays = with_validation(draw_from, events, settings)
    if settings["estimator"] == "morphing_aware":
        arrays |= {"components": setup.components, "morphing_matrix": setup.morphing_matrix.T}
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

    def labelled(y: int, theta0: np.ndarray, chosen: np.ndarray) -> Arrays:
        return {
            "theta": repeated(theta0, len(chosen)),
            "x": inputs[chosen],
            "y": np.full((len(chosen), 1), y),
            "r_xz": joint_ratio(events, chosen, theta0, theta1),
            "t_xz": events.scores_at(theta0, chosen),
        }

    for theta0, chosen in zip(theta0s, draw_at(events, theta0s, n - n // 2, rng), strict=True):
        yield labelled(0, theta0, chosen)
    # One draw is enough for all of them: they have their denominator in common.
    chosen = draw_events(events.weights_at(theta1), n // 2, rng)
    ends = np.cumsum(shares(n // 2, len(theta0s)))[:-1]
    for theta0, own in zip(theta0s, np.split(chosen, ends), strict=True):
        yield labelled(1, theta0, own)


def _of_pairs(
    events: Events,
    inputs: np.ndarray,
    theta0s: np.ndarray,
    theta1s: np.ndarray,
    n: int,
    rng: np.random.Generator,
) -> Iterator[Arrays]:
    """``n`` events for pairs of a numerator and a denominator, half from each of the two."""
    for y, points, size in ((0, theta0s, n - n // 2), (1, theta1s, n // 2)):
        drawn = draw_at(events, points, size, rng)
        for theta0, theta1, chosen in zip(theta0s, theta1s, drawn, strict=True):
            yield {
                "theta0": repeated(theta0, len(chosen)),
                "theta1": repeated(theta1, len(chosen)),
                "x": inputs[chosen],
                "y": np.full((len(chosen), 1), y),
                "r_xz": joint_ratio(events, chosen, theta0, theta1),
                "t_xz0": events.scores_at(theta0, chosen),
                "t_xz1": events.scores_at(theta1, chosen),
            }


def train(
    arrays: dict[str, np.ndarray],
    settings: dict[str, Any],
    directory: Path,
    seed: int,
    on_epoch: OnEpoch | None = None,
) -> dict[str, list[float]]:
    """Train the ratio estimator; see ``networks.train``."""
    from madminer_workflow.ml import networks

    estimator = networks.make(networks.RATIO[settings["estimator"]], settings)
    for name in MORPHING & arrays.keys():
        # MadMiner would read them from a set-up file.
        setattr(estimator, name, arrays[name])
    arrays = {name: array for name, array in arrays.items() if name not in MORPHING}
    return networks.train(estimator, arrays, settings, directory, seed, on_epoch)


def log_ratios(directory: Path, events: Events | Observation, thetas: np.ndarray) -> np.ndarray:
    """One member's log r(x | theta, theta1), shape (n_thetas, n_events)."""
    from madminer_workflow.ml import networks

    x = model_inputs(events, model_settings(directory))
    return networks.load(directory).evaluate_log_likelihood_ratio(x, thetas)[0]


def mean_log_ratios(directories: Sequence[Path], events: Events, thetas: np.ndarray) -> np.ndarray:
    """The ensemble's log r(x | theta, theta1): the mean of ``log_ratios``."""
    return np.mean([log_ratios(directory, events, thetas) for directory in directories], axis=0)


def estimated_log_ratios(directory: Path, x: np.ndarray, thetas: np.ndarray) -> np.ndarray:
    """Estimated log r(x | theta, theta1), (n_events,), with a theta for each event.

    ``x`` are the model's own inputs, (n_events, n_features).
    """
    from madminer_workflow.ml import networks

    estimator = networks.load(directory)
    return estimator.evaluate_log_likelihood_ratio(x, thetas, test_all_combinations=False)[0]


def scores(directories: Sequence[Path], events: Events, theta: np.ndarray) -> np.ndarray:
    """Mean score at ``theta``: the gradient of the log ratio, (n_events, n_parameters)."""
    from madminer_workflow.ml import networks

    x = model_inputs(events, model_settings(directories[0]))
    return np.mean(
        [
            networks.load(directory).evaluate_log_likelihood_ratio(
                x, theta[None, :], evaluate_score=True
            )[1][0]
            for directory in directories
        ],
        axis=0,
    )


def outputs(directory: Path, problem: Problem, thetas: np.ndarray) -> dict[str, np.ndarray]:
    """Log ratios of test and observed events, each (n_thetas, n_events)."""
    return {
        name: log_ratios(directory, events, thetas)
        for name, events in problem.samples().items()
        if name != "train"
    }


def density(
    outputs: dict[str, np.ndarray],
    problem: Problem,
    settings: dict[str, Any],
    thetas: np.ndarray,
    directory: Path,
) -> Density:
    """Normalised log ratios; cells are events.

    The network's ratios are not exactly those of a density: their mean under theta1 differs
    from 1, and a slope of that mean in theta would shift the best fit once many events are
    observed. Dividing by the mean restores the normalisation.
    """
    weights = problem.test.weights_at(problem.setup.theta(settings["theta1"]))
    norm = logsumexp(outputs["test"], b=weights / weights.sum(), axis=1)
    log_p = np.concatenate(list(outputs.values()), axis=1) - norm[:, None]
    sizes = [each.shape[1] for each in outputs.values()]
    ends = np.cumsum(sizes)
    cells = {
        name: np.arange(end - n, end) for name, end, n in zip(outputs, ends, sizes, strict=True)
    }
    return Density(log_p, cells)


def information(directories: Sequence[Path], problem: Problem) -> Information:
    """Fisher information of the normalised ratio, from the test events."""
    theta = problem.fisher_theta
    estimated = scores(directories, problem.test, theta)
    weights = problem.test.weights_at(theta)
    return from_scores(
        estimated - weights @ estimated / weights.sum(),
        problem.test,
        theta,
        problem.luminosity,
        problem.everything,
        problem.seed,
    )


def diagnostics(directories: Sequence[Path], problem: Problem) -> list[dict[str, Any]]:
    """Closure of the ratio along every axis of the prior and calibration of its score."""
    theta1, thetas = typical_points(directories[0], problem)
    estimated = scores(directories, problem.test, theta1)
    return [
        closure_check(mean_log_ratios(directories, problem.test, thetas), problem.test, theta1),
        calibration_check(estimated, problem.test, theta1),
    ]


def typical_points(directory: Path, problem: Problem) -> tuple[np.ndarray, np.ndarray]:
    """The reference point, and the points one standard deviation of the prior away from it."""
    settings = model_settings(directory)
    theta1 = problem.setup.theta(settings["theta1"])
    priors = settings["theta0"]["priors"]
    steps = np.diag([prior_spread(priors[name]) for name in problem.setup.parameters])
    return theta1, theta1 + np.concatenate([steps, -steps])


def per_event(directories: Sequence[Path], problem: Problem) -> dict[str, np.ndarray]:
    """Log ratios at typical points and the score of every test event, and the events."""
    theta1, thetas = typical_points(directories[0], problem)
    return {
        "theta_llr": thetas,
        "log_likelihood_ratio": mean_log_ratios(directories, problem.test, thetas),
        "score": scores(directories, problem.test, theta1),
        **problem.test_set(),
    }
