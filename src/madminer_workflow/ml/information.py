"""Fisher information, with errors from a bootstrap over events.

Definitions follow arXiv:1612.05261 and MadMiner (arXiv:1907.10621, section 4.4): for n expected
events the information is the sum of a rate and a kinematic part. All functions return arrays of
shape (n_parameters, n_parameters).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from madminer_workflow.ml.events import Events

REPLICAS = 100


@dataclass(frozen=True)
class Information:
    """A Fisher information matrix and the standard errors of its entries."""

    matrix: np.ndarray
    error: np.ndarray


def bootstrapped(
    estimate: Callable[[np.ndarray], np.ndarray], n_events: int, seed: int
) -> Information:
    """``estimate`` at unit event multiplicities, with the spread over Poisson bootstrap replicas.

    ``estimate`` maps multiplicities, shape (n_events,), to a matrix.
    """
    rng = np.random.default_rng(seed)
    replicas = [estimate(rng.poisson(1.0, n_events).astype(float)) for _ in range(REPLICAS)]
    return Information(estimate(np.ones(n_events)), np.std(replicas, axis=0, ddof=1))


def of_counts(rates: np.ndarray, gradients: np.ndarray, luminosity: float) -> np.ndarray:
    """Information of independent Poisson counts.

    ``rates`` are cross-sections, shape (n_bins,), ``gradients`` their derivatives (n_bins,
    n_parameters). Empty bins carry no information.
    """
    filled = rates > 0.0
    scaled = gradients[filled] / rates[filled, None]
    return luminosity * scaled.T @ gradients[filled]


def rate(events: Events, theta: np.ndarray, luminosity: float) -> Information:
    """Information in the total number of events."""
    weights, gradients = events.weights_at(theta), events.gradients_at(theta)

    def estimate(n: np.ndarray) -> np.ndarray:
        return of_counts(np.array([n @ weights]), (n @ gradients)[None, :], luminosity)

    return bootstrapped(estimate, len(events), seed=1)


def truth(events: Events, theta: np.ndarray, luminosity: float) -> Information:
    """Information in the parton-level truth of every event: the ceiling for any method."""
    weights, gradients = events.weights_at(theta), events.gradients_at(theta)
    positive = weights > 0.0
    scores = gradients[positive] / weights[positive, None]
    products = np.einsum("ni,nj->nij", scores, gradients[positive])

    def estimate(n: np.ndarray) -> np.ndarray:
        return luminosity * np.einsum("n,nij->ij", n[positive], products)

    return bootstrapped(estimate, len(events), seed=2)


def from_scores(
    scores: np.ndarray,
    events: Events,
    theta: np.ndarray,
    luminosity: float,
    everything: Events,
    seed: int,
) -> Information:
    """Rate information plus the covariance of estimated scores, (n_events, n_parameters).

    As MadMiner's ``FisherInformation.full_information``: the rate comes from ``everything``,
    the kinematics from ``events``, normalised to the same number of expected events.
    """
    weights = events.weights_at(theta)
    products = np.einsum("ni,nj->nij", scores, scores)
    expected = luminosity * everything.cross_section(theta)
    rate_part = rate(everything, theta, luminosity)

    def estimate(n: np.ndarray) -> np.ndarray:
        normalised = n * weights / (n @ weights)
        return expected * np.einsum("n,nij->ij", normalised, products)

    kinematic = bootstrapped(estimate, len(events), seed)
    return Information(
        rate_part.matrix + kinematic.matrix, np.hypot(rate_part.error, kinematic.error)
    )
