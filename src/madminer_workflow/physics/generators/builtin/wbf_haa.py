r"""Higgs production by W fusion, u d -> d u h with h -> photons, at leading order with EWdim6.

The operators O_W and O_W~ (Degrande et al., arXiv:1205.4231, the model EWdim6) change the HWW
vertex. With the left-handed quark currents J1 (u -> d') and J2 (d -> u') and the W momenta
q1 = p_u - p_d', q2 = p_d - p_u', the amplitude is A0 + c A1 + c~ A2, c and c~ in TeV^-2:

    A0 = P G J1.J2,    P = (g^2/2) / [(q1^2 - MW^2)(q2^2 - MW^2)],    G = g^2 v / 2
    A1 = P G 1/2 10^-6 [(q1 + q2)^2 J1.J2 - 2 (q2.J1)(q1.J2)]
    A2 = -P G 2 10^-6 det(J1, J2, q1, q2)

With massless quarks |J1.J2|^2 = 4 S S', where S = 2 p_u.p_d and S' = 2 p_d'.p_u', and both
contractions over J1.J2 reduce, in spinor products, to the trace T = <u|d u' d'|u] and its
conjugate (J1 ~ <u|, |d'] so that the self-dual part of q1 ^ J1 is |u>|u>[ud'], and so on):

    [(q1.q2)(J1.J2) - (q2.J1)(q1.J2)] / J1.J2 = (T/S' + T*/S) / 2
    det(J1, J2, q1, q2) / J1.J2 = i (T/S' - T*/S) / 2
    T = [S S' - 4 (p_u.p_u')(p_d.p_d') + 4 (p_u.p_d')(p_d.p_u')] / 2 - 2i det(p_u, p_d, p_d', p_u')

so that everything follows from invariants and one determinant, in real arithmetic.
"""

from __future__ import annotations

import math

import numpy as np

from madminer_workflow.analysis.types import RunSettings
from madminer_workflow.physics.generators.builtin.hard_process import Kinematics, Particle
from madminer_workflow.physics.generators.builtin.pdf import DOWN, UP, PartonDensities
from madminer_workflow.physics.generators.builtin.phase_space import (
    DIMENSIONS,
    FinalStates,
    decay_to_photons,
    final_states,
)

__all__ = ["DIMENSIONS", "final_states"]

PARAMETERS = {("dim6", 2): "O_W (CWL2)", ("dim6", 5): "O_W~ (CPWL2)"}
"""The parameters that enter, by block and number, in the order (c, c~) [TeV^-2]."""

ALPHA_QED = 1.0 / 127.9
FERMI_CONSTANT = 1.16637e-5
Z_MASS = 91.1876

# Tree-level relations of the input scheme (alpha, Gf, MZ).
W_MASS = math.sqrt(
    0.5 * Z_MASS**2
    + math.sqrt(
        0.25 * Z_MASS**4 - math.pi * ALPHA_QED * Z_MASS**2 / (math.sqrt(2.0) * FERMI_CONSTANT)
    )
)
WEAK_COUPLING = math.sqrt(4.0 * math.pi * ALPHA_QED / (1.0 - (W_MASS / Z_MASS) ** 2))
VACUUM_EXPECTATION = (math.sqrt(2.0) * FERMI_CONSTANT) ** -0.5

PARTICLES = (
    Particle(2, -1, (0, 0), (501, 0)),
    Particle(1, -1, (0, 0), (502, 0)),
    Particle(25, 2, (1, 2), (0, 0)),
    Particle(2, 1, (1, 2), (502, 0)),
    Particle(1, 1, (1, 2), (501, 0)),
    Particle(22, 1, (3, 3), (0, 0)),
    Particle(22, 1, (3, 3), (0, 0)),
)
"""u, d, h, u', d' and two photons; the quark lines u -> d' and d -> u' keep their colours."""


def dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The Minkowski product of momenta (E, px, py, pz) of shape (4, n)."""
    return a[0] * b[0] - a[1] * b[1] - a[2] * b[2] - a[3] * b[3]


def determinant(a: np.ndarray, b: np.ndarray, c: np.ndarray, d: np.ndarray) -> np.ndarray:
    """The determinant of four vectors of shape (4, n), by Laplace expansion in 2x2 minors."""
    pairs = ((0, 1, 2, 3, 1), (0, 2, 1, 3, -1), (0, 3, 1, 2, 1))
    total = np.zeros(np.broadcast(a[0], b[0], c[0], d[0]).shape)
    for i, j, k, m, sign in pairs:
        total += sign * (a[i] * b[j] - a[j] * b[i]) * (c[k] * d[m] - c[m] * d[k])
        total += sign * (a[k] * b[m] - a[m] * b[k]) * (c[i] * d[j] - c[j] * d[i])
    return total


def monomials(values: np.ndarray) -> np.ndarray:
    """(1, c, c~, c^2, c c~, c~^2) for coefficients (..., 2) in TeV^-2; shape (..., 6)."""
    c, c_tilde = values[..., 0], values[..., 1]
    one = np.ones_like(c)
    return np.stack([one, c, c_tilde, c * c, c * c_tilde, c_tilde * c_tilde], axis=-1)


def squared_amplitude(
    up_in: np.ndarray, down_in: np.ndarray, down_out: np.ndarray, up_out: np.ndarray
) -> np.ndarray:
    """Coefficients of ``monomials`` in |M|^2 of u d -> d' u' h [GeV^-2], shape (6, n).

    Averaged over spins and colours. Momenta are (E, px, py, pz) in GeV, shape (4, n). The quarks
    are massless; the mass of the Higgs boson is what is left over.
    """
    s_in, s_out = 2.0 * dot(up_in, down_in), 2.0 * dot(down_out, up_out)
    minus_q1_squared, minus_q2_squared = 2.0 * dot(up_in, down_out), 2.0 * dot(down_in, up_out)
    trace = 0.5 * (
        s_in * s_out
        - 4.0 * dot(up_in, up_out) * dot(down_in, down_out)
        + minus_q1_squared * minus_q2_squared
    )
    epsilon = determinant(up_in, down_in, down_out, up_out)
    plus, minus = 1.0 / s_out + 1.0 / s_in, 1.0 / s_out - 1.0 / s_in

    # A1/A0 and A2/A0.
    even_re = 0.5e-6 * (trace * plus - minus_q1_squared - minus_q2_squared)
    even_im = -1.0e-6 * epsilon * minus
    odd_re = -2.0e-6 * epsilon * plus
    odd_im = -1.0e-6 * trace * minus

    propagators = (minus_q1_squared + W_MASS**2) * (minus_q2_squared + W_MASS**2)
    couplings = 0.25 * WEAK_COUPLING**4 * VACUUM_EXPECTATION
    standard_model = (couplings / propagators) ** 2 * s_in * s_out
    return standard_model * np.stack(
        [
            np.ones_like(s_in),
            2.0 * even_re,
            2.0 * odd_re,
            even_re**2 + even_im**2,
            2.0 * (even_re * odd_re + even_im * odd_im),
            odd_re**2 + odd_im**2,
        ]
    )


def factorisation_scales(
    up_in: np.ndarray, down_in: np.ndarray, down_out: np.ndarray, up_out: np.ndarray
) -> np.ndarray:
    """muF^2 of the beams of u and d [GeV^2], shape (2, n): MadGraph's dynamical choice -1.

    The beam of the softer jet gets its squared transverse momentum; the other the squared
    transverse momentum of the harder jet relative to its own parton and the W boson that it
    collides with.
    """
    pt2_up_side = down_out[1] ** 2 + down_out[2] ** 2
    pt2_down_side = up_out[1] ** 2 + up_out[2] ** 2
    hard_up_side = _relative_pt2(down_out, up_in, down_in - up_out)
    hard_down_side = _relative_pt2(up_out, down_in, up_in - down_out)
    up_side_is_softer = pt2_up_side < pt2_down_side
    return np.where(up_side_is_softer, [pt2_up_side, hard_down_side], [hard_up_side, pt2_down_side])


def _relative_pt2(jet: np.ndarray, parton: np.ndarray, boson: np.ndarray) -> np.ndarray:
    share = dot(jet, parton) / dot(boson, parton)
    return 2.0 * share * dot(jet, boson) - share**2 * dot(boson, boson)


def polynomials(
    states: FinalStates, settings: RunSettings, densities: PartonDensities
) -> np.ndarray:
    """Coefficients of ``monomials`` in the cross-section density [pb], (6, n)."""
    momenta = states.momenta(settings)[:4]
    luminosity = _luminosity(states, squared_scales(settings, *momenta), densities)
    return states.measure * luminosity * squared_amplitude(*momenta)


def scale_ratio(
    states: FinalStates, settings: RunSettings, densities: PartonDensities, factor: float
) -> np.ndarray:
    """Cross-section with muF of both beams times ``factor``, relative to the nominal one, (n,).

    The process has no strong coupling at leading order: only the parton densities change.
    """
    mu2 = squared_scales(settings, *states.momenta(settings)[:4])
    nominal = _luminosity(states, mu2, densities)
    return _luminosity(states, factor**2 * mu2, densities) / nominal


def complete(states: FinalStates, settings: RunSettings, rng: np.random.Generator) -> Kinematics:
    """Draw the overall azimuth, the decay into photons, and their helicities."""
    n_events = len(states.x1)
    azimuth = rng.uniform(-np.pi, np.pi, n_events)
    momenta = states.momenta(settings, azimuth)
    up_in, down_in, down_out, up_out, higgs = momenta
    photons = decay_to_photons(higgs, rng)
    masses = np.zeros((n_events, len(PARTICLES)))
    masses[:, 2] = states.m_higgs
    helicities = np.tile([-1.0, -1.0, 0.0, -1.0, -1.0, 1.0, 1.0], (n_events, 1))
    # A scalar decays into photons of equal helicity.
    helicities[:, 5:] *= rng.choice([-1.0, 1.0], n_events)[:, None]
    return Kinematics(
        momenta=np.stack([up_in, down_in, higgs, up_out, down_out, *photons]),
        masses=masses,
        helicities=helicities,
        scales=np.sqrt(squared_scales(settings, *momenta[:4]).max(axis=0)),
    )


def squared_scales(settings: RunSettings, *momenta: np.ndarray) -> np.ndarray:
    """muF^2 of both beams [GeV^2], (2, n), for the momenta of u, d, d', u'."""
    if settings.fixed_fac_scale:
        return np.full((2, momenta[0].shape[1]), settings.scale**2)
    return factorisation_scales(*momenta)


def _luminosity(states: FinalStates, mu2: np.ndarray, densities: PartonDensities) -> np.ndarray:
    """The product of both beams' momentum densities, (n,), at muF^2, (2, n)."""
    up = densities.xf(UP, states.x1, mu2[0])
    return up * densities.xf(DOWN, states.x2, mu2[1])
