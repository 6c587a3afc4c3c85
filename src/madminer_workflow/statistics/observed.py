"""What is measured in events, as it is and where objects are measured otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from madminer_workflow.large_arrays import columns
from madminer_workflow.statistics.setup import Setup

BELOW_ONE = float(np.nextafter(1.0, 0.0))


@dataclass(frozen=True)
class Observed:
    """What is measured in events: ``x`` has shape (n_events, n_observables)."""

    observables: list[str]
    x: np.ndarray

    def __len__(self) -> int:
        """Number of events."""
        return len(self.x)

    def columns(self, names: Sequence[str], rows: slice = slice(None)) -> np.ndarray:
        """The observables ``names`` as columns, shape (n_events, len(names)); of some ``rows``."""
        return columns(self.x[rows], [self.observables.index(name) for name in names])


@dataclass(frozen=True)
class Shifted(Observed):
    """Events as they are measured at one nuisance benchmark, in the order of ``place``.

    ``weights``, (n_events, n_benchmarks) in pb, are those at the physical benchmarks, and sum to
    the cross-section then. ``event``, (n_events,), is the index of the same event among those that
    are measured without the shift, -1 where it fails the cuts there. ``place``, (n_events,) in
    [0, 1), is where among these it counts as being: (index + 1/2) / n, or at random.
    """

    weights: np.ndarray
    event: np.ndarray
    place: np.ndarray

    def weights_at(self, theta: np.ndarray, setup: Setup) -> np.ndarray:
        """Weights in pb at a parameter point, shape (n_events,), by morphing."""
        return self.weights @ setup.morphing_weights(theta)

    def ordered(self, event: np.ndarray, n: int) -> Shifted:
        """The same where its events are the ``event`` of ``n``, in their order."""
        place = np.where(event >= 0, places(event, n), self.place)
        order = np.argsort(place, kind="stable")
        return replace(
            self,
            x=self.x[order],
            weights=self.weights[order],
            event=event[order],
            place=place[order],
        )

    def part(self, first: int, last: int, n: int) -> Shifted:
        """What belongs to the events ``first`` to ``last`` of ``n``, with its weights."""
        chosen = slice(*np.searchsorted(self.place, [first / n, last / n]))
        event = np.where(self.event[chosen] >= 0, self.event[chosen] - first, -1)
        # Rounding must not bring the last ones to 1.
        place = np.clip((self.place[chosen] * n - first) / (last - first), 0.0, BELOW_ONE)
        return replace(
            self,
            x=self.x[chosen],
            weights=self.weights[chosen],
            event=event,
            place=np.where(event >= 0, places(event, last - first), place),
        )

    def partners(self, n: int) -> np.ndarray:
        """The event of ``n`` without the shift that each is, or in whose place it is, (n_events,).

        In a replica of these it occurs as often.
        """
        at = np.minimum((self.place * n).astype(int), n - 1)
        return np.where(self.event >= 0, self.event, at)


def places(event: np.ndarray, n: int) -> np.ndarray:
    """Where the ``event`` of ``n`` are: in the middle of an interval of their own of [0, 1)."""
    return (event + 0.5) / max(n, 1)
