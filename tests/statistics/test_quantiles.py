"""Quantiles are those of scipy.stats."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, chi2, norm

from madminer_workflow.statistics.quantiles import (
    binomial_quantiles,
    chi2_quantile,
    gaussian_deviations,
)

CHANCES = st.floats(1e-6, 1.0 - 1e-6)


@given(CHANCES, st.integers(1, 6))
def test_chi2(level: float, dof: int) -> None:
    assert chi2_quantile(level, dof) == pytest.approx(chi2.ppf(level, dof))


@given(CHANCES)
def test_gaussian(chance: float) -> None:
    assert gaussian_deviations(chance) == pytest.approx(norm.isf(chance), abs=1e-12)


@given(st.integers(1, 5000), st.floats(0.01, 0.9999))
def test_binomial(n: int, chance: float) -> None:
    # Not at halves and the like: where a probability is met exactly, rounding decides.
    levels = np.array([0.02275, 0.1587, 0.8413, 0.97725])
    expected = binom.ppf(levels, n, chance)
    np.testing.assert_array_equal(binomial_quantiles(levels, n, chance), expected)
