"""The package in Python: what it gives is what the steps have written."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image, ImageChops

from madminer_workflow import api
from madminer_workflow.analysis.file import read_analysis
from madminer_workflow.files import read_json
from tests.support import learning
from tests.support.chain import TINY
from tests.support.finished import finished_tiny

POINTS = np.array([[0.0, 0.0], [0.3, -0.2], [-0.5, 0.5]])


@pytest.fixture(scope="module")
def workdir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return finished_tiny(tmp_path_factory)[0]


@pytest.fixture(scope="module")
def run(workdir: Path) -> api.Run:
    return api.load_run(workdir)


@pytest.fixture(scope="module")
def members(
    toy_file: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, tuple[Path, Path]]:
    return learning.members(toy_file, tmp_path_factory)


def test_an_analysis_is_that_of_its_file_or_folder() -> None:
    assert api.load_analysis(TINY.parent) == api.load_analysis(TINY) == read_analysis(TINY)
    with pytest.raises(api.InputError, match="no such file"):
        api.load_analysis("nowhere")


def test_a_run_has_the_numbers_of_its_results(workdir: Path, run: api.Run) -> None:
    written = read_json(workdir / "ml/plotting/results.json")
    assert run.methods == ["counts", "sally", "ratio"]
    assert run.parameters == written["parameters"]
    for method in written["methods"]:
        limits = run.limits(method["name"], "shape")
        for name, levels in method["limits"]["shape"]["intervals"].items():
            for level in run.levels:
                assert [list(ends) for ends in limits.intervals[name][level]] == levels[level]
        matrix = run.information(method["name"]).matrix
        assert matrix == method["fisher_information"]["matrix"]
        q = method["curves"]["rate_and_shape"]["profiles"]["CPWL2"]
        np.testing.assert_array_equal(run.scan(method["name"], "CPWL2").q, np.array(q, dtype=float))
    assert (
        run.limits("rate").best_fit
        == written["baselines"]["rate"]["limits"]["rate_and_shape"]["best_fit"]
    )
    assert run.analysis.parameter_names == run.parameters


def test_a_scan_of_two_parameters_has_them_in_the_order_asked_for(run: api.Run) -> None:
    scan, turned = run.scan("truth", "CWL2", "CPWL2"), run.scan("truth", "CPWL2", "CWL2")
    assert [len(axis) for axis in scan.axes] == [5, 7] == list(scan.q.shape)
    np.testing.assert_array_equal(scan.q, turned.q.T)
    # The 95 % quantiles of χ² with two degrees of freedom, and one.
    assert scan.threshold("0.95") == pytest.approx(5.991, abs=1e-3)
    assert run.scan("truth", "CWL2").threshold(0.95) == pytest.approx(3.841, abs=1e-3)


def test_a_models_score_is_that_of_evaluating(run: api.Run) -> None:
    model, evaluated = run.model("sally"), run.evaluated("sally").arrays
    assert len(model) == 2
    np.testing.assert_allclose(model.score(evaluated["x_test"]), evaluated["score"])
    columns = dict(zip(model.observables, evaluated["x_test"].T, strict=True))
    np.testing.assert_array_equal(model.score(columns), model.score(evaluated["x_test"]))


@pytest.mark.parametrize("method", ["sally", "alices", "rolr", "scandal", "polynomial"])
def test_every_family_says_what_evaluating_stored(
    toy_file: Path, members: dict[str, tuple[Path, Path]], tmp_path: Path, method: str
) -> None:
    model = api.load_model(members[method][::-1])
    summary, arrays = learning.results(toy_file, list(members[method]), tmp_path)
    x = arrays["x_test"]
    np.testing.assert_allclose(model.score(x, "sm"), arrays["score"], rtol=1e-5, atol=1e-7)
    if method == "sally":
        return
    log_r = model.log_likelihood_ratio(x, arrays["theta_llr"])
    difference = log_r - arrays["log_likelihood_ratio"]
    if method != "polynomial":
        np.testing.assert_allclose(difference, 0.0, atol=1e-5)
        return
    # Its stored ratios have the true rates for a norm, the same for all events.
    assert np.ptp(difference, axis=1).max() < 1e-9 < np.abs(difference).max()
    # Limits have the norm of the model: q is the sum over expected data, but for its minimum.
    weights = arrays["weights_test"] * summary["expected_events"] / arrays["weights_test"].sum()
    q = -2.0 * model.log_likelihood_ratio(x, arrays["thetas"]) @ weights
    assert np.ptp(q - arrays["q_statistical_shape"]) < 1e-6 * np.ptp(q)


def test_the_polynomial_is_the_ratio_and_its_gradient_the_score(
    members: dict[str, tuple[Path, Path]],
) -> None:
    model = api.load_model(members["polynomial"])
    x = np.random.default_rng(1).normal(size=(6, 2))
    known = model.polynomial(x)
    assert known.coefficients.shape == (6, 6)
    assert known.monomials.powers.shape == (6, 2)
    m = known.monomials.values(POINTS)
    log_r = np.log((m @ known.coefficients.T) / (m @ known.norm)[:, None])
    np.testing.assert_allclose(model.log_likelihood_ratio(x, POINTS), log_r)
    np.testing.assert_allclose(log_r[0], 0.0, atol=1e-9)
    step, at = 1e-5, POINTS[1]
    for i, direction in enumerate(np.eye(2)):
        ends = model.log_likelihood_ratio(x, [at + step * direction, at - step * direction])
        slopes = (ends[0] - ends[1]) / (2.0 * step)
        np.testing.assert_allclose(model.score(x, at)[:, i], slopes, atol=1e-6)
    one = dict(zip(model.parameters, at, strict=True))
    np.testing.assert_allclose(model.log_likelihood_ratio(x, one), log_r[1])


X = np.zeros((3, 2))


@pytest.mark.parametrize(
    ("method", "ask", "message"),
    [
        ("alices", lambda m: m.log_likelihood_ratio(X, "nowhere"), "no benchmark nowhere"),
        ("alices", lambda m: m.log_likelihood_ratio(X, {"CWL2": 0}), "expected CWL2, CPWL2"),
        ("alices", lambda m: m.log_likelihood_ratio(X, [0, 0, 0]), r"the shape \(3,\)"),
        ("alices", lambda m: m.log_likelihood_ratio(X, [0, np.nan]), "NaN"),
        ("alices", lambda m: m.log_likelihood_ratio(X[:, :1], "sm"), r"\(n_events, 2\): x0, x1"),
        ("alices", lambda m: m.log_likelihood_ratio({"x0": X[:, 0]}, "sm"), "has no x1"),
        ("alices", lambda m: m.log_likelihood_ratio(["a"], "sm"), "not an array of numbers"),
        ("alices", lambda m: m.score(X * np.nan), "x0, which is undefined in 3 of 3 events"),
        ("alices", lambda m: m.polynomial(X), "not a polynomial in the parameters, but alices"),
        ("sally", lambda m: m.log_likelihood_ratio(X, "sm"), "knows only the score at sm"),
        ("sally", lambda m: m.score(X, "w"), "knows only the score at sm"),
        ("sally", lambda m: m.score(X, POINTS), "has 3 points; expected one"),
        ("histogram", lambda m: m.score(X), "has no likelihood ratio or score of single events"),
    ],
)
def test_what_a_model_cannot_be_asked(
    members: dict[str, tuple[Path, Path]],
    method: str,
    ask: Callable[[api.Model], Any],
    message: str,
) -> None:
    with pytest.raises(api.InputError, match=message):
        ask(api.load_model(members[method][0]))


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda run: run.limits("saly"), "did you mean 'sally'"),
        (lambda run: run.limits("sally", data="observed"), "no observed limits"),
        (lambda run: run.scan("sally", "CWL"), "did you mean 'CWL2'"),
        (lambda run: run.scan("sally"), "expected one parameter or two"),
        (lambda run: run.fit("sally"), "no fit of nuisance parameters"),
        (lambda run: run.information("sally", profiled=True), "no nuisance parameters"),
        (lambda run: run.model("truth"), "unknown method 'truth'"),
        (lambda run: run.draw("limits"), "unknown figure 'limits'"),
    ],
)
def test_what_a_run_does_not_have(
    run: api.Run, ask: Callable[[api.Run], Any], message: str
) -> None:
    with pytest.raises(api.InputError, match=message):
        ask(run)


def test_members_of_two_methods_are_no_model(members: dict[str, tuple[Path, Path]]) -> None:
    with pytest.raises(api.InputError, match="with other settings"):
        api.load_model([members["sally"][0], members["alices"][0]])
    with pytest.raises(api.InputError, match=r"no Model\.tar\.gz"):
        api.load_model([])


def test_figures_can_be_gone_on_with_and_written(run: api.Run, tmp_path: Path) -> None:
    assert "intervals_shape" in run.figures
    figure = run.draw("intervals_shape", tmp_path / "few.png", methods=["ratio"])
    assert [axes.get_xlabel() for axes in figure.axes] == ["$c_W$", "CPWL2"]
    # Whoever goes on with it has its fonts, whatever the settings of matplotlib are there.
    figure.savefig(tmp_path / "again.png", dpi=200)
    with Image.open(tmp_path / "few.png") as first, Image.open(tmp_path / "again.png") as again:
        assert first.size == again.size
        assert ImageChops.difference(first.convert("L"), again.convert("L")).getbbox() is None


def test_figures_are_drawn_in_given_axes(run: api.Run, tmp_path: Path) -> None:
    whole = Figure(figsize=(9.0, 6.0))
    above, below = whole.subplots(2, 2)
    result = run.draw("fisher_CWL2_CPWL2", tmp_path / "whole.png", ["ratio"], ax=below[1])
    assert result is whole and (tmp_path / "whole.png").exists()
    assert below[1].get_xlabel() == "$c_W$" and below[1].get_legend() and below[1].lines
    assert not below[0].lines and not whole.legends
    run.draw("intervals_shape", ax=above)
    assert [axes.get_xlabel() for axes in above] == ["$c_W$", "CPWL2"]
    names = [text.get_text() for text in above[0].get_yticklabels()]
    assert "parton-level ceiling" in names and above[1].get_ylim() == above[0].get_ylim()


@pytest.mark.parametrize(
    ("figure", "message"),
    [("intervals_shape", "expected 2, got 1"), ("corner_shape", "arranges its panels itself")],
)
def test_other_numbers_of_axes_are_refused(run: api.Run, figure: str, message: str) -> None:
    axes = Figure().subplots()
    with pytest.raises(api.InputError, match=message):
        run.draw(figure, ax=axes)
    assert not axes.lines and not axes.get_xlabel()
    assert isinstance(run.draw("intervals_shape"), Figure), "the next one has a figure of its own"


def test_results_alone_are_a_run_without_models(workdir: Path, run: api.Run) -> None:
    for place in (workdir / "ml/plotting", workdir / "ml/plotting/results.json"):
        alone = api.load_run(place)
        assert alone.limits("sally") == run.limits("sally")
        with pytest.raises(api.InputError, match=r"has no Model\.tar\.gz of sally"):
            alone.model("sally")
    with pytest.raises(api.InputError, match=r"results\.json"):
        api.load_run(workdir / "physics")


def test_to_import_it_loads_neither_torch_nor_matplotlib() -> None:
    code = (
        "import sys; from madminer_workflow import api; "
        "sys.exit(bool({'torch', 'matplotlib', 'yadage'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
