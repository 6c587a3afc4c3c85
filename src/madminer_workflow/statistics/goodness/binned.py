"""One observable of data against simulation: all intervals of it, the most unlikely one counts.

Bins hold equal shares of what is expected. In every interval of neighbouring bins the number of
events is compared with that expected of as many events in all, by the square root of the
likelihood ratio of the binomial law. As there are more narrow intervals than wide ones, from each
is taken what the best of so many intervals reaches by chance, √(2 log(e n/w)) for w of n bins
(Dümbgen and Spokoiny, Ann. Stat. 29 (2001) 124). A tilt shows in wide intervals, a resonance in
narrow ones; the interval says where.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

MOST_BINS = 32
FEWEST_BINS = 4
EVENTS_PER_BIN = 6.0
"""Expected events of data."""
SIMULATED_PER_BIN = 40.0
"""Effective ones of the simulation."""


def number_of_bins(expected: float, simulated: float) -> int:
    """How many bins data of ``expected`` events allow, if so many ``simulated`` ones count."""
    n = min(expected / EVENTS_PER_BIN, simulated / SIMULATED_PER_BIN)
    return int(np.clip(n, FEWEST_BINS, MOST_BINS))


def bin_edges(values: np.ndarray, weights: np.ndarray, n_bins: int) -> np.ndarray:
    """Inner edges of bins of about equal ``weights``, (at most n_bins - 1,).

    A value that many events have in common, as counts and defaults are, has a bin of its own.
    """
    known = np.isfinite(values)
    distinct, place = np.unique(values[known], return_inverse=True)
    shares = np.bincount(place, weights=np.maximum(weights[known], 0.0), minlength=len(distinct))
    if shares.sum() == 0.0:
        return np.empty(0)
    below = np.cumsum(shares) / shares.sum()
    at = np.searchsorted(below, np.arange(1, n_bins) / n_bins)
    # An edge behind each chosen value, and one before it if it fills a bin.
    full = shares > shares.sum() / n_bins
    behind = np.unique(np.concatenate([at, np.flatnonzero(full), np.flatnonzero(full) - 1]))
    behind = behind[(behind >= 0) & (behind < len(distinct) - 1)]
    return 0.5 * (distinct[behind] + distinct[behind + 1])


@cache
def _intervals(n_bins: int) -> tuple[np.ndarray, np.ndarray]:
    """First bin and the one behind the last, of all intervals but the whole."""
    first, end = np.triu_indices(n_bins + 1, 1)
    proper = end - first < n_bins
    return first[proper], end[proper]


@dataclass(frozen=True)
class Scanned:
    """The most unlikely interval of data sets.

    ``statistic`` (n_sets,), the ``first`` bin and the one behind the last, ``end``.
    """

    statistic: np.ndarray
    first: np.ndarray
    end: np.ndarray


def scan_intervals(counts: np.ndarray, shares: np.ndarray) -> Scanned:
    """Of ``counts`` of events (n_sets, n_bins), with expected ``shares`` of the same shape."""
    n_bins = counts.shape[1]
    if n_bins < 2:
        nothing = np.zeros(len(counts), dtype=int)
        return Scanned(np.zeros(len(counts)), nothing, nothing + n_bins)
    first, end = _intervals(n_bins)
    n = np.pad(np.cumsum(counts, axis=1), ((0, 0), (1, 0)))
    e = np.pad(np.cumsum(shares, axis=1), ((0, 0), (1, 0)))
    total = n[:, -1:]
    inside = n[:, end] - n[:, first]
    expected = total * (e[:, end] - e[:, first]) / e[:, -1:]
    deviance = 2.0 * (_xlog(inside, expected) + _xlog(total - inside, total - expected))
    penalty = np.sqrt(2.0 * np.log(np.e * n_bins / np.minimum(end - first, n_bins - end + first)))
    height = np.sqrt(np.maximum(deviance, 0.0)) - penalty
    best = height.argmax(axis=1)
    return Scanned(height[np.arange(len(counts)), best], first[best], end[best])


def _xlog(n: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """n log(n / expected), with what is never expected taken as a millionth of an event."""
    ratio = np.where(n > 0.0, n, 1.0) / np.where(n > 0.0, np.maximum(expected, 1e-6), 1.0)
    return n * np.log(ratio)


def excess(n: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """By how many standard deviations Poisson's law has fewer, or more, than ``n`` events."""
    deviance = 2.0 * (_xlog(n, expected) - (n - expected))
    return np.sign(n - expected) * np.sqrt(np.maximum(deviance, 0.0))
