"""What a built-in process provides: a module of this package with these names.

Its row in ``analysis.library`` tells the analysis file of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Protocol, cast

import numpy as np

from madminer_workflow.analysis.types import RunSettings
from madminer_workflow.physics.generators.builtin.pdf import PartonDensities


class States(Protocol):
    """Final states of n events, up to what does not change their weights."""

    def select(self, mask: np.ndarray) -> Any:
        """The final states where ``mask`` is true, or those of an array of indices."""

    @staticmethod
    def concatenate(parts: Sequence[Any]) -> Any:
        """Several sets of final states, one after the other."""


@dataclass(frozen=True)
class Particle:
    """What is the same for one particle of every event; ``mothers`` count from 1."""

    pdgid: int
    status: int
    mothers: tuple[int, int]
    colours: tuple[int, int]


@dataclass(frozen=True)
class Kinematics:
    """Complete events: momenta (n_particles, 4, n) as (E, px, py, pz) in GeV, and what goes along.

    ``masses`` and ``helicities`` are (n, n_particles), ``scales`` [GeV] (n,).
    """

    momenta: np.ndarray
    masses: np.ndarray
    helicities: np.ndarray
    scales: np.ndarray


class HardProcess(Protocol):
    """A process whose cross-section is a polynomial in ``PARAMETERS``."""

    PARAMETERS: Mapping[tuple[str, int], str]
    """The parameters that enter, by block and number, with a name for people."""
    PARTICLES: tuple[Particle, ...]
    """The particles of an event, in the order of an LHE file."""
    ALPHA_QED: float
    DIMENSIONS: int
    """The random numbers that make a final state."""

    def monomials(self, values: np.ndarray) -> np.ndarray:
        """The monomials (..., n_monomials) of the parameters' values (..., n_parameters)."""

    def final_states(self, unit: np.ndarray, settings: RunSettings) -> tuple[np.ndarray, Any]:
        """Final states at points (n, DIMENSIONS) of the unit hypercube.

        Returns which points give one inside the generation cuts, (n,), and these as ``States``.
        """

    def polynomials(
        self, states: Any, settings: RunSettings, densities: PartonDensities
    ) -> np.ndarray:
        """Coefficients of the monomials in the cross-section density [pb], (n_monomials, n).

        The cross-section is the average over the hypercube.
        """

    def scale_ratio(
        self, states: Any, settings: RunSettings, densities: PartonDensities, factor: float
    ) -> np.ndarray:
        """Cross-section with muF times ``factor``, relative to the nominal one, (n,)."""

    def complete(self, states: Any, settings: RunSettings, rng: np.random.Generator) -> Kinematics:
        """Draw what does not change the weights: azimuth, decays, helicities."""


def hard_process(name: str) -> HardProcess:
    """The module of a process of the library."""
    return cast(HardProcess, import_module(f"{__package__}.{name}"))
