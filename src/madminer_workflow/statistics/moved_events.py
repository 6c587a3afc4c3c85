"""Events between those that are measured at nu = -1, 0 and +1 of uncertainties that shift objects.

The same event is measured at all three, with the same random numbers of the detector. Observables
at other nu lie on the parabola through their three values, or on the straight line through two if
it fails the cuts at the third; those that jump, as the number of jets does, are as they are at 0 or
on that side, in the share nu of the events. So is passing the cuts: of events that pass at 0 alone
the share 1 - |nu| is left, of those that pass on the side alone there is |nu|. At -1, 0 and +1 that
is what was simulated; in between and beyond it is right to the order in nu to which the likelihoods
of ``statistics.varied_events`` interpolate, of which nothing is used. Several nuisance parameters
add up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import sparse

from madminer_workflow.statistics.events import Events, Shifted, draw
from madminer_workflow.statistics.likelihood import DataSets
from madminer_workflow.statistics.nuisance import LARGEST, response_of_rates
from madminer_workflow.statistics.problem import Observation, Problem

SMOOTH = 0.5
"""How much the steps of an observable from -1 to 0 and from 0 to +1 may differ, over the larger."""


@dataclass(frozen=True)
class Side:
    """Events measured on one side of 0, and which (n_events,) of them each nominal event is.

    That is -1 where it fails the cuts there.
    """

    shifted: Shifted
    rows: np.ndarray

    @classmethod
    def of(cls, shifted: Shifted, n: int) -> Side:
        """The side of ``n`` nominal events."""
        rows = np.full(n, -1)
        known = shifted.event >= 0
        rows[shifted.event[known]] = np.flatnonzero(known)
        return cls(shifted, rows)

    @cached_property
    def gained(self) -> np.ndarray:
        """Those that fail the cuts at 0."""
        return np.flatnonzero(self.shifted.event < 0)

    def at(self, events: np.ndarray) -> np.ndarray:
        """Observables of nominal ``events``, not a number where they fail the cuts."""
        rows = self.rows[events]
        return np.where(rows[:, None] >= 0, self.shifted.x[rows], np.nan)


@dataclass(frozen=True)
class MovedEvents:
    """The events of a sample at any nu; ``sides`` by the number of the nuisance parameter."""

    events: Events
    sides: dict[int, tuple[Side, Side]]

    @classmethod
    def of(cls, events: Events) -> MovedEvents:
        """Those of ``events`` whose shifts are known at +1 and -1."""
        sides = {}
        for i, parameter in enumerate(events.setup.nuisance):
            if parameter.shifts:
                up, down = (
                    Side.of(events.shifted[name], len(events)) for name in parameter.benchmarks
                )
                sides[i] = up, down
        return cls(events, sides)

    def pool(self, theta: np.ndarray, nu: np.ndarray) -> np.ndarray:
        """Weights at a point of all events that may be measured: nominal, then those gained."""
        events = self.events
        exponents = events.slopes @ nu + events.curvatures @ np.square(nu)
        weights = events.weights_at(theta) * np.exp(np.clip(exponents, -LARGEST, LARGEST))
        more = []
        for i in self.sides:
            side, size = self._side(i, nu), abs(nu[i])
            weights = np.where(side.rows < 0, max(1.0 - size, 0.0), 1.0) * weights
            of_side = side.shifted.weights_at(theta, events.setup)[side.gained]
            more.append(size * of_side)
        return np.concatenate([weights, *more])

    def measured(self, chosen: np.ndarray, nu: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Observables of events that are ``chosen`` from the pool at ``nu``, (n, n_observables)."""
        n = len(self.events)
        x = np.empty((len(chosen), self.events.x.shape[1]))
        nominal = chosen < n
        rows = chosen[nominal]
        moved = self.events.x[rows]
        for i, (up, down) in self.sides.items():
            moved = moved + self._step(self.events.x[rows], up.at(rows), down.at(rows), nu[i], rng)
        x[nominal] = moved
        first = n
        for i in self.sides:
            side = self._side(i, nu)
            here = (chosen >= first) & (chosen < first + len(side.gained))
            x[here] = side.shifted.x[side.gained[chosen[here] - first]]
            first += len(side.gained)
        return x

    def _side(self, number: int, nu: np.ndarray) -> Side:
        up, down = self.sides[number]
        return up if nu[number] > 0.0 else down

    def _step(
        self, x: np.ndarray, up: np.ndarray, down: np.ndarray, nu: float, rng: np.random.Generator
    ) -> np.ndarray:
        """What is added to observables ``x`` (n, n_observables) at ``nu``."""
        rise, fall = up - x, x - down
        # With one side alone it is a straight line.
        rise, fall = np.where(np.isnan(rise), fall, rise), np.where(np.isnan(fall), rise, fall)
        smooth = np.abs(rise - fall) <= SMOOTH * np.maximum(np.abs(rise), np.abs(fall))
        smooth &= ~self._whole_numbers
        parabola = 0.5 * nu * (rise + fall) + 0.5 * nu**2 * (rise - fall)
        jumps = rng.random((len(x), 1)) < abs(nu)
        jump = np.where(jumps, rise if nu > 0.0 else -fall, 0.0)
        return np.nan_to_num(np.where(smooth, parabola, jump))

    @cached_property
    def _whole_numbers(self) -> np.ndarray:
        """The observables that are numbers of something, (n_observables,)."""
        x = self.events.x
        return np.all((x == np.round(x)) | np.isnan(x), axis=0)


def drawn_anew(
    problem: Problem, theta: np.ndarray, nu: np.ndarray, rng: np.random.Generator
) -> tuple[Observation, DataSets]:
    """The events of toys at ``theta`` and each of ``nu`` (n_toys, n_nuisance), measured to be 0.

    Where other values are measured, the expected number of events is that of the total rates.
    """
    moved = MovedEvents.of(problem.test)
    totals = problem.varied_totals @ problem.setup.morphing_weights(theta)
    shifts = np.array([parameter.shifts for parameter in problem.setup.nuisance])
    a, b = (np.where(shifts, of, 0.0) for of in response_of_rates(totals, problem.setup))
    measured: list[np.ndarray] = []
    for point in nu:
        of_weights = moved.pool(theta, np.where(shifts, 0.0, point)).sum()
        expected = problem.expected_events(theta) * of_weights
        expected *= np.exp(a @ point + b @ point**2) / problem.test.weights_at(theta).sum()
        chosen = draw(moved.pool(theta, point), int(rng.poisson(expected)), rng)
        measured.append(moved.measured(chosen, point, rng))
    return observation_of(problem.test, measured, np.zeros_like(nu))


def observation_of(
    events: Events, measured: Sequence[np.ndarray], auxiliary: np.ndarray
) -> tuple[Observation, DataSets]:
    """Data sets of their own events (n, n_observables) each, as one sample."""
    ends = np.cumsum([0, *map(len, measured)])
    ones = np.ones(ends[-1]), np.arange(ends[-1]), ends
    sets = sparse.csr_array(ones, (len(measured), int(ends[-1])))
    observation = Observation(events.observables, np.concatenate(measured), "toys")
    return observation, DataSets("observed", sets, auxiliary)
