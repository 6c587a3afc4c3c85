"""The parameter points that a polynomial is learned at: along directions, by the information lost.

Neither priors nor ranges decide where a ratio matters, but how well the partons of an event tell a
point from the reference: their Kullback-Leibler divergence, which also works for parameters without
interference, whose Fisher information vanishes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from madminer_workflow.statistics.monomials import Monomials

DIVERGENCES = np.array([0.005, 0.1, 0.4, 1.0, 3.0, 9.0])
"""Per event; for small ones, half the square of the distance in standard deviations."""

UNIT = 0.5
"""The divergence of one standard deviation."""

FRAMES = 10
"""Frames of orthogonal directions, both ways along each: 20 directions a parameter."""

SMALLEST_INFORMATION = 1e-4
"""Relative to the largest; directions that carry less are not stretched further."""

STEPS = np.geomspace(1e-3, 1e4, 57)
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
    axes = np.eye(monomials.powers.shape[1])
    both_ways = [radii(some, monomials, sign * axes, np.array([UNIT])) for sign in (1, -1)]
    units = np.nanmin(np.concatenate(both_ways), axis=0)
    directions = _directions(_information(some, monomials, units), rng)
    distances = radii(some, monomials, directions * units, DIVERGENCES)
    points = distances[:, :, None] * directions
    weights = np.broadcast_to(1.0 / DIVERGENCES[:, None], distances.shape).copy()
    # Where nothing can be told from the reference there is nothing to learn.
    weights[~np.isfinite(distances)] = 0.0
    return Pool(units, np.nan_to_num(points), weights)


def radii(
    coefficients: np.ndarray, monomials: Monomials, directions: np.ndarray, wanted: np.ndarray
) -> np.ndarray:
    """How far from the reference the divergence is first as ``wanted``, (n_wanted, n_directions).

    Not a number where it never is.
    """
    divergences = divergence(coefficients, monomials, STEPS[:, None, None] * directions)
    result = np.full((len(wanted), len(directions)), np.nan)
    for row, value in zip(result, wanted, strict=True):
        above = divergences > value
        first = np.maximum(above.argmax(axis=0), 1)
        columns = np.arange(len(directions))
        low, high = divergences[first - 1, columns], divergences[first, columns]
        with np.errstate(divide="ignore", invalid="ignore"):
            fraction = np.clip(np.log(value / low) / np.log(high / low), 0.0, 1.0)
        between = STEPS[first - 1] * (STEPS[first] / STEPS[first - 1]) ** fraction
        row[:] = np.where(above.any(axis=0), between, np.nan)
    return result


def divergence(coefficients: np.ndarray, monomials: Monomials, points: np.ndarray) -> np.ndarray:
    """Kullback-Leibler divergence from the reference at points (..., n_parameters), per event.

    That of extended likelihoods, sum w log(w / w_0) - w + w_0 over sum w_0, which is what is lost
    when the difference is not seen.
    """
    flat = monomials.values(points.reshape(-1, points.shape[-1]))
    reference = coefficients @ monomials.values(np.zeros(points.shape[-1]))
    used = reference > 0.0
    result = np.empty(len(flat))
    for i, values in enumerate(flat):
        ratio = np.maximum(coefficients[used] @ values / reference[used], 1e-12)
        result[i] = reference[used] @ (ratio * np.log(ratio) - ratio + 1.0)
    return result.reshape(points.shape[:-1]) / reference[used].sum()


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
