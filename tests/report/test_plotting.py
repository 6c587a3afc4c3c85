"""Plotting: figures, results.json, verdict and refusals, on synthetic results."""

from __future__ import annotations

import html
import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import msgspec
import numpy as np
import pytest
from msgspec.structs import replace
from PIL import Image

from madminer_workflow.analysis.types import Method
from madminer_workflow.errors import InputError
from madminer_workflow.files import read_json, write_json
from madminer_workflow.report import comparison, distributions, efficiency, summary, verdict
from madminer_workflow.report.advice import advice
from madminer_workflow.report.figures import contours, plots, style
from madminer_workflow.report.plotting import plotting
from madminer_workflow.report.results import (
    Baseline,
    BaselineInformation,
    InformationEfficiency,
    IntervalComparison,
    MethodInformation,
    MethodReport,
    report_of,
)
from madminer_workflow.statistics import checks
from madminer_workflow.statistics.limits import Grid
from madminer_workflow.statistics.results import (
    BinsPlot,
    Check,
    Estimate,
    Limits,
    ParameterError,
    ProvenInformation,
    Shares,
    SizesPlot,
)
from tests.support import synthetic_analysis as synthetic
from tests.support.plotted import NOTES, Plotted, plot
from tests.support.synthetic_analysis import FAILED, PASSED, write_analysis

EXPECTED_PLOTS = {
    1: ["fisher_p0"],
    2: [
        "fisher_p0_p1",
        "limits_p0_p1_shape",
        "limits_p0_p1_rate_and_shape",
        "intervals_shape",
        "intervals_rate_and_shape",
        "corner_shape",
        "corner_rate_and_shape",
        "slices_shape",
        "slices_rate_and_shape",
        "observable_x",
        "observable_count",
        "closure",
        "training_sally",
        "score_calibration",
        "comparison",
    ],
    3: [f"limits_{pair}_shape" for pair in ("p0_p1", "p0_p2", "p1_p2")],
}


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("n", [1, 3])
def test_any_number_of_parameters_and_one_member(tmp_path: Path, n: int) -> None:
    inputs = write_analysis(tmp_path / "in", n, members=1)
    content = plot(inputs, tmp_path / "out").content
    for figure in plots(report_of(content)):
        figure.draw()
    drawn = {path.stem for path in (tmp_path / "out/plots").glob("*.png")}
    assert set(EXPECTED_PLOTS[n]) <= drawn
    assert any(name.startswith("limits_") for name in drawn) == (n > 1)
    assert len(content["methods"][0]["curves"]["shape"]["pairs"]) == n * (n - 1) // 2


def test_every_plot_exists_as_png_and_pdf(two: Plotted) -> None:
    for name in EXPECTED_PLOTS[2]:
        with Image.open(two.output / "plots" / f"{name}.png") as image:
            assert 500 < image.width < 4000
            assert image.getbbox() is not None
            assert len(image.convert("L").getcolors()) > 10, "the picture is empty"
        assert (two.output / "plots" / f"{name}.pdf").read_bytes().startswith(b"%PDF")
    pictures = [path for path in (two.output / "plots").iterdir() if path.is_file()]
    assert len(pictures) == 2 * len(EXPECTED_PLOTS[2])


def test_results_json_is_strict_and_holds_what_it_should(two: Plotted) -> None:

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    content = json.loads((two.output / "results.json").read_text(), parse_constant=refuse)
    histogram, sally = content["methods"]
    assert histogram["name"] == "histogram"
    # q = 8 theta^2 passes 3.84 at theta = 0.693, on the linear edges of a coarse grid.
    [[low, high]] = histogram["limits"]["shape"]["intervals"]["p0"]["0.95"]
    assert high == pytest.approx(math.sqrt(3.84146 / 8.0), rel=1e-3) == -low
    fisher = histogram["fisher_information"]
    assert fisher["published"] == [[1.0, 0.0], [0.0, 1.0]]
    assert fisher["ratio"][0] == [8.0, None]
    assert fisher["sigma"] == pytest.approx([1.0 / math.sqrt(8.0)] * 2)
    assert sally["fisher_information"]["error"][0][0] == pytest.approx(
        math.hypot(0.5, 0.1 / math.sqrt(2.0))
    )
    assert content["cut_flow"] == NOTES["cut_flow"]
    assert content["baselines"]["rate"]["fisher_information"]["sigma"] == [None, None]
    assert content["expected_events"] == pytest.approx(1e5 * N_PB, rel=1e-6)
    reference = content["benchmarks"][0]
    assert reference["expected_events"] == pytest.approx(content["expected_events"])
    assert content["setup"]["luminosity_fb"] == 100.0


