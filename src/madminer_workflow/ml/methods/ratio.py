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
from madminer_workflow.ml.methods.validation import with_validation
from madminer_workflow.ml.model import model_inputs, model_settings
from madminer_workflow.ml.observed import Observation
from madminer_workflow.ml.problem import Problem


def draw(
    events: Events, settings: dict[str, Any], rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Events drawn from theta0 (y = 0) and theta1 (y = 1), half each, over a prior in theta0.

    Each carries the joint likelihood ratio r_xz between the two points and the joint score t_xz
    at theta0. The arrays are those of MadMiner's ``sample_train_ratio``.
    """
    setup = events.setup
    theta1 = setup.theta(settings["theta1"])
    prior = settings["theta0"]

    def draw_from(part: Events, n: int) -> dict[str, np.ndarray]:
        n_thetas = min(prior["n_thetas"], n)
        thetas = draw_thetas(prior["priors"], setup.parameters, n_thetas, rng)
        inputs = model_inputs(part, settings)
        chunks = [
            *_drawn_from_numerator(part, inputs, thetas, theta1, n - n // 2, rng),
            *_drawn_from_denominator(part, inputs, thetas, theta1, n // 2, rng),
        ]
        return {
            name: np.concatenate([chunk[name] for chunk in chunks]).astype(np.float32)
            for name in chunks[0]
        }

    return with_validation(draw_from, events, settings)


def draw_thetas(
    priors: dict[str, dict[str, Any]],
    parameters: list[str],
    n: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """Parameter points from independent priors, shape (n, n_parameters)."""
    columns = []
    for name in parameters:
        prior = priors[name]
        if prior["prior"] == "gaussian":
            columns.append(rng.normal(prior["mean"], prior["std"], n))
        else:
            columns.append(rng.uniform(prior["min"], prior["max"], n))
    return np.stack(columns, axis=1)


def _shares(n: int, parts: int) -> np.ndarray:
    """``n`` split into ``parts`` integers that differ by at most one."""
    return np.diff(np.round(np.linspace(0, n, parts + 1)).astype(int))


Chunks = Iterator[dict[str, np.ndarray]]


def _drawn_from_numerator(
    events: Events,
    inputs: np.ndarray,
    thetas: np.ndarray,
    theta1: np.ndarray,
    n: int,
    rng: np.random.Generator,
) -> Chunks:
    """``n`` events in all, drawn from each of ``thetas`` in turn."""
    for theta0, size in zip(thetas, _shares(n, len(thetas)), strict=True):
        chosen = draw_events(events.weights_at(theta0), size, rng)
        yield _labelled(0, events, inputs, chosen, theta0, theta1)


def _drawn_from_denominator(
    events: Events,
    inputs: np.ndarray,
    thetas: np.ndarray,
    theta1: np.ndarray,
    n: int,
    rng: np.random.Generator,
) -> Chunks:
    """``n`` events drawn from theta1, labelled with ``thetas`` in turn."""
    chosen = draw_events(events.weights_at(theta1), n, rng)
    ends = np.cumsum(_shares(n, len(thetas)))[:-1]
    for theta0, own in zip(thetas, np.split(chosen, ends), strict=True):
        yield _labelled(1, events, inputs, own, theta0, theta1)


def _labelled(
    y: int,
    events: Events,
    inputs: np.ndarray,
    chosen: np.ndarray,
    theta0: np.ndarray,
    theta1: np.ndarray,
) -> dict[str, np.ndarray]:
    """The ``chosen`` events with their joint ratio r_xz and joint score t_xz."""
    weights = events.weights[chosen]
    p0 = weights @ events.setup.morphing_weights(theta0) / events.cross_section(theta0)
    p1 = weights @ events.setup.morphing_weights(theta1) / events.cross_section(theta1)
    n = len(chosen)
    return {
        "theta": np.repeat(theta0[None, :], n, axis=0),
        "x": inputs[chosen],
        "y": np.full((n, 1), y),
        "r_xz": (p0 / p1)[:, None],
        "t_xz": events.scores_at(theta0, chosen),
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

    estimator = networks.make(networks.ParameterizedRatioEstimator, settings)
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


def prior_spread(prior: dict[str, Any]) -> float:
    """The standard deviation of a prior."""
    if prior["prior"] == "gaussian":
        return prior["std"]
    return (prior["max"] - prior["min"]) / np.sqrt(12.0)
