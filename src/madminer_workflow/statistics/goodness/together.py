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
class Classifiers:
    """A classifier for each kernel.

    They learn from the test events ``rows``, which count by their weights over those at the best
    fit, ``drawn_with`` (n_rows,). ``features`` are those of all test events and ``observed`` those
    of the data, by kernel.
    """

    rows: np.ndarray
    drawn_with: np.ndarray
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
        if wanted < 0.5 * len(events):
            rows = np.sort(draw(weights, int(min(wanted, LARGEST_REFERENCE)), rng))
            drawn_with = weights[rows]
        else:
            rows, drawn_with = np.arange(len(events)), np.ones(len(events))
        made = [
            kernel.Features.of(events.x[rows], weights[rows] / drawn_with, width, n, rng)
            for width, n in zip(kernel.WIDTHS, kernel.DIRECTIONS, strict=True)
        ]
        penalties = [
            one.penalty(freedom) for one, freedom in zip(made, kernel.FREEDOM, strict=True)
        ]
        observed = problem.observed.x
        return cls(
            rows,
            drawn_with,
            [one.at(events.x) for one in made],
            [one.at(observed) for one in made],
            penalties,
        )

    def of_data(self, events: Events, best: BestFits) -> np.ndarray:
        """The statistic of the data, (1, n_kernels)."""
        [weights] = self._reference(events, best)
        return np.array(
            [
                [
                    kernel.statistic(data, features[self.rows], weights, penalty)
                    for data, features, penalty in zip(
                        self.observed, self.features, self.penalties, strict=True
                    )
                ]
            ]
        )

    def of_toys(self, toys: DataSets, fits: BestFits, events: Events) -> np.ndarray:
        """That of toys, (n_sets, n_kernels), against a replica of the test events."""
        weights = self._reference(events, fits)
        times = toys.multiplicities
        drawn = [
            np.repeat(times.indices[low:high], times.data[low:high].astype(int))
            for low, high in zip(times.indptr[:-1], times.indptr[1:], strict=True)
        ]
        result = np.empty((len(drawn), len(self.features)))
        for j, (features, penalty) in enumerate(zip(self.features, self.penalties, strict=True)):
            reference = features[self.rows]
            for i, chosen in enumerate(drawn):
                data = features[chosen]
                result[i, j] = kernel.statistic(data, reference, weights[i], penalty)
        return result

    def _reference(self, events: Events, fits: BestFits) -> np.ndarray:
        """Weights of the rows at each of ``fits``, (n_sets, n_rows)."""
        some = replace(
            events,
            x=events.x[self.rows],
            weights=events.weights[self.rows],
            slopes=events.slopes[self.rows],
            curvatures=events.curvatures[self.rows],
        )
        return weights_at(some, fits) / self.drawn_with
