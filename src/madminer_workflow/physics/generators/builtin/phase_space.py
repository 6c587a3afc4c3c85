"""Phase space of two massless jets and a Higgs boson at a hadron collider, and its decay.

Beyond an overall azimuth, a final state is given by seven numbers: the jets' transverse momenta,
their mean rapidity and rapidity difference, their azimuthal distance, and the rapidity and mass of
the Higgs boson. Momentum conservation fixes its transverse momentum and both parton momenta.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from madminer_workflow.analysis.types import RunSettings

HIGGS_MASS = 125.0
HIGGS_WIDTH = 4.07e-3
DIPHOTON_WIDTH = 1.05110e-5
"""Partial width of h -> photons in EWdim6 without operators [GeV]."""

DIMENSIONS = 7
GEV2_TO_PB = 0.3893793721e9

_BREIT_WIGNER_CUT = 15.0
"""Half-widths of the mass window, MadGraph's ``bwcutoff``, in units of the width."""

_PT_TURNOVER = 20.0
"""Where the map of transverse momenta turns from linear to logarithmic [GeV]."""


@dataclass(frozen=True)
class FinalStates:
    """Arrays (n,) in GeV: the jet of the u line (1) and of the d line (2), and the Higgs boson.

    ``measure`` [pb GeV^2] is the volume element times flux, conversion to pb and the branching
    ratio into photons: the cross-section is the integral over the unit hypercube of measure *
    xf(x1) xf(x2) |M|^2.
    """

    pt1: np.ndarray
    y1: np.ndarray
    pt2: np.ndarray
    y2: np.ndarray
    delta_phi: np.ndarray
    y_higgs: np.ndarray
    m_higgs: np.ndarray
    x1: np.ndarray
    x2: np.ndarray
    measure: np.ndarray

    def select(self, mask: np.ndarray) -> FinalStates:
        """The final states where ``mask`` is true, or those of an array of indices."""
        return FinalStates(*(values[mask] for values in vars(self).values()))

    @staticmethod
    def concatenate(parts: Sequence[FinalStates]) -> FinalStates:
        """Several sets of final states, one after the other."""
        columns = zip(*(vars(part).values() for part in parts), strict=True)
        return FinalStates(*(np.concatenate(column) for column in columns))

    def momenta(self, settings: RunSettings, azimuth: np.ndarray | float = 0.0) -> list[np.ndarray]:
        """Momenta (E, px, py, pz), each (4, n), of u, d, d', u', h; ``azimuth`` is that of d'."""
        zero = np.zeros_like(self.x1)
        up_in = np.stack([self.x1, zero, zero, self.x1]) * settings.ebeam1
        down_in = np.stack([self.x2, zero, zero, -self.x2]) * settings.ebeam2
        down_out = _massless(self.pt1, self.y1, azimuth + zero)
        up_out = _massless(self.pt2, self.y2, azimuth + self.delta_phi)
        return [up_in, down_in, down_out, up_out, up_in + down_in - down_out - up_out]


def _massless(pt: np.ndarray, y: np.ndarray, phi: np.ndarray) -> np.ndarray:
    return np.stack([pt * np.cosh(y), pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(y)])


