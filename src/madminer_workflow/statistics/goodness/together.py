"""All observables together: classifiers of data against the simulation at the best fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from madminer_workflow.statistics.events import Events, draw
from madminer_workflow.statistics.goodness import kernel
from madminer_workflow.statistics.goodness.fits import BestFits
from madminer_workflow.statistics.goodness.toys import weights_at
from madminer_workflow.statistics.likelihood import DataSets
from madminer_workflow.statistics.problem import Problem

LARGEST_REFERENCE = 50_000
REFERENCE_EVENTS = 2500
REFERENCE_OVER_DATA = 5.0
"""Simulated events that a classifier learns from: as many at least, or as often the data."""


@dataclass(frozen=True)
class Reference:
    """The test events ``rows``, which count by their weights over ``drawn_with``, (n_rows,)."""

    rows: np.ndarray
    drawn_with: np.ndarray

    @classmethod
    def of(cls, weights: np.ndarray, wanted: float, rng: np.random.Generator) -> Reference:
        """As many as ``wanted``, drawn with ``weights``; all events where these are no more."""
        if wanted >= 0.5 * len(weights):
            return cls(np.arange(len(weights)), np.ones(len(weights)))
        rows = np.sort(draw(weights, int(min(wanted, LARGEST_REFERENCE)), rng))
        return cls(rows, weights[rows])

    def weights(self, events: Events, fits: BestFits) -> np.ndarray:
        """Weights of the rows at each of ``fits``, (n_sets, n_rows)."""
        some = replace(
            events,
            x=events.x[self.rows],
            weights=events.weights[self.rows],
            slopes=events.slopes[self.rows],
            curvatures=events.curvatures[self.rows],
        )
        return weights_at(some, fits) / self.drawn_with


@dataclass(frozen=True)
class Classifiers:
    """A classifier for each kernel.

    The data are compared with ``reference``, and each replica of the test events with others of
    them, as many as ``wanted``, that are drawn at the ``best`` fit. ``features`` are those of all
    test events and ``observed`` those of the data, by kernel.
    """

    best: BestFits
    wanted: float
    reference: Reference
    features: Sequence[np.ndarray]
    observed: Sequence[np.ndarray]
    penalties: Sequence[np.ndarray]

    @classmethod
    def of(
        cls,
        problem: Problem,
        events: Events,
        best: BestFits,
        n_events: float,
        rng: np.random.Generator,
    ) -> Classifiers:
        """For data of ``n_events``."""
        assert problem.observed is not None, "there are no data"
        [weights] = weights_at(events, best)
        wanted = max(REFERENCE_EVENTS, REFERENCE_OVER_DATA * n_events)
        reference = Reference.of(weights, wanted, rng)
        rows, drawn_with = reference.rows, reference.drawn_with
        made = [
            kernel.Features.of(events.x[rows], weights[rows] / drawn_with, width, n, rng)
            for width, n in zip(kernel.WIDTHS, kernel.DIRECTIONS, strict=True)
        ]
        penalties = [
            one.penalty(freedom) for one, freedom in zip(made, kernel.FREEDOM, strict=True)
        ]
        observed = problem.observed.x
        return cls(
            best,
            wanted,
            reference,
            [one.at(events.x) for one in made],
            [one.at(observed) for one in made],
            penalties,
        )

    def of_data(self, events: Events, best: BestFits) -> np.ndarray:
        """The statistic of the data, (1, n_kernels)."""
        [weights] = self.reference.weights(events, best)
        return np.array(
            [
                [
                    kernel.statistic(data, features[self.reference.rows], weights, penalty)
                    for data, features, penalty in zip(
                        self.observed, self.features, self.penalties, strict=True
                    )
                ]
            ]
        )

    def of_toys(
        self, toys: DataSets, fits: BestFits, events: Events, rng: np.random.Generator
    ) -> np.ndarray:
        """That of toys, (n_sets, n_kernels), against a replica of the test events."""
        # What is drawn anew differs from all events as what the data are compared with does.
        [at_best] = weights_at(events, self.best)
        other = Reference.of(at_best, self.wanted, rng)
        weights = other.weights(events, fits)
        times = toys.multiplicities
        drawn = [
            np.repeat(times.indices[low:high], times.data[low:high].astype(int))
            for low, high in zip(times.indptr[:-1], times.indptr[1:], strict=True)
        ]
        result = np.empty((len(drawn), len(self.features)))
        for j, (features, penalty) in enumerate(zip(self.features, self.penalties, strict=True)):
            reference = features[other.rows]
            for i, chosen in enumerate(drawn):
                data = features[chosen]
                result[i, j] = kernel.statistic(data, reference, weights[i], penalty)
        return result
