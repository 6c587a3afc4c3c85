"""The parameter points that a polynomial is learned at: along directions, by the information lost.

Neither priors nor ranges decide where a ratio matters, but how well the partons of an event tell a
point from the reference: their Kullback-Leibler divergence, which also works for parameters without
interference, whose Fisher information vanishes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from madminer_workflow.statistics.divergence import radii, units
from madminer_workflow.statistics.monomials import Monomials

DIVERGENCES = np.array([0.005, 0.1, 0.4, 1.0, 3.0, 9.0])
"""Per event; for small ones, half the square of the distance in standard deviations."""

FRAMES = 10
"""Frames of orthogonal directions, both ways along each: 20 directions a parameter."""

SMALLEST_INFORMATION = 1e-4
"""Relative to the largest; directions that carry less are not stretched further."""

EVENTS = 4000


@dataclass(frozen=True)
class Pool:
    """Points in ``units`` (n_parameters,) from the reference, and weights of their losses.

    ``points`` has shape (n_radii, n_directions, n_parameters), ``weights`` (n_radii, n_directions).
    """

    units: np.ndarray
    points: np.ndarray
    weights: np.ndarray


def make_pool(coefficients: np.ndarray, monomials: Monomials, rng: np.random.Generator) -> Pool:
    """The pool for events with ``coefficients`` (n_events, n_monomials) of their cross-sections.

    The polynomials are in theta - reference.
    """
    some = coefficients[rng.permutation(len(coefficients))[:EVENTS]]
    origin = np.zeros(monomials.powers.shape[1])
    scales = units(some, monomials, origin, n_events=1.0)
    directions = _directions(_information(some, monomials, scales), rng)
    distances = radii(some, monomials, origin, directions * scales, DIVERGENCES)
    # Where nothing can be told from the reference there is nothing to learn.
    reached = np.isfinite(distances)
    weights = np.where(reached, 1.0 / DIVERGENCES[:, None], 0.0)
    points = np.where(reached, distances, 0.0)[:, :, None] * directions
    return Pool(scales, points, weights)


def _information(coefficients: np.ndarray, monomials: Monomials, units: np.ndarray) -> np.ndarray:
    """Of an event at the reference, in ``units``, (n_parameters, n_parameters)."""
    origin = np.zeros(len(units))
    reference = coefficients @ monomials.values(origin)
    used = reference > 0.0
    gradients = (coefficients[used] @ monomials.gradients(origin).T) * units
    return gradients.T @ (gradients / reference[used, None]) / reference[used].sum()


def _directions(information: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Half of them even in the units, half in standard deviations, (n_directions, n_parameters)."""
    n = len(information)
    if n == 1:
        return np.array([[1.0], [-1.0]])
    values, vectors = np.linalg.eigh(information)
    floor = SMALLEST_INFORMATION * max(values[-1], 1e-300)
    whitening = vectors / np.sqrt(np.maximum(values, floor)) @ vectors.T
    frames = []
    for i in range(FRAMES):
        frame = np.linalg.qr(rng.normal(size=(n, n)))[0]
        frame = frame @ whitening if i % 2 else frame
        frames += [frame, -frame]
    directions = np.concatenate(frames)
    return directions / np.linalg.norm(directions, axis=1, keepdims=True)