def final_states(unit: np.ndarray, settings: RunSettings) -> tuple[np.ndarray, FinalStates]:
    """Map points (n, DIMENSIONS) of the unit hypercube to final states.

    Returns which points give one inside the generation cuts, (n,), and these final states.
    """
    r = unit.T
    pt1, d_pt1 = _transverse_momentum(r[0], settings)
    pt2, d_pt2 = _transverse_momentum(r[1], settings)
    delta_y = 2.0 * settings.etaj * (2.0 * r[2] - 1.0)
    half_range = settings.etaj - 0.5 * np.abs(delta_y)
    mean_y = half_range * (2.0 * r[3] - 1.0)
    y1, y2 = mean_y + 0.5 * delta_y, mean_y - 0.5 * delta_y
    delta_phi = 2.0 * np.pi * r[4] - np.pi
    m_higgs, branching_ratio = _higgs_mass(r[6])
    low = -np.log(2.0 * settings.ebeam2 / HIGGS_MASS)
    high = np.log(2.0 * settings.ebeam1 / HIGGS_MASS)
    y_higgs = low + (high - low) * r[5]

    pt2_higgs = pt1**2 + pt2**2 + 2.0 * pt1 * pt2 * np.cos(delta_phi)
    mt_higgs = np.sqrt(m_higgs**2 + pt2_higgs)
    plus = pt1 * np.exp(y1) + pt2 * np.exp(y2) + mt_higgs * np.exp(y_higgs)
    minus = pt1 * np.exp(-y1) + pt2 * np.exp(-y2) + mt_higgs * np.exp(-y_higgs)
    x1, x2 = plus / (2.0 * settings.ebeam1), minus / (2.0 * settings.ebeam2)

    # d^3p/((2 pi)^3 2E) = pt dpt dy dphi/(2 (2 pi)^3) for each of the three; four dimensions go
    # with (2 pi)^4 delta^4, of which E and pz give 2/s for dx1 dx2; the flux is 2 x1 x2 s, and
    # two more factors of x turn f(x) into x f(x).
    s = settings.invariant_s
    volume = d_pt1 * d_pt2 * (4.0 * settings.etaj) * (2.0 * half_range) * (high - low)
    azimuths = (2.0 * np.pi) ** 2
    density = pt1 * pt2 / (8.0 * (2.0 * np.pi) ** 9) * (2.0 * np.pi) ** 4 * (2.0 / s)
    flux = 2.0 * s * (x1 * x2) ** 2
    measure = GEV2_TO_PB * branching_ratio * volume * azimuths * density / flux

    states = FinalStates(pt1, y1, pt2, y2, delta_phi, y_higgs, m_higgs, x1, x2, measure)
    inside = (x1 < 1.0) & (x2 < 1.0) & _passes_cuts(states, settings)
    return inside, states.select(inside)


def _transverse_momentum(r: np.ndarray, settings: RunSettings) -> tuple[np.ndarray, np.ndarray]:
    """Transverse momentum of a jet and its derivative; up to the kinematic limit."""
    limits = np.array([settings.ptj, max(0.5 * np.sqrt(settings.invariant_s), settings.ptj)])
    low, high = np.arcsinh(limits / _PT_TURNOVER)
    t = low + (high - low) * r
    return _PT_TURNOVER * np.sinh(t), (high - low) * _PT_TURNOVER * np.cosh(t)


def _higgs_mass(r: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mass from the Breit-Wigner distribution in its window, and the branching ratio there.

    The branching ratio is the decay's share of (MH Gamma/pi) dm^2/[(m^2 - MH^2)^2 + (MH Gamma)^2]
    integrated over the window; the partial width grows like m^3, and m Gamma(m) enters.
    """
    edges = HIGGS_MASS + np.array([-1.0, 1.0]) * _BREIT_WIGNER_CUT * HIGGS_WIDTH
    low, high = np.arctan((edges**2 - HIGGS_MASS**2) / (HIGGS_MASS * HIGGS_WIDTH))
    m2 = HIGGS_MASS**2 + HIGGS_MASS * HIGGS_WIDTH * np.tan(low + (high - low) * r)
    share = (high - low) / np.pi * DIPHOTON_WIDTH / HIGGS_WIDTH
    return np.sqrt(m2), share * (m2 / HIGGS_MASS**2) ** 2


def _passes_cuts(states: FinalStates, settings: RunSettings) -> np.ndarray:
    delta_y = np.abs(states.y1 - states.y2)
    m2_jets = 2.0 * states.pt1 * states.pt2 * (np.cosh(delta_y) - np.cos(states.delta_phi))
    return (
        (delta_y**2 + states.delta_phi**2 > settings.drjj**2)
        & (delta_y >= settings.deltaeta)
        & (m2_jets >= settings.mmjj**2)
    )


def decay_to_photons(higgs: np.ndarray, rng: np.random.Generator) -> list[np.ndarray]:
    """Two photons, momenta (4, n), from isotropic decays of ``higgs`` (4, n) in its rest frame."""
    energy, momentum = higgs[0], higgs[1:]
    mass = np.sqrt(energy**2 - np.sum(momentum**2, axis=0))
    cos_theta = rng.uniform(-1.0, 1.0, len(mass))
    sin_theta = np.sqrt(1.0 - cos_theta**2)
    phi = rng.uniform(-np.pi, np.pi, len(mass))
    direction = np.stack([sin_theta * np.cos(phi), sin_theta * np.sin(phi), cos_theta])
    along = np.sum(momentum * direction, axis=0)
    boosted = 0.5 * (mass * direction + momentum * (1.0 + along / (energy + mass)))
    first = np.concatenate([0.5 * (energy + along)[None], boosted])
    return [first, higgs - first]
