from __future__ import annotations

import itertools

import numpy as np
import pytest

from madminer_workflow.statistics.monomials import Monomials, amplitude_of


def up_to(n: int, power: int, overall: int | None = None) -> Monomials:
    every = itertools.product(range(power + 1), repeat=n)
    return Monomials(np.array([p for p in every if sum(p) <= (overall or power)]))


@pytest.mark.parametrize(("n", "power"), [(1, 2), (2, 2), (2, 4), (4, 2)])
def test_derivatives_are_those_of_the_values(n: int, power: int) -> None:
    monomials, step = up_to(n, power), 1e-6
    thetas = np.random.default_rng(1).normal(size=(5, n))
    for i, direction in enumerate(step * np.eye(n)):
        up, down = thetas + direction, thetas - direction
        slope = (monomials.values(up) - monomials.values(down)) / (2.0 * step)
        np.testing.assert_allclose(monomials.gradients(thetas)[:, i], slope, atol=1e-6)
        slope = (monomials.gradients(up) - monomials.gradients(down)) / (2.0 * step)
        np.testing.assert_allclose(monomials.hessians(thetas)[:, i], slope, atol=1e-6)


@pytest.mark.parametrize(("n", "power"), [(1, 2), (2, 2), (2, 4), (4, 2)])
def test_polynomials_are_the_same_in_other_units_around_another_origin(n: int, power: int) -> None:
    monomials, rng = up_to(n, power), np.random.default_rng(2)
    origin, units = rng.normal(size=n), rng.uniform(0.1, 3.0, size=n)
    coefficients, thetas = rng.normal(size=len(monomials)), rng.normal(size=(5, n))
    there = monomials.values((thetas - origin) / units) @ coefficients
    here = monomials.values(thetas) @ (coefficients @ monomials.moved(origin, units))
    np.testing.assert_allclose(here, there, rtol=1e-8, atol=1e-8)


def test_the_amplitude_of_squares() -> None:
    amplitude = amplitude_of(up_to(2, 2))
    assert amplitude is not None
    assert amplitude.powers.tolist() == [[0, 0], [1, 0], [0, 1]]
    amplitude = amplitude_of(up_to(2, 2, overall=4))
    assert amplitude is not None
    assert amplitude.powers.tolist() == [[0, 0], [1, 0], [0, 1], [1, 1]]


@pytest.mark.parametrize("monomials", [up_to(2, 1), up_to(1, 3), up_to(2, 2, overall=3)])
def test_interference_alone_and_odd_powers_are_no_squares(monomials: Monomials) -> None:
    assert amplitude_of(monomials) is None
