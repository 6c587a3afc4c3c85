"""The fully differential hadronic cross-section as a polynomial in the parameters."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from madminer_workflow.analysis.types import RunSettings
from madminer_workflow.physics.generators.builtin.hard_process import HardProcess
from madminer_workflow.physics.generators.builtin.pdf import PartonDensities

CHUNK = 10_000
"""Points evaluated at once: what they need fits into a core's cache."""


@dataclass(frozen=True)
class CrossSection:
    """The cross-section of a process with beams, cuts and parton densities.

    Chunks of points are evaluated side by side on ``cores``; results do not depend on their number.
    """

    process: HardProcess
    settings: RunSettings
    densities: PartonDensities
    cores: int = 1

    def evaluate(self, unit: np.ndarray) -> tuple[np.ndarray, Any, np.ndarray]:
        """Evaluate at points (n, n_dimensions) of the unit hypercube.

        Returns which points lie inside the cuts, (n,), their final states, and for those the
        coefficients of the monomials in the parameters, (n_monomials, n_inside), in pb: the
        average over the hypercube of a polynomial (zero outside) is its cross-section.
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
            states[0].concatenate(states),
            np.concatenate(polynomials, axis=1),
        )

    def _evaluate(self, unit: np.ndarray) -> tuple[np.ndarray, Any, np.ndarray]:
        inside, states = self.process.final_states(unit, self.settings)
        return inside, states, self.process.polynomials(states, self.settings, self.densities)

    def weights(self, unit: np.ndarray, monomials: np.ndarray) -> np.ndarray:
        """The cross-section density (n,) [pb] at one parameter point's ``monomials``."""
        inside, _, polynomials = self.evaluate(unit)
        weights = np.zeros(len(unit))
        weights[inside] = monomials @ polynomials
        return weights
