"""The analysis that brings its own process and UFO model: four Wilson coefficients, no code."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml

from madminer_workflow.analysis.file import problems, read_analysis
from madminer_workflow.files import read_json
from madminer_workflow.madminer_file import read_setup, write_sample
from madminer_workflow.ml.evaluating import evaluating
from madminer_workflow.ml.sampling import sampling
from madminer_workflow.ml.training import training
from madminer_workflow.physics.configure import configure
from madminer_workflow.products.results import read_results
from madminer_workflow.statistics.checks import reason
from madminer_workflow.statistics.sample import Sample, madminer_shares
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


def test_its_method_learns_four_parameters_at_once(folder, tmp_path):
    """From the file, with events in which sm, interference and squares are those of 1 + theta x."""
    for name in ("__init__.py", "particles.py"):
        (folder / MODEL).mkdir(parents=True, exist_ok=True)
        (folder / MODEL / name).write_text("# stands for a model\n")
    content = yaml.safe_load((folder / "input.yml").read_text())
    content["ml"]["methods"] = [
        {**method, "n_estimators": 2, "training": {"n_steps": 300}}
        for method in content["ml"]["methods"]
        if method["name"] == "polynomial"
    ]
    for axis in content["ml"]["limits"]["grid"].values():
        axis["resolution"] = 3
    # The first of the benchmarks is the reference.
    (folder / "input.yml").write_text(yaml.safe_dump(content, sort_keys=False))
    configure(folder / "input.yml", tmp_path)
    data = tmp_path / "data.h5"
    observables = [each["name"] for each in content["observables"]]
    write_events(data, tmp_path / "config.h5", observables, per_parameter=[0.1, 0.3, 1.0, 0.2])
    sampling(folder / "input.yml", data, 1, tmp_path)
    samples = sorted(tmp_path.glob("methods/polynomial/Samples_*.npz"))
    models = [tmp_path / str(i) / "Model.tar.gz" for i in range(len(samples))]
    for path, model in zip(samples, models, strict=True):
        training(path, model.parent)
    evaluating(tmp_path / "methods/polynomial/evaluation.json", data, models, tmp_path)
    results = read_results(tmp_path / "Results.tar.gz").summary
    assert results.members == 2
    assert results.believed, reason(results.checks)
    # The observables hold all that partons know: 4 N a^2 for amplitudes 1 + a theta x.
    exact = 4.0 * results.expected_events * np.array([0.1, 0.3, 1.0, 0.2]) ** 2
    proven = np.array(results.proven_information.matrix)
    np.testing.assert_allclose(np.diag(proven), exact, rtol=0.1)
    for parameter, information in zip(results.parameters, exact, strict=True):
        [(low, high)] = results.limits["rate_and_shape"].intervals[parameter]["0.6827"]
        assert low < 0.0 < high
        assert high - low == pytest.approx(2.0 / np.sqrt(information), rel=0.15)


def write_events(
    path: Path, setup_file: Path, observables: list[str], per_parameter: list[float], n: int = 8000
) -> None:
    """Normal observables x at sm, and the cross-section (1 + sum a_i theta_i x_i)^2 per event."""
    setup = read_setup(setup_file)
    x = np.random.default_rng(1).normal(size=(n, len(observables)))
    amplitudes = 1.0 + (x[:, :4] * per_parameter) @ setup.benchmarks.T
    ids = np.zeros(n, dtype=int)
    generated = np.bincount(ids, minlength=len(setup.benchmark_names))
    sample = Sample(
        observables=observables,
        observations=x,
        weights=4e-3 / n * amplitudes**2,
        nuisance_weights=np.empty((n, 0)),
        shares=madminer_shares(ids, generated),
        sampling_ids=ids,
        generated=generated,
        background=0,
    )
    write_sample(path, setup_file, sample, {name: name for name in observables}, {})


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
