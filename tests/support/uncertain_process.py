"""A process whose likelihood is known exactly, with uncertainties that change shapes.

Nuisance parameters multiply the weights of the events of a ``KnownProcess`` by exp(nu t z), which
shifts the latents: given x they stay normal, so that the varied cross-section is known, too. It
depends on the parameters in its own way, as the latents that are not measured exactly do.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from madminer_workflow.analysis.systematics import Nuisance
from madminer_workflow.statistics.event_parts import with_parts
from madminer_workflow.statistics.events import Events
from madminer_workflow.statistics.monomials import Monomials
from madminer_workflow.statistics.polynomial import EventResponse, PolynomialDensity
from madminer_workflow.statistics.problem import Problem
from tests.support.known_process import KnownProcess


@dataclass(frozen=True)
class UncertainProcess:
    """A ``process``; ``tilts`` (n_nuisance, n_latents) are t, ``rates`` (n_nuisance,) more of all.

    Those of ``two_sided`` are known at nu = -1, too.
    """

    process: KnownProcess
    tilts: np.ndarray
    rates: np.ndarray
    two_sided: np.ndarray

    @classmethod
    def of(
        cls, process: KnownProcess, tilts: np.ndarray, rates: float | np.ndarray = 0.05
    ) -> UncertainProcess:
        """All known on both sides."""
        n = len(tilts)
        return cls(process, tilts, np.broadcast_to(rates, n), np.ones(n, dtype=bool))

    def events(self, n: int, seed: int) -> Events:
        """Those of the process, with their response."""
        events = self.process.events(n, seed)
        # The process draws its latents first.
        z = np.random.default_rng(seed).normal(size=(n, self.process.beta.shape[2]))
        nuisance = [
            Nuisance(f"s{i}", f"s{i}", "scale", f"up{i}", f"down{i}" if both else None)
            for i, both in enumerate(self.two_sided)
        ]
        names = [name for one in nuisance for name in one.benchmarks]
        setup = replace(events.setup, nuisance=nuisance, nuisance_benchmarks=names)
        slopes = self.rates + z @ self.tilts.T
        return replace(events, setup=setup, slopes=slopes, curvatures=np.zeros_like(slopes))

    def varied(self, x: np.ndarray) -> np.ndarray:
        """E[c f | x], (n_events, 1 + 2 n_nuisance, n_monomials), nominal first, up to N(x)."""
        nothing = np.zeros((1, self.tilts.shape[1]))
        tilts = np.concatenate([nothing, self.tilts, -self.tilts])
        return np.stack([self._tilted(x, tilt) for tilt in tilts], axis=1)

    def _tilted(self, x: np.ndarray, tilt: np.ndarray) -> np.ndarray:
        process, n = self.process, x.shape[1]
        shrunk = 1.0 / (1.0 + process.smearing**2)
        variances = np.ones(len(tilt))
        variances[:n] = process.smearing**2 * shrunk
        means = np.zeros((len(x), len(tilt)))
        means[:, :n] = shrunk * x
        factors = np.exp(means @ tilt + 0.5 * variances @ tilt**2)
        means = means + variances * tilt
        amplitudes = process.alpha + np.einsum("icl,nl->nic", process.beta, means)
        forms = np.einsum("nic,njc->nij", amplitudes, amplitudes)
        forms += np.einsum("l,icl,jcl->ij", variances, process.beta, process.beta)
        return process._coefficients(forms) * factors[:, None]

    def density(self, problem: Problem) -> PolynomialDensity:
        """The exact density of the test events."""
        events, theta, n = problem.test, problem.theta_true, len(self.tilts)
        rates, weights = self.varied(events.x), problem.test.weights_at(problem.theta_ref)
        monomials = Monomials(problem.setup.components)
        # With respect to the density at the reference, as that of the events' weights is.
        rates /= (rates[:, 0] @ monomials.values(problem.theta_ref))[:, None, None]
        norms = np.tensordot(weights, rates, (0, 0)) / weights.sum()
        changing = np.array(
            [
                1 + k
                for k in range(2 * n)
                if self.tilts[k % n].any() and (k < n or self.two_sided[k - n])
            ],
            dtype=int,
        )
        nothing = np.empty((0, 1 + 2 * n, len(monomials)))
        response = EventResponse(changing, rates[:, changing], norms[changing], nothing, nothing)
        known = PolynomialDensity(
            monomials,
            rates[:, 0],
            norms[0],
            {"test": np.arange(len(events))},
            response=response,
        )
        return with_parts(known, "test", weights, theta, problem)
