"""An analysis with uncertain energies of jets, from its events to limits."""

from __future__ import annotations

import pytest
import yaml

from madminer_workflow.ml.evaluating import evaluating
from madminer_workflow.ml.sampling import sampling
from madminer_workflow.ml.training import training
from madminer_workflow.products.results import Results, read_results
from tests.support.chain import TINY_SYSTEMATICS, Physics, analysis_file, measure_again

SCALE = {
    "systematic_name": "jes",
    "effect": "energy_scale",
    "energy_scale_variation": 0.2,
    "particles": ["j"],
}
METHODS = [
    {"name": "counts", "method": "histogram", "observables": ["pt_j1"], "bins": {"pt_j1": 3}},
    {
        "name": "unbinned",
        "method": "polynomial",
        "network": {"n_hidden": [8]},
        "training": {"n_steps": 100},
    },
]


@pytest.fixture(scope="module")
def results(uncertain: Physics, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Results]:
    directory = tmp_path_factory.mktemp("objects")
    content = yaml.safe_load(TINY_SYSTEMATICS.read_text())
    content["processes"][1]["systematics"] = ["scale", "lumi", "jes"]
    file = analysis_file(
        directory / "input.yml",
        TINY_SYSTEMATICS,
        systematics=[*content["systematics"], SCALE],
        processes=content["processes"],
        cuts=[{"definition": "pt_j1 > 60.0"}],
        ml={**content["ml"], "methods": METHODS},
    )
    physics = measure_again(uncertain, file, directory)
    sampling(file, physics.combined, 1, directory)
    found = {}
    for method in sorted((directory / "methods").iterdir()):
        output = directory / method.name
        [samples] = method.glob("Samples_*.npz")
        training(samples, output)
        evaluating(method / "evaluation.json", physics.combined, [output / "Model.tar.gz"], output)
        found[method.name] = read_results(output / "Results.tar.gz")
    return found


def width(results: Results, limits: str) -> float:
    """Of the interval of one standard deviation."""
    known = getattr(results.summary, limits)["rate_and_shape"]
    [by_level] = known.intervals.values()
    [[low, high]] = by_level["0.6827"]
    return high - low


def test_limits_profile_the_scale(results: dict[str, Results]) -> None:
    """Methods that know what it does to shapes, and those that know the rate only."""
    for name, one in results.items():
        assert width(one, "limits") > 1.01 * width(one, "limits_fixed"), name
        assert one.summary.fisher_information_profiled is not None
        [[profiled]] = one.summary.fisher_information_profiled.matrix
        [[fixed]] = one.summary.fisher_information.matrix
        assert 0.0 < profiled < 0.98 * fixed
        assert one.summary.joint_fits is not None
        *_, jes = one.summary.joint_fits["expected"].nuisance
        assert jes.systematic == "jes" and 0.0 < jes.error < 1.0
        impact = one.summary.joint_fits["expected"].ranking["CWL2"]
        assert jes.name in impact
