"""The benchmark of the tutorial's table: its pieces with few events, and its arithmetic."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import yaml

from madminer_workflow.madminer_file import read_sample, write_sample
from madminer_workflow.statistics.binning import bin_indices
from madminer_workflow.statistics.events import union
from madminer_workflow.statistics.information import Information, of_counts
from madminer_workflow.statistics.problem import Problem
from madminer_workflow.statistics.sample import Sample
from madminer_workflow.statistics.setup import Setup
from tests.conftest import toy_sample
from tests.support.paths import DATA, REPOSITORY

LUMINOSITY = 1e6


@pytest.fixture
def tutorial(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    path = REPOSITORY / "benchmarks" / "tutorial.py"
    spec = importlib.util.spec_from_file_location("tutorial", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "tutorial", module)
    spec.loader.exec_module(module)
    return module


def problem_of(sample: Sample, setup: Setup) -> Problem:
    events = union(sample, setup)
    sm = setup.theta("sm")
    return Problem(setup, events, events, events, sm, sm, sm, luminosity=LUMINOSITY, seed=1)


def test_analysis_is_the_reference_with_more_events_and_training(tutorial: ModuleType) -> None:
    reference = yaml.safe_load(tutorial.REFERENCE.read_text())
    analysis = tutorial.analysis_of(7)
    assert analysis["seed"] == 7
    assert analysis["processes"][0]["events"].keys() == reference["processes"][0]["events"].keys()
    for part in ("parameters", "benchmarks", "detector", "cuts"):
        assert analysis[part] == reference[part]
    ours = {each["name"]: each for each in analysis["ml"]["methods"]}
    theirs = {each["name"]: each for each in reference["ml"]["methods"]}
    assert ours.keys() == (theirs.keys() & tutorial.ROWS.keys()) | {"fine"}
    for name in ("histogram_pt", "histogram_2d"):
        assert ours[name] == theirs[name]
    assert ours["sally"]["n_samples"] > reference["ml"]["defaults"]["n_samples"]
    assert set(tutorial.ROWS) <= {*ours, "truth"}


def test_from_events_to_table(
    tutorial: ModuleType, setup: Setup, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With toy events: of 300 expected ones the partons know 12, the smeared observables 9.6."""
    for changes in tutorial.CHANGES.values():
        changes["n_samples"] = 500
        changes["training"]["n_epochs"] = 2
    monkeypatch.setattr(tutorial, "TUTORIAL_EVENTS", {"sm": 2000, "w": 500})
    monkeypatch.setattr(tutorial, "MEMBERS", {"sally": 2, "alices": 1, "polynomial": 1})
    bins = {"pt_j1": np.geomspace(30.0, 300.0, 10).tolist(), "delta_phi_jj": [-2.0, -1.0, 0.0, 1.0]}
    tutorial.FINE_HISTOGRAM["bins"] = bins
    tutorial.write_analysis(tmp_path, tutorial.analysis_of(3))
    write_toy_events(tmp_path / tutorial.COMBINED, setup)
    for name, members in tutorial.MEMBERS.items():
        for member in range(members):
            tutorial.train_member(tmp_path, name, member)
    measured = tutorial.measure(tmp_path)

    assert set(measured) == set(tutorial.ROWS)
    np.testing.assert_allclose(np.diag(measured["truth"]["matrix"]), 12.0, rtol=0.05)
    fine = np.diag(measured["fine"]["matrix"])
    coarse = np.diag(measured["histogram_2d"]["matrix"])
    assert np.all((coarse < fine) & (fine < 1.05 * 9.6))
    # What the bins leave of 9.6.
    np.testing.assert_allclose(fine, [9.5, 8.8], rtol=0.04)
    for name in tutorial.MEMBERS:
        own = measured[name]
        assert np.all(np.isfinite(own["slope"]))
        assert np.all(np.array(own["proven"]) < 1.1 * 9.6)
        assert np.all(np.diag(own["tutorial_error"]) > np.diag(own["error"]))

    published = yaml.safe_load(tutorial.REFERENCE.read_text())["ml"]["fisher"]["published"]
    lines = tutorial.table([measured, measured], published)
    assert len(lines) == 2 * len(tutorial.ROWS)
    sally = next(line for line in lines if line["row"] == "sally" and line["entry"] == "22")
    assert sally["published"] == 114.2
    assert sally["mean"] == pytest.approx(measured["sally"]["matrix"][1][1])
    assert sally["spread"] == 0.0
    text, markdown = tutorial.as_text(lines), tutorial.as_markdown(lines)
    assert len(text.splitlines()) == len(lines) + 1
    assert "114.2" in text and "| SALLY | 22 | 114.2 |" in markdown


