"""The network of the method ``polynomial``: observables in, the coefficients of a ratio out.

The ratio to the reference is r(x | phi) = |L(x)^T v(phi)|^2, v the monomials of an amplitude in
phi = (theta - reference) / units, L a lower triangular matrix with L_00 = 1: a sum of squares,
positive everywhere, 1 at the reference (arXiv:2007.10356). Where the cross-section is no square of
an amplitude it is 1 + sum_k b_k(x) m_k(phi), m all monomials but the constant, which can be
negative (as in arXiv:2211.02058). What is trained with torch is evaluated without it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.special import expit

from madminer_workflow.array_files import Checked, read_npz
from madminer_workflow.errors import InputError
from madminer_workflow.large_arrays import ROWS, by_rows, pieces, release
from madminer_workflow.madminer_file import LARGEST_POWER
from madminer_workflow.statistics.monomials import Monomials

LINEAR = 3.0
"""Inputs within as many standard deviations are nearly as they are, those beyond logarithms."""

BLOCK = 4096

Layers = list[tuple[np.ndarray, np.ndarray]]
"""Weights (n_inputs, n_outputs) and biases (n_outputs,)."""


@dataclass(frozen=True)
class Scaling:
    """How observables become inputs: centred, in units of their width, tails compressed."""

    centres: np.ndarray
    widths: np.ndarray

    @classmethod
    def of(cls, x: np.ndarray) -> Scaling:
        """That of observables (n_events, n_inputs): their median and their central 68 %."""
        levels = [0.16, 0.5, 0.84]
        if len(x) <= ROWS:
            (low, centres, high), spread = np.quantile(x, levels, axis=0), x.std(axis=0)
        else:
            low, centres, high = np.transpose([np.quantile(column, levels) for column in x.T])
            spread = np.array([column.std() for column in x.T])
            release(x)
        widths = 0.5 * (high - low)
        spread = np.where(spread > 0.0, spread, 1.0)
        return cls(centres, np.where(widths > 1e-3 * spread, widths, spread))

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Inputs of the network."""
        inputs = np.empty(x.shape, np.float32)
        for rows in pieces(len(x)):
            inputs[rows] = LINEAR * np.arcsinh((x[rows] - self.centres) / self.widths / LINEAR)
            release(x)
        return inputs


def outputs(scaling: Scaling, layers: Layers, x: np.ndarray) -> np.ndarray:
    """Those of layers of SiLU units, the last of which is linear, (n_events, n_outputs)."""
    *hidden, (last, constants) = layers
    pieces = []
    for start in range(0, max(len(x), 1), BLOCK):
        values = scaling(x[start : start + BLOCK])
        for weights, biases in hidden:
            values = values @ weights + biases
            values *= expit(values)
        pieces.append(values @ last + constants)
    return np.concatenate(pieces).astype(float)


def saved_layers(layers: Layers) -> dict[str, np.ndarray]:
    """The arrays of layers, by the names that they have in files."""
    arrays = {f"weights_{i}": weights for i, (weights, _) in enumerate(layers)}
    return arrays | {f"biases_{i}": biases for i, (_, biases) in enumerate(layers)}


def load_layers(file: Mapping[str, np.ndarray], check: Checked, n_outputs: int) -> Layers:
    """Layers with so many outputs from the arrays of a file; ``check`` knows of the ``inputs``.

    ValueError if they do not fit together.
    """
    n_layers = sum(name.startswith("weights_") for name in file)
    if not n_layers:
        raise ValueError("it has no layers")
    sizes: list[str | int] = ["inputs", *(f"layer {i}" for i in range(1, n_layers)), n_outputs]
    return [
        (
            check.of(file, f"weights_{i}", *sizes[i : i + 2]),
            check.of(file, f"biases_{i}", sizes[i + 1]),
        )
        for i in range(n_layers)
    ]


