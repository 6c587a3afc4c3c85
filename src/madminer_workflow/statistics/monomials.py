"""Polynomials in the parameters: their monomials, derivatives, and forms that are squares.

The cross-section of an event is a polynomial in the parameters, a squared amplitude (morphing,
arXiv:1907.10621, section 3.3): sum_k c_k m_k(theta), and so is everything that is linear in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np


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
        result = np.ones((*thetas.shape[:-1], len(self.powers)))
        for i, powers in enumerate(self.powers.T):
            # Products are much faster than powers.
            ladder = [np.ones(thetas.shape[:-1])]
            for _ in range(powers.max(initial=0)):
                ladder.append(ladder[-1] * thetas[..., i])
            result *= np.stack(ladder, axis=-1)[..., powers]
        return result

    def gradients(self, thetas: np.ndarray) -> np.ndarray:
        """First derivatives, (..., n_parameters, n_monomials)."""
        return np.stack(
            [factors * lower.values(thetas) for factors, lower in self._derivatives], axis=-2
        )

    def hessians(self, thetas: np.ndarray) -> np.ndarray:
        """Second derivatives, (..., n_parameters, n_parameters, n_monomials)."""
        return np.stack(
            [factors * lower.gradients(thetas) for factors, lower in self._derivatives],
            axis=-3,
        )

    def derivatives(self, thetas: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """``values``, ``gradients`` and ``hessians``."""
        return self.values(thetas), self.gradients(thetas), self.hessians(thetas)

    @cached_property
    def _derivatives(self) -> list[tuple[np.ndarray, Monomials]]:
        """For every parameter the factors (n_monomials,) and monomials of the derivative."""
        ones = np.eye(self.powers.shape[1], dtype=int)
        return [(self.powers @ one, Monomials(np.maximum(self.powers - one, 0))) for one in ones]

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
