"""What the grid of limits costs: networks that take parameters are evaluated at every point."""

from __future__ import annotations

from itertools import pairwise
from math import prod

from madminer_workflow.analysis.types import (
    Analysis,
    Density,
    Parameterized,
    Settings,
)

PRODUCTS_PER_SECOND = 5e9
"""Of numbers in networks of the usual sizes, on one core."""

HISTOGRAM_SECONDS = 4e-7
"""For each event that the histogram of a point is made of."""

MINUTE, HOUR = 60.0, 3600.0


def grid_cost(analysis: Analysis) -> str:
    """Its size, and the CPU time of the methods whose limits need all of it."""
    sizes = [axis.resolution for axis in analysis.ml.limits.grid.values()]
    size = " x ".join(map(str, sizes)) + f" = {prod(sizes)} points"
    costs = {
        method.name: seconds
        for method in analysis.ml.methods
        if (seconds := prod(sizes) * _seconds_per_point(method, analysis)) > 0.0
    }
    if not costs:
        return f"{size}, for figures only: limits are fitted"
    times = ", ".join(f"{_time(seconds)} for {name}" for name, seconds in costs.items())
    return f"{size}, which cost each member up to so much CPU time: {times}"


def _seconds_per_point(method: Settings, analysis: Analysis) -> float:
    n_events = sum(process.n_events for process in analysis.processes)
    if isinstance(method, Parameterized):
        observables = [observable.name for observable in analysis.observables]
        inputs = len(method.inputs(observables)) + len(analysis.parameters)
        products = sum(a * b for a, b in pairwise([inputs, *method.network.n_hidden, 1]))
        if isinstance(method, Density):
            products *= method.network.n_mades
        return analysis.ml.test_split * n_events * products / PRODUCTS_PER_SECOND
    return 0.0 if method.fitted else n_events * HISTOGRAM_SECONDS


def _time(seconds: float) -> str:
    """With the unit that makes it a small number."""
    if seconds < 2.0 * MINUTE:
        return f"{max(seconds, 1.0):.0f} s"
    if seconds < 2.0 * HOUR:
        return f"{seconds / MINUTE:.0f} min"
    return f"{seconds / HOUR:.0f} h"