N_PB = 1e-6 * synthetic.N_EVENTS
"""Cross-section of the synthetic events at sm."""


def test_truth_is_at_least_as_informative_as_the_rate(two: Plotted) -> None:
    content = two.content
    truth, rate = (
        np.array(content["baselines"][name]["fisher_information"]["matrix"])
        for name in ("truth", "rate")
    )
    assert np.linalg.eigvalsh(truth - rate).min() > 0.0
    # Amplitude 1 + theta.z / 2: the score is z, so that I = L sigma <z^2>.
    assert truth[0, 0] == pytest.approx(1e5 * N_PB, rel=0.2)


def test_the_verdict_prefers_a_believed_method_to_a_more_sensitive_one(two: Plotted) -> None:
    content = two.content
    assert content["verdict"]["order"] == ["sally", "histogram"]
    assert content["verdict"]["recommended"] == "histogram"
    assert "sally looks more sensitive but cannot be trusted" in content["verdict"]["sentence"]
    assert [method["believed"] for method in content["methods"]] == [True, False]
    assert "0.75" in content["methods"][1]["reason"]


def test_proven_information_is_compared(two: Plotted) -> None:
    """The synthetic sally has the partons' score, the histogram as much noise on it."""
    content = two.content
    histogram, sally = content["methods"]
    assert histogram["efficiency"]["best"] == sally["efficiency"]["best"] == "sally"
    for share in ("of_best", "of_partons"):
        assert sally["efficiency"][share]["together"] == {"value": pytest.approx(1.0), "error": ANY}
    lost = histogram["efficiency"]["of_best"]
    for estimate in (lost["together"], *lost["parameters"].values()):
        assert 0.01 < estimate["error"] < 0.08
        assert estimate["value"] == pytest.approx(0.5, abs=4.0 * estimate["error"])
    assert histogram["proven_information"]["claimed"]["together"]["value"] > 1.5
    said = f"histogram proves {100.0 * lost['together']['value']:.2g} %."
    assert (
        f"sally proves the most information; compared with it, {said}"
        in content["verdict"]["sentence"]
    )
    [claim] = [
        remark
        for remark in histogram["remarks"]
        if remark.startswith("The information that it claims")
    ]
    assert "intervals are about" in claim and "too short" in claim
    assert not any(
        remark.startswith("The information that it claims") for remark in sally["remarks"]
    )
    page = html.unescape(two.page)
    assert f"{efficiency.percentage(estimate_of(lost))} of the best method's (sally)" in page
    assert "the largest of all methods, 100 % of the parton-level information" in page


def estimate_of(share: dict[str, Any]) -> Estimate:
    return msgspec.convert(share["together"], Estimate)


@pytest.mark.usefixtures("undrawn")
def test_results_without_proven_information_are_plotted(two: Plotted, tmp_path: Path) -> None:
    own = two.inputs
    old = [synthetic.edited_result(path, tmp_path, proven_information=None) for path in own.results]
    plotting(own.analysis, own.data, old, tmp_path / "out")
    content = read_json(tmp_path / "out/results.json")
    assert not any("efficiency" in method for method in content["methods"])
    before_scripts = (tmp_path / "out/report.html").read_text().partition("<script")[0]
    assert "roven information" not in before_scripts


