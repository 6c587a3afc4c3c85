"""How events and counts of events respond to nuisance parameters.

The cross-section of every event is exp(sum_i a_i nu_i + b_i nu_i^2) times that at nu = 0, with a_i
and b_i from its weights at nu_i = +1 and -1 (MadMiner's ``NuisanceMorpher``; arXiv:1907.10621).
Where only +1 is known, b_i = 0. The parameters of the theory do not change these factors.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from madminer_workflow.statistics.sample import Sample
from madminer_workflow.statistics.setup import Setup

if TYPE_CHECKING:
    from madminer_workflow.statistics.events import Events

LARGEST = 10.0
"""MadMiner's bound on a and b."""


def response(sample: Sample, setup: Setup) -> tuple[np.ndarray, np.ndarray]:
    """The coefficients a and b of every event, each (n_events, n_nuisance).

    Zero where weights have no logarithm of their ratio.
    """
    shape = (len(sample.weights), len(setup.nuisance))
    slopes, curvatures = np.zeros(shape), np.zeros(shape)
    nominal = sample.weights[:, setup.benchmark_names.index(setup.reference)]
    columns = dict(zip(setup.nuisance_benchmarks, sample.nuisance_weights.T, strict=True))
    for i, nuisance in enumerate(setup.nuisance):
        up = columns[nuisance.positive]
        if nuisance.negative is None:
            slopes[:, i] = log_ratio(up, nominal)
            continue
        down = columns[nuisance.negative]
        slopes[:, i] = 0.5 * log_ratio(up, down)
        curvatures[:, i] = 0.5 * log_ratio(up * down, nominal**2)
    return np.clip(slopes, -LARGEST, LARGEST), np.clip(curvatures, -LARGEST, LARGEST)


def two_sided(setup: Setup) -> np.ndarray:
    """Which nuisance parameters are known at -1, too, (n_nuisance,)."""
    return np.array([parameter.negative is not None for parameter in setup.nuisance], dtype=bool)


def response_of_counts(
    events: Events, cells: np.ndarray, size: int, thetas: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The coefficients a and b of ``size`` cells at parameter points.

    ``cells``, (n_events,), are those of the events; the results (n_thetas, size, n_nuisance). What
    a cell does depends on the parameters: they decide which events it is made of.
    """
    setup = events.setup
    coefficients = setup.morphing_weights(thetas)
    one_per_event = np.arange(len(events) + 1)

    def rates(factors: np.ndarray | float) -> np.ndarray:
        n = np.broadcast_to(factors, len(events))
        sums = sparse.csc_array((n, cells, one_per_event), (size, len(events))) @ events.weights
        return coefficients @ sums.T

    nominal = rates(1.0)
    slopes = np.zeros((*nominal.shape, len(setup.nuisance)))
    curvatures = np.zeros_like(slopes)
    for i, two in enumerate(two_sided(setup)):
        up = rates(np.exp(events.curvatures[:, i] + events.slopes[:, i]))
        if not two:
            slopes[..., i] = log_ratio(up, nominal)
            continue
        down = rates(np.exp(events.curvatures[:, i] - events.slopes[:, i]))
        slopes[..., i] = 0.5 * log_ratio(up, down)
        curvatures[..., i] = 0.5 * log_ratio(up * down, nominal**2)
    return np.clip(slopes, -LARGEST, LARGEST), np.clip(curvatures, -LARGEST, LARGEST)


def slopes_of_counts(
    nominal: np.ndarray, up: np.ndarray, down: np.ndarray, setup: Setup
) -> np.ndarray:
    """The coefficients a of whole bins, (n_bins, n_nuisance), as MadMiner's for histograms.

    ``nominal`` (n_bins,) are rates at nu = 0, ``up`` and ``down`` (n_bins, n_nuisance) with one
    parameter at a time at +1 and -1.
    """
    both = 0.5 * log_ratio(up, down)
    slopes = np.where(two_sided(setup), both, log_ratio(up, nominal[:, None]))
    return np.clip(slopes, -LARGEST, LARGEST)


def log_ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """The logarithm of a ratio, 0 where it is not finite."""
    with np.errstate(divide="ignore", invalid="ignore"):
        logarithm = np.log(numerator / denominator)
    return np.where(np.isfinite(logarithm), logarithm, 0.0)
