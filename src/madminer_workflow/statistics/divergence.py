"""How well an event tells a parameter point from another: Kullback-Leibler divergences.

Half the square of the distance in standard deviations for close points, but meaningful far away,
too, and for parameters without interference, whose Fisher information at 0 vanishes.
"""

from __future__ import annotations

import numpy as np

from madminer_workflow.statistics.monomials import Monomials

STEPS = np.geomspace(1e-5, 1e5, 101)
SMALLEST = 1e-12


def divergences(
    coefficients: np.ndarray, monomials: Monomials, origin: np.ndarray, points: np.ndarray
) -> np.ndarray:
    """Of ``points`` (..., n_parameters) from ``origin`` (n_parameters,), per event at the origin.

    Events or bins have cross-sections with ``coefficients`` (n_events, n_monomials). The divergence
    is that of extended likelihoods, sum w log(w / w_0) - w + w_0 over sum w_0: what the data lose
    by a difference that is not seen.
    """
    flat = monomials.values(points.reshape(-1, points.shape[-1]))
    reference = coefficients @ monomials.values(origin)
    used = reference > 0.0
    rates = reference[used]
    scaled = coefficients[used] / rates[:, None]
    result = np.empty(len(flat))
    for i, values in enumerate(flat):
        ratio = np.maximum(scaled @ values, SMALLEST)
        result[i] = rates @ (ratio * np.log(ratio) - ratio + 1.0)
    return result.reshape(points.shape[:-1]) / rates.sum()


def radii(
    coefficients: np.ndarray,
    monomials: Monomials,
    origin: np.ndarray,
    directions: np.ndarray,
    wanted: np.ndarray,
) -> np.ndarray:
    """How many of ``directions`` away the divergence is first as ``wanted``.

    Directions are (n_directions, n_parameters), what is wanted and the result (n_wanted,
    n_directions); infinite where the divergence is nowhere as large.
    """
    points = origin + STEPS[:, None, None] * directions
    found = divergences(coefficients, monomials, origin, points)
    result = np.full((len(wanted), len(directions)), np.inf)
    for row, value in zip(result, wanted, strict=True):
        for i in np.flatnonzero((found > value).any(axis=0)):
            first = max(int(np.argmax(found[:, i] > value)), 1)
            pair = slice(first - 1, first + 1)
            heights = np.log(np.maximum(found[pair, i], 1e-300))
            row[i] = np.exp(np.interp(np.log(value), heights, np.log(STEPS[pair])))
    return result


def units(
    coefficients: np.ndarray, monomials: Monomials, origin: np.ndarray, n_events: float
) -> np.ndarray:
    """One standard deviation of each parameter alone with ``n_events`` events, (n_parameters,).

    Where the expected log likelihood has dropped by 1/2, on the nearer side; 1 where it never does.
    """
    axes = np.eye(len(origin))
    wanted = np.array([0.5 / n_events])
    sides = [radii(coefficients, monomials, origin, side * axes, wanted)[0] for side in (1.0, -1.0)]
    nearer = np.min(sides, axis=0)
    return np.where(np.isfinite(nearer), nearer, 1.0)