def test_systematics_are_listed_with_what_they_cost(systematic: Plotted) -> None:
    content = systematic.content
    lumi, scale = content["systematics"]
    assert lumi["processes"] == ["signal"]
    assert lumi["nuisance_parameters"] == ["lumi_nuisance_param_0"]
    assert lumi["rate_change"] == pytest.approx([1.0 / 1.05 - 1.0, 0.05])
    assert scale["rate_change"][0] == pytest.approx(0.0, abs=0.02)
    histogram = content["methods"][0]
    profiled, fixed = histogram["fisher_information_profiled"], histogram["fisher_information"]
    assert fixed["matrix"] == [[8.0, 0.0], [0.0, 8.0]]
    # I - I_mixed^2 / (I_nuisance + 1) = 8 - 4^2 / (1 + 2 + 1).
    assert profiled["matrix"][0] == pytest.approx([4.0, 0.0])
    assert profiled["impact"]["all"] == pytest.approx([math.sqrt(2.0) - 1.0, 0.0])
    assert profiled["impact"]["single"]["lumi"] == pytest.approx([math.sqrt(2.0) - 1.0, 0.0])
    assert profiled["impact"]["single"]["scale"] == pytest.approx([0.0, 0.0])
    assert profiled["full_parameters"][2:] == ["lumi_nuisance_param_0", "scale_nuisance_param_0"]
    assert (systematic.output / "plots/systematics.png").stat().st_size > 0
    for name in ("rate", "truth"):
        baseline = content["baselines"][name]
        lost = np.diag(baseline["fisher_information"]["matrix"]) - np.diag(
            baseline["fisher_information_profiled"]["matrix"]
        )
        assert np.all(lost >= -1e-12)


def test_results_without_systematics_do_not_mention_them(two: Plotted) -> None:
    content = two.content
    assert content["systematics"] == []
    for subject in [*content["methods"], *content["baselines"].values()]:
        assert "fisher_information_profiled" not in subject
    assert 'id="systematics"' not in two.page and "change shapes" not in two.page
    assert "none (statistical uncertainties only)" in two.page


def test_data_without_the_systematics_are_refused(two: Plotted, tmp_path: Path) -> None:
    own = synthetic.edited_analysis(two.inputs, tmp_path, systematics=synthetic.SYSTEMATICS)
    message = r"its systematic uncertainties are none; expected lumi, scale"
    with pytest.raises(InputError, match=message):
        plotting(own.analysis, own.data, own.results, tmp_path)


GOOD, BAD = (msgspec.convert(check, Check) for check in (PASSED, FAILED))
ABOUT = replace(GOOD, name="nuisance score", concerns="profiled Fisher information")


def test_the_reason_says_what_was_found() -> None:
    assert checks.failures([GOOD]) == []
    assert checks.reason([GOOD]) == "Passes its one check: its score has no bias."
    other = replace(GOOD, name="closure", proves="its ratios are normalised")
    assert checks.reason([GOOD, other]) == (
        "Passes all 2 checks: its score has no bias and its ratios are normalised."
    )
    assert checks.reason([other, BAD]) == ("Fails 1 of 2 checks. The mean is 0.75.")
    # A value that is not known proves nothing, and is no failure.
    unknown = replace(other, value=None)
    assert checks.reason([GOOD, unknown]) == "Passes all 2 checks: its score has no bias."


def test_the_table_of_checks_has_a_cell_for_every_method() -> None:
    other = replace(BAD, name="closure")
    table = verdict.check_table([[ABOUT, GOOD], [GOOD, other]])
    assert [check.name for check, _ in table] == ["closure", "mean of the score", "nuisance score"]
    assert [cells for _, cells in table] == [[None, other], [GOOD, GOOD], [ABOUT, None]]


def method(name: str, size: float, believed: bool = True, **others: Any) -> MethodReport:
    intervals = {"p": {"0.95": [(0.0, size)] if size else []}}
    errors = {"p": ParameterError(statistical=1.0, simulation=0.1, training=None)}
    limits = Limits(best_fit=[0.0], intervals=intervals, allowed_volume={}, errors=errors)
    return MethodReport(
        name=name,
        settings=msgspec.convert({"name": name, **synthetic.SALLY}, Method),
        members=1,
        losses=[{}],
        believed=believed,
        limits={"rate_and_shape": limits},
        curves={},
        fisher_information=MethodInformation(
            matrix=[[1.0]],
            error=[[0.1]],
            sigma=[1.0],
            statistical_error=[[0.1]],
            ensemble_spread=[[0.0]],
            members=[],
        ),
        checks=[GOOD],
        diagnostics=[[GOOD]],
        reason="",
        remarks=[],
        calibration=None,
        **others,
    )


def beside(best: str, value: float, error: float | None) -> dict[str, Any]:
    ratio = Estimate(value=value, error=error)
    return {"comparison": IntervalComparison(best=best, parameters={"p": ratio}, together=ratio)}


