"""Training events from many parameter points, with what is known of them at parton level."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from madminer_workflow.analysis.types import GaussianPrior, Prior, Thetas, Trained
from madminer_workflow.ml.methods.family import Arrays
from madminer_workflow.statistics.events import Events
from madminer_workflow.statistics.events import draw as draw_events

BLOCK = 100_000
ROUNDING = 1e-6
"""Weights are read from text files with this many digits, or a few more."""


def with_validation(
    draw: Callable[[Events, int], Arrays], events: Events, settings: Trained
) -> Arrays:
    """Samples from ``draw(events, n)``, those for validation under names that end in ``_val``.

    Events, not samples, are split: samples are drawn with replacement, and a validation loss on
    copies of training events would not notice overfitting. ``n_samples`` counts both sets.
    """
    fraction = settings.training.validation_split or 0.0
    n_validation = round(fraction * settings.n_samples)
    arrays = draw(events.part(0.0, 1.0 - fraction), settings.n_samples - n_validation)
    if n_validation:
        validation = draw(events.part(1.0 - fraction, 1.0), n_validation)
        arrays |= {f"{name}_val": array for name, array in validation.items()}
    return arrays


def draw_thetas(
    points: Thetas, parameters: Sequence[str], n: int, rng: np.random.Generator
) -> np.ndarray:
    """At most ``n`` parameter points from independent priors, (n_thetas, n_parameters)."""
    n_thetas = min(points.n_thetas, n)
    columns = []
    for name in parameters:
        prior = points.priors[name]
        if isinstance(prior, GaussianPrior):
            columns.append(rng.normal(prior.mean, prior.std, n_thetas))
        else:
            columns.append(rng.uniform(prior.min, prior.max, n_thetas))
    return np.stack(columns, axis=1)


def draw_at(
    events: Events, thetas: np.ndarray, n: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """``n`` events in all, as many at each of ``thetas`` in turn: their indices, and their points'.

    Both are (n,). The events are those of ``events.draw`` at one point after the other.
    """
    sizes = shares(n, len(thetas))
    points = np.repeat(np.arange(len(thetas)), sizes)
    if nowhere_negative(events, thetas):
        return _draw_by_bisection(events, thetas[points], rng), points
    drawn = [
        draw_events(events.weights_at(theta), size, rng)
        for theta, size in zip(thetas, sizes, strict=True)
    ]
    return np.concatenate(drawn), points


def nowhere_negative(events: Events, thetas: np.ndarray) -> bool:
    """Whether it is known that no event has a negative weight at ``thetas``, but for rounding.

    Weights of second order in the parameters are quadratic forms of (1, theta), which are nowhere
    negative if none of their eigenvalues is. Of higher orders nothing is known here.
    """
    setup = events.setup
    if setup.components.sum(axis=1).max() > 2:
        return False
    scales = np.append(1.0, np.maximum(np.abs(thetas).max(axis=0), 1e-12))
    forms = np.zeros((len(events), len(scales), len(scales)))
    coefficients = events.weights @ setup.morphing_matrix
    for powers, column in zip(setup.components, coefficients.T, strict=True):
        i, j = [0, 0, *np.repeat(np.arange(len(powers)) + 1, powers)][-2:]
        forms[:, i, j] += 0.5 * column * scales[i] * scales[j]
        forms[:, j, i] += 0.5 * column * scales[i] * scales[j]
    eigenvalues = np.linalg.eigvalsh(forms)
    return bool(np.all(eigenvalues[:, 0] >= -ROUNDING * np.abs(eigenvalues).max(axis=1)))


def _draw_by_bisection(events: Events, thetas: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Index of an event for each of ``thetas`` (n, n_parameters), where no weight is negative.

    Summed up over events, weights are polynomials of the parameters as single ones are: a
    bisection needs the sums up to a few events only, instead of those up to all at every point.
    """
    sums = np.cumsum(events.weights, axis=0)
    chosen = []
    for part in blocks(thetas):
        coefficients = at_points(events.setup.morphing_weights, part)
        heights = rng.random(len(part)) * rowwise(coefficients, sums[-1:])
        low, high = np.zeros(len(part), dtype=int), np.full(len(part), len(sums) - 1)
        while np.any(low < high):
            middle = (low + high) // 2
            below = rowwise(coefficients, sums[middle]) <= heights
            low, high = np.where(below, middle + 1, low), np.where(below, high, middle)
        chosen.append(np.minimum(low, len(sums) - 1))
    return np.concatenate(chosen)


def at_points(function: Callable[[np.ndarray], np.ndarray], thetas: np.ndarray) -> np.ndarray:
    """What ``function`` gives for points, many of which follow one like them."""
    new = np.append(True, np.any(thetas[1:] != thetas[:-1], axis=1))
    return function(thetas[new])[np.cumsum(new) - 1]


def rowwise(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """The scalar products of rows, (n,)."""
    return np.einsum("ij,ij->i", left, np.broadcast_to(right, left.shape))


def blocks(rows: np.ndarray) -> list[np.ndarray]:
    """Rows in pieces whose arrays of weights are small beside the events."""
    return np.split(rows, range(BLOCK, len(rows), BLOCK))


def shares(n: int, parts: int) -> np.ndarray:
    """``n`` split into ``parts`` integers that differ by at most one."""
    return np.diff(np.round(np.linspace(0, n, parts + 1)).astype(int))


def joint_ratios(
    events: Events, chosen: np.ndarray, theta0s: np.ndarray, theta1s: np.ndarray
) -> np.ndarray:
    """Joint likelihood ratios r(x, z | theta0, theta1) of ``chosen`` events, (n_chosen, 1).

    Points are (n_chosen, n_parameters), or (1, n_parameters) if all have it in common.
    """
    weights, totals = events.weights[chosen], events.weights.sum(axis=0)
    p0, p1 = (
        rowwise(weights, coefficients) / (coefficients @ totals)
        for coefficients in (
            at_points(events.setup.morphing_weights, thetas) for thetas in (theta0s, theta1s)
        )
    )
    return (p0 / p1)[:, None]


def joint_scores(events: Events, chosen: np.ndarray, thetas: np.ndarray) -> np.ndarray:
    """Joint scores d/dtheta log p(x, z | theta) of ``chosen`` events, (n_chosen, n_parameters).

    Each is asked at a point of its own of ``thetas``, (n_chosen, n_parameters).
    """
    weights, totals = events.weights[chosen], events.weights.sum(axis=0)
    coefficients = at_points(events.setup.morphing_weights, thetas)
    slopes = at_points(events.setup.morphing_gradients, thetas)
    mine = np.einsum("nb,npb->np", weights, slopes) / rowwise(weights, coefficients)[:, None]
    return mine - (slopes @ totals) / (coefficients @ totals)[:, None]


def joined(chunks: list[Arrays]) -> Arrays:
    """The rows of all chunks, in single precision as networks want them."""
    return {
        name: np.concatenate([chunk[name] for chunk in chunks]).astype(np.float32)
        for name in chunks[0]
    }


def prior_spread(prior: Prior) -> float:
    """The standard deviation of a prior."""
    if isinstance(prior, GaussianPrior):
        return prior.std
    return (prior.max - prior.min) / np.sqrt(12.0)
