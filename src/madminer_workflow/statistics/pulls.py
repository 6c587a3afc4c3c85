"""Pulls, constraints and impacts of nuisance parameters, from fits together with the parameters.

As LHC experiments show them (for instance arXiv:1207.7214 and what came after it): the pull is the
best fit of a nuisance parameter in units of its constraint's width, the impact the shift of a
parameter's best fit when the nuisance parameter is fixed one standard deviation off its own and all
others are fitted again. Around a maximum with covariance C that is C_theta,nu / sqrt(C_nu,nu).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from madminer_workflow.statistics.binning import binned_density
from madminer_workflow.statistics.closed_form import Maximum, Model
from madminer_workflow.statistics.fits import Likelihood, along_profile, climb, edges
from madminer_workflow.statistics.likelihood import DataSets
from madminer_workflow.statistics.limits import Grid, paraboloid
from madminer_workflow.statistics.plain import plain
from madminer_workflow.statistics.polynomial import Derivatives, PolynomialDensity
from madminer_workflow.statistics.problem import Problem
from madminer_workflow.statistics.results import JointFit, NuisanceFit, Shifts
from madminer_workflow.statistics.setup import Setup

PRECISION = 1e-10
"""Of log L: shifts are differences of best fits, far smaller than standard deviations."""

FLATTEST = 1e-9
"""Of the curvature along any direction, in the units of fits, to be a maximum's."""

FARTHEST = 10.0
"""Where the search for errors ends, in prior widths; the constraint keeps them near 1."""


def joint_fit(model: Model, maximum: Maximum, data: DataSets) -> JointFit | None:
    """The fit of one data set, whose ``maximum`` is known; None where nothing is fitted."""
    if not model.n_nuisance:
        return None
    [likelihood] = model.likelihoods(data)
    units = model.units(model.problem.theta_true)
    peak = Peak.near(np.concatenate([maximum.theta, maximum.nu]), likelihood, units)
    return summary(peak, model.problem.setup, data.auxiliary[0])


def joint_fit_on_grid(
    problem: Problem, data: DataSets, grid: Grid, shape: np.ndarray, whole: np.ndarray
) -> JointFit | None:
    """The fit of one data set, of whose shape nothing but log L on a grid is known.

    ``shape`` (n_points,) must not know nuisance parameters, ``whole``, of rate and shape, has them
    profiled. The former is taken for a paraboloid around the highest node of the latter, which
    must be the nearest one to the maximum; None where the grid does not tell.
    """
    if not problem.setup.nuisance:
        return None
    node = np.unravel_index(int(whole.argmax()), grid.shape)
    found = paraboloid(shape, [int(i) for i in node], grid.axes)
    if found is None:
        return None
    place = np.array([axis[i] for axis, i in zip(grid.axes, node, strict=True)])
    [rate] = Model(one_cell(problem), problem, "rate_and_shape").likelihoods(data)
    likelihood = NearNode(Derivatives(*(np.array([part]) for part in found)), place, rate)
    start = np.concatenate([place, np.zeros(len(problem.setup.nuisance))])
    curvature = -np.diag(likelihood.at(start[None], np.zeros(1, dtype=int)).hessian[0])
    if curvature.min() <= 0.0:
        return None
    peak = Peak.near(start, likelihood, 1.0 / np.sqrt(curvature))
    spacing = np.array([np.diff(axis).max() for axis in grid.axes])
    if np.any(np.abs(peak.place[: len(place)] - place) > spacing):
        return None
    return summary(peak, problem.setup, data.auxiliary[0])


def one_cell(problem: Problem) -> PolynomialDensity:
    """The density of a single bin: what the number of events alone knows."""
    cells = {name: np.zeros(len(events), int) for name, events in problem.samples().items()}
    return binned_density(problem.varied_totals[None], cells, problem.setup)


@dataclass(frozen=True)
class NearNode:
    """The sum of a shape that is a paraboloid around ``place``, and of a ``rate`` that varies.

    ``shape`` has its value, gradient and Hessian there, (1, ...).
    """

    shape: Derivatives
    place: np.ndarray
    rate: Likelihood

    def __len__(self) -> int:
        """Number of data sets."""
        return 1

    def at(self, points: np.ndarray, sets: np.ndarray) -> Derivatives:
        """Of ``sets`` (n,), each at its own of ``points`` (n, n_parameters + n_nuisance)."""
        whole = self.rate.at(points, sets)
        n = len(self.place)
        step = points[:, :n] - self.place
        slope = step @ self.shape.hessian[0]
        whole.gradient[:, :n] += self.shape.gradient + slope
        whole.hessian[:, :n, :n] += self.shape.hessian
        rise = self.shape.value + np.sum(step * (self.shape.gradient + 0.5 * slope), axis=1)
        return Derivatives(whole.value + rise, whole.gradient, whole.hessian)