def remarks(of: MethodReport, ceiling: float = 2.0) -> list[str]:
    information = BaselineInformation(matrix=[[ceiling]], error=[[0.1]], sigma=[1.0])
    truth = Baseline(name="truth", limits={}, curves={}, fisher_information=information)
    return verdict.remarks(of, truth, {"p": list(np.linspace(-2.0, 2.0, 41))}, "0.95")


def test_verdict_without_a_believed_method() -> None:
    own = verdict.verdict([method("a", 1.0, False), method("b", 0.5, False)], "0.95")
    assert own.recommended is None
    assert own.order == ["b", "a"]
    assert own.sentence.startswith("No method passes its checks")


def test_a_method_without_an_interval_ranks_last() -> None:
    own = verdict.verdict([method("none", 0.0), method("some", 3.0)], "0.95")
    assert own.recommended == "some"
    assert "inf" not in own.sentence


def test_methods_that_leave_uncertainties_out_come_last() -> None:
    ignorant = {"shapes_left_out": ["scale", "pdf"]}
    short, long = method("short", 1.0, **ignorant), method("long", 2.0)
    longer = method("longer", 3.0, **beside("long", 1.5, 0.01))
    own = verdict.verdict([short, long, longer], "0.95")
    assert own.order == ["long", "longer", "short"]
    assert own.recommended == "long"
    assert own.sentence == (
        "long has the shortest 95 % intervals of the 2 methods that pass their checks and "
        "include how nuisance parameters change shapes; those of longer, the second best, are "
        "1.50 ± 0.01 times as long. The intervals of short are shorter because it leaves out how "
        "scale and pdf change shapes, and it is listed after the methods that include this."
    )
    # Nothing is said where leaving out gains nothing, and who knows but fails is not recommended.
    own = verdict.verdict([method("wide", 3.0, **ignorant), long], "0.95")
    assert own.order == ["long", "wide"] and "leave" not in own.sentence
    own = verdict.verdict([short, method("long", 2.0, believed=False)], "0.95")
    assert own.recommended == "short"
    assert "long looks more sensitive" not in own.sentence
    assert own.sentence.endswith(
        "Its limits leave out how scale and pdf change shapes, which would make them wider; no "
        "method that includes this passes its checks."
    )


def shared_information(name: str, value: float | None, error: float) -> dict[str, Any]:
    estimate = Estimate(value=value, error=error)
    share = Shares(parameters={"p": estimate}, together=estimate)
    best = Shares(parameters={}, together=Estimate(value=0.7, error=0.01))
    return {"efficiency": InformationEfficiency(best=name, of_best=share, of_partons=best)}


def test_the_sentence_says_who_proves_less() -> None:
    own = verdict.verdict(
        [
            method("best", 1.0, **shared_information("best", 1.0, 0.0)),
            method("good", 1.5, **shared_information("best", 0.96, 0.001)),
            method("weak", 2.0, **shared_information("best", 0.8412, 0.01)),
            method("perhaps", 3.0, **shared_information("best", 0.8, 0.1)),
            method("blind", 4.0, **shared_information("best", None, 0.0)),
            method("none", 5.0),
        ],
        "0.95",
    )
    assert own.sentence.endswith(
        "best proves the most information; compared with it, weak proves 84 %."
    )
    weak = method("weak", 1.0, **shared_information("best", 0.8412, 0.01))
    assert efficiency.proven_words(weak) == (
        "Proven information: 84 ± 1 % of the best method's (best)."
    )


@pytest.mark.parametrize(
    ("value", "error", "words"),
    [
        (0.8412, 0.012, "84 ± 1 %"),
        (0.8412, 0.0034, "84.1 ± 0.3 %"),
        (0.00013, 0.00029, "0.01 ± 0.03 %"),
        (1.0, 1e-17, "100 %"),
        (1.0, 0.0, "100 %"),
        (None, None, "–"),
    ],
)
def test_shares_in_words(value: float | None, error: float | None, words: str) -> None:
    assert efficiency.percentage(Estimate(value=value, error=error)) == words


@pytest.mark.parametrize(
    ("claims", "words"),
    [
        ((1.21, 0.01), "9 % too short"),
        ((1.21, 0.1), None),
        ((1.04, 0.001), None),
        ((0.5, 0.01), None),
    ],
)
def test_remarks_on_what_is_claimed(claims: tuple[float, float], words: str | None) -> None:
    estimate = Estimate(value=claims[0], error=claims[1])
    proven = ProvenInformation(
        matrix=[[1.0]],
        error=[[0.1]],
        claimed=Shares(parameters={"p": estimate}, together=estimate),
    )
    said = remarks(method("m", 1.0, proven_information=proven))
    assert len(said) == (words is not None)
    if words is not None:
        assert "The information that it claims on p is 121 ± 1 % of what it proves" in said[0]
        assert words in said[0]


