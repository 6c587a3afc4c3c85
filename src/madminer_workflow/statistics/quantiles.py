"""Quantiles of distributions: those of ``scipy.stats``, whose import costs a step half a second."""

from __future__ import annotations

from scipy.special import gammaincinv, ndtri


def chi2_quantile(level: float, dof: int) -> float:
    """What a chi-squared variable with ``dof`` degrees of freedom stays below at a ``level``."""
    return float(2.0 * gammaincinv(0.5 * dof, level))


def gaussian_deviations(chance: float) -> float:
    """The standard deviations that a Gaussian variable exceeds with probability ``chance``."""
    return float(-ndtri(chance))
