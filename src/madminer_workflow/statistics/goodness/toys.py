"""Pseudo-data at the best fit, and how simulation would have come out another time.

Toys are drawn from the test events at the best fit of parameters and nuisance parameters; they are
compared with the test events, as the data are. The simulation that data are compared with is
finite: it deviates from what it stands for, and so do data, each in their own way. Toys deviate
from the events alone that they are drawn from. The reference that a toy is compared with is
therefore a bootstrap replica of the test events: it differs from these as they do from an infinite
sample.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from madminer_workflow.statistics.events import Events, draw
from madminer_workflow.statistics.goodness.fits import BestFits
from madminer_workflow.statistics.goodness.kernel import Features, log_ratio
from madminer_workflow.statistics.likelihood import DataSets
from madminer_workflow.statistics.nuisance import LARGEST, shifted_columns
from madminer_workflow.statistics.toys import multiplicities
from madminer_workflow.statistics.varied import bounded_square

N_REPLICAS = 50
"""Of the simulation; toys share them."""

SHIFT_WIDTH, SHIFT_DIRECTIONS, SHIFT_FREEDOM = 1.0, 20, 15.0
"""Of the classifier that tells how shifts change the distribution of events."""


def responding(events: Events, theta: np.ndarray, rng: np.random.Generator) -> Events:
    """The events with factors for what shifts of measured values do, at ``theta``.

    How a shift changes the density of the observables is learned with a classifier of shifted
    against other events; as slopes and curvatures, like those of all other nuisance parameters.
    """
    if not events.shifted:
        return events
    weights = np.maximum(events.weights_at(theta), 0.0)
    features = Features.of(events.x, weights, SHIFT_WIDTH, SHIFT_DIRECTIONS, rng)
    here = features.at(events.x)
    penalty = features.penalty(SHIFT_FREEDOM)
    n = len(events.setup.nuisance)
    logs = np.zeros((len(events), 2 * n))
    total = float(events.weights_at(theta).sum())
    for column, _, moved in shifted_columns(events):
        there = moved.weights_at(theta, events.setup)
        c = log_ratio(features.at(moved.x), here, weights, penalty, np.maximum(there, 0.0))
        ratio = here @ c[1:]
        mean = weights @ np.exp(ratio) / weights.sum()
        logs[:, column - 1] = ratio + np.log(float(there.sum()) / total / mean)
    slopes, curvatures = events.slopes.copy(), events.curvatures.copy()
    for i, one in enumerate(events.setup.nuisance):
        if one.shifts:
            up, down = logs[:, i], logs[:, n + i]
            both = one.negative is not None
            slopes[:, i] = 0.5 * (up - down) if both else up
            curvatures[:, i] = 0.5 * (up + down) if both else 0.0
    return replace(events, slopes=slopes, curvatures=curvatures, shifted={})


def weights_at(events: Events, fits: BestFits) -> np.ndarray:
    """Weights of events in pb at each of ``fits``, (n_sets, n_events), none negative."""
    weights = np.maximum(events.setup.morphing_weights(fits.thetas) @ events.weights.T, 0.0)
    if not events.setup.nuisance:
        return weights
    exponents = fits.nu @ events.slopes.T + bounded_square(fits.nu)[0] @ events.curvatures.T
    return weights * np.exp(np.clip(exponents, -LARGEST, LARGEST))


def draw_at(
    events: Events, best: BestFits, expected: float, n_toys: int, rng: np.random.Generator
) -> DataSets:
    """Toys at a best fit; what measures nuisance parameters fluctuates around it."""
    sizes = rng.poisson(expected, n_toys)
    [weights] = weights_at(events, best)
    chosen = draw(weights, int(sizes.sum()), rng)
    auxiliary = best.nu[0] + rng.normal(size=(n_toys, best.nu.shape[1]))
    return DataSets("test", multiplicities(chosen, sizes, len(events)), auxiliary)


def replicas(
    n_events: int, n_toys: int, rng: np.random.Generator
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """How often each event is in another simulation, (n_events,), and the toys compared with it."""
    for k in range(min(N_REPLICAS, n_toys)):
        yield rng.poisson(1.0, n_events).astype(float), np.arange(k, n_toys, N_REPLICAS)
