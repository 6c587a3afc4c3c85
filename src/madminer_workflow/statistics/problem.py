"""What every method is asked: events, parameter points, luminosity; and the observed data."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from madminer_workflow.statistics.events import Events, Observed
from madminer_workflow.statistics.information import Bootstrap, counted
from madminer_workflow.statistics.nuisance import varied_totals
from madminer_workflow.statistics.results import ObservedData
from madminer_workflow.statistics.setup import Setup


@dataclass(frozen=True)
class Observation(Observed):
    """Data: ``source`` is what was asked for, ``theta`` the point that pseudo-data are drawn at."""

    source: str
    theta: np.ndarray | None = None

    def summary(self) -> ObservedData:
        """What ``results.json`` says of the data."""
        theta = None if self.theta is None else self.theta.tolist()
        return ObservedData(source=self.source, events=len(self), theta=theta)


@dataclass(frozen=True)
class Problem:
    """The inference problem of one analysis.

    ``everything`` are all events, ``train`` those the models were fitted to and ``test`` the
    others, which stand for the data; ``luminosity`` is in pb^-1, ``seed`` feeds the bootstrap and
    pseudo-data; ``observed`` are data, if there are any.
    """

    setup: Setup
    everything: Events
    train: Events
    test: Events
    theta_ref: np.ndarray
    theta_true: np.ndarray
    fisher_theta: np.ndarray
    luminosity: float
    seed: int
    observed: Observation | None = None

    @cached_property
    def varied_totals(self) -> np.ndarray:
        """Cross-sections of all events, (1 + 2 n_nuisance, n_benchmarks), as in ``varied_rates``.

        At nu = 0, with one nuisance parameter at a time at +1, and at -1.
        """
        return varied_totals(self.everything)

    @cached_property
    def rate_information(self) -> Bootstrap:
        """Of the number of all events at the Fisher point."""
        return counted(self.everything, self.fisher_theta, self.luminosity)

    def samples(self) -> dict[str, Observed]:
        """The events that methods are asked about, by name."""
        named: dict[str, Observed] = {"train": self.train, "test": self.test}
        return named if self.observed is None else {**named, "observed": self.observed}

    def expected_events(self, thetas: np.ndarray) -> np.ndarray:
        """Expected number of events at one point, or at each of (n_thetas, n_parameters)."""
        return self.luminosity * self.everything.cross_section(thetas)

    def test_set(self) -> dict[str, np.ndarray]:
        """Observables of the test events and their weights in pb at ``theta_true``."""
        return {"x_test": self.test.x, "weights_test": self.test.weights_at(self.theta_true)}