def write_toy_events(path: Path, setup: Setup) -> None:
    """Toy events under the names, and in the ranges, of the reference analysis."""
    sample = toy_sample(setup, {"sm": 24000, "w": 1000}, seed=6)
    first, second = sample.observations.T
    noise = np.random.default_rng(6).exponential(40.0, len(first))
    sample = replace(
        sample,
        observables=["pt_j1", "delta_phi_jj", "met"],
        observations=np.column_stack([100.0 * np.exp(0.5 * first), second, noise]),
    )
    definitions = {name: name for name in sample.observables}
    path.parent.mkdir(parents=True)
    write_sample(path, DATA / "madminer_config.h5", sample, definitions, {})


def test_means_errors_and_spreads(tutorial: ModuleType) -> None:
    found = tutorial.over_seeds([(90.0, 3.0), (100.0, 4.0), (110.0, 5.0)])
    assert found["mean"] == pytest.approx(100.0)
    assert found["spread"] == pytest.approx(0.1)
    assert found["error"] == pytest.approx(np.sqrt(50.0) / 3.0)
    assert tutorial.over_seeds([(90.0, 3.0)])["spread"] is None


def test_bias_of_a_fine_histogram_is_removed(tutorial: ModuleType, setup: Setup) -> None:
    """A coarse histogram of enough events has no bias; splitting its bins at random adds some."""
    problem = problem_of(toy_sample(setup, {"sm": 40000}, seed=4), setup)
    edges = [np.linspace(-2.0, 2.0, 5)]
    splits = 400

    def naive(problem: Problem, fine: bool) -> Information:
        events = problem.everything
        indices = bin_indices(events.x[:, :1], edges)
        if fine:
            noise = (np.abs(events.x[:, 1]) * 1e6).astype(int) % splits
            indices = indices * splits + noise
        gradients = events.gradients_at(problem.fisher_theta)
        size = int(indices.max()) + 1
        rates = np.bincount(indices, events.weights_at(problem.fisher_theta), size)
        slopes = np.stack([np.bincount(indices, each, size) for each in gradients.T], axis=1)
        return Information(of_counts(rates, slopes, problem.luminosity), np.zeros((2, 2)))

    coarse = naive(problem, fine=False).matrix
    biased = naive(problem, fine=True).matrix
    corrected = tutorial.without_bias(partial(naive, fine=True), problem).matrix
    bias = (biased - coarse)[1, 1]
    assert bias > 0.02 * biased[0, 0]
    assert abs(corrected - coarse)[1, 1] < 0.2 * bias
    assert abs(corrected - coarse)[0, 0] < 0.3 * bias


def test_overconfident_scores_prove_no_more(tutorial: ModuleType, setup: Setup) -> None:
    problem = problem_of(toy_sample(setup, {"sm": 20000}, seed=5), setup)
    true = problem.test.scores_at(problem.fisher_theta)
    weights = problem.test.weights_at(problem.fisher_theta)
    expected = LUMINOSITY * weights.sum()

    def check(estimated: np.ndarray) -> tuple[np.ndarray, dict[str, Any]]:
        claimed = expected * np.diag(weights @ estimated**2 / weights.sum())
        return np.diag(claimed), tutorial.proven(estimated, problem)

    claimed, honest = check(true)
    np.testing.assert_allclose(honest["slope"], 1.0, rtol=1e-6)
    np.testing.assert_allclose(honest["proven"], claimed, rtol=0.05)
    doubled, same = check(2.0 * true)
    np.testing.assert_allclose(doubled, 4.0 * claimed)
    np.testing.assert_allclose(same["slope"], 0.5, rtol=1e-6)
    np.testing.assert_allclose(same["proven"], honest["proven"], rtol=0.05)
    noisy, less = check(true + np.random.default_rng(1).normal(size=true.shape) * true.std(axis=0))
    assert np.all(noisy > 1.8 * claimed)
    assert np.all(less["proven"] < 0.6 * claimed)


def test_a_sample_like_the_tutorials(
    tutorial: ModuleType, setup: Setup, toy_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sample = read_sample(toy_file)
    monkeypatch.setattr(tutorial, "TUTORIAL_EVENTS", {"sm": 2000, "w": 500})
    problem = problem_of(sample, setup)
    few = tutorial.tutorial_problem(problem, sample, test_split=0.2)
    assert len(few.everything) == 2500
    assert len(few.test) == 500
    sm = setup.theta("sm")
    assert few.everything.cross_section(sm) == pytest.approx(
        problem.everything.cross_section(sm), rel=0.1
    )
    everything = replace(problem, everything=few.everything)
    assert everything.expected_events(sm) > 0.0
