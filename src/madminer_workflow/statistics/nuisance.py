"""How events and counts of events respond to nuisance parameters.

The cross-section of every event is exp(sum_i a_i nu_i + b_i nu_i^2) times that at nu = 0, with a_i
and b_i from its weights at nu_i = +1 and -1 (MadMiner's ``NuisanceMorpher``; arXiv:1907.10621).
Where only +1 is known, b_i = 0. The parameters of the theory do not change these factors.

Uncertainties of objects that change what is measured have no such factors of single events, but
events of their own at nu_i = +1 and -1 (``Events.shifted``); counts of events have factors always.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from madminer_workflow.large_arrays import pieces, release
from madminer_workflow.statistics.observed import Shifted
from madminer_workflow.statistics.sample import Sample
from madminer_workflow.statistics.setup import Setup

if TYPE_CHECKING:
    from madminer_workflow.statistics.events import Events

SHAPELESS = 1e-6
"""Weights are read from text files with about as many digits."""

ROUNDING = 1e-12

LARGEST = 10.0
"""MadMiner's bound on a and b."""


def response(sample: Sample, setup: Setup) -> tuple[np.ndarray, np.ndarray]:
    """The coefficients a and b of every event, each (n_events, n_nuisance).

    Zero where weights have no logarithm of their ratio.
    """
    nominal = sample.weights[:, setup.benchmark_names.index(setup.reference), None]
    positive = [nuisance.positive for nuisance in setup.nuisance]
    negative = [nuisance.negative or nuisance.positive for nuisance in setup.nuisance]
    up, down = (
        sample.nuisance_weights.take([setup.nuisance_benchmarks.index(name) for name in names], 1)
        for names in (positive, negative)
    )
    return coefficients(nominal, up, down, setup)


def changes_shape(events: Events, theta: np.ndarray) -> np.ndarray:
    """Which nuisance parameters change more than the rate at a point, (n_nuisance,).

    Where other values are measured, these are to differ, or events to pass the cuts or fail.
    """
    weights = events.weights_at(theta)
    p = weights / weights.sum()
    responses = (events.slopes, events.curvatures)
    spreads = [p @ (response - p @ response) ** 2 for response in responses]
    changing = np.max(spreads, axis=0) > SHAPELESS**2
    for column, _, shifted in shifted_columns(events):
        known = shifted.event >= 0
        event, x = shifted.event[known], shifted.x[known]
        before = events.x[event]
        moved = np.any((x != before) & ~(np.isnan(x) & np.isnan(before)), axis=1)
        left = np.ones(len(events), dtype=bool)
        left[event[~moved]] = False
        factors = log_ratio(shifted.weights_at(theta, events.setup)[known], weights[event])
        share = p[event] @ factors / p[event].sum()
        spread = p[event] @ (factors - share) ** 2
        differs = not known.all() or np.abs(p[left]).sum() > SHAPELESS or spread > SHAPELESS**2
        changing[(column - 1) % len(changing)] |= differs
    return changing


def shifted_columns(events: Events) -> Iterator[tuple[int, str, Shifted]]:
    """The place of a rate among those of ``varied_rates``, its benchmark and the shifted events."""
    nuisance = events.setup.nuisance
    for i, parameter in enumerate(nuisance):
        for side, benchmark in enumerate(parameter.benchmarks):
            if benchmark in events.shifted:
                yield 1 + i + side * len(nuisance), benchmark, events.shifted[benchmark]


def varied_factors(events: Events, rows: slice = slice(None)) -> np.ndarray:
    """What cross-sections of events are multiplied with, (n_events, 2 n_nuisance).

    With one nuisance parameter at a time at +1, then at -1; of some ``rows``.
    """
    slopes, curvatures = events.slopes[rows], events.curvatures[rows]
    return np.hstack([np.exp(curvatures + sign * slopes) for sign in (1.0, -1.0)])


def varied_rates(
    events: Events, cells: np.ndarray, size: int, shifted: Mapping[str, np.ndarray] | None = None
) -> np.ndarray:
    """Cross-sections of ``size`` cells (size, 1 + 2 n_nuisance, n_benchmarks).

    Nominal ones, then those with one nuisance parameter at a time at +1, then at -1. ``cells``,
    (n_events,), are those of the events; ``shifted`` by nuisance benchmark those of the shifted
    events, which have to be there if these are.
    """
    n_variations = 1 + 2 * events.slopes.shape[1]
    result = np.zeros((size, n_variations, events.weights.shape[1]))
    for rows in pieces(len(events)):
        weights = events.weights[rows]
        n = len(weights)
        columns = np.hstack([np.ones((n, 1)), varied_factors(events, rows)])
        for i, column in enumerate(columns.T):
            sums = sparse.csc_array((column, cells[rows], np.arange(n + 1)), (size, n))
            result[:, i] += sums @ weights
        release(events.weights)
    for i, benchmark, moved in shifted_columns(events):
        assert shifted is not None, "the cells of shifted events are needed"
        ones = np.ones(len(moved)), shifted[benchmark], np.arange(len(moved) + 1)
        result[:, i] = sparse.csc_array(ones, (size, len(moved))) @ moved.weights
    return result


