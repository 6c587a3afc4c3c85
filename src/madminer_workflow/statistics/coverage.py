"""What toys say about limits: coverage of the asymptotic ones, and Neyman's construction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from madminer_workflow.statistics.likelihood import KINDS
from madminer_workflow.statistics.limits import Grid, below
from madminer_workflow.statistics.quantiles import chi2_quantile

Q_BINS = 24
LARGEST_Q = 12.0


def summarise_toys(
    toys: dict[str, Any],
    q: dict[str, dict[str, np.ndarray]],
    grid: Grid,
    levels: Sequence[float],
) -> dict[str, Any]:
    """``toys`` of a method, see ``toys.read_toys``, as JSON.

    ``q`` maps "limits", and "observed" if there are data, to the test statistic of each kind on the
    grid, (n_points,). Coverage and critical values come with their statistical errors.
    """
    chosen = [i for i, point in enumerate(toys["points"]) if point["axis"] is None]
    intervals = {
        name: {
            kind: neyman_intervals(toys, kind, statistic, grid, levels)
            for kind, statistic in kinds.items()
        }
        for name, kinds in q.items()
    }
    return {
        "n_toys": int(toys["q_shape"].shape[1]),
        "points": [summarise_point(toys, i, grid.parameters, levels) for i in chosen],
        "intervals": intervals["limits"],
        **({"observed_intervals": intervals["observed"]} if "observed" in intervals else {}),
    }


def summarise_point(
    toys: dict[str, Any], i: int, parameters: Sequence[str], levels: Sequence[float]
) -> dict[str, Any]:
    """Coverage and critical values at the point ``i``, of all parameters and of each."""
    kinds = {}
    for kind in KINDS:
        joint, each = toys[f"q_{kind}"][i], toys[f"q_{kind}_each"][i]
        edges = np.linspace(0.0, LARGEST_Q, Q_BINS + 1)
        kinds[kind] = {
            **threshold_summary(joint, len(parameters), levels),
            "edges": edges,
            # What exceeds the range is counted in the last bin.
            "q": np.histogram(np.minimum(joint, LARGEST_Q), edges)[0],
            "parameters": {
                name: threshold_summary(row, 1, levels)
                for name, row in zip(parameters, each, strict=True)
            },
        }
    point = toys["points"][i]
    return {"name": point["name"], "theta": point["theta"], "kinds": kinds}


def threshold_summary(q: np.ndarray, dof: int, levels: Sequence[float]) -> dict[str, Any]:
    """Coverage of the asymptotic threshold and the true threshold, by level, for toys' ``q``."""
    return {
        "coverage": {
            str(level): _with_error(*coverage(q, chi2_quantile(level, dof))) for level in levels
        },
        "critical": {str(level): _with_error(*critical_value(q, level)) for level in levels},
    }


def _with_error(value: float, error: float) -> dict[str, float]:
    return {"value": value, "error": error}


def coverage(q: np.ndarray, threshold: float) -> tuple[float, float]:
    """The fraction of toys with q below a threshold, and its error.

    The error is the standard deviation of the fraction's posterior for a flat prior, which is not
    zero where all toys, or none, are covered.
    """
    n, k = len(q), int(np.sum(q <= threshold))
    mean = (k + 1.0) / (n + 2.0)
    return k / n, float(np.sqrt(mean * (1.0 - mean) / (n + 3.0)))


def critical_value(q: np.ndarray, level: float) -> tuple[float, float]:
    """The quantile of q at a confidence level, and its error from the ranks beside it."""
    # Few need it, and it takes half a second.
    from scipy.stats import binom

    n = len(q)
    ranks = np.clip(binom.ppf([0.1587, 0.8413], n, level), 0, n - 1).astype(int)
    low, high = np.sort(q)[ranks]
    return float(np.quantile(q, level)), float(0.5 * (high - low))


def neyman_intervals(
    toys: dict[str, Any], kind: str, q: np.ndarray, grid: Grid, levels: Sequence[float]
) -> dict[str, dict[str, list[list[float]]]]:
    """Intervals of every parameter, the others profiled, with thresholds from toys.

    Thresholds are interpolated between the points along the parameter, where the other parameters
    have their assumed true values.
    """
    cube = q.reshape(grid.shape)
    result: dict[str, dict[str, list[list[float]]]] = {}
    for i, name in enumerate(grid.parameters):
        profile = cube.min(axis=tuple(j for j in range(cube.ndim) if j != i))
        chosen = [k for k, point in enumerate(toys["points"]) if point["axis"] == name]
        places = [toys["points"][k]["theta"][i] for k in chosen]
        rows = toys[f"q_{kind}_each"][chosen, i]
        result[name] = {}
        for level in levels:
            thresholds = np.interp(grid.axes[i], places, np.quantile(rows, level, axis=1))
            ratio = profile / np.maximum(thresholds, 1e-12)
            result[name][str(level)] = below(grid.axes[i], ratio, 1.0)
    return result
