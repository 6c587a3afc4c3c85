"""Toys from fits against those from maxima on a grid fine enough to find them."""

from __future__ import annotations

import numpy as np

from madminer_workflow.statistics import closed_form
from madminer_workflow.statistics.likelihood import DataSets, log_likelihoods
from madminer_workflow.statistics.limits import Grid
from madminer_workflow.statistics.polynomial import PolynomialDensity
from madminer_workflow.statistics.problem import Problem
from madminer_workflow.statistics.toys import toy_statistics


def assert_toys_are_those_of(
    grid: Grid,
    density: PolynomialDensity,
    drawn: DataSets,
    problem: Problem,
    theta: np.ndarray,
    atol: float,
) -> None:
    """q at ``theta``, a node of ``grid``, of both kinds and for all parameters and each."""
    at_nodes = closed_form.density_at(density, problem.setup, grid.thetas())
    scanned = log_likelihoods(at_nodes, drawn, problem, grid.thetas())
    for kind, (joint, of_each) in closed_form.statistics(density, drawn, problem, theta).items():
        q, q_each = toy_statistics(scanned[kind], grid, theta)
        np.testing.assert_allclose(joint, q, atol=atol)
        np.testing.assert_allclose(of_each, q_each, atol=atol)
        assert joint.min() >= 0.0 and of_each.min() >= -1e-6
