"""p-values of many tests of the same data from toys, and of the smallest one of them.

Under the hypothesis the data and the toys are exchangeable: the rank of a test statistic of the
data among those of the toys gives a p-value that is right for any number of toys (Davison and
Hinkley, Bootstrap Methods and their Application, 1997, section 4.2). The smallest p-value of all
tests has a distribution of its own, which the same toys know, with all correlations of the tests:
this is what looking in many places costs.
"""

from __future__ import annotations

import numpy as np

TAIL = 0.1
"""Of all sets."""

SAME = 1e-9
"""Differences of test statistics as small as this are rounding."""


def p_values(statistics: np.ndarray) -> np.ndarray:
    """p-values (n_sets, n_tests) of ``statistics`` of the same shape, which are large if unlikely.

    Each set is compared with all, itself included: 1/n_sets is the smallest there is.
    """
    rounded = np.round(statistics / SAME) * SAME
    result = np.empty(statistics.shape)
    for j, column in enumerate(rounded.T):
        ordered = np.sort(column)
        result[:, j] = len(column) - np.searchsorted(ordered, column, side="left")
    return result / len(statistics)


def combined(statistics: np.ndarray) -> np.ndarray:
    """p-values (n_sets,) of the least likely of ``statistics`` (n_sets, n_tests) of each set."""
    return p_values(-log_p_values(statistics).min(axis=1)[:, None])[:, 0]


def log_p_values(statistics: np.ndarray) -> np.ndarray:
    """Logarithms of ``p_values``, those of the largest statistics from an exponential tail.

    Ranks cannot tell what exceeds all toys by far from what exceeds them by little: some test of
    many always has the largest of all statistics. The tail begins at the quantile of TAIL.
    """
    result = np.log(p_values(statistics))
    n = max(1, round(TAIL * len(statistics)))
    for j, column in enumerate(statistics.T):
        start = np.sort(column)[-n - 1] if n < len(column) else column.min()
        above = column > start + SAME
        mean = np.mean(column[above] - start) if above.any() else 0.0
        if mean > SAME:
            result[above, j] = np.log(above.mean()) - (column[above] - start) / mean
    return result