def test_remarks_on_the_grid_and_the_ceiling() -> None:
    assert remarks(method("m", 1.0), ceiling=1.0) == []
    assert "reaches the end of the grid" in remarks(method("m", 2.0))[0]
    few_nodes = method("m", 0.1)
    assert remarks(few_nodes) == [], "limits that are fitted need no nodes"
    binning = {"kind": "adaptive", "bins": None}
    scanned = msgspec.convert({"name": "m", **synthetic.SALLY, "binning": binning}, Method)
    assert "spans only 1.0 steps" in remarks(replace(few_nodes, settings=scanned))[0]
    assert "No 95 % interval" in remarks(method("m", 0.0))[0]
    assert "exceeds the parton-level ceiling" in remarks(method("m", 1.0), ceiling=0.5)[0]


def test_a_check_that_does_not_concern_the_limits() -> None:
    about = replace(ABOUT, passed=False)
    assert checks.failures(checks.deciding([GOOD, about])) == []
    assert checks.reason([GOOD, about]) == "Passes its one check: its score has no bias."
    [remark] = remarks(replace(method("m", 1.0), checks=[GOOD, about]))
    assert remark.startswith("Do not trust its profiled Fisher information: it fails “nui")


def test_remarks_on_the_simulation() -> None:
    def with_errors(errors: dict[str, ParameterError] | None) -> list[str]:
        limits = replace(method("m", 1.0).limits["rate_and_shape"], errors=errors)
        return remarks(replace(method("m", 1.0), limits={"rate_and_shape": limits}))

    assert "do not include the error from finite simulation" in with_errors(None)[0]
    large = ParameterError(statistical=1.0, simulation=0.5, training=None)
    assert "interval of p 12 % longer" in with_errors({"p": large})[0]
    larger = ParameterError(statistical=0.5, simulation=1.0, training=None)
    assert "interval of p 120 % longer" in with_errors({"p": larger})[0]
    hopeless = ParameterError(statistical=0.1, simulation=28000.0, training=None)
    assert with_errors({"p": hopeless})[0].endswith("so it says nothing about the data.")
    unknown = ParameterError(statistical=None, simulation=None, training=None)
    assert with_errors({"p": unknown}) == []


@pytest.mark.parametrize(
    ("bins", "sizes", "words"),
    [
        (10.0, 50.0, "To fix this, simulate 2.4 times as many events."),
        (
            10.0,
            None,
            "To fix this, simulate 2.4 times as many events or make bins 2.4 times wider.",
        ),
        (None, 10.0, "To fix this, simulate 12 times as many events."),
        (
            1.0,
            50.0,
            "To fix this, simulate 2.4 times as many events; "
            "make bins 10 times wider, or simulate 24 times as many events instead.",
        ),
    ],
)
def test_advice_asks_once_for_more_events(
    bins: float | None, sizes: float | None, words: str
) -> None:
    failed = [
        *([replace(GOOD, passed=False, plot=BinsPlot(size=[bins], needed=20.0))] if bins else []),
        *(
            [replace(GOOD, passed=False, plot=SizesPlot(points=["sm"], size=[sizes], needed=100.0))]
            if sizes
            else []
        ),
    ]
    assert advice(replace(method("m", 1.0), checks=failed)) == words


def test_remarks_on_members_and_what_is_unknown() -> None:
    [remark] = remarks(replace(method("m", 1.0), diagnostics=[[GOOD], [BAD], [GOOD]]))
    assert remark.startswith("Individually, 1 of its 3 members fail “mean of the score”")
    unknown = replace(GOOD, name="agreement", value=None, sentence="Not known.")
    assert remarks(replace(method("m", 1.0), checks=[GOOD, unknown])) == ["Not known."]


def test_the_headline_is_printed(two: Plotted) -> None:
    lines = two.printed.splitlines()
    assert lines[0].split() == ["method", "trusted", "p0", "95", "%", "p1", "95", "%"]
    assert lines[1].split()[:2] == ["sally", "no"]
    assert lines[2].split()[:2] == ["histogram", "yes"]
    assert lines[-1].startswith("Use histogram. ")


