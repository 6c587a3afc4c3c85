"""Weights of scale and parton density uncertainties as all generators give them."""

from __future__ import annotations

import numpy as np


def with_variations(
    weights: np.ndarray, n_benchmarks: int, drawn: int, reference: int
) -> np.ndarray:
    """Weights (n_events, n_weights), where those behind ``n_benchmarks`` are variations.

    In the files, these are of the weights at the benchmark with index ``drawn``, at which events
    were drawn; in the result, of those at the one with index ``reference``.
    """
    physical, varied = np.hsplit(weights, [n_benchmarks])
    # An event without a weight where it was drawn is an error elsewhere.
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.hstack([physical, physical[:, [reference]] * (varied / physical[:, [drawn]])])
