"""The network of the method ``polynomial``: observables in, a squared amplitude out.

The ratio to the reference is r(x | phi) = |L(x)^T v(phi)|^2, v the monomials of an amplitude in
phi = (theta - reference) / units, L a lower triangular matrix with L_00 = 1: a sum of squares,
positive everywhere, 1 at the reference (arXiv:2007.10356; arXiv:2211.02058 has the same without
the squares). What is trained with torch is evaluated without it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.special import expit

from madminer_workflow.statistics.monomials import Monomials

LINEAR = 3.0
"""Inputs within as many standard deviations are nearly as they are, those beyond logarithms."""

BLOCK = 4096


@dataclass(frozen=True)
class Scaling:
    """How observables become inputs: centred, in units of their width, tails compressed."""

    centres: np.ndarray
    widths: np.ndarray

    @classmethod
    def of(cls, x: np.ndarray) -> Scaling:
        """That of observables (n_events, n_inputs): their median and their central 68 %."""
        low, centres, high = np.quantile(x, [0.16, 0.5, 0.84], axis=0)
        widths = 0.5 * (high - low)
        spread = np.where(x.std(axis=0) > 0.0, x.std(axis=0), 1.0)
        return cls(centres, np.where(widths > 1e-3 * spread, widths, spread))

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Inputs of the network."""
        return (LINEAR * np.arcsinh((x - self.centres) / self.widths / LINEAR)).astype(np.float32)


@dataclass(frozen=True)
class PolynomialNetwork:
    """A trained network: ``layers`` of weights (n_inputs, n_outputs) and biases (n_outputs,).

    ``powers`` (n_amplitude, n_parameters) are those of v; ``origin`` and ``units``
    (n_parameters,) lead from theta to phi.
    """

    scaling: Scaling
    layers: list[tuple[np.ndarray, np.ndarray]]
    powers: np.ndarray
    origin: np.ndarray
    units: np.ndarray

    def triangles(self, x: np.ndarray) -> np.ndarray:
        """The entries of L at observables (n_events, n_inputs), (n_events, n_entries)."""
        *hidden, (last, constants) = self.layers
        pieces = []
        for start in range(0, max(len(x), 1), BLOCK):
            values = self.scaling(x[start : start + BLOCK])
            for weights, biases in hidden:
                values = values @ weights + biases
                values *= expit(values)
            pieces.append(values @ last + constants)
        outputs = np.concatenate(pieces).astype(float)
        return np.concatenate([np.ones((len(x), 1)), outputs], axis=1)

    def coefficients(self, x: np.ndarray, monomials: Monomials) -> np.ndarray:
        """The ratio as coefficients of ``monomials`` of theta, (n_events, n_monomials)."""
        n = len(self.powers)
        rows, columns = np.tril_indices(n)
        lower = np.zeros((len(x), n, n))
        lower[:, rows, columns] = self.triangles(x)
        forms = (lower @ np.swapaxes(lower, 1, 2)).reshape(len(x), n * n)
        return forms @ self._gathering(monomials) @ monomials.moved(self.origin, self.units)

    def _gathering(self, monomials: Monomials) -> np.ndarray:
        """Which monomial the product of two of the amplitude is, (n_pairs, n_monomials)."""
        products = (self.powers[:, None] + self.powers).reshape(-1, self.powers.shape[1])
        return np.all(products[:, None] == monomials.powers, axis=2).astype(float)

    def save(self, path: Path) -> None:
        """Write everything as arrays into an npz file."""
        arrays = {f"weights_{i}": weights for i, (weights, _) in enumerate(self.layers)}
        arrays |= {f"biases_{i}": biases for i, (_, biases) in enumerate(self.layers)}
        np.savez(
            path,
            allow_pickle=False,
            centres=self.scaling.centres,
            widths=self.scaling.widths,
            powers=self.powers,
            origin=self.origin,
            units=self.units,
            **arrays,
        )

    @classmethod
    def load(cls, path: Path) -> PolynomialNetwork:
        """Read what ``save`` wrote."""
        with np.load(path) as file:
            n_layers = sum(name.startswith("weights_") for name in file)
            layers = [(file[f"weights_{i}"], file[f"biases_{i}"]) for i in range(n_layers)]
            scaling = Scaling(file["centres"], file["widths"])
            return cls(scaling, layers, file["powers"], file["origin"], file["units"])
