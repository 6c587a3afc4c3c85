"""Quantiles of distributions: those of ``scipy.stats``, whose import costs a step half a second."""

from __future__ import annotations

import numpy as np
from scipy.special import bdtr, bdtrik, chdtr, gammaincinv, gammaln, ndtri, xlogy


def chi2_quantile(level: float, dof: int) -> float:
    """What a chi-squared variable with ``dof`` degrees of freedom stays below at a ``level``."""
    return float(2.0 * gammaincinv(0.5 * dof, level))


def binomial_quantiles(levels: np.ndarray, n: int, chance: float) -> np.ndarray:
    """The fewest of ``n`` trials that succeed, each by ``chance``, with probability ``levels``."""
    above = np.ceil(bdtrik(levels, n, chance))
    below = np.maximum(above - 1.0, 0.0)
    # The inverse is rounded: the number below may do, too.
    return np.where(bdtr(below, n, chance) >= levels, below, above)


def gaussian_deviations(chance: float) -> float:
    """The standard deviations that a Gaussian variable exceeds with probability ``chance``."""
    return float(-ndtri(chance))


def chi2_probability(q: np.ndarray, dof: int) -> np.ndarray:
    """The probability that a chi-squared variable with ``dof`` degrees of freedom is below q."""
    return chdtr(dof, q)


def chi2_density(q: np.ndarray, dof: int) -> np.ndarray:
    """The density of a chi-squared variable with ``dof`` degrees of freedom, for q > 0."""
    half = 0.5 * dof
    return np.exp(xlogy(half - 1.0, q) - 0.5 * q - gammaln(half) - np.log(2.0) * half)
