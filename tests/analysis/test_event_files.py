"""Event files of an analysis: what validation says of them before anybody reads all events."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pytest

from madminer_workflow.analysis.cards import mentioned_files
from madminer_workflow.analysis.event_files import counted, found
from madminer_workflow.analysis.file import problems, read_analysis
from madminer_workflow.analysis.lhe_files import (
    XWGTUP,
    count_events,
    estimate_events,
    pieces,
    read_start,
)
from madminer_workflow.analysis.types import Parameter
from madminer_workflow.analysis.weight_columns import columns
from madminer_workflow.errors import InputError
from tests.support.event_files import BENCHMARKS, IDS, REFERENCE, analysis, text
from tests.support.parts import CPWL2, CWL2, parameter

PARAMETERS: list[Parameter] = [parameter(**CWL2), parameter(**CPWL2)]


def told(file: Path) -> list[str]:
    return [str(problem) for problem in problems(file) if not problem.warning]


def test_an_analysis_of_event_files_is_valid(tmp_path: Path) -> None:
    file = analysis(tmp_path)
    assert told(file) == []
    [process] = read_analysis(file).processes
    assert process.events == {"sm": 1000} and process.n_events == 1000
    assert tmp_path / REFERENCE.name in mentioned_files(file)


def test_what_a_file_says_of_itself() -> None:
    start = read_start(REFERENCE)
    assert start.weights == IDS and list(start.declared) == list(IDS)
    assert start.cross_section == (1.0517e-3, 9.5962e-6)
    assert start.run_card["event_norm"] == "sum" and start.run_card["nevents"] == "1000"
    assert start.couplings["dim6", 2] == 0.0 and start.couplings["mass", 25] == 125.0
    assert start.declared["morphing_basis_vector_2"].changes == {
        ("dim6", 2): -122.228,
        ("dim6", 5): 40.52345,
    }


def test_weights_are_recognised_by_the_points_in_the_header() -> None:
    chosen = columns(read_start(REFERENCE), BENCHMARKS, PARAMETERS, {}, "sm")
    assert chosen == dict(zip(BENCHMARKS, (XWGTUP, *IDS), strict=True))


def test_weights_by_place_and_by_name() -> None:
    given: dict[str, str | int] = {"ten": 0, "b5": IDS[4], "sm": XWGTUP}
    chosen = columns(read_start(REFERENCE), BENCHMARKS, PARAMETERS, given, "sm")
    assert chosen == dict(zip(BENCHMARKS, (XWGTUP, *IDS), strict=True))


@pytest.mark.parametrize(
    ("benchmarks", "given", "message"),
    [
        (
            {"new": {"CWL2": 1.0, "CPWL2": 2.0}, "other": {"CWL2": 3.0, "CPWL2": 2.0}},
            {},
            r"no weights for new, other \(the file has w at \(165.2, 0\), morphing_basis_vector_2",
        ),
        (
            {"w": {"CWL2": 15.2, "CPWL2": 0.1}},
            {},
            "its weight w is at dim6 2 = 165.2, dim6 5 = 0 of the parameter card, but the "
            "benchmark w is at dim6 2 = 251.104, dim6 5 = 1.652",
        ),
        (
            {"sm": {"CWL2": 1.0, "CPWL2": 0.0}},
            {},
            r"its events were generated at dim6 2 = 0, dim6 5 = 0 of the parameter card",
        ),
        ({}, {"ten": 5}, "there is no weight 5 for ten: the file has 5 weights, counted from 0"),
        ({}, {"ten": "W"}, r"no weight 'W' for ten \(the file has w, morphing_basis_vector_2"),
    ],
)
def test_weights_that_are_not_those_of_the_benchmarks(
    benchmarks: dict[str, dict[str, float]], given: dict[str, str | int], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        columns(read_start(REFERENCE), {**BENCHMARKS, **benchmarks}, PARAMETERS, given, "sm")


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"files": {"sm": ["run*.lhe"]}}, "there is no such file"),
        ({"files": {"sm": ["empty"]}}, "contains no event files"),
        ({"files": {"sm": ["input.yml"]}}, "expected an event file"),
        ({"files": {"sn": ["w*.lhe.gz"]}}, "files.sn: unknown benchmark 'sn'"),
        ({"files": {"sm": ["w*.gz"], "ten": ["w*.gz"]}}, "is already listed under sm"),
        ({"weights": {"tenn": 0}}, "unknown benchmark 'tenn' (expected one of sm, ten,"),
        ({"cross_section": {"ten": 1.0}}, "unknown benchmark of files 'ten'"),
        ({"events": {"sm": 10}}, "not used by generator 'files'"),
        ({"files": {"sm": ["cut.lhe.gz"]}}, "truncated or damaged gzip file"),
        ({"files": {"sm": ["none.lhe"]}}, "no events in this file"),
        ({"files": {"sm": ["other.lhe"]}}, "is not an LHE file"),
        ({"files": {"sm": ["no_init.lhe"]}}, "<init> has no cross-section above 0"),
        ({"weights": {"ten": 7}}, "there is no weight 7 for ten"),
    ],
)
def test_validation_names_what_is_wrong_with_files(
    keys: dict[str, Any], message: str, tmp_path: Path
) -> None:
    keys = dict(keys)
    head = text().partition("<event>")[0]
    (tmp_path / "empty").mkdir()
    (tmp_path / "cut.lhe.gz").write_bytes(gzip.compress(text().encode()[:100_000])[:2000])
    (tmp_path / "none.lhe").write_text(f"{head}</LesHouchesEvents>\n")
    (tmp_path / "other.lhe").write_text("nothing\n")
    (tmp_path / "no_init.lhe").write_text(text().replace("1.051700e-03 9.59", "0.0 9.59"))
    (tmp_path / REFERENCE.name).symlink_to(REFERENCE)
    files = keys.pop("files", {"sm": [REFERENCE.name]})
    file = analysis(tmp_path, files, **keys)
    [problem, *_] = told(file)
    assert message in problem
    assert problem.startswith(f"{file}:") and problem.split(":")[1].isdigit()


def test_too_few_benchmarks_and_varied_weights(tmp_path: Path) -> None:
    few = {name: BENCHMARKS[name] for name in ("sm", "ten", "b2")}
    [problem] = told(analysis(tmp_path / "few", sections={"benchmarks": few}))
    assert "has 6 terms, but there are only 3 benchmarks; add 3 more to `benchmarks`" in problem
    scale = {"systematic_name": "qcd", "effect": "scale"}
    norm = {"systematic_name": "lumi", "effect": "norm", "norm_variation": 1.1}
    file = analysis(tmp_path / "scale", sections={"systematics": [scale, norm]})
    [problem] = told(file)
    assert (
        "processes[signal].variations: the weights for qcd are not named; list 2 weights" in problem
    )


@pytest.mark.parametrize("factors", [[1.0], [0.25, 0.5, 1.0, 2.0]])
def test_scales_with_other_numbers_of_factors_are_told_once(
    factors: list[float], tmp_path: Path
) -> None:
    scale = {"systematic_name": "qcd", "effect": "scale", "scale_variations": factors}
    file = analysis(tmp_path, sections={"systematics": [scale]}, variations={"qcd": ["w"]})
    [problem] = told(file)
    assert "expected one or two factors other than 1" in problem


PAIR, MEMBERS = ["w", 1], "morphing_basis_vector_{2}"


@pytest.mark.parametrize(
    ("variations", "message"),
    [
        ({"qcd": PAIR, "pdf": MEMBERS}, None),
        ({"qcd": ["w"], "pdf": MEMBERS}, "qcd: expected 2 weights (of the factors 0.5, 2), got 1"),
        ({"qcd": PAIR, "pdf": ["w"]}, "expected 3 weights (of the central member and 2 others)"),
        ({"qcd": PAIR, "pdf": "w"}, "expected a list, or one name with a number in braces"),
        ({"qcd": ["w", "x"], "pdf": MEMBERS}, "no weight 'x' for the uncertainty qcd"),
        ({"qcd": ["w", 9], "pdf": MEMBERS}, "there is no weight 9 for the uncertainty qcd"),
        ({"qcd": PAIR, "pdf": "morphing_basis_vector_{4}"}, "'morphing_basis_vector_6' for"),
        ({"qcd": PAIR, "pdf": MEMBERS, "lumi": ["w"]}, "the effect norm needs no weights"),
        ({"qcd": PAIR, "pdf": MEMBERS, "qed": ["w"]}, "uncertainty of this process 'qed'"),
    ],
)
def test_weights_of_scales_and_parton_densities(
    variations: dict[str, Any], message: str | None, tmp_path: Path
) -> None:
    systematics = [
        {"systematic_name": "qcd", "effect": "scale"},
        {
            "systematic_name": "pdf",
            "effect": "pdf",
            "pdf_variation": "set",
            "pdf_members": 2,
            "pdf_error_type": "hessian",
        },
        {"systematic_name": "lumi", "effect": "norm", "norm_variation": 1.1},
    ]
    file = analysis(tmp_path, sections={"systematics": systematics}, variations=variations)
    problems = told(file)
    assert message is None or any(message in one for one in problems), problems
    assert message is not None or problems == []


def test_events_are_counted_whatever_the_size_of_pieces(tmp_path: Path) -> None:
    assert count_events(REFERENCE) == estimate_events(REFERENCE) == 1000
    whole = text().encode()
    for size in (3_000, 77_777):
        parts = list(pieces(REFERENCE, size))
        assert b"".join(parts) == whole and len(parts) > 10
        assert all(part.endswith(b"</event>") for part in parts[:-1])
    cut = tmp_path / "cut.lhe"
    cut.write_bytes(whole[: whole.rfind(b"</event>")])
    line = 1 + whole[: whole.rfind(b"<event>")].count(b"\n")
    with pytest.raises(InputError, match=f"truncated: the event that starts at line {line} does"):
        count_events(cut)
    cut.write_bytes(whole.replace(b"</LesHouchesEvents>", b""))
    with pytest.raises(InputError, match="it does not end with </LesHouchesEvents>"):
        count_events(cut)


def test_files_of_folders_and_patterns_come_in_order_and_once(tmp_path: Path) -> None:
    folder = tmp_path / "run [1]"
    (folder / "more").mkdir(parents=True)
    names = ["e10.lhe", "e2.lhe", "e1.lhe.gz", "notes.txt", "more/e3.lhe"]
    for name in names:
        (folder / name).touch()
    ordered = [folder / name for name in ("e1.lhe.gz", "e2.lhe", "e10.lhe")]
    assert found(folder, ["."]) == ordered
    assert found(folder, ["e2.lhe", "e*.lhe*"]) == [ordered[1], ordered[0], ordered[2]]
    assert found(folder, ["**/e3.lhe"]) == [folder / "more/e3.lhe"]
    assert found(tmp_path, [str(folder / "e2.lhe")]) == found(tmp_path, ["run [[]1]/e2.lhe"])


def test_a_large_sample_is_estimated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("madminer_workflow.analysis.event_files.EXACT", 0)
    monkeypatch.setattr("madminer_workflow.analysis.lhe_files._PIECE", 60_000)
    monkeypatch.setattr(pieces, "__defaults__", (60_000,))
    file = analysis(tmp_path)
    [process] = read_analysis(file).processes
    assert process.n_events == pytest.approx(1000, rel=0.2)
    [process] = counted(read_analysis(file), tmp_path, exactly=True).processes
    assert process.n_events == 1000


def test_methods_that_cannot_use_negative_weights_are_told(tmp_path: Path) -> None:
    (tmp_path / "nlo.lhe").write_text(text().replace("+1.0517000e-06", "-1.0517000e-06", 300))
    file = analysis(tmp_path, {"sm": ["nlo.lhe"]}, cross_section={"sm": 4e-4})
    assert told(file) == []
    warnings = [str(problem) for problem in problems(file)]
    assert ["methods[sally]" in w or "methods[ratio]" in w for w in warnings] == [True, True]
    assert "30% of the first weights in nlo.lhe (sm) are negative" in warnings[0]
