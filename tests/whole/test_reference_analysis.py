"""The reference analysis inputs/wbf as shipped, from events to report: the physics it must find."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from madminer_workflow.files import read_json
from tests.support.paths import REPOSITORY

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    workdir = tmp_path_factory.mktemp("wbf") / "workdir"
    program = str(Path(sys.executable).parent / "madminer-workflow")
    finished = subprocess.run(
        [program, "run", REPOSITORY / "inputs/wbf", "--workdir", workdir],
        capture_output=True,
        text=True,
    )
    assert finished.returncode == 0, finished.stderr[-4000:]
    return read_json(workdir / "ml/plotting/results.json")


def diagonal(results: dict[str, Any], name: str) -> tuple[float, float]:
    """The Fisher information of a method, or of the truth, in each parameter."""
    entries = [*results["methods"], *results["baselines"].values()]
    [entry] = [entry for entry in entries if entry["name"] == name]
    matrix = entry["fisher_information"]["matrix"]
    return matrix[0][0], matrix[1][1]


def test_rates(results: dict[str, Any]):
    # Integrated exactly: 1.0411(5) fb before cuts, 311.8(5) events in 300/fb.
    sigma, error = results["cross_sections"]["wbf_haa"]["sm"]
    assert sigma == pytest.approx(1.0406e-3, rel=0.005)
    assert error < 0.005 * sigma
    assert results["expected_events"] == pytest.approx(311.8, rel=0.01)


def test_closure(results: dict[str, Any]):
    checks = results["closure"]["checks"]
    # Five samples against one another; six benchmarks and the held-out point from all events.
    assert len(checks) == 5 + 6 + 1
    assert all(check["closes"] for check in checks)


def test_histograms_find_the_tutorials_information(results: dict[str, Any]):
    # From 600k events of their own with the same smearing; the 1-D histogram is blind to CPWL2.
    assert diagonal(results, "histogram_pt")[0] == pytest.approx(119.4, rel=0.05)
    assert diagonal(results, "histogram_pt")[1] < 2.0
    assert diagonal(results, "histogram_2d") == pytest.approx((130.8, 89.7), rel=0.05)


def test_networks_find_nearly_all_there_is(results: dict[str, Any]):
    sally, alices = diagonal(results, "sally"), diagonal(results, "alices")
    assert sally[0] > 140.0 and sally[1] > 90.0
    assert alices[0] > 110.0 and alices[1] > 90.0


def test_nothing_exceeds_the_truth(results: dict[str, Any]):
    truth = diagonal(results, "truth")
    # The exact parton-level ceiling is 227.4 and 186.9 before cuts, which hardly reduce it.
    assert truth == pytest.approx((227.4, 186.9), rel=0.05)
    for method in results["methods"]:
        found = diagonal(results, method["name"])
        assert all(value < ceiling for value, ceiling in zip(found, truth, strict=True))


def test_limits_contain_the_truth(results: dict[str, Any]):
    for method in results["methods"]:
        for parameter, levels in method["limits"]["rate_and_shape"]["intervals"].items():
            assert any(low <= 0.0 <= high for low, high in levels["0.95"]), (
                f"{method['name']}: {parameter}"
            )
