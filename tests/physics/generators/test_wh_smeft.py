"""The analysis that brings its own process and UFO model: four Wilson coefficients, no code."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
import yaml

from madminer_workflow.analysis.file import problems, read_analysis
from madminer_workflow.files import read_json
from madminer_workflow.madminer_file import read_setup
from madminer_workflow.physics.configure import configure
from tests.support.chain import run_physics
from tests.support.paths import REPOSITORY

INPUTS = REPOSITORY / "inputs" / "wh-smeft"
MODEL = "models/SMEFTsim_U35_MwScheme_UFO"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The analysis as it is in the repository: without the model."""
    return shutil.copytree(INPUTS, tmp_path / "wh", ignore=shutil.ignore_patterns("SMEFT*"))


def test_without_the_model_only_the_model_is_missing(folder):
    (problem,) = problems(folder / "input.yml")
    assert problem.key == "processes[wh].ufo_model"
    assert "there is no folder" in problem.message


def test_four_parameters_to_the_second_power_need_fifteen_benchmarks(folder, tmp_path):
    for name in ("__init__.py", "particles.py"):
        (folder / MODEL).mkdir(parents=True, exist_ok=True)
        (folder / MODEL / name).write_text("# stands for a model\n")
    read_analysis(folder / "input.yml")
    configure(folder / "input.yml", tmp_path)
    setup = read_setup(tmp_path / "config.h5")
    assert setup.parameters == ["cHbox", "cHW", "cHq3", "cHWtil"]
    assert setup.components.shape == (15, 4)
    assert setup.benchmark_names[:4] == ["sm", "hw", "hq3", "hwtil"]
    assert len(setup.benchmark_names) == 15


@pytest.mark.slow
@pytest.mark.skipif("MG5_DIR" not in os.environ, reason="MG5_DIR is not set: no MadGraph")
@pytest.mark.skipif(not (INPUTS / MODEL).is_dir(), reason=f"no model in {INPUTS.name}/{MODEL}")
def test_events_of_the_genuine_model_close(tmp_path):
    folder = shutil.copytree(INPUTS, tmp_path / "wh")
    analysis = yaml.safe_load((folder / "input.yml").read_text())
    analysis["processes"][0]["events"] = {"sm": 300, "hw": 200, "hq3": 200, "hwtil": 200}
    (folder / "input.yml").write_text(yaml.safe_dump(analysis))
    physics = run_physics(folder / "input.yml", tmp_path / "run", njobs=2)
    closure = read_json(physics.combined.parent / "closure.json")
    assert all(check["closes"] for check in closure["checks"])
    assert any("outside the basis" in check["what"] for check in closure["checks"])
