"""Polynomials in the parameters: their monomials, derivatives, and forms that are squares.

The cross-section of an event is a polynomial in the parameters, a squared amplitude (morphing,
arXiv:1907.10621, section 3.3): sum_k c_k m_k(theta), and so is everything that is linear in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np


@dataclass(frozen=True)
class _Multiples:
    """``factors`` times the monomials at ``places`` of a list, both of the shape of the result."""

    factors: np.ndarray
    places: np.ndarray

    def of(self, values: np.ndarray) -> np.ndarray:
        """From the values (..., n_monomials) of the list."""
        return self.factors * values[..., self.places]


@dataclass(frozen=True)
class Monomials:
    """Products of powers of the parameters; ``powers`` has shape (n_monomials, n_parameters)."""

    powers: np.ndarray

    def __len__(self) -> int:
        """Number of monomials."""
        return len(self.powers)

    def values(self, thetas: np.ndarray) -> np.ndarray:
        """At points (..., n_parameters), (..., n_monomials)."""
        thetas = np.asarray(thetas, dtype=float)
        # Products are much faster than powers.
        ladder = np.ones((*thetas.shape, 1 + int(self.powers.max(initial=0))))
        for power in range(1, ladder.shape[-1]):
            ladder[..., power] = ladder[..., power - 1] * thetas
        result = ladder[..., 0, self.powers[:, 0]]
        for i in range(1, thetas.shape[-1]):
            result *= ladder[..., i, self.powers[:, i]]
        return result

    def gradients(self, thetas: np.ndarray) -> np.ndarray:
        """First derivatives, (..., n_parameters, n_monomials)."""
        lower, first, _ = self._lower
        return first.of(lower.values(thetas))

    def hessians(self, thetas: np.ndarray) -> np.ndarray:
        """Second derivatives, (..., n_parameters, n_parameters, n_monomials)."""
        lower, _, second = self._lower
        return second.of(lower.values(thetas))

    def derivatives(self, thetas: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """``values``, ``gradients`` and ``hessians``."""
        lower, first, second = self._lower
        at = lower.values(thetas)
        return self.values(thetas), first.of(at), second.of(at)

    @cached_property
    def _lower(self) -> tuple[Monomials, _Multiples, _Multiples]:
        """The monomials that are left of derivatives, and the first and second of these."""
        one = np.eye(self.powers.shape[1], dtype=int)
        once = np.maximum(self.powers - one[:, None], 0)
        factors = np.moveaxis(self.powers, -1, 0)
        twice = np.maximum(once[None] - one[:, None, None], 0)
        both = factors * np.moveaxis(once, -1, 0)
        n, shapes = self.powers.shape[1], (once.shape[:-1], twice.shape[:-1])
        rows = np.concatenate([once.reshape(-1, n), twice.reshape(-1, n)])
        powers, places = np.unique(rows, axis=0, return_inverse=True)
        first, second = np.split(places.ravel(), [np.prod(shapes[0])])
        return (
            Monomials(powers),
            _Multiples(factors.astype(float), first.reshape(shapes[0])),
            _Multiples(both.astype(float), second.reshape(shapes[1])),
        )

    def moved(self, origin: np.ndarray, units: np.ndarray) -> np.ndarray:
        """The matrix T that takes coefficients in phi = (theta - origin) / units to those in theta.

        Both ``origin`` and ``units`` are (n_parameters,). With c coefficients in phi, c @ T are
        those in theta, (n_monomials, n_monomials). The monomials must contain all their divisors.
        """
        # A polynomial is known from its values at as many points as it has coefficients: those
        # with coordinates 0, 1, 2 ... for the powers 0, 1, 2 ...
        points = origin + units * self.powers
        return np.linalg.solve(self.values(points), self.values(self.powers.astype(float))).T


def amplitude_of(squared: Monomials) -> Monomials | None:
    """The monomials v of an amplitude whose squares |A v|^2 have exactly the monomials ``squared``.

    None if these are no squares: odd highest powers, or interference alone.
    """
    present = set(map(tuple, squared.powers.tolist()))
    halves = [powers for powers in present if tuple(2 * p for p in powers) in present]
    # The constant comes first: it is the amplitude where all parameters are 0.
    amplitude = Monomials(np.array(sorted(halves, key=lambda powers: (sum(powers), powers[::-1]))))
    sums = (amplitude.powers[:, None] + amplitude.powers).reshape(-1, squared.powers.shape[1])
    return amplitude if set(map(tuple, sums.tolist())) == present else None