def test_results_given_twice_are_refused(two: Plotted, tmp_path: Path) -> None:
    own = two.inputs
    with pytest.raises(InputError, match="results of the method sally, like"):
        plotting(own.analysis, own.data, [*own.results, own.results[1]], tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "other"}, "there is no method other; expected one of histogram, sally"),
        (
            {"settings": {"name": "sally", **synthetic.SALLY, "n_samples": 200}},
            "the settings of the method sally have changed",
        ),
        ({"expected_events": 1.0}, "evaluated for 1 expected events"),
        (
            {
                "limits": {
                    key: {
                        "best_fit": [0.0, 0.0],
                        "intervals": {"q": {}, "r": {}},
                        "member_intervals": {"q": {}, "r": {}},
                        "allowed_volume": {},
                    }
                    for key in ("shape", "rate_and_shape")
                }
            },
            "its parameters are q, r, not p0, p1",
        ),
    ],
)
def test_results_of_another_analysis_are_refused(
    two: Plotted, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    own = two.inputs
    edited = synthetic.edited_result(own.results[1], tmp_path, **changes)
    with pytest.raises(InputError, match="belongs to another analysis") as caught:
        plotting(own.analysis, own.data, [edited], tmp_path)
    assert message in str(caught.value)


@pytest.mark.usefixtures("undrawn")
def test_a_method_that_was_trained_otherwise_is_told(two: Plotted, tmp_path: Path) -> None:
    own = two.inputs
    settings = next(m for m in read_json(own.analysis)["ml"]["methods"] if m["name"] == "sally")
    trained = {**settings, "training": {**settings["training"], "n_epochs": 77}}
    edited = synthetic.edited_result(own.results[1], tmp_path, settings=trained)
    plotting(own.analysis, own.data, [own.results[0], edited], tmp_path)
    results = {m["name"]: m for m in read_json(tmp_path / "results.json")["methods"]}
    usual = settings["training"]["n_epochs"]
    said = f"Trained with training.n_epochs = 77; the analysis file says {usual}."
    assert results["sally"]["remarks"][0] == said
    assert said in (tmp_path / "report.html").read_text()
    assert not any("Trained with" in remark for remark in results["histogram"]["remarks"])


def test_data_of_another_analysis_are_refused(two: Plotted, tmp_path: Path) -> None:
    own = two.inputs
    other = write_analysis(tmp_path, 1)
    with pytest.raises(InputError, match="another analysis: its parameters are p0;"):
        plotting(own.analysis, other.data, own.results, tmp_path / "out")


def test_a_grid_that_changed_is_noticed(two: Plotted, tmp_path: Path) -> None:
    own = two.inputs
    ml = read_json(own.analysis)["ml"]
    ml["limits"]["grid"]["p0"]["range"] = [-1.0, 2.0]
    edited = synthetic.edited_analysis(own, tmp_path, ml=ml)
    with pytest.raises(InputError, match="the grid of the limits has changed"):
        plotting(edited.analysis, own.data, own.results, tmp_path)


@pytest.mark.parametrize("content", [b"", b"not an archive"])
def test_broken_results_are_refused(two: Plotted, tmp_path: Path, content: bytes) -> None:
    own = two.inputs
    broken = tmp_path / "Results.tar.gz"
    broken.write_bytes(content)
    with pytest.raises(InputError, match=r"Results\.tar\.gz"):
        plotting(own.analysis, own.data, [broken], tmp_path)


def test_a_model_is_not_a_result(two: Plotted, tmp_path: Path) -> None:
    own = two.inputs
    write_json(tmp_path / "content" / "method.json", {})
    synthetic.pack(tmp_path / "content", tmp_path / "Model.tar.gz")
    with pytest.raises(InputError, match="Model\\.tar\\.gz: contains no results of a method"):
        plotting(own.analysis, own.data, [tmp_path / "Model.tar.gz"], tmp_path)


@pytest.mark.usefixtures("undrawn")
def test_notes_and_methods_may_be_missing(tmp_path: Path) -> None:
    own = write_analysis(tmp_path / "in", 1, report={})
    plotting(own.analysis, own.data, own.results[:1], tmp_path / "out")
    content = read_json(tmp_path / "out/results.json")
    assert content["missing"] == ["sally"]
    assert not (tmp_path / "out/plots/closure.png").exists()
    assert not (tmp_path / "out/plots/training_sally.png").exists()


def test_numbers_that_are_none_do_not_break_figures(two: Plotted) -> None:
    content = two.content
    curves = content["methods"][1]["curves"]["shape"]
    curves["pairs"][0]["q"] = [[None] * 9] * 9
    curves["profiles"]["p0"] = [None] * 9
    content["methods"][1]["losses"][0]["validation"][1] = None
    changed = {"corner_shape", "limits_p0_p1_shape", "training_sally"}
    for figure in plots(report_of(content)):
        assert figure.tables
        if figure.name in changed:
            figure.draw()
            changed.remove(figure.name)
    assert not changed


def test_projections_minimise_over_the_other_parameters() -> None:
    grid = Grid(["a", "b", "c"], [np.arange(2.0), np.arange(3.0), np.arange(4.0)])
    q = np.random.default_rng(0).random(24)
    found = summary.projections(q, grid, np.array([0.2, 1.9, 3.0]))
    cube = q.reshape(2, 3, 4)
    np.testing.assert_allclose(found.profiles["b"], cube.min(axis=(0, 2)), rtol=1e-5)
    assert [pair.parameters for pair in found.pairs] == [("a", "b"), ("a", "c"), ("b", "c")]
    np.testing.assert_allclose(found.pairs[1].q, cube.min(axis=1), rtol=1e-5)
    np.testing.assert_allclose(found.slices["b"], cube[0, :, 3], rtol=1e-5)
    assert found.slice_pairs[1].parameters == ("a", "c")
    np.testing.assert_allclose(found.slice_pairs[1].q, cube[:, 2, :], rtol=1e-5)


def test_observables_are_shown_where_limits_end(two: Plotted) -> None:
    content = two.content
    [best] = [m for m in content["methods"] if m["name"] == content["verdict"]["recommended"]]
    for observable in content["observables"]:
        reference, *others = observable["curves"]
        assert reference["benchmark"] == content["setup"]["theta_ref"]["benchmark"]
        for i, (name, curve) in enumerate(zip(content["parameters"], others, strict=True)):
            ranges = best["limits"]["rate_and_shape"]["intervals"][name]["0.95"]
            assert curve["theta"][i] in (ranges[0][0], ranges[-1][1])
            assert curve["theta"][1 - i] == reference["theta"][1 - i]


def test_histogram_edges() -> None:
    weights = np.ones(1000)
    integers = np.array([0.0, 1.0, 2.0, np.nan] * 250)
    np.testing.assert_array_equal(
        distributions.histogram_edges(integers, weights, [0.0, 9.0]), [-0.5, 0.5, 1.5, 2.5]
    )
    values = np.random.default_rng(0).normal(size=1000)
    edges = distributions.histogram_edges(values, weights, None)
    assert np.mean((values > edges[0]) & (values < edges[-1])) == pytest.approx(0.99, abs=0.01)
    assert len(distributions.histogram_edges(np.full(5, np.nan), np.ones(5), None)) == 2
    assert len(distributions.histogram_edges(np.full(5, 0.5), np.ones(5), None)) > 2


def test_normalised_histogram_integrates_to_one() -> None:
    rng = np.random.default_rng(0)
    values, weights = rng.random(500), rng.random(500)
    density, error = distributions.normalised_histogram(values, weights, np.linspace(0.0, 1.0, 5))
    assert np.sum(density) * 0.25 == pytest.approx(1.0)
    assert 0.02 < error[0] / density[0] < 0.2


def test_a_true_score_is_calibrated(two: Plotted) -> None:
    content = two.content
    own = content["methods"][1]["calibration"][0]
    assert own["parameter"] == "p0"
    np.testing.assert_allclose(own["true"], own["estimated"], atol=1e-5)


def test_finer_follows_a_parabola() -> None:
    x = np.linspace(-1.0, 1.0, 7)
    fine_x, fine_y, fine = contours.finer(x, x, (x[:, None] ** 2 + 2.0 * x**2).tolist())
    np.testing.assert_allclose(fine, fine_x[:, None] ** 2 + 2.0 * fine_y**2, atol=1e-12)


@pytest.mark.parametrize(
    ("latex", "expected"),
    [("$p_T$", "$p_T$ [GeV]"), (r"$\nosuchmacro$", "pt [GeV]"), ("100 %", "100 % [GeV]")],
)
def test_labels_fall_back_on_the_name(latex: str, expected: str) -> None:
    assert style.label(latex, "pt", "GeV") == expected


def test_plotting_imports_neither_torch_nor_madminer() -> None:
    code = "import sys, madminer_workflow.report.plotting; print([m for m in sys.modules])"
    modules = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert "'torch'" not in modules
    assert "'madminer.ml" not in modules
    assert "'numpy'" in modules


@pytest.mark.parametrize(
    ("size", "error", "words"),
    [
        (
            1.02,
            None,
            "but b (1.02 times as long; the error is unknown because a and b were trained only "
            "once) is indistinguishable from it.",
        ),
        (1.06, None, "; those of b, the second best, are 1.06 times as long."),
        (1.06, 0.04, "but b (1.06 ± 0.04 times as long) is indistinguishable from it."),
        (1.06, 0.004, "; those of b, the second best, are 1.060 ± 0.004 times as long."),
        (2.0, 0.1, "are 2.00 ± 0.10 times as long."),
    ],
)
def test_the_sentence_says_how_much_is_gained(size: float, error: float | None, words: str) -> None:
    own = verdict.verdict([method("b", size, **beside("a", size, error)), method("a", 1.0)], "0.95")
    assert words in own.sentence
    assert own.recommended == "a"
    assert own.use == (["a", "b"] if words.startswith("but b") else ["a"])


def test_lengths_are_compared_with_the_errors_of_what_is_compared() -> None:
    """Replicas and directions in common cancel, members of ensembles do not."""
    best, other = method("best", 1.0), method("other", 1.1)
    common = 0.05 * np.random.default_rng(1).normal(size=(1, 1000))
    noise = 0.01 * np.random.default_rng(2).normal(size=(1, 1000))
    nothing = np.empty((1, 0))
    replicas = {"best": (common, nothing), "other": (common + noise, nothing)}
    histogram = msgspec.convert(
        {"name": "h", "method": "histogram", "observables": ["x"], "bins": {"x": 5}, "theta": "sm"},
        Method,
    )
    untrained = [replace(one, settings=histogram) for one in (other, best)]
    by_events = comparison.compared(*untrained, replicas, "0.95").together
    assert (by_events.value, by_events.error) == pytest.approx((1.1, 0.011), rel=0.1)
    along = np.array([[0.03, 0.04]])
    same_groups = {"best": (common, along), "other": (common + noise, 1.2 * along)}
    others = {"best": (common, along), "other": (common + noise, np.array([[0.06]]))}
    for changes, simulated in ((same_groups, 0.01), (others, np.hypot(0.05, 0.06))):
        found = comparison.compared(*untrained, changes, "0.95").together
        assert found.error == pytest.approx(1.1 * np.hypot(0.01, simulated), rel=0.1)
    # A training alone does not tell by how much it fluctuates.
    assert comparison.compared(other, best, replicas, "0.95").together.error is None
    ensembles = [with_members(one, [0.9, 1.1]) for one in (other, best)]
    trained = comparison.compared(*ensembles, replicas, "0.95")
    spread = np.std(np.log([0.9, 1.1]), ddof=1)
    assert trained.together.error == pytest.approx(1.1 * np.hypot(0.01, spread), rel=0.01)
    assert trained.parameters["p"] == trained.together


def with_members(of: MethodReport, relative: list[float]) -> MethodReport:
    limits = of.limits["rate_and_shape"]
    [[(low, high)]] = limits.intervals["p"].values()
    members = {"p": {"0.95": [[(low, high * factor)] for factor in relative]}}
    of_ensemble = replace(limits, member_intervals=members)
    return replace(of, members=len(relative), limits={"rate_and_shape": of_ensemble})


def test_methods_are_compared_in_the_report(two: Plotted) -> None:
    histogram, sally = two.content["methods"]
    assert histogram["comparison"]["together"] == {"value": 1.0, "error": 0.0}
    assert sally["comparison"]["best"] == "histogram"
    ratio = sally["comparison"]["together"]
    assert ratio["value"] < 1.0 and 0.0 < ratio["error"] < 0.2
    assert (
        "Relative length: length of the 95 % intervals from rate and shape divided by that of "
        "histogram" in two.page
    )
