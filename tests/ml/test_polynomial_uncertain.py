"""Proofs that the polynomial method sets true limits where uncertainties change shapes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

from madminer_workflow.ml.methods import polynomial
from madminer_workflow.products.problem import read_events
from madminer_workflow.statistics import closed_form
from madminer_workflow.statistics.baselines import truth
from madminer_workflow.statistics.likelihood import expected_data
from madminer_workflow.statistics.limits import Grid
from madminer_workflow.statistics.polynomial import PolynomialDensity
from madminer_workflow.statistics.problem import Problem
from madminer_workflow.statistics.toys import draw_toys
from tests.ml.test_polynomial import trained
from tests.support.chain import analysis_file, run_physics
from tests.support.known_process import KnownProcess, problem_of
from tests.support.paths import REPOSITORY
from tests.support.uncertain_process import UncertainProcess

pytestmark = pytest.mark.slow

KIND = "rate_and_shape"


def widths(known: PolynomialDensity, problem: Problem, profiled: bool = True) -> np.ndarray:
    """Of the 95 % intervals of every parameter for expected data."""
    grid = Grid(problem.setup.parameters, [np.linspace(-3.0, 3.0, 3)] * len(problem.theta_true))
    model = closed_form.Model(known, problem, KIND, profiled)
    intervals = closed_form.maximum(model, expected_data(problem), [0.95], grid).intervals
    return np.array([pairs["0.95"][-1][1] - pairs["0.95"][0][0] for pairs in intervals.values()])


SUMS = {axis: "+".join(f"p[{i}].{axis}" for i in range(4)) for axis in ("E", "pz")}
PLUS, MINUS = (f"({SUMS['E']} {sign} ({SUMS['pz']}))" for sign in "+-")
PARTONS = {
    "log_pt_up": "log(p[0].pt)",
    "log_pt_down": "log(p[1].pt)",
    "dphi": "p[0].deltaphi(p[1])",
    "cos_dphi": "cos(p[0].deltaphi(p[1]))",
    "sin_dphi": "sin(p[0].deltaphi(p[1]))",
    "log_x1": f"log({PLUS})",
    "log_x2": f"log({MINUS})",
    "log_m": "log((p[0] + p[1]).m)",
    "log_t1": f"log({PLUS} * (p[1].E - p[1].pz))",
    "log_t2": f"log({MINUS} * (p[0].E + p[0].pz))",
    "log_u1": f"log({PLUS} * (p[0].E - p[0].pz))",
    "log_u2": f"log({MINUS} * (p[1].E + p[1].pz))",
}
"""They determine the momenta of u, d and h but for the azimuth; the amplitude is simple in them."""


def test_the_factorisation_scale_costs_what_the_partons_say(tmp_path: Path) -> None:
    """Without smearing observables determine partons, for which the profiled limit is exact."""
    wbf = REPOSITORY / "inputs/wbf/input.yml"
    content = yaml.safe_load(wbf.read_text())
    [process] = content["processes"]
    methods = [one for one in content["ml"]["methods"] if one["method"] == "polynomial"]
    process["events"] = {"sm": 60000, **dict.fromkeys(("w", "neg_w", "ww", "neg_ww"), 10000)}
    systematics = [
        {
            "systematic_name": "scale",
            "effect": "scale",
            "scale": "muf",
            "scale_variations": [0.5, 1.0, 2.0],
        },
        {"systematic_name": "lumi", "effect": "norm", "norm_variation": 1.02},
    ]
    analysis = analysis_file(
        tmp_path / "input.yml",
        wbf,
        processes=[process],
        detector={},
        cuts=[],
        ml={**content["ml"], "methods": methods},
        systematics=systematics,
        observables=[
            {"name": name, "definition": definition, "required": True}
            for name, definition in PARTONS.items()
        ],
    )
    physics = run_physics(analysis, tmp_path, njobs=4)
    problem = problem_of(read_events(physics.combined), 1.0)
    problem = replace(problem, luminosity=300_000.0)
    network, training = {"n_hidden": [128, 128, 128]}, {"n_steps": 6000, "n_epochs": 200}
    member = trained(problem.train, tmp_path / "model", network=network, training=training)
    learned, exact = polynomial.closed_form([member], problem), truth(problem)
    rows: dict[str, Callable[..., np.ndarray]] = {"profiled": widths, "fixed": fixed_widths}
    found = {name: (of(learned, problem), of(exact, problem)) for name, of in rows.items()}
    by_rate = widths(replace(learned, response=None), problem)
    print(f"\nlearned, exact: {found}; by the rate alone: {by_rate}")
    assert all(check.passed for check in polynomial.nuisance_checks([member], problem))
    for ours, theirs in found.values():
        np.testing.assert_allclose(ours, theirs, rtol=0.02)
    # What profiling costs, in which errors of the ratio itself cancel.
    cost, true_cost = (found["profiled"][i] / found["fixed"][i] for i in (0, 1))
    np.testing.assert_allclose(cost, true_cost, atol=0.01)
    assert true_cost[0] > 1.05


def fixed_widths(known: PolynomialDensity, problem: Problem) -> np.ndarray:
    return widths(known, problem, profiled=False)


def test_a_response_that_depends_on_the_parameters_is_found(tmp_path: Path) -> None:
    """Nuisance parameter and second parameter move a latent that is not observed.

    At the reference nothing of that is seen in a shape; where the parameter is not 0 it is.
    """
    process = UncertainProcess.of(KnownProcess.blind(cut=None), np.array([[0.0, 0.0, 0.5]]))
    problem = problem_of(process.events(100_000, seed=1), 300.0)
    known = polynomial.closed_form([trained(problem.train, tmp_path / "model")], problem)
    exact = process.density(problem)
    weights = problem.test.weights_at(problem.theta_true)
    for theta in ([0.0, 0.0], [0.0, 1.0], [0.0, -1.0], [0.5, 1.0]):
        ours, theirs = (log_ratios(one, np.array(theta), weights) for one in (known, exact))
        share = (weights @ (ours * theirs)) / max(weights @ theirs**2, 1e-12)
        size, error = (np.sqrt(weights @ y**2 / weights.sum()) for y in (theirs, ours - theirs))
        print(f"\n{theta}: response {size:.4f}, error {error:.4f}, share that is found {share:.3f}")
        assert error < max(0.01, 0.4 * size)
        if theta[1]:
            assert size > 0.04
            assert share == pytest.approx(1.0, abs=0.15)


def log_ratios(known: PolynomialDensity, theta: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """a(x) of test events, less its mean, (n_events,)."""
    assert known.response is not None
    up, down = np.log(known.response.coefficients @ known.monomials.values(theta)).T
    a = 0.5 * (up - down)
    return a - weights @ a / weights.sum()


def test_limits_cover_if_shapes_are_known_and_not_otherwise(tmp_path: Path) -> None:
    """Of toys whose nuisance parameter is drawn from its prior."""
    process = UncertainProcess.of(KnownProcess.of(1), np.array([[0.25, 0.0]]))
    problem = problem_of(process.events(80_000, seed=3), 300.0)
    member, theta, n = trained(problem.train, tmp_path / "model"), np.array([0.2]), 1000
    known = polynomial.closed_form([member], problem)
    toys = draw_toys(problem, theta, n, np.random.default_rng(1), "prior")
    covered = {}
    for name, density in {"learned": known, "rate": replace(known, response=None)}.items():
        of_all, _ = closed_form.statistics(density, toys, problem, theta)[KIND]
        covered[name] = float(np.mean(of_all < 1.0))
    print(f"\ncoverage of 68.3 %: {covered}")
    assert covered["learned"] == pytest.approx(0.683, abs=3.0 * np.sqrt(0.683 * 0.317 / n) + 0.01)
    assert covered["rate"] < 0.5
