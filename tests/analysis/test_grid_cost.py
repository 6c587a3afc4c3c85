"""What ``validate`` says of the grid of limits."""

from __future__ import annotations

from pathlib import Path

from madminer_workflow.analysis.file import read_analysis
from madminer_workflow.analysis.grid_cost import grid_cost
from tests.support.paths import REPOSITORY

INPUTS = REPOSITORY / "inputs"


def test_limits_that_are_fitted_need_no_grid() -> None:
    analysis = read_analysis(INPUTS / "wbf" / "input.yml")
    assert grid_cost(analysis) == "29 x 29 = 841 points, for figures only: limits are fitted"


def test_networks_that_take_parameters_are_evaluated_at_every_point() -> None:
    """961 points, 18000 test events, networks of 5-60-60-1: 14 s, where 12 were measured."""
    analysis = read_analysis(INPUTS / "wbf-estimators" / "input.yml")
    cost = grid_cost(analysis)
    assert cost.startswith("31 x 31 = 961 points, which cost each member up to so much CPU time: ")
    assert "14 s for alices" in cost
    assert "sally" not in cost and "histogram" not in cost


def test_many_parameters_cost_hours(tmp_path: Path) -> None:
    text = (INPUTS / "wbf-estimators" / "input.yml").read_text()
    path = tmp_path / "input.yml"
    path.write_text(text.replace("resolution: 31", "resolution: 1000"))
    assert "h for alices" in grid_cost(read_analysis(path))
