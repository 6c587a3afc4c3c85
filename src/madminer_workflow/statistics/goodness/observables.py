"""Single observables, and the scores that a method takes for the likelihood's own ones, in bins."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from madminer_workflow.statistics.events import Events
from madminer_workflow.statistics.goodness.binned import (
    Scanned,
    bin_edges,
    number_of_bins,
    scan_intervals,
)
from madminer_workflow.statistics.goodness.fits import BestFits, Rates
from madminer_workflow.statistics.goodness.toys import weights_at
from madminer_workflow.statistics.likelihood import DataSets
from madminer_workflow.statistics.nuisance import varied_rates
from madminer_workflow.statistics.problem import Problem
from madminer_workflow.statistics.results import GoodnessPlot, GoodnessTest

Scores = Mapping[str, tuple[np.ndarray, np.ndarray]]
"""By parameter, of test events and of observed ones, each (n_events,)."""


@dataclass(frozen=True)
class Column:
    """A function of the events: its values for ``test`` and ``observed`` ones.

    ``about`` is "observable", or "score" where it is that of a method.
    """

    name: str
    about: str
    test: np.ndarray
    observed: np.ndarray


def columns_of(problem: Problem, scores: Scores) -> list[Column]:
    """Every observable, and the scores."""
    assert problem.observed is not None, "there are no data"
    observables = zip(problem.test.observables, problem.test.x.T, problem.observed.x.T, strict=True)
    return [
        *(Column(name, "observable", test, observed) for name, test, observed in observables),
        *(Column(name, "score", *values) for name, values in scores.items()),
    ]


@dataclass(frozen=True)
class Binned:
    """A column in bins between ``edges``: the bin of each test event, and the data's ``counts``.

    ``rates`` are the cross-sections of the bins.
    """

    column: Column
    edges: np.ndarray
    cells: np.ndarray
    counts: np.ndarray
    rates: Rates

    @classmethod
    def of(cls, column: Column, events: Events, best: BestFits, n_events: float) -> Binned:
        """With bins for the simulation at the best fit and data of ``n_events``."""
        [weights] = weights_at(events, best)
        simulated = weights.sum() ** 2 / max(float(np.square(weights).sum()), 1e-300)
        edges = bin_edges(column.test, weights, number_of_bins(n_events, simulated))
        cells = np.searchsorted(edges, column.test, side="right")
        observed = np.searchsorted(edges, column.observed, side="right")
        counts = np.bincount(observed, minlength=len(edges) + 1).astype(float)
        rates = Rates(varied_rates(events, cells, len(edges) + 1), events.setup)
        return cls(column, edges, cells, counts, rates)

    def of_data(self, best: BestFits) -> Scanned:
        """The most unlikely interval of the data."""
        return scan_intervals(self.counts[None], self.rates.at(best))

    def of_toys(self, toys: DataSets, fits: BestFits, events: Events) -> np.ndarray:
        """The statistic of toys, with their ``fits``, against a replica of the test events."""
        size = len(self.edges) + 1
        counts = toys.counts({toys.sample: self.cells}, size).toarray()
        rates = replace(self.rates, varied=varied_rates(events, self.cells, size))
        return scan_intervals(counts, rates.at(fits)).statistic

    def expected(self, best: BestFits) -> np.ndarray:
        """Events expected in bins, as many in all as there are data, (n_bins,)."""
        [rates] = self.rates.at(best)
        return rates * (self.counts.sum() / max(float(rates.sum()), 1e-300))

    def test(self, best: BestFits) -> GoodnessTest:
        """Of the data, where they differ most, without a p-value so far."""
        scanned = self.of_data(best)
        [first], [end] = scanned.first, scanned.end
        ends = [None, *self.edges.tolist(), None]
        return GoodnessTest(
            name=self.column.name,
            about=self.column.about,
            p_value=1.0,
            interval=(ends[first], ends[end]),
            observed=float(self.counts[first:end].sum()),
            expected=float(self.expected(best)[first:end].sum()),
        )

    def plot(self, best: BestFits) -> GoodnessPlot:
        """The data and what is expected, from the smallest value of any event to the largest."""
        values = np.concatenate([self.column.test, self.column.observed])
        finite = values[np.isfinite(values)]
        return GoodnessPlot(
            name=self.column.name,
            about=self.column.about,
            edges=[float(finite.min()), *self.edges.tolist(), float(finite.max())],
            observed=self.counts.tolist(),
            expected=self.expected(best).tolist(),
        )
