"""Phase space: conservation laws, mass shells, cuts, volume, decay."""

from __future__ import annotations

import numpy as np
import pytest
import vegas
from hypothesis import given
from hypothesis import strategies as st

from madminer_workflow.physics.generators.builtin.phase_space import (
    DIMENSIONS,
    GEV2_TO_PB,
    decay_to_photons,
    final_states,
)
from tests.support import parts
from tests.support.properties import examples

run_settings = st.builds(
    parts.run_settings,
    ebeam1=st.floats(3000, 50000),
    ebeam2=st.floats(3000, 50000),
    ptj=st.floats(0, 100),
    etaj=st.floats(2, 6),
    drjj=st.floats(0, 2),
    mmjj=st.floats(0, 500),
    deltaeta=st.floats(0, 3),
)
seeds = st.integers(0, 2**32 - 1)


def mass2(p: np.ndarray) -> np.ndarray:
    return p[0] ** 2 - p[1] ** 2 - p[2] ** 2 - p[3] ** 2


@examples(30)
@given(run_settings, seeds)
def test_final_states_conserve_momentum_lie_on_shell_and_pass_the_cuts(run, seed):
    rng = np.random.default_rng(seed)
    inside, states = final_states(rng.random((2000, DIMENSIONS)), run)
    assert np.count_nonzero(inside) == len(states.x1)
    up_in, down_in, *out, higgs = states.momenta(run, azimuth=rng.uniform(-3, 3, len(states.x1)))
    energy2 = (up_in[0] + down_in[0]) ** 2
    for quark in (up_in, down_in, *out):
        assert np.all(np.abs(mass2(quark)) <= 1e-12 * quark[0] ** 2)
    # The Higgs boson takes what is left: it must come out with the mass and rapidity drawn.
    assert np.all(np.abs(mass2(higgs) - states.m_higgs**2) < 1e-12 * energy2)
    rapidity = 0.5 * np.log((higgs[0] + higgs[3]) / (higgs[0] - higgs[3]))
    np.testing.assert_allclose(rapidity, states.y_higgs, rtol=1e-6, atol=1e-6)
    assert np.all(np.abs(states.m_higgs - 125.0) <= 15 * 4.07e-3 * (1 + 1e-9))
    assert np.all((states.x1 < 1) & (states.x2 < 1) & (states.measure > 0))

    pt = [np.hypot(jet[1], jet[2]) for jet in out]
    eta = [np.arcsinh(jet[3] / t) for jet, t in zip(out, pt, strict=True)]
    phi = [np.arctan2(jet[2], jet[1]) for jet in out]
    d_phi = np.abs((phi[0] - phi[1] + np.pi) % (2 * np.pi) - np.pi)
    tolerance = 1e-6
    assert np.all(np.minimum(*pt) >= run.ptj - tolerance)
    assert np.all(np.abs(eta) <= run.etaj + tolerance)
    assert np.all(np.hypot(eta[0] - eta[1], d_phi) > run.drjj - tolerance)
    assert np.all(np.abs(eta[0] - eta[1]) >= run.deltaeta - tolerance)
    # Collinear jets make the mass a small difference of large numbers.
    assert np.all(mass2(out[0] + out[1]) >= run.mmjj**2 - 1e-9 * (out[0][0] + out[1][0]) ** 2)


def three_body_volume(s_hat: np.ndarray) -> np.ndarray:
    """Phase space of two massless particles and a Higgs boson, by its two-body factorisation.

    Integral over dM^2/(2 pi) of sqrt(lambda(s, M^2, m^2))/(8 pi s) * 1/(8 pi), as in the kinematics
    review of the Particle Data Group.
    """
    steps = (np.arange(500) + 0.5) / 500
    highest = (np.sqrt(s_hat) - 125.0).clip(0.0) ** 2
    pair = highest[..., None] * steps
    s, m2 = s_hat[..., None], 125.0**2
    kallen = (s - pair - m2) ** 2 - 4.0 * pair * m2
    integrand = np.sqrt(kallen.clip(0.0)) / (8.0 * np.pi * s) / (8.0 * np.pi) / (2.0 * np.pi)
    return integrand.mean(axis=-1) * highest


def test_measure_integrates_to_the_volume_of_phase_space():
    run = parts.run_settings(ebeam1=500.0, ebeam2=600.0, ptj=0.0, etaj=6.0, drjj=0.0)
    low, high, branching_ratio = 0.3, 0.9, 2.52778e-3
    rng = np.random.default_rng(2)

    @vegas.lbatchintegrand
    def volume(unit):
        inside, states = final_states(unit, run)
        x_product = states.x1 * states.x2
        element = states.measure * 2.0 * run.invariant_s * x_product**2
        window = (np.minimum(states.x1, states.x2) > low) & (
            np.maximum(states.x1, states.x2) < high
        )
        result = np.zeros(len(unit))
        result[inside] = np.where(window, element, 0.0)
        return result / (GEV2_TO_PB * branching_ratio)

    integrator = vegas.Integrator([[0, 1]] * DIMENSIONS, ran_array_generator=rng.random)
    integrator(volume, nitn=8, neval=30_000)
    found = integrator(volume, nitn=5, neval=120_000)

    x = low + (high - low) * (np.arange(60) + 0.5) / 60
    s_hat = x[:, None] * x[None, :] * run.invariant_s
    expected = three_body_volume(s_hat).mean() * (high - low) ** 2
    assert found.sdev < 0.005 * expected
    assert abs(found.mean - expected) < 4 * found.sdev + 0.001 * expected


def test_mass_and_branching_ratio_follow_the_breit_wigner():
    unit = np.full((200_001, DIMENSIONS), 0.4)
    unit[:, 6] = np.linspace(0.0, 1.0, len(unit))
    _, states = final_states(unit, parts.run_settings())
    deviation = (states.m_higgs - 125.0) / (0.5 * 4.07e-3)
    # Half of a Breit-Wigner distribution lies within half a width.
    inside = np.mean(np.abs(deviation) < 1.0) * (2 / np.pi) * np.arctan(30.0)
    assert inside == pytest.approx(0.5, abs=1e-3)


@examples(20)
@given(seeds)
def test_photons_are_massless_and_add_up(seed):
    rng = np.random.default_rng(seed)
    momentum = rng.normal(scale=200.0, size=(3, 500))
    higgs = np.concatenate([np.sqrt(125.0**2 + (momentum**2).sum(axis=0))[None], momentum])
    first, second = decay_to_photons(higgs, rng)
    np.testing.assert_allclose(first + second, higgs, rtol=1e-12, atol=1e-9)
    for photon in (first, second):
        assert np.all(photon[0] > 0)
        assert np.all(np.abs(mass2(photon)) < 1e-9 * higgs[0] ** 2)


def test_decay_is_isotropic_in_the_rest_frame():
    higgs = np.tile([[125.0], [0.0], [0.0], [0.0]], 50_000)
    photon, _ = decay_to_photons(higgs, np.random.default_rng(3))
    direction = photon[1:] / photon[0]
    np.testing.assert_allclose(direction.mean(axis=1), 0.0, atol=0.015)
    np.testing.assert_allclose(np.cov(direction), np.eye(3) / 3, atol=0.015)
