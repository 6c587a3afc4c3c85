"""All tests of data against the simulation at the best fit, with p-values from toys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import msgspec
import numpy as np

from madminer_workflow.statistics.events import Events
from madminer_workflow.statistics.goodness.binned import excess
from madminer_workflow.statistics.goodness.calibration import combined, p_values
from madminer_workflow.statistics.goodness.fits import BestFits, Expectation, Fit
from madminer_workflow.statistics.goodness.observables import Binned, Scores, columns_of
from madminer_workflow.statistics.goodness.together import Classifiers
from madminer_workflow.statistics.goodness.toys import draw_at, replicas, responding
from madminer_workflow.statistics.likelihood import DataSets, observed_data
from madminer_workflow.statistics.problem import Problem
from madminer_workflow.statistics.results import Goodness, GoodnessPlot, GoodnessTest

FIRST_TOYS = 300
ALL_TOYS = 1000
SUSPICIOUS = 0.1
"""A p-value from the first toys that more of them are to make precise."""

MOST_DRAWN = 20_000_000
FEWEST_TOYS = 400
"""Toys have so many events together at most, but p-values below 0.003 need so many toys."""

KERNELS = ("all observables (wide)", "all observables (narrow)")


def goodness_of_fit(
    problem: Problem,
    fit: Fit,
    scores: Scores,
    rng: np.random.Generator,
    n_toys: int | None = None,
) -> Goodness:
    """The tests of the observed data at the best fit.

    ``fit`` finds it, of data and of every toy; ``scores`` are what a method takes for the
    observables of the likelihood itself. Without ``n_toys`` there are as many as the p-value needs.
    """
    data = observed_data(problem)
    best = fit(data)
    tests = Tests.of(problem, data, best, scores, rng)
    rows = [tests.of_data()]
    sizes = [n_toys] if n_toys is not None else stages(tests.expected)
    for size in sizes:
        toys = draw_at(tests.events, best, tests.expected, size, rng)
        rows.append(tests.of_toys(toys, fit(toys), rng))
        statistics = np.concatenate(rows)
        whole = float(combined(statistics)[0])
        if whole > SUSPICIOUS:
            break
    return tests.summary(p_values(statistics)[0], whole, len(statistics) - 1)


def stages(expected: float) -> list[int]:
    """How many toys there are at first, and how many more if these leave doubts."""
    affordable = MOST_DRAWN / max(expected, 1.0)
    whole = int(np.clip(affordable, FEWEST_TOYS, ALL_TOYS))
    return [FIRST_TOYS, whole - FIRST_TOYS]


@dataclass(frozen=True)
class Tests:
    """The tests of the ``data`` of a problem, at their ``best`` fit, with ``expected`` events.

    ``events`` are the test events with all that nuisance parameters do to them as factors.
    """

    problem: Problem
    data: DataSets
    best: BestFits
    events: Events
    expectation: Expectation
    binned: Sequence[Binned]
    classifiers: Classifiers

    @classmethod
    def of(
        cls,
        problem: Problem,
        data: DataSets,
        best: BestFits,
        scores: Scores,
        rng: np.random.Generator,
    ) -> Tests:
        """Bins and classifiers are made for the numbers of events that there are."""
        expectation = Expectation(problem)
        [expected] = expectation.at(best)
        n_events = float(data.multiplicities.sum()) or float(expected)
        events = responding(problem.test, best.thetas[0], rng)
        columns = columns_of(problem, scores)
        binned = [Binned.of(column, events, best, n_events) for column in columns]
        classifiers = Classifiers.of(problem, events, best, n_events, rng)
        return cls(problem, data, best, events, expectation, binned, classifiers)

    @property
    def expected(self) -> float:
        """Expected events at the best fit."""
        return float(self.expectation.at(self.best)[0])

    def of_data(self) -> np.ndarray:
        """The test statistics of the data, (1, n_tests)."""
        return np.hstack(
            [
                self._of_numbers(self.data, self.best),
                [[one.of_data(self.best).statistic[0] for one in self.binned]],
                self.classifiers.of_data(self.events, self.best),
            ]
        )

    def of_toys(self, toys: DataSets, fits: BestFits, rng: np.random.Generator) -> np.ndarray:
        """Those of toys, (n_sets, n_tests)."""
        numbers = self._of_numbers(toys, fits)
        n = numbers.shape[1]
        result = np.empty((len(fits), n + len(self.binned) + len(KERNELS)))
        result[:, :n] = numbers
        for times, sets in replicas(len(self.events), len(fits), rng):
            again = replace(self.events, weights=self.events.weights * times[:, None])
            some = DataSets(toys.sample, toys.multiplicities[sets], toys.auxiliary[sets])
            at = fits.take(sets)
            for j, one in enumerate(self.binned, start=n):
                result[sets, j] = one.of_toys(some, at, again)
            result[sets, -len(KERNELS) :] = self.classifiers.of_toys(some, at, again, rng)
        return result

    def _of_numbers(self, sets: DataSets, fits: BestFits) -> np.ndarray:
        """Of the number of events and, where there are some, of what nuisance parameters do."""
        sizes = np.asarray(sets.multiplicities.sum(axis=1), dtype=float)
        columns = [np.abs(excess(sizes, self.expectation.at(fits)))]
        if self.problem.setup.nuisance:
            columns.append(np.square(fits.nu - sets.auxiliary).sum(axis=1))
        return np.stack(columns, axis=1)

    def summary(self, p: np.ndarray, whole: float, n_toys: int) -> Goodness:
        """With the p-values of all tests, and of all together."""
        count = GoodnessTest(
            name="number of events",
            about="count",
            p_value=1.0,
            observed=float(self.data.multiplicities.sum()),
            expected=self.expected,
        )
        pulls = GoodnessTest(name="nuisance parameters", about="pulls", p_value=1.0)
        tests = [
            count,
            *[pulls] * bool(self.problem.setup.nuisance),
            *(one.test(self.best) for one in self.binned),
            *(GoodnessTest(name=name, about="events", p_value=1.0) for name in KERNELS),
        ]
        tests = [
            msgspec.structs.replace(test, p_value=float(value))
            for test, value in zip(tests, p, strict=True)
        ]
        found = Goodness(
            p_value=whole,
            n_toys=n_toys,
            best_fit=self.best.thetas[0].tolist(),
            nuisance_parameters=self.best.nu[0].tolist(),
            observed_events=int(self.data.multiplicities.sum()),
            expected_events=self.expected,
            tests=tests,
        )
        return msgspec.structs.replace(found, plot=self._plot(found.place))

    def _plot(self, place: GoodnessTest | None) -> GoodnessPlot | None:
        """What differs most, to be drawn."""
        for one in self.binned:
            if place and (one.column.name, one.column.about) == (place.name, place.about):
                return one.plot(self.best)
        return None
