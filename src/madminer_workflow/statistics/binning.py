"""Histograms of any dimension whose bins hold one cross-section per benchmark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from madminer_workflow.statistics.monomials import Monomials
from madminer_workflow.statistics.polynomial import PolynomialDensity
from madminer_workflow.statistics.setup import Setup

EMPTY = 1e-12
"""The probability of a bin without simulated events."""


def quantile_edges(values: np.ndarray, weights: np.ndarray, n_bins: int) -> np.ndarray:
    """Inner edges, shape (n_bins - 1,), of bins with equal sums of ``weights``."""
    order = np.argsort(values, kind="stable")
    cumulative = np.cumsum(weights[order])
    positions = np.searchsorted(cumulative, cumulative[-1] * np.arange(1, n_bins) / n_bins)
    return values[order][np.minimum(positions, len(values) - 1)]


def inner_edges(
    x: np.ndarray, weights: np.ndarray, bins: Sequence[int | Sequence[float]]
) -> list[np.ndarray]:
    """Inner edges along every column of ``x``: as given, or of so many bins of equal weight.

    ``weights``, (n_events,) or (n_events, n_columns), are those of events, for all columns or each.
    """
    by_column = np.broadcast_to(weights if weights.ndim == 2 else weights[:, None], x.shape)
    return [
        quantile_edges(column, its_weights, given) if isinstance(given, int) else np.asarray(given)
        for column, its_weights, given in zip(x.T, by_column.T, bins, strict=True)
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


def binned_density(
    rates: np.ndarray, cells: Mapping[str, np.ndarray], setup: Setup
) -> PolynomialDensity:
    """The density of bins with cross-sections ``rates`` (n_bins, 1 + 2 n_nuisance, n_benchmarks).

    They are those of ``nuisance.varied_rates``; ``cells`` are the bins of the events of samples.
    Bins without simulated events get a vanishing but finite probability, as in MadMiner's
    ``Histo``, so that they disfavour no point over another.
    """
    coefficients = rates @ setup.morphing_matrix
    norm = coefficients[:, 0].sum(axis=0)
    coefficients[~rates[:, 0].any(axis=1)] = EMPTY * norm
    return PolynomialDensity(
        Monomials(setup.components), coefficients[:, 0], norm, cells, coefficients[:, 1:]
    )
