"""Histograms of any dimension whose bins hold one cross-section per benchmark."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from madminer_workflow.statistics.setup import Setup


def quantile_edges(values: np.ndarray, weights: np.ndarray, n_bins: int) -> np.ndarray:
    """Inner edges, shape (n_bins - 1,), of bins with equal sums of ``weights``."""
    order = np.argsort(values, kind="stable")
    cumulative = np.cumsum(weights[order])
    positions = np.searchsorted(cumulative, cumulative[-1] * np.arange(1, n_bins) / n_bins)
    return values[order][np.minimum(positions, len(values) - 1)]


def inner_edges(
    x: np.ndarray, weights: np.ndarray, bins: Sequence[int | Sequence[float]]
) -> list[np.ndarray]:
    """Inner edges along every column of ``x``: as given, or of so many bins of equal weight."""
    return [
        quantile_edges(column, weights, given) if isinstance(given, int) else np.asarray(given)
        for column, given in zip(x.T, bins, strict=True)
    ]


def bin_indices(values: np.ndarray, edges: Sequence[np.ndarray]) -> np.ndarray:
    """The flat bin index of each row of ``values``, shape (n_events, n_dimensions).

    ``edges`` separate bins; below the first and above the last there is a bin, too.
    """
    shape = [len(axis) + 1 for axis in edges]
    indices = [
        np.searchsorted(axis, column, side="right")
        for axis, column in zip(edges, values.T, strict=True)
    ]
    return np.ravel_multi_index(indices, shape)


def n_bins(edges: Sequence[np.ndarray]) -> int:
    """The number of bins that ``bin_indices`` distinguishes."""
    return int(np.prod([len(axis) + 1 for axis in edges]))


def fill(indices: np.ndarray, weights: np.ndarray, size: int) -> np.ndarray:
    """Sums of ``weights`` (n_events, n_columns) per bin, shape (size, n_columns)."""
    return np.stack([np.bincount(indices, column, minlength=size) for column in weights.T], axis=1)


def log_probabilities(template: np.ndarray, setup: Setup, thetas: np.ndarray) -> np.ndarray:
    """Log probability of the bins at each theta, shape (n_thetas, n_bins).

    ``template`` holds cross-sections (n_bins, n_benchmarks). Bins without simulated events get a
    vanishing but finite probability, as in MadMiner's ``Histo``, so that they disfavour no point
    over another.
    """
    rates = np.maximum(setup.morphing_weights(thetas) @ template.T, 0.0)
    return np.log(np.maximum(rates / rates.sum(axis=1, keepdims=True), 1e-12))
