"""Events of a known process, one observable of which is measured on an uncertain scale."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from madminer_workflow.analysis.systematics import Nuisance
from madminer_workflow.statistics.events import Events, Shifted
from tests.support.known_process import KnownProcess

CUT = -1.0
SHIFT = 0.15


def rescaled(x: np.ndarray, size: float) -> np.ndarray:
    """Another scale, and a shift, of an observable."""
    return size + (1.0 + 0.5 * size) * x


def shifted_otherwise(n: int, nu: float, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Observables and weights at ``theta`` of the same ``n`` events, ``rescaled`` by any ``nu``."""
    events = KnownProcess.of(1).events(n, seed=4)
    x = events.x.copy()
    x[:, 0] = rescaled(x[:, 0], nu * SHIFT)
    passed = x[:, 0] > CUT
    return x[passed], events.weights_at(theta)[passed]


def shifted_events(n: int, moved: Callable[[np.ndarray, float], np.ndarray]) -> Events:
    """Those of ``n`` events that are above a cut, with an uncertain rate, too.

    ``moved`` says where an observable (n,) is with a shift of some size.
    """
    events = KnownProcess.of(1).events(n, seed=4)
    passed = events.x[:, 0] > CUT
    index = np.where(passed, np.cumsum(passed) - 1, -1)
    place = np.random.default_rng(3).random(n)
    shifted = {}
    for name, size in (("up", SHIFT), ("down", -SHIFT)):
        x = events.x.copy()
        x[:, 0] = moved(x[:, 0], size)
        now = x[:, 0] > CUT
        later = Shifted(events.observables, x[now], events.weights[now], index[now], place[now])
        shifted[name] = later.ordered(later.event, int(passed.sum()))
    nuisance = [
        Nuisance("jes", "jes", "energy_scale", "up", "down"),
        Nuisance("luminosity", "luminosity", "norm", "more", None),
    ]
    setup = replace(events.setup, nuisance=nuisance, nuisance_benchmarks=["up", "down", "more"])
    slopes = np.tile([0.0, 0.05], (int(passed.sum()), 1))
    return replace(
        events,
        x=events.x[passed],
        weights=events.weights[passed],
        setup=setup,
        slopes=slopes,
        curvatures=np.zeros_like(slopes),
        shifted=shifted,
    )
