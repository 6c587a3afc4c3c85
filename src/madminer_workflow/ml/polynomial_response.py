"""How the ratio of the method ``polynomial`` responds to nuisance parameters: a second network.

The cross-section of an event at nu = +1 or -1 of one nuisance parameter is f times that at nu = 0;
that of the observables is u(x | theta) = E[w f | x] / E[w | x] times theirs, w the weight at theta.
As u is learned itself it has none of the fluctuations that the ratio of two networks would have.
Where the ratio to the reference is a sum of squares |L^T v|^2, u = |(L + D)^T v|^2 / |L^T v|^2 with
the outputs D of the network, so that the varied cross-section is a polynomial again. Where it is no
square, u = exp(D) does not depend on theta.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from madminer_workflow.array_files import Checked, read_npz
from madminer_workflow.ml.polynomial_network import (
    Layers,
    PolynomialNetwork,
    load_layers,
    outputs,
    saved_layers,
)
from madminer_workflow.statistics.monomials import Monomials


@dataclass(frozen=True)
class ResponseNetwork:
    """A trained network behind the ``ratio`` of nu = 0, with ``layers`` as there.

    ``changing`` (n_changing,) are the variations that it has outputs for, as in
    ``statistics.polynomial.EventResponse``: all others change the rate only, and are exact.
    ``norm`` (n_changing, n_monomials) are the integrals of the varied ratios over the events of the
    reference, which are 1 there.
    """

    ratio: PolynomialNetwork
    layers: Layers
    changing: np.ndarray
    scales: np.ndarray
    norm: np.ndarray

    @classmethod
    def normalised(
        cls,
        ratio: PolynomialNetwork,
        layers: Layers,
        changing: np.ndarray,
        x: np.ndarray,
        weights: np.ndarray,
        monomials: Monomials,
    ) -> ResponseNetwork:
        """That with ``layers``, from events ``x`` with their ``weights`` at the reference."""
        raw = cls(ratio, layers, changing, np.ones(len(changing)), np.empty((0, 0)))
        norm = np.tensordot(weights, raw.coefficients(x, monomials), (0, 0)) / weights.sum()
        scales = 1.0 / (norm @ monomials.values(ratio.origin))
        return cls(ratio, layers, changing, scales, norm * scales[:, None])

    def coefficients(self, x: np.ndarray, monomials: Monomials) -> np.ndarray:
        """The varied ratios to the reference, (n_events, n_changing, n_monomials)."""
        if not len(self.changing):
            return np.empty((len(x), 0, len(monomials)))
        entries = self.ratio.entries(x)
        changes = outputs(self.ratio.scaling, self.layers, x)
        changes = changes.reshape(len(x), len(self.changing), -1)
        varied = np.empty((len(x), len(self.changing), len(monomials)))
        for k in range(len(self.changing)):
            if self.ratio.squared:
                varied[:, k] = self.ratio.coefficients_of(entries + changes[:, k], monomials)
            else:
                nominal = self.ratio.coefficients_of(entries, monomials)
                varied[:, k] = nominal * np.exp(changes[:, k])
        return varied * self.scales[:, None]

    def save(self, path: Path) -> None:
        """Write layers and variations into an npz file."""
        arrays = {"changing": self.changing, "scales": self.scales, "norm": self.norm}
        np.savez(path, allow_pickle=False, **arrays, **saved_layers(self.layers))

    @classmethod
    def load(cls, path: Path, ratio: PolynomialNetwork, check: Checked) -> ResponseNetwork:
        """Read what ``save`` wrote; ValueError if it is damaged.

        ``check`` knows how many ``inputs``, ``variations`` and ``monomials`` there are.
        """
        file = read_npz(path)
        changing = check.of(file, "changing", "changing", whole=True, least=1)
        if len(set(changing)) < len(changing) or np.any(changing > check.sizes["variations"]):
            raise ValueError(
                "changing: contains other variations than those of its nuisance parameters"
            )
        scales = check.of(file, "scales", "changing")
        norm = check.of(file, "norm", "changing", "monomials")
        if np.any(scales <= 0.0):
            raise ValueError("scales: are not positive")
        layers: Layers = []
        if len(changing):
            each = ratio.n_entries if ratio.squared else 1
            layers = load_layers(file, check, each * len(changing))
        return cls(ratio, layers, changing, scales, norm)
