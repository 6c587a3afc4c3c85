"""An analysis with systematic uncertainties, from its events to the report."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from msgspec.structs import replace

from madminer_workflow.analysis.types import Binning, Sally
from madminer_workflow.errors import InputError
from madminer_workflow.files import read_json, write_json
from madminer_workflow.ml.evaluating import evaluating
from madminer_workflow.ml.member import Member, open_member
from madminer_workflow.ml.sampling import sampling
from madminer_workflow.ml.scan import closed_forms, pointwise
from madminer_workflow.ml.toys import toys
from madminer_workflow.ml.training import training
from madminer_workflow.products.evaluation import read_evaluation
from madminer_workflow.products.problem import pose_problem
from madminer_workflow.products.results import Results, checked, read_results
from madminer_workflow.report.plotting import plotting
from madminer_workflow.statistics.closed_form import density_at
from madminer_workflow.statistics.results import JointFit
from tests.support.chain import TINY_SYSTEMATICS, Physics, analysis_file

TOYS = {"n_toys": 20, "njobs": 2, "resolution": 2, "nuisance_parameters": "prior"}


@pytest.fixture(scope="module")
def finished(uncertain: Physics, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory with ``results.json`` and the report of the analysis with uncertainties."""
    output = tmp_path_factory.mktemp("finished")
    ml = yaml.safe_load(TINY_SYSTEMATICS.read_text())["ml"]
    ml["limits"]["toys"] = TOYS
    analysis = analysis_file(output / "input.yml", TINY_SYSTEMATICS, ml=ml)
    sampling(analysis, uncertain.combined, 1, output)
    results, drawn = [], []
    for method in sorted((output / "methods").iterdir()):
        [samples] = method.glob("Samples_*.npz")
        training(samples, output / method.name)
        model = output / method.name / "Model.tar.gz"
        evaluating(method / "evaluation.json", uncertain.combined, [model], output / method.name)
        results.append(output / method.name / "Results.tar.gz")
        for job in sorted(method.glob("toys_*.json")):
            share = output / method.name / job.stem
            toys(method / "evaluation.json", uncertain.combined, job, [model], share)
            drawn.append(share / "Toys.npz")
    plotting(output / "analysis.json", uncertain.combined, results, output, drawn)
    return output


def test_an_analysis_with_systematics_from_end_to_end(finished: Path) -> None:
    content = read_json(finished / "results.json")
    assert [row["name"] for row in content["systematics"]] == ["scale", "lumi", "signal_norm"]
    assert content["systematics"][1]["rate_change"] == pytest.approx([1.0 / 1.02 - 1.0, 0.02])
    scale, _, signal_norm = content["systematics"]
    # The background is about half of all events; a larger scale makes fewer.
    assert signal_norm["rate_change"][1] == pytest.approx(0.025, abs=0.005)
    assert scale["rate_change"][0] > 0.02 > -0.02 > scale["rate_change"][1]
    for subject in [*content["methods"], *content["baselines"].values()]:
        [[fixed]] = subject["fisher_information"]["matrix"]
        [[profiled]] = subject["fisher_information_profiled"]["matrix"]
        assert 0.0 < profiled < fixed, subject["name"]
        impact = subject["fisher_information_profiled"]["impact"]
        [together] = impact["all"]
        assert all(0.0 <= alone <= together for [alone] in impact["single"].values())
    enter = {
        method["name"]: method["fisher_information_profiled"]["nuisance_parameters_in"]
        for method in content["methods"]
    }
    knowing = ("counts", "sally", "polynomial")
    assert enter == {**dict.fromkeys(knowing, "rate and shape"), "alices": "rate"}
    # Of the uncertainties, that of the luminosity changes no shape.
    left_out = {method["name"]: method.get("shapes_left_out") for method in content["methods"]}
    assert left_out == {**dict.fromkeys(knowing), "alices": ["scale", "signal_norm"]}
    assert content["verdict"]["order"][-1] == "alices"
    [sally] = [method for method in content["methods"] if method["name"] == "sally"]
    checks = [check["check"] for check in sally["diagnostics"][0]]
    assert "calibration of the nuisance score" in checks
    [learned] = [method for method in content["methods"] if method["name"] == "polynomial"]
    checks = [check["check"] for check in learned["diagnostics"][0]]
    assert {"closure of the response", "reweighting to nuisance parameters"} <= set(checks)
    [[truth]] = content["baselines"]["truth"]["fisher_information_profiled"]["matrix"]
    [[rate_only]] = content["baselines"]["rate"]["fisher_information_profiled"]["matrix"]
    assert rate_only < truth


