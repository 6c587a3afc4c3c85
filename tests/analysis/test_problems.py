"""Every kind of mistake in an analysis file gives its one line: place, value, expectation."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from madminer_workflow.analysis.file import problems, read_analysis
from madminer_workflow.analysis.problems import AnalysisError
from madminer_workflow.errors import InputError
from tests.support.paths import DATA

FOLDER = DATA / "analysis"
TEXT = (FOLDER / "input.yml").read_text()
#: One change of the file each, and what is said about it (after "input.yml:").
CHANGES = json.loads((FOLDER / "problems.json").read_text())


def lines_of(tmp_path: Path, text: str) -> list[str]:
    """All problems of a file with this text, without its folder."""
    file = tmp_path / "input.yml"
    file.write_text(text)
    return [str(problem).removeprefix(f"{tmp_path}/input.yml:") for problem in problems(file)]


def change(old: str, new: str) -> str:
    assert old in TEXT
    return TEXT.replace(old, new, 1)


@pytest.mark.parametrize("case", CHANGES, ids=lambda case: case["new"].strip()[:40])
def test_each_mistake_is_told_in_its_line(tmp_path, case):
    told = lines_of(tmp_path, change(case["old"], case["new"]))
    assert told == case["problems"]
    assert told and all("\n" not in line for line in told)


def test_the_unchanged_file_has_no_problems(tmp_path):
    assert lines_of(tmp_path, TEXT) == []


def test_all_problems_of_both_passes_at_once(tmp_path):
    text = change("seed: 2023", "seed: x").replace("w: {CWL2: 15.2", "w: {CWL3: 15.2", 1)
    text = text.replace("definition: pt_j1 > 20.0", "definition: pt_jet > 20.0")
    file = tmp_path / "input.yml"
    file.write_text(text)
    with pytest.raises(AnalysisError) as caught:
        read_analysis(file)
    assert isinstance(caught.value, InputError)
    assert str(caught.value).splitlines() == [
        f"{file}:5: seed: expected a whole number, got 'x'",
        f"{file}:25: benchmarks.w.CWL3: unknown parameter 'CWL3' (expected one of CWL2, CPWL2); "
        "did you mean 'CWL2'?",
        f"{file}:25: benchmarks.w: parameter 'CWL2' is missing",
        f"{file}:62: cuts[2].definition: unknown name 'pt_jet' (column 1 of 'pt_jet > 20.0'); "
        "did you mean 'pt_j1'?",
    ]


def test_control_characters_cannot_forge_a_line(tmp_path):
    told = lines_of(tmp_path, change("lha_block: dim6", r'lha_block: "a\nb\x1b[2J"'))
    assert told == [
        r"10: parameters[CWL2].lha_id: a\nb\x1b[2J 2 is no coupling of the process 'wbf_haa' "
        "(expected one of dim6 2, dim6 5)"
    ]


def test_a_warning_does_not_fail(tmp_path):
    file = tmp_path / "input.yml"
    file.write_text(change("std: 0.5", "std: 0.3"))
    assert [problem.warning for problem in problems(file)] == [True]
    assert read_analysis(file).name == "wbf"


def test_benchmarks_that_do_not_span_the_basis(tmp_path):
    # Three points on a line through the SM determine a square; a fourth adds nothing.
    line = "  ww: {CWL2: 7.6, CPWL2: 0.05}"
    text = change("  ww: {CWL2: 0.3, CPWL2: 15.1}", line).replace(
        "  neg_w: {CWL2: -15.4, CPWL2: 0.2}", "  neg_w: {CWL2: -15.2, CPWL2: -0.1}"
    )
    assert lines_of(tmp_path, text) == [
        "27: benchmarks.ww: adds nothing to the morphing basis of 6 terms: its weights follow "
        "from those of the benchmarks before it; choose another point or leave it out"
    ]


def test_more_benchmarks_than_the_basis_needs(tmp_path):
    # Six terms: five benchmarks are given, and MadMiner takes no more than a sixth.
    after = "  neg_ww: {CWL2: 0.4, CPWL2: -15.3}"
    sixth = "\n  sixth: {CWL2: 3.5, CPWL2: 3.5}"
    assert lines_of(tmp_path, change(after, after + sixth)) == []
    seventh = sixth.replace("sixth", "seventh").replace("3.5", "4.5")
    (problem,) = lines_of(tmp_path, change(after, after + sixth + seventh))
    assert problem.startswith(
        "30: benchmarks.seventh: adds nothing to the morphing basis of 6 terms"
    )


def test_few_lines_that_expand_to_many_values(tmp_path):
    levels = [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 7)]
    file = tmp_path / "input.yml"
    file.write_text("\n".join(["a0: &a0 x", *levels]))
    assert [problem.message for problem in problems(file)] == [
        "not valid YAML: more than 100000 values (column 5)"
    ]


def test_missing_file_and_directory(tmp_path):
    missing = tmp_path / "no.yml"
    with pytest.raises(AnalysisError, match=r"no\.yml: no such file$"):
        read_analysis(missing)
    with pytest.raises(AnalysisError, match="is a directory; expected a file, such as its input"):
        read_analysis(tmp_path)


def test_checking_imports_nothing_heavy():
    code = (
        "import sys; from madminer_workflow.analysis.file import read_analysis;"
        f"read_analysis({str(FOLDER / 'input.yml')!r});"
        "print(sorted({'torch', 'madminer', 'awkward', 'h5py', 'matplotlib'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout == "[]\n", result.stderr