def summary(peak: Peak, setup: Setup, measured: np.ndarray) -> JointFit:
    """What there is to say of a maximum; ``measured`` (n_nuisance,) is what constrains nu."""
    n = len(setup.parameters)
    profiled = peak.profile_errors(np.arange(n, len(peak.place)))
    # Where the curvature has no inverse, the profile knows.
    errors = np.where(np.isfinite(peak.errors[n:]), peak.errors[n:], profiled.mean(axis=1))
    postfit, prefit = peak.shifts(n, np.stack([errors, np.ones_like(errors)]))
    nuisance = [
        NuisanceFit(
            name=parameter.name,
            systematic=parameter.systematic,
            pull=plain(peak.place[n + i] - measured[i]),
            error=plain(errors[i]),
            profile_error=plain(tuple(profiled[i])),
            impact={
                name: Shifts(postfit=plain(tuple(after)), prefit=plain(tuple(before)))
                for name, after, before in zip(
                    setup.parameters, postfit[i].T, prefit[i].T, strict=True
                )
            },
        )
        for i, parameter in enumerate(setup.nuisance)
    ]
    largest = np.abs(postfit).max(axis=1)
    return JointFit(
        best_fit=peak.place[:n].tolist(),
        error=plain(peak.errors[:n]),
        nuisance=nuisance,
        correlation=plain(peak.covariance / np.outer(peak.errors, peak.errors)),
        ranking={
            name: [setup.nuisance[i].name for i in np.argsort(-column, kind="stable")]
            for name, column in zip(setup.parameters, largest.T, strict=True)
        },
    )


@dataclass(frozen=True)
class Peak:
    """A maximum of the likelihood of one data set, at ``place`` (n_parameters + n_nuisance,)."""

    likelihood: Likelihood
    units: np.ndarray
    place: np.ndarray
    here: Derivatives

    @classmethod
    def near(cls, start: np.ndarray, likelihood: Likelihood, units: np.ndarray) -> Peak:
        """The one that is reached from ``start``."""
        first = np.zeros(1, dtype=int)
        [place], here = climb(likelihood, first, start[None], units, precision=PRECISION)
        return cls(likelihood, units, place, here)

    @property
    def covariance(self) -> np.ndarray:
        """The inverse of the curvature; not a number where that is none of a maximum."""
        scale = np.outer(self.units, self.units)
        curvature = -self.here.hessian[0] * scale
        if np.linalg.eigvalsh(curvature)[0] < FLATTEST:
            return np.full_like(scale, np.nan)
        return np.linalg.inv(curvature) * scale

    @property
    def errors(self) -> np.ndarray:
        """Standard deviations."""
        return np.sqrt(np.diag(self.covariance))

    def profile_errors(self, which: np.ndarray) -> np.ndarray:
        """Distances at which profiles of parameters ``which`` (n,) drop by 1/2, (n, 2)."""
        n = len(which)
        parameters, sides = np.tile(which, 2), np.repeat([-1.0, 1.0], n)
        rows = np.zeros(2 * n, dtype=int)
        places = edges(
            self.likelihood,
            rows,
            np.tile(self.place, (2 * n, 1)),
            np.full(2 * n, self.here.value[0]),
            parameters,
            np.ones(2 * n),
            sides,
            self.place[parameters] + sides * FARTHEST * self.units[parameters],
            self.units,
        ).places
        return np.abs(places - self.place[parameters]).reshape(2, n).T

    def shifts(self, n: int, sizes: np.ndarray) -> np.ndarray:
        """How far the first ``n`` parameters move with each of the others fixed off its best fit.

        By minus and plus each of ``sizes`` (n_sizes, n_others): (n_sizes, n_others, 2, n).
        """
        n_sizes, n_others = sizes.shape
        steps = (sizes[:, :, None] * [-1.0, 1.0]).ravel()
        parameters = np.tile(np.repeat(np.arange(n, n + n_others), 2), n_sizes)
        rows = np.zeros(len(steps), dtype=int)
        fixed = np.arange(len(self.place)) == parameters[:, None]
        before = np.tile(self.place, (len(steps), 1))
        places = self.place[parameters] + steps
        start = along_profile(before, self.here.take(rows), places, parameters, fixed)
        moved, _ = climb(self.likelihood, rows, start, self.units, fixed, PRECISION)
        return (moved - before)[:, :n].reshape(n_sizes, n_others, 2, n)