def test_the_report_says_what_is_not_profiled(finished: Path) -> None:
    page = (finished / "report.html").read_text()
    assert "Limits profile the nuisance parameters" in page
    assert "alices: nuisance parameters enter through the rate alone" in page
    assert "methods that ignore how uncertainties change shapes are last" in page


def test_nuisance_parameters_are_fitted_ranked_and_drawn(finished: Path) -> None:
    content = read_json(finished / "results.json")
    fits = {method["name"]: method.get("joint_fits") for method in content["methods"]}
    assert fits["alices"] is None, "its best node is at the end of the grid"
    names = [f"{name}_nuisance_param_0" for name in ("scale", "lumi", "signal_norm")]
    for method in ("counts", "sally"):
        [(data, fit)] = fits[method].items()
        assert data == "expected"
        assert [one["name"] for one in fit["nuisance"]] == names
        assert sorted(fit["ranking"]["CWL2"]) == sorted(names)
        for one in fit["nuisance"]:
            assert 0.5 < one["error"] < 1.0 + 1e-6
            low, high = one["profile_error"]
            assert 0.5 < low < 1.1 and 0.5 < high < 1.1
        assert len(fit["correlation"]) == 4
        assert (finished / "plots" / f"ranking_{method}_CWL2.png").is_file()
        assert (finished / "plots" / "data" / f"ranking_{method}_CWL2.yaml").is_file()
    page = (finished / "report.html").read_text()
    assert "counts: pulls and impacts of 3 nuisance parameters" in page
    assert "alices: no fit, because the best point is at the end" in page


def test_fits_that_do_not_go_together_are_refused(finished: Path) -> None:
    results = read_results(finished / "counts" / "Results.tar.gz")
    [(_, fit)] = (results.summary.joint_fits or {}).items()
    first, *others = fit.nuisance

    def told(fits: dict[str, JointFit]) -> str:
        with pytest.raises(ValueError) as caught:
            checked(Results(replace(results.summary, joint_fits=fits), results.arrays))
        return str(caught.value)

    assert "expected and observed data" in told({"imagined": fit})
    assert "same nuisance parameters" in told({"expected": replace(fit, nuisance=[])})
    fewer = replace(fit, nuisance=others)
    assert "same nuisance parameters" in told({"expected": fit, "observed": fewer})
    assert "joint_fits" in told({"expected": fewer})
    below = replace(fit, nuisance=[replace(first, error=-1.0), *others])
    assert "error below 0" in told({"expected": below})
    blind = replace(fit, nuisance=[replace(first, impact={}), *others])
    assert "impacts" in told({"expected": blind})
    assert "ranking" in told({"expected": replace(fit, ranking={})})
    assert "wrong number of parameters" in told({"expected": replace(fit, best_fit=[])})


def test_toys_have_the_nuisance_parameters_that_were_asked_for(
    finished: Path, uncertain: Physics, tmp_path: Path
) -> None:
    content = read_json(finished / "results.json")
    assert {method["toys"]["nuisance_parameters"] for method in content["methods"]} == {"prior"}
    assert "drawn from their priors for every toy" in (finished / "report.html").read_text()
    changed = read_json(finished / "analysis.json")
    changed["ml"]["limits"]["toys"]["nuisance_parameters"] = "nominal"
    write_json(tmp_path / "analysis.json", changed)
    results = [finished / name / "Results.tar.gz" for name in ("counts", "sally", "alices")]
    drawn = sorted(finished.glob("*/toys_*/Toys.npz"))
    with pytest.raises(InputError, match="nuisance_parameters prior, but the analysis has nominal"):
        plotting(tmp_path / "analysis.json", uncertain.combined, results, tmp_path, drawn)


def test_methods_say_whether_their_limits_know_shapes(finished: Path, uncertain: Physics) -> None:
    [evaluation] = finished.glob("methods/counts/evaluation.json")
    problem = pose_problem(read_evaluation(evaluation), uncertain.combined)
    thetas = problem.theta_true[None, :]

    def check(member: Member) -> None:
        known = closed_forms([member], problem, each=False)
        [density] = (
            [density_at(known[0], problem.setup, thetas)]
            if known
            else pointwise([member], problem, thetas, each=False)
        )
        assert member.note.settings.fitted == bool(known)
        knows = density.response is not None or density.gain is not None
        assert member.note.settings.profiles_shapes == knows

    for name in ("counts", "sally", "alices", "polynomial"):
        member = open_member(finished / name / "Model.tar.gz", finished / "opened" / name)
        check(member)
        if isinstance(member.note.settings, Sally):
            adaptive = replace(member.note.settings, binning=Binning(kind="adaptive", bins=None))
            assert not adaptive.profiles_shapes
            check(Member(replace(member.note, settings=adaptive), member.directory))
