"""Weighted events of the MadMiner file, split into training and test sets, and draws from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from madminer_workflow.errors import InputError
from madminer_workflow.large_arrays import by_rows, release
from madminer_workflow.statistics.nuisance import response
from madminer_workflow.statistics.observed import Observed, Shifted
from madminer_workflow.statistics.sample import Sample
from madminer_workflow.statistics.setup import Setup


@dataclass(frozen=True)
class Events(Observed):
    """Weighted events whose weights, (n_events, n_benchmarks) in pb, sum to the cross-section.

    ``slopes`` and ``curvatures``, (n_events, n_nuisance), say how weights respond to nuisance
    parameters (a and b of ``statistics.nuisance``). Of those that change what is measured, they
    say nothing: for these, ``shifted`` are the events at their benchmarks. ``drawn_from``,
    (n_events,), are the numbers of the samples that events were drawn in, ``n_drawn``,
    (n_samples,), how many were drawn in each, before any cut; None where that is not known.
    """

    setup: Setup
    weights: np.ndarray
    slopes: np.ndarray
    curvatures: np.ndarray
    shifted: Mapping[str, Shifted] = field(default_factory=dict)
    drawn_from: np.ndarray | None = None
    n_drawn: np.ndarray | None = None

    def weights_at(self, theta: np.ndarray, rows: slice = slice(None)) -> np.ndarray:
        """Weights in pb at a parameter point, shape (n_events,), by morphing; of some ``rows``."""
        return self._times(self.setup.morphing_weights(theta), rows)

    def gradients_at(self, theta: np.ndarray, rows: slice = slice(None)) -> np.ndarray:
        """Derivatives of the weights, shape (n_events, n_parameters), in pb per unit parameter."""
        return self._times(self.setup.morphing_gradients(theta).T, rows)

    def _times(self, coefficients: np.ndarray, rows: slice) -> np.ndarray:
        values = self.weights[rows] @ coefficients
        release(self.weights)
        return values

    def cross_section(self, theta: np.ndarray) -> np.ndarray:
        """Cross-section in pb at one point, or at each of (n_thetas, n_parameters) points."""
        return self.setup.morphing_weights(theta) @ self._totals

    @cached_property
    def _totals(self) -> np.ndarray:
        """Cross-sections of the benchmarks, (n_benchmarks,)."""
        return self.weights.sum(axis=0)

    def scores_at(self, theta: np.ndarray, chosen: np.ndarray | None = None) -> np.ndarray:
        """Joint score d/dtheta log p(x, z | theta), (n_events, n_parameters), of all events.

        With indices ``chosen``, of these events only.
        """
        coefficients = self.setup.morphing_weights(theta)
        gradients = self.setup.morphing_gradients(theta).T
        of_all = (self._totals @ gradients) / (self._totals @ coefficients)

        def some(rows: slice) -> np.ndarray:
            weights = self.weights[rows if chosen is None else chosen[rows]]
            scores = (weights @ gradients) / (weights @ coefficients)[:, None] - of_all
            release(self.weights)
            return scores

        return by_rows(len(self if chosen is None else chosen), len(theta), some)

    def nuisance_scores_at(self, theta: np.ndarray) -> np.ndarray:
        """Joint score d/dnu log p(x, z | theta, nu) at nu = 0, (n_events, n_nuisance)."""
        weights = self.weights_at(theta)
        return self.slopes - (weights @ self.slopes) / weights.sum()

    def part(self, start: float, stop: float) -> Events:
        """The events between two fractions of the file, reweighted to the full cross-section."""
        n = len(self)
        chosen = slice(round(start * n), round(stop * n))
        size = len(range(n)[chosen])
        if size == 0:
            raise InputError(
                f"{n} events are too few: the fraction from {start:.0%} to {stop:.0%} is empty; "
                "generate more events or loosen the cuts"
            )

        def scaled(rows: slice) -> np.ndarray:
            values = self.weights[chosen][rows] * n / size
            release(self.weights)
            return values

        shifted = {}
        for benchmark, events in self.shifted.items():
            some = events.part(chosen.start, chosen.stop, n)
            shifted[benchmark] = replace(some, weights=some.weights * n / size)
        return replace(
            self,
            x=self.x[chosen],
            weights=by_rows(size, self.weights.shape[1], scaled),
            slopes=self.slopes[chosen],
            curvatures=self.curvatures[chosen],
            shifted=shifted,
            drawn_from=None if self.drawn_from is None else self.drawn_from[chosen],
        )


def union(sample: Sample, setup: Setup, n_drawn: np.ndarray | None = None) -> Events:
    """All events of a MadMiner file, weighted as one sample.

    ``n_drawn``, (n_benchmarks + 1,), are the numbers of events that were drawn from each benchmark,
    and of background, before any cut.
    """
    slopes, curvatures = response(sample, setup)

    def shared(rows: slice) -> np.ndarray:
        values = sample.weights[rows] * sample.shares[rows, None]
        release(sample.weights)
        return values

    return Events(
        setup=setup,
        observables=sample.observables,
        x=sample.observations,
        weights=by_rows(len(sample.shares), sample.weights.shape[1], shared),
        slopes=slopes,
        curvatures=curvatures,
        shifted=sample.shifted,
        drawn_from=None if n_drawn is None else sample.sampling_ids.astype(np.int16) % len(n_drawn),
        n_drawn=n_drawn,
    )


def negative_share(weights: np.ndarray) -> float:
    """How much of the sum of the absolute weights is that of negative ones."""
    total = float(np.abs(weights).sum())
    return float(-weights[weights < 0.0].sum()) / total if total > 0.0 else 0.0


def draw(weights: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """Indices of ``n`` events drawn with replacement, in proportion to ``weights``.

    Negative weights, which only rounding makes, count as zero; events of weight zero are never
    drawn. Raises InputError if there are none but these.
    """
    positive = np.maximum(weights, 0.0)
    # Times a power of two, which leaves every digit: the smallest numbers of all have few digits.
    cumulative = np.cumsum(np.ldexp(positive, -np.frexp(positive.max())[1]))
    if n and cumulative[-1] == 0.0:
        raise InputError("no event can be drawn: none has a positive weight at this point")
    return np.searchsorted(cumulative, rng.random(n) * cumulative[-1], side="right")
