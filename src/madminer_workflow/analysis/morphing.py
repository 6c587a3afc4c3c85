"""The terms of the squared matrix element, which the morphing interpolates.

It may be a product of factors that the parameters enter with powers of their own, such as those of
production and decay. Every term is then the product of one term of each factor.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

MOST_TERMS = 2000
"""Of the squared matrix element: as many benchmarks have to be integrated."""

Powers = int | Sequence[int]
"""Of the squared matrix element, or of each of its factors."""

Term = tuple[int, ...]
"""The powers of the parameters."""


def morphing_components(max_powers: Sequence[Powers], max_overall_power: Powers) -> list[Term]:
    """Return the powers of the parameters in each term of the squared matrix element.

    ``max_powers`` are the highest ones of each parameter, ``max_overall_power`` is the highest sum.
    Of one factor, these are MadMiner's components (``PhysicsMorpher.find_components``), in its
    order. Raises ValueError unless all have the same number of factors.
    """
    terms: list[Term] = [(0,) * len(max_powers)]
    for powers, overall in _factors(max_powers, max_overall_power):
        terms = sorted(_products(terms, _of_factor(powers, overall)))
    return terms


def n_morphing_components(max_powers: Sequence[Powers], max_overall_power: Powers) -> int:
    """How many components there are; of several factors, of which one may be too much.

    Above ``MOST_TERMS`` it is then some number that is not larger. Raises ValueError unless all
    have the same number of factors.
    """
    factors = _factors(max_powers, max_overall_power)
    counts = [_n_of_factor(powers, overall) for powers, overall in factors]
    if len(factors) == 1 or max(counts) > MOST_TERMS:
        return max(counts)
    terms: set[Term] = {(0,) * len(max_powers)}
    for powers, overall in factors:
        terms = _products(terms, _of_factor(powers, overall))
    return len(terms)


def highest_powers(max_powers: Sequence[Powers], max_overall_power: Powers) -> list[int]:
    """The highest power of each parameter in any term."""
    factors = _factors(max_powers, max_overall_power)
    return [
        sum(min(powers[place], overall) for powers, overall in factors)
        for place in range(len(max_powers))
    ]


def _factors(
    max_powers: Sequence[Powers], max_overall_power: Powers
) -> list[tuple[list[int], int]]:
    """The highest powers of the parameters in each factor, and the highest sum."""
    overall = _listed(max_overall_power)
    columns = zip(*map(_listed, max_powers), strict=True)
    return [(list(powers), most) for powers, most in zip(columns, overall, strict=True)]


def _listed(powers: Powers) -> Sequence[int]:
    return [powers] if isinstance(powers, int) else powers


def _products(terms: Sequence[Term] | set[Term], others: Sequence[Term]) -> set[Term]:
    """All products of a term and one of ``others``, or more than ``MOST_TERMS`` of them."""
    products: set[Term] = set()
    for term in terms:
        products.update(tuple(map(sum, zip(term, other, strict=True))) for other in others)
        if len(products) > MOST_TERMS:
            break
    return products


def _of_factor(max_powers: Sequence[int], max_overall_power: int) -> list[Term]:
    if not max_powers:
        return [()]
    return [
        (power, *rest)
        for power in range(min(max_powers[0], max_overall_power) + 1)
        for rest in _of_factor(max_powers[1:], max_overall_power - power)
    ]


def _n_of_factor(max_powers: Sequence[int], max_overall_power: int) -> int:
    """The sum of the coefficients of a product of geometric series."""
    counts = np.zeros(max_overall_power + 1, dtype=object)
    counts[0] = 1
    for power in max_powers:
        counts = np.array(
            [counts[max(0, n - power) : n + 1].sum() for n in range(len(counts))], dtype=object
        )
    return int(counts.sum())