@dataclass(frozen=True)
class PolynomialNetwork:
    """A trained network: ``layers`` of weights (n_inputs, n_outputs) and biases (n_outputs,).

    ``powers`` (n_amplitude, n_parameters) are those of v or, where the ratio is not ``squared``,
    those of m, the constant first; ``origin`` and ``units`` (n_parameters,) lead from theta to phi.
    """

    scaling: Scaling
    layers: Layers
    powers: np.ndarray
    origin: np.ndarray
    units: np.ndarray
    squared: bool = True

    @property
    def n_entries(self) -> int:
        """Number of ``entries``."""
        n = len(self.powers)
        return n * (n + 1) // 2 if self.squared else n

    def entries(self, x: np.ndarray) -> np.ndarray:
        """Those of L, or 1 and b, at observables (n_events, n_inputs), (n_events, n_entries).

        Outputs o are those of L, and b = o (1 + |o|), which grow as fast as squares do.
        """
        values = outputs(self.scaling, self.layers, x)
        if not self.squared:
            values *= 1.0 + np.abs(values)
        return np.concatenate([np.ones((len(x), 1)), values], axis=1)

    def coefficients(self, x: np.ndarray, monomials: Monomials) -> np.ndarray:
        """The ratio as coefficients of ``monomials`` of theta, (n_events, n_monomials)."""

        def some(rows: slice) -> np.ndarray:
            return self.coefficients_of(self.entries(x[rows]), monomials)

        return by_rows(len(x), len(monomials), some)

    def coefficients_of(self, entries: np.ndarray, monomials: Monomials) -> np.ndarray:
        """The same from ``entries`` (n_events, n_entries)."""
        in_phi = self._forms(entries) if self.squared else entries
        return in_phi @ self._gathering(monomials) @ monomials.moved(self.origin, self.units)

    def _forms(self, entries: np.ndarray) -> np.ndarray:
        """L L^T, what the products of two of v are multiplied with, (n_events, n_pairs)."""
        n = len(self.powers)
        rows, columns = np.tril_indices(n)
        lower = np.zeros((len(entries), n, n))
        lower[:, rows, columns] = entries
        return (lower @ np.swapaxes(lower, 1, 2)).reshape(len(entries), n * n)

    def _gathering(self, monomials: Monomials) -> np.ndarray:
        """Which monomial a product of two of v, or one of m, is, (n_products, n_monomials)."""
        products = self.powers
        if self.squared:
            products = (products[:, None] + products).reshape(-1, products.shape[1])
        return np.all(products[:, None] == monomials.powers, axis=2).astype(float)

    def save(self, path: Path) -> None:
        """Write everything as arrays into an npz file."""
        np.savez(
            path,
            allow_pickle=False,
            centres=self.scaling.centres,
            widths=self.scaling.widths,
            powers=self.powers,
            origin=self.origin,
            units=self.units,
            squared=self.squared,
            **saved_layers(self.layers),
        )

    @classmethod
    def load(cls, path: Path, check: Checked | None = None) -> PolynomialNetwork:
        """Read what ``save`` wrote; ``check`` knows how many ``inputs`` and ``parameters`` it has.

        Raises InputError if an earlier version wrote it, ValueError if it is damaged.
        """
        check, file = check or Checked(), read_npz(path)
        if "squared" not in file:
            raise InputError(
                f"{path}: the model is of an earlier version, without “squared”; train it again"
            )
        squared = bool(check.of(file, "squared"))
        powers = check.of(file, "powers", "monomials", "parameters", whole=True, least=0)
        n = len(powers)
        if powers.max(initial=0) > LARGEST_POWER:
            raise ValueError("it has powers that are too high for a cross-section")
        layers = load_layers(file, check, (n * (n + 1) // 2 if squared else n) - 1)
        scaling = Scaling(check.of(file, "centres", "inputs"), check.of(file, "widths", "inputs"))
        origin, units = (check.of(file, name, "parameters") for name in ("origin", "units"))
        if np.any(scaling.widths <= 0.0) or np.any(units <= 0.0):
            raise ValueError("its units are not positive")
        return cls(scaling, layers, powers, origin, units, squared)
