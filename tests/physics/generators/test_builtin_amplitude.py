"""The amplitude of u d -> d u h: MadGraph's weights event by event, and what must hold exactly."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from madminer_workflow.analysis.library import LIBRARY
from madminer_workflow.madminer_file import read_setup
from madminer_workflow.physics.generators.builtin import wbf_haa
from madminer_workflow.physics.generators.builtin.hard_process import hard_process
from tests.support.lhe_arrays import read_arrays
from tests.support.paths import DATA
from tests.support.properties import examples

METRIC = np.array([1.0, -1.0, -1.0, -1.0])
seeds = st.integers(0, 2**32 - 1)


@pytest.fixture(scope="module")
def madgraph():
    return read_arrays(DATA / "wbf_madgraph_1000.lhe.gz")


@pytest.fixture(scope="module")
def quarks(madgraph):
    """u, d, d', u' of MadGraph's events."""
    np.testing.assert_array_equal(madgraph.pdgids[:5].T, np.tile([2, 1, 25, 2, 1], (1000, 1)))
    return madgraph.momenta[[0, 1, 4, 3]]


def random_quarks(seed: int, n: int = 50) -> np.ndarray:
    """Four massless momenta in any direction; nothing below needs the Higgs boson on shell."""
    spatial = np.random.default_rng(seed).normal(scale=300.0, size=(4, 3, n))
    return np.concatenate([np.linalg.norm(spatial, axis=1, keepdims=True), spatial], axis=1)


def lorentz_transformation(rng: np.random.Generator) -> np.ndarray:
    rotation = np.eye(4)
    rotation[1:, 1:] = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    rotation[1:, 1:] *= np.linalg.det(rotation[1:, 1:])
    rapidity = rng.uniform(-2.0, 2.0)
    boost = np.eye(4)
    boost[0, 0] = boost[1, 1] = np.cosh(rapidity)
    boost[0, 1] = boost[1, 0] = np.sinh(rapidity)
    return rotation @ boost


def test_couplings_follow_from_the_input_scheme():
    assert pytest.approx(79.824360, abs=1e-6) == wbf_haa.W_MASS
    assert pytest.approx(0.648397, abs=1e-6) == wbf_haa.WEAK_COUPLING
    assert pytest.approx(246.2206, abs=1e-4) == wbf_haa.VACUUM_EXPECTATION


@pytest.mark.parametrize("index", range(1, 6))
def test_every_weight_agrees_with_madgraph(madgraph, quarks, index):
    setup = read_setup(DATA / "madminer_config.h5")
    # MadGraph keeps seven digits of a parameter in its card.
    card = [[float(f"{value:.6e}") for value in point] for point in 16.52 * setup.benchmarks]
    monomials = wbf_haa.monomials(np.array(card))
    squared = monomials @ wbf_haa.squared_amplitude(*quarks)
    expected = madgraph.weights[setup.benchmark_names[index]] / madgraph.event_weights
    np.testing.assert_allclose(squared[index] / squared[0], expected, rtol=1e-6)


def test_scale_of_every_event_agrees_with_madgraph(madgraph, quarks):
    scales = np.sqrt(wbf_haa.factorisation_scales(*quarks).max(axis=0))
    np.testing.assert_allclose(scales, madgraph.scales, rtol=1e-6)


def _spinor(p: np.ndarray) -> np.ndarray:
    plus = p[0] + p[3]
    return np.stack([-(p[1] - 1j * p[2]), plus]) / np.sqrt(plus)


def _current(out: np.ndarray, incoming: np.ndarray) -> np.ndarray:
    sigma_bar = np.array(
        [[[1, 0], [0, 1]], [[0, -1], [-1, 0]], [[0, 1j], [-1j, 0]], [[-1, 0], [0, 1]]]
    )
    return np.einsum("in,mij,jn->mn", _spinor(out).conj(), sigma_bar, _spinor(incoming))


@examples(20)
@given(seeds, st.floats(-300, 300), st.floats(-300, 300))
def test_closed_form_equals_feynman_rules(seed, c, c_tilde):
    """The invariants against spinors, currents and the Levi-Civita tensor."""
    up_in, down_in, down_out, up_out = random_quarks(seed)
    j1, j2 = _current(down_out, up_in), _current(up_out, down_in)
    q1, q2 = up_in - down_out, down_in - up_out
    dot = wbf_haa.dot
    levi_civita = np.linalg.det(np.stack([j1, j2, q1, q2]).transpose(2, 0, 1))
    prefactor = (
        0.25
        * wbf_haa.WEAK_COUPLING**4
        * wbf_haa.VACUUM_EXPECTATION
        / ((dot(q1, q1) - wbf_haa.W_MASS**2) * (dot(q2, q2) - wbf_haa.W_MASS**2))
    )
    even = 0.5e-6 * (dot(q1 + q2, q1 + q2) * dot(j1, j2) - 2.0 * dot(q2, j1) * dot(q1, j2))
    amplitude = prefactor * (dot(j1, j2) + c * even - c_tilde * 2e-6 * levi_civita)
    closed_form = wbf_haa.monomials(np.array([c, c_tilde])) @ wbf_haa.squared_amplitude(
        up_in, down_in, down_out, up_out
    )
    scale = (
        abs(prefactor) * (abs(dot(j1, j2)) + abs(c * even) + abs(c_tilde * 2e-6 * levi_civita))
    ) ** 2
    assert np.all(np.abs(closed_form - 0.25 * np.abs(amplitude) ** 2) < 1e-8 * scale)


@examples(30)
@given(seeds)
def test_squared_amplitude_is_lorentz_invariant(seed):
    quarks = random_quarks(seed)
    moved = np.einsum("ij,pjn->pin", lorentz_transformation(np.random.default_rng(seed)), quarks)
    expected, found = wbf_haa.squared_amplitude(*quarks), wbf_haa.squared_amplitude(*moved)
    # Interference terms may cancel; their natural size is that of the squares.
    squares = np.sqrt(expected[[0, 3, 5]])
    size = np.stack(
        [squares[i] * squares[j] for i, j in [(0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2)]]
    )
    assert np.all(np.abs(found - expected) < 1e-8 * size)


@examples(30)
@given(seeds)
def test_reflection_flips_the_cp_odd_parameter(seed):
    quarks = random_quarks(seed)
    mirrored = quarks * np.array([1.0, 1.0, -1.0, 1.0])[:, None]
    flips = np.array([1, 1, -1, 1, -1, 1])[:, None]
    np.testing.assert_allclose(
        wbf_haa.squared_amplitude(*mirrored), flips * wbf_haa.squared_amplitude(*quarks), rtol=1e-12
    )


@examples(30)
@given(seeds, st.floats(-1e4, 1e4), st.floats(-1e4, 1e4))
def test_squared_amplitude_is_not_negative(seed, c, c_tilde):
    coefficients = wbf_haa.squared_amplitude(*random_quarks(seed))
    monomials = wbf_haa.monomials(np.array([c, c_tilde]))
    assert np.all(monomials @ coefficients >= -1e-12 * (np.abs(monomials) @ np.abs(coefficients)))


@examples(20)
@given(seeds)
def test_determinant(seed):
    vectors = np.random.default_rng(seed).normal(size=(4, 4, 10))
    np.testing.assert_allclose(
        wbf_haa.determinant(*vectors), np.linalg.det(vectors.transpose(2, 0, 1)), atol=1e-12
    )


def test_the_library_knows_the_couplings_of_its_processes():
    for name, entry in LIBRARY.items():
        assert set(hard_process(name).PARAMETERS) == entry.couplings
