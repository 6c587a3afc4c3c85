"""A process of any number of parameters whose likelihood is known exactly.

Latents z are standard normal; the amplitude has two components, each linear in the parameters and
in z: A_c(z | theta) = sum_i v_i(theta) (alpha_ic + beta_ic z), v = (1, theta). The cross-section is
dsigma(z | theta) = N(z) |A|^2, observables are x = z + smearing. Given x, the latents are normal,
so that the mean of every coefficient of the cross-section given x is known in closed form, and with
it the likelihood ratio of the observables.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from madminer_workflow.statistics.events import Events
from madminer_workflow.statistics.monomials import Monomials
from madminer_workflow.statistics.setup import Setup


def quadratic(n_parameters: int) -> Monomials:
    """All monomials up to the second order, the constant first."""
    ones = np.eye(n_parameters, dtype=int)
    pairs = [ones[i] + ones[j] for i in range(n_parameters) for j in range(i, n_parameters)]
    return Monomials(np.array([0 * ones[0], *ones, *pairs]))


def setup_of(monomials: Monomials) -> Setup:
    """Parameters p0, p1, ..., their reference point "sm", and a morphing basis."""
    n = monomials.powers.shape[1]
    # Points with coordinates 0, 1 and 2 determine the coefficients.
    points = monomials.powers.astype(float)
    return Setup(
        parameters=[f"p{i}" for i in range(n)],
        benchmark_names=["sm", *(f"b{i}" for i in range(1, len(points)))],
        benchmarks=points,
        components=monomials.powers,
        morphing_matrix=np.linalg.inv(monomials.values(points)).T,
        reference="sm",
    )


@dataclass(frozen=True)
class KnownProcess:
    """``alpha`` (n_amplitudes, 2) and ``beta`` (n_amplitudes, 2, n_latents), and the smearing."""

    alpha: np.ndarray
    beta: np.ndarray
    smearing: float
    cross_section: float = 1e-3

    @classmethod
    def of(cls, n_parameters: int, seed: int = 1, smearing: float = 0.5) -> KnownProcess:
        """One with as many parameters; the reference amplitude is (1 + z_0 / 5, z_1 / 2)."""
        rng = np.random.default_rng(seed)
        n_latents = max(2, n_parameters)
        alpha = np.zeros((n_parameters + 1, 2))
        beta = np.zeros((n_parameters + 1, 2, n_latents))
        alpha[0, 0], beta[0, 0, 0], beta[0, 1, 1] = 1.0, 0.2, 0.5
        alpha[1:, 1] = 0.1 * rng.normal(size=n_parameters)
        beta[1:] = 0.2 * rng.normal(size=(n_parameters, 2, n_latents)) / np.sqrt(n_latents)
        beta[1:, 0] += 0.5 * np.eye(n_parameters, n_latents)
        return cls(alpha, beta, smearing)

    @property
    def n_parameters(self) -> int:
        """Number of parameters."""
        return len(self.alpha) - 1

    @property
    def monomials(self) -> Monomials:
        """Those of the cross-section."""
        return quadratic(self.n_parameters)

    def events(self, n: int, seed: int) -> Events:
        """``n`` weighted events; they are drawn from the normal distribution of the latents."""
        rng = np.random.default_rng(seed)
        z = rng.normal(size=(n, self.beta.shape[2]))
        x = z + self.smearing * rng.normal(size=z.shape)
        amplitudes = self.alpha + np.einsum("icl,nl->nic", self.beta, z)
        forms = np.einsum("nic,njc->nij", amplitudes, amplitudes)
        setup = setup_of(self.monomials)
        weights = self._coefficients(forms) @ self.monomials.values(setup.benchmarks).T
        nothing = np.zeros((n, 0))
        return Events(
            setup=setup,
            observables=[f"x{i}" for i in range(x.shape[1])],
            x=x,
            weights=self.cross_section * weights / n,
            slopes=nothing,
            curvatures=nothing,
        )

    def coefficients(self, x: np.ndarray) -> np.ndarray:
        """E[c | x] over the latents, (n_events, n_monomials), of dsigma(x | theta) / N(x)."""
        shrunk = 1.0 / (1.0 + self.smearing**2)
        amplitudes = self.alpha + np.einsum("icl,nl->nic", self.beta, shrunk * x)
        forms = np.einsum("nic,njc->nij", amplitudes, amplitudes)
        variance = self.smearing**2 * shrunk
        forms += variance * np.einsum("icl,jcl->ij", self.beta, self.beta)
        return self._coefficients(forms)

    def _coefficients(self, forms: np.ndarray) -> np.ndarray:
        """Quadratic forms of (1, theta) as coefficients of the monomials."""
        rows, columns = np.triu_indices(len(self.alpha))
        return np.where(rows == columns, 1.0, 2.0) * forms[:, rows, columns]
