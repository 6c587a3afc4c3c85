"""Observed data: files of events and pseudo-data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from msgspec.structs import replace

from madminer_workflow.analysis.file import read_analysis
from madminer_workflow.errors import InputError
from madminer_workflow.products.observed import check_argument, observe, read_observed
from madminer_workflow.products.problem import pose_problem
from madminer_workflow.statistics.problem import Problem
from madminer_workflow.statistics.results import ObservedData
from tests.support import learning
from tests.support.paths import DATA

TINY = read_analysis(DATA / "tiny" / "input.yml")
ANALYSIS = replace(
    TINY, observables=tuple(replace(TINY.observables[0], name=name) for name in ("x0", "x1"))
)


@pytest.fixture(scope="module")
def problem(toy_file: Path) -> Problem:
    return pose_problem(learning.evaluation(), toy_file)


def events_file(path: Path, names: list[str], x: np.ndarray, **more: Any) -> Path:
    with h5py.File(path, "w") as file:
        file["observables/names"] = [name.encode() for name in names]
        file["samples/observations"] = x
        for key, value in more.items():
            file[f"samples/{key}"] = value
    return path


def test_nothing_observed(problem: Problem) -> None:
    assert observe(None, problem) is None
    assert observe(" ", problem) is None
    check_argument(" ", ANALYSIS)


def test_events_of_an_experiment(problem: Problem, tmp_path: Path) -> None:
    x = np.arange(12.0).reshape(4, 3)
    path = events_file(tmp_path / "events.h5", ["x1", "other", "x0"], x)
    found = observe(str(path), problem)
    assert found is not None
    np.testing.assert_array_equal(found.x, x[:, [2, 0]])
    assert found.summary() == ObservedData(source="events.h5", events=4, theta=None)
    np.testing.assert_array_equal(found.columns(["x1"]), x[:, [0]])
    check_argument(str(path), ANALYSIS)


def test_pseudo_data_follow_their_point(problem: Problem) -> None:
    at_sm, again, at_w = (observe(value, problem) for value in ("sm", "CWL2=0,CPWL2=0", "w"))
    assert at_sm is not None and again is not None and at_w is not None
    np.testing.assert_array_equal(at_sm.x, again.x)
    expected = problem.expected_events(problem.setup.theta("sm"))
    assert len(at_sm) == pytest.approx(expected, abs=4.0 * np.sqrt(expected))
    assert at_sm.theta is not None and at_sm.theta.tolist() == [0.0, 0.0]
    weights = problem.test.weights_at(problem.setup.theta("w"))
    mean = weights @ problem.test.x[:, 0] / weights.sum()
    error = problem.test.x[:, 0].std() / np.sqrt(len(at_w))
    assert at_w.x[:, 0].mean() == pytest.approx(mean, abs=5.0 * error)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("sn", r"no benchmark sn; expected a file"),
        ("CWL2=0.1", "has values for CWL2; expected finite values for CWL2, CPWL2"),
        ("CWL2=0.1,CPWL2=nan", "expected finite values"),
        ("CWL2=a,CPWL2=0", "CWL2=a: expected NAME=NUMBER"),
        ("nowhere.h5", "nowhere.h5: no such file of observed events"),
        ("data/none", "data/none: no such file"),
    ],
)
def test_what_cannot_be_observed(problem: Problem, value: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        observe(value, problem)
    with pytest.raises(InputError, match=message):
        check_argument(value, ANALYSIS)


def test_files_that_are_no_observation(toy_file: Path, tmp_path: Path) -> None:
    wanted = ["x0", "x1"]
    with pytest.raises(InputError, match="its events have weights, so they are simulated"):
        read_observed(toy_file, wanted)
    path = events_file(tmp_path / "few.h5", ["x0"], np.ones((3, 1)))
    with pytest.raises(InputError, match="the observables x1 are missing; it has x0"):
        read_observed(path, wanted)
    path = events_file(tmp_path / "wide.h5", wanted, np.ones((3, 3)))
    with pytest.raises(InputError, match="2 names of observables, but 3 columns"):
        read_observed(path, wanted)
    path = events_file(tmp_path / "nan.h5", wanted, np.array([[1.0, np.nan], [1.0, 2.0]]))
    with pytest.raises(InputError, match="1 of 2 events have an undefined observable"):
        read_observed(path, wanted)
    (tmp_path / "text.h5").write_text("events")
    with pytest.raises(InputError, match=r"text.h5: is not a file of observed events"):
        read_observed(tmp_path / "text.h5", wanted)


def test_observed_limits_find_the_point(toy_file: Path, tmp_path: Path) -> None:
    """Pseudo-data at a point other than the truth are fitted there, whatever the method."""
    bins = {"x0": 8, "x1": 8}
    settings = learning.settings("histogram", bins=bins)
    model = learning.model(toy_file, settings, tmp_path)
    grid = {"range": [-1.5, 1.5], "resolution": 13}
    limits = {**learning.EVALUATION["limits"], "grid": {"CWL2": grid, "CPWL2": grid}}
    summary, arrays = learning.results(
        toy_file, [model], tmp_path / "out", observed="CWL2=0.5,CPWL2=-0.5", limits=limits
    )
    assert summary["observation"]["theta"] == [0.5, -0.5]
    assert set(summary["observed"]) == {"shape", "rate_and_shape"}
    assert arrays["q_observed_shape"].min() >= 0.0
    for name, truth in (("CWL2", 0.5), ("CPWL2", -0.5)):
        own = summary["observed"]["rate_and_shape"]["intervals"][name]["0.95"]
        assert any(low - 0.05 < truth < high + 0.05 for low, high in own), name
    best = summary["observed"]["rate_and_shape"]["best_fit"]
    assert best == pytest.approx([0.5, -0.5], abs=0.25)
    # Of some hundred simulated events, templates and expected data fluctuate by this much.
    assert summary["limits"]["rate_and_shape"]["best_fit"] == pytest.approx([0.0, 0.0], abs=0.35)
