"""Training events from many parameter points, with what is known of them at parton level."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from madminer_workflow.statistics.events import Events
from madminer_workflow.statistics.events import draw as draw_events

Arrays = dict[str, np.ndarray]


def draw_thetas(
    points: dict[str, Any], parameters: list[str], n: int, rng: np.random.Generator
) -> np.ndarray:
    """At most ``n`` parameter points from independent priors, (n_thetas, n_parameters).

    ``points`` is the ``theta0`` or ``theta1`` of the analysis file: ``n_thetas`` and ``priors``.
    """
    n_thetas = min(points["n_thetas"], n)
    columns = []
    for name in parameters:
        prior = points["priors"][name]
        if prior["prior"] == "gaussian":
            columns.append(rng.normal(prior["mean"], prior["std"], n_thetas))
        else:
            columns.append(rng.uniform(prior["min"], prior["max"], n_thetas))
    return np.stack(columns, axis=1)


def draw_at(
    events: Events, thetas: np.ndarray, n: int, rng: np.random.Generator
) -> Iterator[np.ndarray]:
    """Indices of ``n`` events in all, drawn from each of ``thetas`` in turn."""
    for theta, size in zip(thetas, shares(n, len(thetas)), strict=True):
        yield draw_events(events.weights_at(theta), size, rng)


def shares(n: int, parts: int) -> np.ndarray:
    """``n`` split into ``parts`` integers that differ by at most one."""
    return np.diff(np.round(np.linspace(0, n, parts + 1)).astype(int))


def joint_ratio(
    events: Events, chosen: np.ndarray, theta0: np.ndarray, theta1: np.ndarray
) -> np.ndarray:
    """Joint likelihood ratio r(x, z | theta0, theta1) of the ``chosen`` events, (n_chosen, 1)."""
    weights = events.weights[chosen]
    p0, p1 = (
        weights @ events.setup.morphing_weights(theta) / events.cross_section(theta)
        for theta in (theta0, theta1)
    )
    return (p0 / p1)[:, None]


def repeated(theta: np.ndarray, n: int) -> np.ndarray:
    """A parameter point for each of ``n`` events, (n, n_parameters)."""
    return np.repeat(theta[None, :], n, axis=0)


def joined(chunks: list[Arrays]) -> Arrays:
    """The rows of all chunks, in single precision as networks want them."""
    return {
        name: np.concatenate([chunk[name] for chunk in chunks]).astype(np.float32)
        for name in chunks[0]
    }


def prior_spread(prior: dict[str, Any]) -> float:
    """The standard deviation of a prior."""
    if prior["prior"] == "gaussian":
        return prior["std"]
    return (prior["max"] - prior["min"]) / np.sqrt(12.0)
