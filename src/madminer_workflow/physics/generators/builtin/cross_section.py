"""The fully differential hadronic cross-section as a polynomial in the parameters."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from madminer_workflow.physics.generators.builtin.pdf import DOWN, UP, PartonDensities
from madminer_workflow.physics.generators.builtin.phase_space import FinalStates, final_states
from madminer_workflow.physics.generators.builtin.run_settings import RunSettings
from madminer_workflow.physics.generators.builtin.wbf_haa import (
    factorisation_scales,
    squared_amplitude,
)

CHUNK = 10_000
"""Points evaluated at once: what they need fits into a core's cache."""


@dataclass(frozen=True)
class CrossSection:
    """p p -> jets + (h -> photons), the u quark from +z and the d quark from -z.

    Chunks of points are evaluated side by side on ``cores``; results do not depend on their number.
    """

    settings: RunSettings
    densities: PartonDensities
    cores: int = 1

    def evaluate(self, unit: np.ndarray) -> tuple[np.ndarray, FinalStates, np.ndarray]:
        """Evaluate at points (n, DIMENSIONS) of the unit hypercube.

        Returns which points lie inside the cuts, (n,), their final states, and for those the
        coefficients of the monomials in the parameters, (6, n_inside), in pb: the average over
        the hypercube of a polynomial (zero outside) is its cross-section.
        """
        chunks = [unit[start : start + CHUNK] for start in range(0, len(unit), CHUNK)]
        if self.cores == 1:
            parts = [self._evaluate(chunk) for chunk in chunks]
        else:
            with ThreadPoolExecutor(self.cores) as pool:
                parts = list(pool.map(self._evaluate, chunks))
        inside, states, polynomials = zip(*parts, strict=True)
        return (
            np.concatenate(inside),
            FinalStates.concatenate(states),
            np.concatenate(polynomials, axis=1),
        )

    def _evaluate(self, unit: np.ndarray) -> tuple[np.ndarray, FinalStates, np.ndarray]:
        inside, states = final_states(unit, self.settings)
        momenta = states.momenta(self.settings)[:4]
        densities = self._densities(states, self.squared_scales(*momenta))
        return inside, states, states.measure * densities * squared_amplitude(*momenta)

    def weights(self, unit: np.ndarray, monomials: np.ndarray) -> np.ndarray:
        """The cross-section density (n,) [pb] at one parameter point's ``monomials`` (6,)."""
        inside, _, polynomials = self.evaluate(unit)
        weights = np.zeros(len(unit))
        weights[inside] = monomials @ polynomials
        return weights

    def scale_ratio(self, states: FinalStates, factor: float) -> np.ndarray:
        """Cross-section with muF of both beams times ``factor``, relative to the nominal one, (n,).

        The process has no strong coupling at leading order: only the parton densities change.
        """
        mu2 = self.squared_scales(*states.momenta(self.settings)[:4])
        return self._densities(states, factor**2 * mu2) / self._densities(states, mu2)

    def _densities(self, states: FinalStates, mu2: np.ndarray) -> np.ndarray:
        """The product of both beams' momentum densities, (n,), at muF^2, (2, n)."""
        up = self.densities.xf(UP, states.x1, mu2[0])
        return up * self.densities.xf(DOWN, states.x2, mu2[1])

    def squared_scales(self, *momenta: np.ndarray) -> np.ndarray:
        """muF^2 of both beams [GeV^2], (2, n), for the momenta of u, d, d', u'."""
        if self.settings.fixed_fac_scale:
            return np.full((2, momenta[0].shape[1]), self.settings.scale**2)
        return factorisation_scales(*momenta)
