"""What test events say of an estimated ratio where the limits that follow from it end.

An estimated ratio predicts by how much the mean of any output differs between events of two
parameter points; simulated events with weights at both have that difference. The output that tells
the points apart best is a bounded function of the ratio itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from madminer_workflow.statistics.divergence import radii, units
from madminer_workflow.statistics.monomials import Monomials
from madminer_workflow.statistics.problem import Problem

CELLS = 4000
"""So many events are enough to know distances by."""

REGION = 6.0
"""2 log of the likelihood ratio at the edge of the 95 % region of two parameters."""

DAMPING = 1e-9
"""Of the largest information: directions that nothing depends on are looked at, too."""


@dataclass(frozen=True)
class Proof:
    """Differences between mean outputs for events of some points and of the assumed truth.

    That which the ratio ``claimed``, and that of the test events, ``proven``, with its standard
    ``error``.
    """

    claimed: float
    proven: float
    error: float

    @property
    def significance(self) -> float:
        """What is proven, in standard errors."""
        return self.proven / self.error

    @property
    def share(self) -> float:
        """What is proven of the claim."""
        return self.proven / self.claimed

    @property
    def share_error(self) -> float:
        """Its standard error."""
        return self.error / self.claimed


@dataclass(frozen=True)
class EstimatedRatio:
    """A ratio of the test events of a problem that is a polynomial in the parameters.

    ``rows`` (n_events, n_monomials) are its coefficients, ``norm`` (n_monomials,) those of its
    mean.
    """

    rows: np.ndarray
    norm: np.ndarray
    monomials: Monomials
    problem: Problem

    @property
    def theta(self) -> np.ndarray:
        """The assumed truth."""
        return self.problem.theta_true

    @cached_property
    def weights(self) -> np.ndarray:
        """Of the test events, at the assumed truth."""
        return self.problem.test.weights_at(self.theta)

    @cached_property
    def joint(self) -> np.ndarray:
        """Coefficients of the test events' cross-sections, (n_events, n_monomials)."""
        return self.problem.test.weights @ self.problem.setup.morphing_matrix

    @cached_property
    def units(self) -> np.ndarray:
        """One standard deviation of each parameter alone, as is claimed, (n_parameters,)."""
        return self._units(self._cells)

    @cached_property
    def units_of_partons(self) -> np.ndarray:
        """The same if partons were observed."""
        return self._units(self.joint[:: max(1, len(self.joint) // CELLS)])

    def _units(self, cells: np.ndarray) -> np.ndarray:
        n_events = float(self.problem.expected_events(self.theta))
        return units(cells, self.monomials, self.theta, n_events)

    @cached_property
    def _cells(self) -> np.ndarray:
        """The cross-sections that the ratio gives some of the events, (n_cells, n_monomials)."""
        step = max(1, len(self.rows) // CELLS)
        rows, weights = self.rows[::step], self.weights[::step]
        at_truth = rows @ self.monomials.values(self.theta)
        used = (at_truth > 0.0) & (weights > 0.0)
        return rows[used] * (weights[used] / at_truth[used])[:, None]

    def ends(self, directions: np.ndarray, q: float = REGION) -> np.ndarray:
        """Where limits end from the assumed truth along ``directions`` (n, n_parameters).

        Where twice the log of the ratio of the expected data's likelihoods is ``q``, if negative
        ratios are left out of it; infinite where it is nowhere.
        """
        wanted = np.array([0.5 * q / float(self.problem.expected_events(self.theta))])
        distances = radii(self._cells, self.monomials, self.theta, directions, wanted)[0]
        steps = np.where(np.isfinite(distances), distances, 1.0)[:, None] * directions
        return np.where(np.isfinite(distances)[:, None], self.theta + steps, np.inf)

    def surroundings(self, q: float = REGION) -> np.ndarray:
        """Points at which limits end, (n_points, n_parameters), as ``ends`` are.

        Along every parameter, and where it goes with the others profiled.
        """
        n = len(self.theta)
        matrix = self._information(self._cells, self.theta)
        matrix += (DAMPING * np.trace(matrix) or 1.0) * np.eye(n)
        directions = np.concatenate([np.eye(n), np.linalg.inv(matrix)])
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        points = self.ends(self.units * np.concatenate([directions, -directions]), q)
        return points[np.isfinite(points).all(axis=1)]

    def principal(self) -> np.ndarray:
        """Directions whose information is most and least of the partons', (n, n_parameters).

        That of an event, the mean over the assumed truth and points on every axis, so that it
        knows of parameters without interference.
        """
        axes = np.diag(self.units)
        thetas = self.theta + np.concatenate([0.0 * axes[:1], axes, -axes])
        claimed, most = (
            sum(self._information(cells, theta) for theta in thetas)
            for cells in (self._cells, self.joint)
        )
        values, vectors = np.linalg.eigh(most)
        whitening = vectors / np.sqrt(values + DAMPING * max(values[-1], 1e-300))
        directions = (whitening @ np.linalg.eigh(whitening.T @ claimed @ whitening)[1]).T
        return self.units * directions / np.linalg.norm(directions, axis=1, keepdims=True)

    def _information(self, cells: np.ndarray, theta: np.ndarray) -> np.ndarray:
        """Of cells (n_cells, n_monomials) at ``theta`` mixed with the truth, in ``units``.

        The mixture has all events that either has: no gradient is divided by nothing.
        """
        gradients = cells @ self.monomials.gradients(theta).T * self.units
        both = self.monomials.values(np.stack([theta, self.theta]))
        rates = np.maximum(np.abs(cells @ both.T).mean(axis=1), 1e-300)
        return gradients.T @ (gradients / rates[:, None]) / rates.sum()

    def proof(self, points: np.ndarray) -> Proof:
        """What the test events prove of the differences between ``points`` and the truth."""
        ratios = self._with_rates(points)
        outputs = (ratios - 1.0) / (0.5 * (np.abs(ratios) + 1.0))
        joint = self.monomials.values(points) @ self.joint.T - self.weights
        contributions = np.sum(joint * outputs, axis=0)
        claimed = float(np.sum(self.weights * (ratios - 1.0) * outputs))
        error = float(np.sqrt(len(contributions)) * contributions.std(ddof=1))
        # Where not even the partons differ there is nothing but rounding.
        return Proof(claimed, float(contributions.sum()), max(error, 1e-3 * claimed))

    def _with_rates(self, points: np.ndarray) -> np.ndarray:
        """The ratio to the assumed truth, with the true rates, (n_points, n_events)."""
        there, here = (self._unnormalised(some) for some in (points, self.theta[None]))
        return np.where(here > 0.0, there / np.where(here > 0.0, here, 1.0), 1.0)

    def _unnormalised(self, thetas: np.ndarray) -> np.ndarray:
        values, everything = self.monomials.values(thetas), self.problem.everything
        rates = everything.cross_section(thetas) / (values @ self.norm)
        return values @ self.rows.T * rates[:, None]
