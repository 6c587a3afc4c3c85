"""The fully differential hadronic cross-section as a polynomial in the parameters."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from madminer_workflow.physics.generators.builtin.pdf import DOWN, UP, PartonDensities
from madminer_workflow.physics.generators.builtin.phase_space import FinalStates, final_states
from madminer_workflow.physics.generators.builtin.run_settings import RunSettings
from madminer_workflow.physics.generators.builtin.wbf_haa import (
    factorisation_scales,
    squared_amplitude,
)


@dataclass(frozen=True)
class CrossSection:
    """p p -> jets + (h -> photons), the u quark from +z and the d quark from -z."""

    settings: RunSettings
    densities: PartonDensities

    def evaluate(self, unit: np.ndarray) -> tuple[np.ndarray, FinalStates, np.ndarray]:
        """Evaluate at points (n, DIMENSIONS) of the unit hypercube.

        Returns which points lie inside the cuts, (n,), their final states, and for those the
        coefficients of the monomials in the parameters, (6, n_inside), in pb: the average over
        the hypercube of a polynomial (zero outside) is its cross-section.
        """
        inside, states = final_states(unit, self.settings)
        up_in, down_in, down_out, up_out, _ = states.momenta(self.settings)
        mu2 = self.squared_scales(up_in, down_in, down_out, up_out)
        densities = self.densities.xf(UP, states.x1, mu2[0]) * self.densities.xf(
            DOWN, states.x2, mu2[1]
        )
        amplitude = squared_amplitude(up_in, down_in, down_out, up_out)
        return inside, states, states.measure * densities * amplitude

    def weights(self, unit: np.ndarray, monomials: np.ndarray) -> np.ndarray:
        """The cross-section density (n,) [pb] at one parameter point's ``monomials`` (6,)."""
        inside, _, polynomials = self.evaluate(unit)
        weights = np.zeros(len(unit))
        weights[inside] = monomials @ polynomials
        return weights

    def squared_scales(self, *momenta: np.ndarray) -> np.ndarray:
        """muF^2 of both beams [GeV^2], (2, n), for the momenta of u, d, d', u'."""
        if self.settings.fixed_fac_scale:
            return np.full((2, momenta[0].shape[1]), self.settings.scale**2)
        return factorisation_scales(*momenta)
