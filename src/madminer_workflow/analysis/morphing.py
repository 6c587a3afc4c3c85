"""The terms of the squared matrix element, which the morphing interpolates."""

from __future__ import annotations

import numpy as np


def morphing_components(max_powers: list[int], max_overall_power: int) -> list[tuple[int, ...]]:
    """Return the powers of the parameters in each term of the squared matrix element.

    These are MadMiner's components (``PhysicsMorpher.find_components``), in its order.
    """
    if not max_powers:
        return [()]
    return [
        (power, *rest)
        for power in range(min(max_powers[0], max_overall_power) + 1)
        for rest in morphing_components(max_powers[1:], max_overall_power - power)
    ]


def n_morphing_components(max_powers: list[int], max_overall_power: int) -> int:
    """How many components there are: coefficients of a product of geometric series."""
    counts = np.zeros(max_overall_power + 1, dtype=object)
    counts[0] = 1
    for power in max_powers:
        counts = np.array(
            [counts[max(0, n - power) : n + 1].sum() for n in range(len(counts))], dtype=object
        )
    return int(counts.sum())
