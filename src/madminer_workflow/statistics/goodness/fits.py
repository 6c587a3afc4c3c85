"""Best fits of many data sets at once, and what is expected at them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from madminer_workflow.statistics.closed_form import (
    Model,
    log_likelihoods_at,
    standard_deviations,
)
from madminer_workflow.statistics.fits import candidates, maxima
from madminer_workflow.statistics.likelihood import DataSets
from madminer_workflow.statistics.nuisance import LARGEST, response_of_rates, varied_totals
from madminer_workflow.statistics.polynomial import PolynomialDensity
from madminer_workflow.statistics.problem import Problem
from madminer_workflow.statistics.setup import Setup
from madminer_workflow.statistics.varied import bounded_square


@dataclass(frozen=True)
class BestFits:
    """Best fits: ``thetas`` (n_sets, n_parameters) and ``nu`` (n_sets, n_nuisance).

    Nuisance parameters that a likelihood does not know are where they were measured.
    """

    thetas: np.ndarray
    nu: np.ndarray

    def __len__(self) -> int:
        """Number of data sets."""
        return len(self.thetas)

    def take(self, sets: np.ndarray) -> BestFits:
        """Those of some data sets."""
        return BestFits(self.thetas[sets], self.nu[sets])


Fit = Callable[[DataSets], BestFits]
"""Finds the best fit of every data set."""


def fit_in_closed_form(
    density: PolynomialDensity, problem: Problem, kind: str, data: DataSets
) -> BestFits:
    """Best fits of a density that is a polynomial, for a ``kind`` of likelihood."""
    model = Model(density, problem, kind)
    origin = problem.theta_true
    points = candidates(origin, standard_deviations(density, problem, origin))
    values = log_likelihoods_at(density, data, problem, points)[kind]
    units, n = model.units(origin), len(origin)
    found, done = [], 0
    for some in model.likelihoods(data):
        rows = slice(done, done + len(some))
        best = maxima(some, values[rows], model.extended(points), units)
        found.append(best.thetas[:, 0])
        done += len(some)
    places = np.concatenate(found)
    return BestFits(places[:, :n], places[:, n:] if model.n_nuisance else data.auxiliary)


@dataclass(frozen=True)
class Rates:
    """Cross-sections of cells, in pb, at any point.

    ``varied`` (n_cells, 1 + 2 n_nuisance, n_benchmarks) are those of ``nuisance.varied_rates``.
    """

    varied: np.ndarray
    setup: Setup

    def at(self, fits: BestFits) -> np.ndarray:
        """At every one of ``fits``, (n_sets, n_cells); none is negative."""
        if not self.setup.nuisance:
            return np.maximum(self.setup.morphing_weights(fits.thetas) @ self.varied[:, 0].T, 0.0)
        morphing = self.setup.morphing_weights(fits.thetas)
        rates = np.tensordot(morphing, self.varied, (1, 2))
        a, b = response_of_rates(rates, self.setup)
        nu, square = fits.nu, bounded_square(fits.nu)[0]
        exponents = np.einsum("nck,nk->nc", a, nu) + np.einsum("nck,nk->nc", b, square)
        return np.maximum(rates[..., 0], 0.0) * np.exp(np.clip(exponents, -LARGEST, LARGEST))


@dataclass(frozen=True)
class Expectation:
    """The number of events that a problem expects at best fits."""

    problem: Problem

    @cached_property
    def _rates(self) -> Rates:
        return Rates(varied_totals(self.problem.everything)[None], self.problem.setup)

    def at(self, fits: BestFits) -> np.ndarray:
        """Expected events at each of ``fits``, (n_sets,)."""
        return self.problem.luminosity * self._rates.at(fits)[:, 0]
