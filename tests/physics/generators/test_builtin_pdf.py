"""Parton densities against Pythia's own."""

from __future__ import annotations

import numpy as np
import pytest

from madminer_workflow.physics.generators.builtin import pdf


@pytest.fixture(scope="module")
def densities():
    return pdf.tabulate()


@pytest.fixture(scope="module")
def pythia():
    return pdf.initialised_pythia()


@pytest.mark.parametrize("flavour", [pdf.UP, pdf.DOWN])
def test_densities_agree_with_pythia(densities, pythia, flavour):
    rng = np.random.default_rng(5)
    x = np.concatenate([np.exp(rng.uniform(np.log(1e-6), 0, 3000)), rng.uniform(0, 1, 3000)])
    x = x[x < 0.9]
    q2 = np.exp(rng.uniform(np.log(25.0), np.log(5e7), len(x)))
    proton = pythia.getPDFPtr(2212)
    expected = np.array([proton.xf(flavour, *point) for point in zip(x, q2, strict=True)])
    np.testing.assert_allclose(densities.xf(flavour, x, q2), expected, rtol=2e-4)


def test_densities_vanish_at_the_kinematic_limit(densities):
    assert abs(densities.xf(pdf.UP, np.array([1.0]), np.array([1e4]))[0]) < 1e-5


def test_densities_are_frozen_outside_the_grid(densities):
    x = np.array([0.1, 0.1])
    low = densities.xf(pdf.UP, x, np.array([1e-3, 1.0]))
    high = densities.xf(pdf.UP, x, np.array([1e8, 1e9]))
    assert low[0] == low[1] and high[0] == high[1]


def test_strong_coupling_runs_from_its_value_at_the_z_mass():
    assert pdf.alpha_s(np.array([91.1876]))[0] == pytest.approx(0.130)
    assert pdf.alpha_s(np.array([20.0]))[0] > pdf.alpha_s(np.array([500.0]))[0]
