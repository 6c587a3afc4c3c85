"""Fits of polynomials to more values than coefficients, and what tells that values are none."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from madminer_workflow.analysis.morphing import morphing_components
from madminer_workflow.statistics.monomials import Monomials
from madminer_workflow.statistics.surplus import ROUNDING, Fit, relative_errors
from tests.support.known_process import quadratic, setup_of
from tests.support.properties import examples


def random_fit(powers: Sequence[int], overall: int, surplus: int, seed: int) -> Fit:
    """As a fit of benchmarks: the origin, and points in ranges of very different sizes."""
    monomials = Monomials(np.array(morphing_components(powers, overall)))
    rng = np.random.default_rng(seed)
    ranges = 10.0 ** rng.uniform(-3.0, 3.0, len(powers))
    points = ranges * rng.uniform(-1.0, 1.0, (len(monomials) + surplus, len(powers)))
    points[0] = 0.0
    return Fit(monomials, points)


def polynomials(fit: Fit, n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients (n, n_monomials) of like size over the ranges, and values at the points."""
    rng = np.random.default_rng(seed)
    units = np.prod(np.abs(fit.points).max(axis=0) ** fit.monomials.powers, axis=1)
    coefficients = rng.normal(size=(n, len(units))) / units
    return coefficients, coefficients @ fit.monomials.values(fit.points).T


@examples(30)
@given(
    powers=st.lists(st.integers(1, 4), min_size=1, max_size=3),
    overall=st.integers(1, 4),
    surplus=st.integers(1, 6),
    seed=st.integers(0, 1000),
)
def test_polynomials_are_recovered(
    powers: list[int], overall: int, surplus: int, seed: int
) -> None:
    """As well as the points determine them, and nothing is left over but the last digits."""
    fit = random_fit(powers, overall, surplus, seed)
    coefficients, values = polynomials(fit, 20, seed)
    units = np.prod(np.abs(fit.points).max(axis=0) ** fit.monomials.powers, axis=1)
    condition = np.linalg.cond(fit.monomials.values(fit.points / np.abs(fit.points).max(axis=0)))
    found = values @ fit.matrix()
    np.testing.assert_allclose(units * found, units * coefficients, atol=1e-14 * condition)
    assert np.abs(fit.residuals(values)).max() < 1e-12


def test_as_many_points_as_terms_leave_nothing_over() -> None:
    setup = setup_of(quadratic(2))
    assert setup.surplus is None
    fit = Fit(quadratic(2), setup.benchmarks)
    np.testing.assert_allclose(fit.matrix(), setup.morphing_matrix, atol=1e-13)
    assert not fit.predicted.any()
    values = np.random.default_rng(1).normal(size=(5, 6))
    assert not fit.residuals(values).any() and not fit.deviations(values).any()
    assert fit.suspects(np.zeros(6), np.ones(6)) == []


def test_a_basis_of_the_points_has_the_same_polynomials() -> None:
    fit = random_fit([2, 2], 4, 5, 1)
    matrix = fit.basis_matrix()
    assert matrix.shape == (9, 9)
    # Its inverse has the values of the monomials at the points of the basis.
    values = np.linalg.inv(matrix).T
    rows = fit.monomials.values(fit.points)
    assert all(np.isclose(rows, row, rtol=1e-6).all(axis=1).any() for row in values)


def test_deviations_are_those_from_fits_without_the_point() -> None:
    fit = random_fit([2, 2], 2, 3, 5)
    values = np.random.default_rng(2).normal(size=(4, 9)) * fit.norms
    for i in range(9):
        rest = np.arange(9) != i
        # The weights of the fit must stay the same.
        rows = fit.monomials.values(fit.points) / fit.norms[:, None]
        scales = np.linalg.norm(rows, axis=0)
        solution = np.linalg.lstsq(
            rows[rest] / scales, (values / fit.norms)[:, rest].T, rcond=None
        )[0]
        predicted = (rows[i] / scales) @ solution * fit.norms[i]
        np.testing.assert_allclose(fit.deviations(values)[:, i], values[:, i] - predicted)
    squares = np.sum(fit.deviations(values) ** 2, axis=0)
    residuals = np.sum(fit.residuals(values) ** 2, axis=0)
    np.testing.assert_allclose(fit.deviation_squares(residuals), squares)


@pytest.mark.parametrize("error", [1e-8, 1e-5, 1e-2])
def test_the_errors_of_values_are_found(error: float) -> None:
    fit = random_fit([2, 2], 2, 4, 3)
    _, values = polynomials(fit, 20_000, 3)
    values = values * (1.0 + error * np.random.default_rng(4).normal(size=values.shape))
    residuals, squares = (np.sum(v**2, axis=0) for v in (fit.residuals(values), values))
    np.testing.assert_allclose(
        relative_errors(residuals, fit.error_squares(squares)), error, rtol=0.1
    )
    assert len(fit.suspects(residuals, squares)) == (10 if error < ROUNDING else 0)


@pytest.mark.parametrize("wrong", range(9))
def test_one_wrong_point_is_found(wrong: int) -> None:
    """By 1 % and in the presence of rounding; where only one is left over, none can be told."""
    fit = random_fit([2, 2], 2, 3, 7)
    _, values = polynomials(fit, 1000, 7)
    values = values * (1.0 + 1e-7 * np.random.default_rng(8).normal(size=values.shape))
    values[:, wrong] *= 1.01
    residuals, squares = (np.sum(v**2, axis=0) for v in (fit.residuals(values), values))
    assert fit.suspects(residuals, squares) == [wrong]
    rest = [wrong, *(i for i in range(9) if i != wrong)][:7]
    fewer = Fit(fit.monomials, fit.points[rest])
    residuals = np.sum(fewer.residuals(values[:, rest]) ** 2, axis=0)
    assert fewer.suspects(residuals, squares[rest]) == list(range(7))


def test_a_wrong_order_is_no_wrong_point() -> None:
    cubic = Monomials(np.array([[0], [1], [2], [3]]))
    fit = Fit(Monomials(cubic.powers[:3]), np.linspace(-2.0, 2.0, 7)[:, None])
    values = np.random.default_rng(1).normal(size=(500, 4)) @ cubic.values(fit.points).T
    residuals, squares = (np.sum(v**2, axis=0) for v in (fit.residuals(values), values))
    assert fit.suspects(residuals, squares) == []
    assert relative_errors(residuals, fit.error_squares(squares)).max() > 0.1
