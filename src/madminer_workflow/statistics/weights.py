"""Weighted events: means and sizes of samples."""

from __future__ import annotations

import numpy as np


def weighted_mean(values: np.ndarray, weights: np.ndarray) -> tuple[float, float]:
    """Mean of ``values`` (n,) under ``weights`` and its standard error.

    The error has the correction of a sample of effective size 1 / sum p^2: a single event that
    outweighs all others says nothing about its own fluctuation.
    """
    p = weights / weights.sum()
    mean = float(p @ values)
    squares = np.square(p)
    with np.errstate(divide="ignore", invalid="ignore"):
        error = np.sqrt((squares @ np.square(values - mean)) / (1.0 - squares.sum()))
    return mean, float(error)


def effective_size(weights: np.ndarray) -> float:
    """Kish's effective number of events, (sum w)^2 / sum w^2, of ``weights`` (n,)."""
    return float(weights.sum() ** 2 / np.square(weights).sum())


def normalised(weights: np.ndarray) -> np.ndarray:
    """``weights`` (..., n) over their sums."""
    return weights / weights.sum(axis=-1, keepdims=True)
