"""Goodness of fit of methods: in closed form, and on a grid."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from madminer_workflow.ml.goodness import fit_on_grid, goodness_of_data
from madminer_workflow.ml.scan import closed_forms
from madminer_workflow.products.problem import pose_problem
from madminer_workflow.statistics.goodness.fits import fit_in_closed_form
from madminer_workflow.statistics.likelihood import KINDS
from madminer_workflow.statistics.limits import make_grid
from madminer_workflow.statistics.toys import draw_toys
from tests.support import learning

AXIS = {"range": [-1.5, 1.5], "resolution": 25}
LIMITS = {**learning.EVALUATION["limits"], "grid": {"CWL2": AXIS, "CPWL2": AXIS}}


def test_best_fits_on_a_grid_are_those_in_closed_form(toy_file: Path, tmp_path: Path) -> None:
    evaluation = learning.evaluation(limits=LIMITS)
    problem = pose_problem(evaluation, toy_file)
    grid = make_grid(evaluation.limits.grid, problem.setup.parameters)
    settings = learning.settings("histogram", bins={"x0": 6, "x1": 6})
    member = learning.trained(problem.train, settings, tmp_path)
    toys = draw_toys(problem, problem.theta_true, 20, np.random.default_rng(1))
    [density] = closed_forms([member], problem, each=False)
    for kind in KINDS:
        closed = fit_in_closed_form(density, problem, kind, toys)
        scanned = fit_on_grid([member], problem, grid, kind, toys)
        np.testing.assert_allclose(scanned.thetas, closed.thetas, atol=0.03)
        assert scanned.nu.shape == closed.nu.shape == (20, 0)


@pytest.mark.parametrize("method", ["alice", "polynomial"])
def test_networks_are_tested_with_their_own_fits(
    toy_file: Path, tmp_path: Path, method: str
) -> None:
    evaluation = learning.evaluation(luminosity=3e5)
    problem = pose_problem(evaluation, toy_file, "sm")
    grid = make_grid(evaluation.limits.grid, problem.setup.parameters)
    member = learning.trained(problem.train, learning.settings(method), tmp_path)
    found = goodness_of_data([member], problem, grid, n_toys=20)
    assert found is not None and set(found) == set(KINDS)
    for one in found.values():
        scores = [test.name for test in one.tests if test.about == "score"]
        assert scores == ([] if method == "alice" else problem.setup.parameters)
        assert one.n_toys == 20
        assert 1.0 / 21.0 <= one.p_value <= 1.0
    assert goodness_of_data([member], pose_problem(evaluation, toy_file), grid) is None
