"""From events to the report with one to four parameters: nothing is made for two."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import msgspec
import numpy as np
import pytest

from madminer_workflow.analysis.types import Analysis
from madminer_workflow.files import read_json, write_json
from madminer_workflow.ml.evaluating import evaluating
from madminer_workflow.ml.toys import toys
from madminer_workflow.products.evaluation import evaluation_of
from madminer_workflow.report.plotting import plotting
from tests.support import learning
from tests.support import synthetic_analysis as synthetic

slow = partial(pytest.param, marks=pytest.mark.slow)
RESOLUTIONS = {1: 9, 2: 7, 3: 5, 4: 5}


@pytest.mark.parametrize("n", [1, slow(2), slow(3), slow(4)])
def test_from_events_to_the_report(tmp_path: Path, n: int) -> None:
    synthetic.write_setup_file(tmp_path / "setup.h5", n, [])
    data = tmp_path / "data.h5"
    synthetic.write_data(data, tmp_path / "setup.h5", synthetic.REPORT)
    names = [f"p{i}" for i in range(n)]
    priors = {name: {"prior": "gaussian", "mean": 0.0, "std": 0.5} for name in names}
    declared = [
        learning.settings("histogram", observables=["x"], bins={"x": 5}),
        learning.settings("sally"),
        learning.settings("sallino"),
        learning.settings("polynomial", theta="b0"),
        learning.settings("alices", theta0={"n_thetas": 40, "priors": priors}),
    ]
    analysis = synthetic.analysis_content(n, [each["name"] for each in declared], "Any number")
    ml = analysis["ml"]
    ml["methods"] = declared
    # Every parameter has a range and a resolution of its own.
    ml["limits"]["grid"] = {
        name: {"range": [-1.0 - 0.1 * i, 1.0], "resolution": RESOLUTIONS[n] + 2 * (i == 0)}
        for i, name in enumerate(names)
    }
    ml["limits"]["toys"] = {"n_toys": 20, "points": ["b0"], "resolution": 3, "njobs": 1}
    write_json(tmp_path / "analysis.json", analysis)
    evaluation = evaluation_of(msgspec.convert(analysis, Analysis))
    write_json(tmp_path / "evaluation.json", evaluation)
    write_json(tmp_path / "job.json", {"job": 0, "njobs": 1})
    results, pseudo = [], []
    for settings in declared:
        output = tmp_path / settings["name"]
        model = learning.model(data, settings, tmp_path)
        evaluating(tmp_path / "evaluation.json", data, [model], output, observed="b0")
        toys(tmp_path / "evaluation.json", data, tmp_path / "job.json", [model], output)
        results.append(output / "Results.tar.gz")
        pseudo.append(output / "Toys.npz")
    plotting(tmp_path / "analysis.json", data, results, tmp_path, pseudo, observed="b0")
    content = read_json(tmp_path / "results.json")
    assert content["observed"]["theta"] == [1.0] + [0.0] * (n - 1)
    for method in content["methods"]:
        assert list(method["limits"]["rate_and_shape"]["intervals"]) == names
        assert np.shape(method["fisher_information"]["matrix"]) == (n, n)
        for curves in (method["curves"]["shape"], method["observed_curves"]["shape"]):
            assert [len(row) for row in curves["profiles"].values()] == [
                ml["limits"]["grid"][name]["resolution"] for name in names
            ]
            assert len(curves["pairs"]) == len(curves["slice_pairs"]) == n * (n - 1) // 2
        assert list(method["toys"]["intervals"]["shape"]) == names
        assert [point["name"] for point in method["toys"]["points"]] == ["sm", "b0"]
    assert (tmp_path / "report.html").stat().st_size > 10_000
