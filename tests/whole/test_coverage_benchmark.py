"""The benchmark of coverage over replicas: its arithmetic, and a run with few events."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from madminer_workflow.files import read_json
from madminer_workflow.statistics.quantiles import chi2_quantile
from tests.support.paths import REPOSITORY

BENCHMARKS = REPOSITORY / "benchmarks"
PARAMETERS = ["a", "b"]
SIMULATION = np.array([0.2, 0.5])


@pytest.fixture
def summary(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location("summary", BENCHMARKS / "coverage_summary.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "summary", module)
    spec.loader.exec_module(module)
    return module


def replicas(n: int, n_sets: int, stated: float = 1.0) -> list[dict[str, np.ndarray]]:
    """Gaussian best fits of data with an error of 1, moved by the simulation of each replica."""
    rng = np.random.default_rng(3)
    of_data = rng.normal(size=(n_sets, 2))
    result = []
    for _ in range(n):
        moved = SIMULATION * rng.normal(size=2)
        new = moved + rng.normal(size=(n_sets, 2))
        one = {}
        for name, best in {"shared": of_data + moved, "asimov": moved[None]}.items():
            one[f"m/300/0/shape/{name}"] = best
            one[f"m/300/0/shape/{name} stat"] = np.ones_like(best)
            one[f"m/300/0/shape/{name} sim"] = np.tile((stated * SIMULATION) ** 2, (len(best), 1))
        for name, variance in {"without": np.ones(2), "with": 1.0 + SIMULATION**2}.items():
            q = new**2 / variance
            one[f"m/300/0/shape/{name}"] = np.vstack([q.sum(axis=1), q.T])
        result.append(one)
    return result


def test_pulls_compare_what_is_stated_with_the_scatter(summary: ModuleType) -> None:
    for stated in (1.0, 0.5):
        for one in summary.scatters({5000: replicas(300, 6, stated)}, PARAMETERS):
            true = SIMULATION[PARAMETERS.index(one.parameter)]
            assert one.observed == pytest.approx(true, rel=0.15)
            assert one.stated == pytest.approx(stated * true)
            assert one.statistical == pytest.approx(1.0)
            assert one.pulls == pytest.approx(1.0 / stated, abs=4.0 * one.pulls_error)
            assert 0.01 < one.pulls_error < 0.2 / stated


def test_coverage_counts_replicas_not_data_sets(summary: ModuleType) -> None:
    found = list(summary.coverages({5000: replicas(300, 40)}, PARAMETERS))
    with_error = [one for one in found if one.variant == "with"]
    assert len(found) == 2 * len(with_error) == 12
    for one in with_error:
        assert one.value == pytest.approx(one.level, abs=4.0 * one.error)
    [b, _] = [one for one in found if (one.variant, one.what) == ("without", "b")]
    assert b.value < b.level - 3.0 * b.error
    # That of independent data sets would be smaller than replicas, which data sets share, allow.
    assert b.error > np.sqrt(b.value * (1.0 - b.value) / (300 * 40))


def test_the_rate_alone_is_one_number(summary: ModuleType) -> None:
    q = np.vstack([[0.5, chi2_quantile(0.6827, 1) * 1.01], np.zeros((2, 2))])
    kept = {5000: [{"rate/300/0/rate_and_shape/with": q}] * 2}
    assert [(one.what, one.value) for one in summary.coverages(kept, PARAMETERS)] == [
        ("jointly", 0.5),
        ("jointly", 1.0),
    ]


@pytest.mark.slow
def test_a_small_run_goes_on_where_it_was_stopped(tmp_path: Path) -> None:
    command = [sys.executable, str(BENCHMARKS / "coverage.py"), "--folder", str(tmp_path)]
    command += ["--sizes", "1500", "--nature", "10000", "--methods", "histogram_2d", "polynomial"]

    def run(n_replicas: int) -> str:
        ran = [*command, "--replicas", str(n_replicas), "--workers", "1"]
        return subprocess.run(
            ran, check=True, capture_output=True, text=True, env={**os.environ}
        ).stdout

    assert "1 of 1" in run(1)
    assert "2 of 2" in run(3)
    [folder] = tmp_path.iterdir()
    results = read_json(folder / "coverage.json")
    methods = {one["method"] for one in results["coverage"]}
    assert methods == {"rate", "histogram_2d", "polynomial"}
    assert {one["n_replicas"] for one in results["scatter"]} == {3}
    for one in results["scatter"]:
        assert 0.0 < one["stated"] < 5.0 * one["statistical"]
    assert (folder / "coverage.png").stat().st_size > 10_000
    assert "| polynomial | 1500 |" in (folder / "coverage.md").read_text()