def everywhere(events: Events) -> dict[str, np.ndarray]:
    """The only cell there is, for all shifted events."""
    return {name: np.zeros(len(moved), dtype=int) for name, moved in events.shifted.items()}


def varied_totals(events: Events) -> np.ndarray:
    """Cross-sections of all events, (1 + 2 n_nuisance, n_benchmarks), as in ``varied_rates``."""
    varied: np.ndarray | float = 0.0
    for rows in pieces(len(events)):
        varied = varied + varied_factors(events, rows).T @ events.weights[rows]
        release(events.weights)
    totals = np.vstack([events.weights.sum(axis=0), varied])
    release(events.weights)
    for i, _, moved in shifted_columns(events):
        totals[i] = moved.weights.sum(axis=0)
    return totals


def without_shifts(events: Events, theta: np.ndarray) -> Events:
    """The same, where shifts change nothing but the rate, as they do at a point.

    This is what can be said of an event by what it was before it was measured.
    """
    if not events.shifted:
        return events
    totals = varied_totals(events) @ events.setup.morphing_weights(theta)
    # Sums in another order differ by rounding.
    a, b = (np.where(np.abs(c) < ROUNDING, 0.0, c) for c in response_of_rates(totals, events.setup))
    shifts = [parameter.shifts for parameter in events.setup.nuisance]
    return replace(
        events,
        slopes=np.where(shifts, a, events.slopes),
        curvatures=np.where(shifts, b, events.curvatures),
        shifted={},
    )


def known_factors(events: Events) -> np.ndarray:
    """``varied_factors``, 1 at -1 of nuisance parameters that are known at +1 alone."""
    known = np.append(np.ones(len(events.setup.nuisance), dtype=bool), two_sided(events.setup))
    return np.where(known, varied_factors(events), 1.0)


def changing(factors: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Which variations change more than the rate, (n_changing,), counted from 1.

    ``factors`` (n_events, n_variations) are those of ``known_factors``, ``weights`` (n_events,)
    those of the events.
    """
    p = np.abs(weights) / np.abs(weights).sum()
    spreads = p @ (factors / (p @ factors) - 1.0) ** 2
    return 1 + np.flatnonzero(spreads > SHAPELESS**2)


def two_sided(setup: Setup) -> np.ndarray:
    """Which nuisance parameters are known at -1, too, (n_nuisance,)."""
    return np.array([nuisance.negative is not None for nuisance in setup.nuisance], dtype=bool)


def response_of_counts(
    events: Events,
    cells: np.ndarray,
    size: int,
    thetas: np.ndarray,
    shifted: Mapping[str, np.ndarray] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """The coefficients a and b of ``size`` cells at parameter points.

    ``cells`` and ``shifted`` are as for ``varied_rates``; the results (n_thetas, size, n_nuisance).
    What a cell does depends on the parameters: they decide which events it is made of.
    """
    morphing = events.setup.morphing_weights(thetas)
    rates = np.tensordot(morphing, varied_rates(events, cells, size, shifted), (1, 2))
    return response_of_rates(rates, events.setup)


def response_of_rates(rates: np.ndarray, setup: Setup) -> tuple[np.ndarray, np.ndarray]:
    """The coefficients a and b of rates (..., 1 + 2 n_nuisance): nominal, at +1, at -1."""
    up, down = np.split(rates[..., 1:], 2, axis=-1)
    return coefficients(rates[..., :1], up, down, setup)


def coefficients(
    nominal: np.ndarray, up: np.ndarray, down: np.ndarray, setup: Setup
) -> tuple[np.ndarray, np.ndarray]:
    """The coefficients a and b of rates, each (..., n_nuisance).

    ``nominal``, (..., 1), are the rates at nu = 0, ``up`` and ``down``, (..., n_nuisance), with one
    parameter at a time at +1 and -1; ``down`` does not count where that is not known.
    """
    both = two_sided(setup)
    slopes = np.where(both, 0.5 * log_ratio(up, down), log_ratio(up, nominal))
    curvatures = np.where(both, 0.5 * log_ratio(up * down, nominal**2), 0.0)
    return np.clip(slopes, -LARGEST, LARGEST), np.clip(curvatures, -LARGEST, LARGEST)


def log_ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """The logarithm of a ratio, 0 where it is not finite."""
    with np.errstate(divide="ignore", invalid="ignore"):
        logarithm = np.log(numerator / denominator)
    return np.where(np.isfinite(logarithm), logarithm, 0.0)
