"""A process of any number of parameters whose likelihood is known exactly.

Latents z are standard normal; the amplitude has two components, each linear in the parameters and
in z: A_c(z | theta) = sum_i v_i(theta) (alpha_ic + beta_ic z), v = (1, theta). The cross-section is
dsigma(z | theta) = N(z) |A|^2, observables are x = z + smearing. Given x, the latents are normal,
so that the mean of every coefficient of the cross-section given x is known in closed form, and with
it the likelihood ratio of the observables. Amplitudes of higher orders, and cross-sections that are
cut off at some order as expansions of effective theories are, have other monomials.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from madminer_workflow.statistics.events import Events
from madminer_workflow.statistics.monomials import Monomials
from madminer_workflow.statistics.problem import Problem
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


def problem_of(
    events: Events, n_events: float, theta: np.ndarray | None = None, train: float = 0.75
) -> Problem:
    """``n_events`` at the reference, data expected at ``theta``; models ``train`` on a share."""
    reference = np.zeros(len(events.setup.parameters))
    return Problem(
        setup=events.setup,
        everything=events,
        train=events.part(0.0, train),
        test=events.part(train, 1.0),
        theta_ref=reference,
        theta_true=reference if theta is None else theta,
        fisher_theta=reference,
        luminosity=n_events / float(events.cross_section(reference)),
        seed=1,
    )


@dataclass(frozen=True)
class KnownProcess:
    """``alpha`` (n_amplitudes, 2) and ``beta`` (n_amplitudes, 2, n_latents), and the smearing.

    Of the latents the first ``n_observed`` are, by default all.
    ``powers`` (n_amplitudes, n_parameters) are those of the parameters in each amplitude, by
    default 1 and every parameter; monomials of an order above ``cut`` are left out of the
    cross-section.
    """

    alpha: np.ndarray
    beta: np.ndarray
    smearing: float
    cross_section: float = 1e-3
    powers: np.ndarray | None = None
    cut: int | None = None
    n_observed: int | None = None

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

    @classmethod
    def interference(cls, n_parameters: int, seed: int = 1, smearing: float = 0.5) -> KnownProcess:
        """One without the squares of what the parameters add."""
        return replace(cls.of(n_parameters, seed, smearing), cut=1)

    @classmethod
    def cubic(cls, smearing: float = 0.5) -> KnownProcess:
        """One of a single parameter up to its third power, with an amplitude of second order."""
        alpha = np.array([[1.0, 0.0], [0.0, 0.1], [0.1, 0.0]])
        beta = np.zeros((3, 2, 2))
        beta[0, 0, 0], beta[0, 1, 1] = 0.2, 0.5
        beta[1, 0, 0], beta[1, 1, 1] = 0.5, 0.2
        beta[2, 0, 1], beta[2, 1, 0] = 0.1, 0.1
        return cls(alpha, beta, smearing, powers=np.array([[0], [1], [2]]), cut=3)

    @classmethod
    def fourth(cls, smearing: float = 0.5) -> KnownProcess:
        """One of a single parameter in production and decay, up to its fourth power."""
        return replace(cls.cubic(smearing), cut=None)

    @classmethod
    def product(cls, smearing: float = 0.5) -> KnownProcess:
        """One with a parameter in production and another in decay: 9 terms, a^2 b^2 the last."""
        of_two = cls.of(2, smearing=smearing)
        both = 0.5 * of_two.beta[1:2, ::-1]
        return replace(
            of_two,
            alpha=np.concatenate([of_two.alpha, 0.1 * np.ones((1, 2))]),
            beta=np.concatenate([of_two.beta, both]),
            powers=np.array([[0, 0], [1, 0], [0, 1], [1, 1]]),
        )

    @classmethod
    def blind(cls, combined: bool = False, cut: int | None = 1) -> KnownProcess:
        """One whose second parameter interferes with a latent alone that is not observed.

        If ``combined``, that is the difference of both parameters.
        """
        alpha = np.zeros((3, 2))
        beta = np.zeros((3, 2, 3))
        alpha[0, 0], beta[0, 0, 0], beta[0, 1, 1] = 1.0, 0.2, 0.5
        beta[1, 0, 0], beta[2, 0, 2] = 0.5, 0.5
        if combined:
            beta[1:] = np.stack([beta[1] + beta[2], beta[1] - beta[2]])
        return cls(alpha, beta, 0.5, cut=cut, n_observed=2)

    @property
    def n_parameters(self) -> int:
        """Number of parameters."""
        return len(self.alpha) - 1 if self.powers is None else self.powers.shape[1]

    @property
    def monomials(self) -> Monomials:
        """Those of the cross-section."""
        if self.powers is None and self.cut is None:
            return quadratic(self.n_parameters)
        sums = {tuple(row) for row in self._products.tolist()}
        kept = [row for row in sums if self.cut is None or sum(row) <= self.cut]
        return Monomials(np.array(sorted(kept, key=lambda row: (sum(row), row[::-1]))))

    @cached_property
    def _products(self) -> np.ndarray:
        """Powers of the products of two amplitudes, (n_amplitudes^2, n_parameters)."""
        n = self.n_parameters
        powers = np.concatenate([np.zeros((1, n), dtype=int), np.eye(n, dtype=int)])
        powers = powers if self.powers is None else self.powers
        return (powers[:, None] + powers).reshape(-1, n)

    def events(self, n: int, seed: int) -> Events:
        """``n`` weighted events; they are drawn from the normal distribution of the latents."""
        rng = np.random.default_rng(seed)
        z = rng.normal(size=(n, self.beta.shape[2]))
        x = (z + self.smearing * rng.normal(size=z.shape))[:, : self.n_observed]
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
        n = x.shape[1]
        amplitudes = self.alpha + np.einsum("icl,nl->nic", self.beta[:, :, :n], shrunk * x)
        forms = np.einsum("nic,njc->nij", amplitudes, amplitudes)
        variances = np.ones(self.beta.shape[2])
        variances[:n] = self.smearing**2 * shrunk
        forms += np.einsum("l,icl,jcl->ij", variances, self.beta, self.beta)
        return self._coefficients(forms)

    def _coefficients(self, forms: np.ndarray) -> np.ndarray:
        """Quadratic forms of the amplitudes as coefficients of the monomials."""
        gathering = np.all(self._products[:, None] == self.monomials.powers, axis=2)
        return forms.reshape(len(forms), -1) @ gathering.astype(float)
