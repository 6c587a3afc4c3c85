"""Every kind of mistake in an analysis file gives its one line: place, value, expectation."""

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from madminer_workflow.analysis.file import problems, read_analysis
from madminer_workflow.analysis.morphing import (
    highest_powers,
    morphing_components,
    n_morphing_components,
)
from madminer_workflow.analysis.problems import AnalysisError
from madminer_workflow.errors import InputError
from tests.support.paths import DATA
from tests.support.special_files import special

FOLDER = DATA / "analysis"
TEXT = (FOLDER / "input.yml").read_text()
TITLE = next(line for line in TEXT.splitlines() if line.startswith("title:"))
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
        "9: parameters[CWL2].lha_block: the character U+001B is not allowed in text",
    ]
    (told,) = lines_of(tmp_path, change("lha_block: dim6", r'lha_block: "a\nb"'))
    assert told.startswith("9: parameters[CWL2].lha_block: expected letters, digits and other")
    assert r"'a\nb'" in told
    told = lines_of(tmp_path, change("seed: 2023", r"seed: 2023" + '\n"a\\nb\u202e": 1'))
    assert told[0].startswith(r"6: 'a\nb\u202e': unknown key")


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
        "from those of the preceding benchmarks; choose another point or leave it out"
    ]


def test_more_benchmarks_than_the_basis_needs(tmp_path):
    # Six terms: five benchmarks are given, MadMiner would add a sixth, and more are fitted.
    after = "  neg_ww: {CWL2: 0.4, CPWL2: -15.3}"
    sixth = "\n  sixth: {CWL2: 3.5, CPWL2: 3.5}"
    assert lines_of(tmp_path, change(after, after + sixth)) == []
    seventh = sixth.replace("sixth", "seventh").replace("3.5", "4.5")
    assert lines_of(tmp_path, change(after, after + sixth + seventh)) == []
    same = sixth.replace("sixth", "seventh")
    assert lines_of(tmp_path, change(after, after + sixth + same)) == [
        "30: benchmarks.seventh: is the same point as 'sixth'; leave one out"
    ]


def test_more_benchmarks_than_terms_must_determine_all_of_them(tmp_path):
    data = yaml.safe_load(TEXT)
    data["benchmarks"] = {f"b{i}": {"CWL2": 2.0 * i, "CPWL2": 0.0} for i in range(8)}
    data["benchmarks"] = {"sm": data["benchmarks"].pop("b0"), **data["benchmarks"]}
    data["processes"] = [{**data["processes"][0], "events": {"sm": 100}}]
    (problem,) = lines_of(tmp_path, yaml.safe_dump(data, sort_keys=False))
    assert problem.endswith(
        "benchmarks: these 8 points determine only 3 of the 6 terms of the squared matrix element, "
        "because too many of them share a line or a surface: move some"
    )


@pytest.mark.parametrize(
    ("powers", "overall", "told"),
    [
        ([[2, 0], [0, 2]], [2, 2], None),
        ([[2, 0], [2, 2]], [2, 2], None),
        ([[2, 0], 2], [2, 2], "parameters[CPWL2].morphing_max_power: expected 2 numbers, one for"),
        ([[2, 0], [0, 2, 0]], [2, 2], "expected 2 numbers, one for"),
        ([[2, 0], [0, 2]], 4, "expected one number, because morphing.max_overall_power is 4; for"),
        ([[2, 0], [0, 0]], [2, 2], "expected a power above 0 in at least one factor, got"),
        ([[2, 0], [0, 11]], [2, 2], "expected at most 10, got 11"),
        ([[2, 0], [0, -1]], [2, 2], "expected at least 0, got -1"),
        ([[2], [2]], [2], "expected at least 2 entries"),
        ([2.5, 2], 2, "expected a whole number or a list, got 2.5"),
        ([2, 2], [2, 0], "expected at least 1, got 0"),
    ],
)
def test_powers_in_production_and_decay(tmp_path, powers, overall, told):
    data = yaml.safe_load(TEXT)
    for entry, power in zip(data["parameters"], powers, strict=True):
        entry["morphing_max_power"] = power
    data["morphing"] = {"max_overall_power": overall}
    lines = lines_of(tmp_path, yaml.safe_dump(data, sort_keys=False))
    assert (lines == []) if told is None else any(told in line for line in lines), lines


def test_few_lines_that_expand_to_many_values(tmp_path):
    levels = [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 7)]
    file = tmp_path / "input.yml"
    file.write_text("\n".join(["a0: &a0 x", *levels]))
    assert [problem.message for problem in problems(file)] == [
        "not valid YAML: more than 100000 values (column 5)"
    ]


@pytest.mark.parametrize("text", [r"\ud800", r"\x07", r"\0", r"\x7f", r"\x9b"])
def test_text_has_no_control_characters(tmp_path, text):
    told = lines_of(
        tmp_path,
        change(
            TITLE,
            f'title: "a{text}b"',
        ),
    )
    assert len(told) == 1 and told[0].startswith("4: title: the character U+")


def test_json_writes_some_characters_in_two_halves(tmp_path):
    file = tmp_path / "input.yml"
    file.write_text(
        change(
            TITLE,
            r'title: "\ud83d\ude00"',
        )
    )
    assert read_analysis(file).title == "\U0001f600"


def test_a_file_of_any_size(tmp_path):
    file = tmp_path / "input.yml"
    file.write_bytes(b"#" * 1_000_001)
    with pytest.raises(AnalysisError, match=r"cannot be read \(larger than 1 MB\)"):
        read_analysis(file)
    os.truncate(file, 10**12)
    with pytest.raises(AnalysisError, match=r"cannot be read \(larger than 1 MB\)"):
        read_analysis(file)


@pytest.mark.parametrize(
    ("kind", "what"), [("pipe", "a pipe"), ("zero", "a device"), ("socket", "a socket")]
)
def test_what_is_no_file_is_not_waited_for(tmp_path, kind, what):
    path = special(tmp_path / "input.yml", kind)
    with pytest.raises(AnalysisError, match=f"is {what}; expected a file"):
        read_analysis(path)


def test_endless_files_and_loops(tmp_path):
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(AnalysisError, match="cannot be read"):
        read_analysis(tmp_path / "loop")
    with pytest.raises(AnalysisError, match=r"cannot be read|is not"):
        read_analysis("/proc/self/pagemap")


HUGE = [
    ("seed: 2023", "seed: 1" + "0" * 5000, "is too large"),
    ("sm: 50000", "sm: 1.0e+15", "expected at most 1000000000, got 1000000000000000.0"),
    ("sm: 50000", "sm: 1e15", "expected at most 1000000000, got 1000000000000000.0"),
    ("n_hidden: [", "n_hidden: [1000000000000, ", "expected at most 100000, got 1000000000000"),
    ("resolution: 41", "resolution: 1000000000", "expected at most 1000000, got 1000000000"),
    ("[-20.0, 20.0]", "[-20.0, 1.0e+300]", "expected at most 1000000000000, got 1e+300"),
]


@pytest.mark.parametrize(("old", "new", "told"), HUGE)
def test_absurd_magnitudes_are_refused(tmp_path, old, new, told):
    lines = lines_of(tmp_path, change(old, new))
    assert told is None or any(told in line for line in lines), lines


def test_more_terms_than_anybody_can_integrate(tmp_path):
    """Without counting them one by one."""
    data = yaml.safe_load(TEXT)
    data["parameters"] = [
        {**data["parameters"][0], "parameter_name": f"p{i}", "lha_id": i, "morphing_max_power": 10}
        for i in range(50)
    ]
    data["morphing"]["max_overall_power"] = 10
    told = lines_of(tmp_path, yaml.safe_dump(data))
    assert any("50 parameters have 75394027566 terms up to this power" in line for line in told)

    for entry in data["parameters"]:
        entry["morphing_max_power"] = [2, 2]
    data["morphing"]["max_overall_power"] = [2, 2]
    told = lines_of(tmp_path, yaml.safe_dump(data))
    assert any(
        "50 parameters have at least" in line and "terms up to this" in line for line in told
    )


FACTORS = (
    ([[2, 0], [0, 2]], [2, 2], 9),
    # In production 1, a, b, their squares and ab; in decay 1, c, c^2.
    ([[2, 0], [2, 0], [0, 2]], [2, 2], 18),
    ([[2, 2]], [2, 2], 5),
    ([[1, 1, 0], [0, 0, 4]], [1, 1, 3], 12),
)


def test_terms_are_counted_as_they_are():
    one = ([2, 2], 2), ([4, 2, 2], 4), ([1], 3), ([3, 3, 3, 3], 5)
    for powers, overall in (*one, *((powers, overall) for powers, overall, _ in FACTORS)):
        expected = len(morphing_components(powers, overall))
        assert n_morphing_components(powers, overall) == expected


@pytest.mark.parametrize(("powers", "overall", "number"), FACTORS)
def test_terms_of_products_are_products_of_terms(powers, overall, number):
    factors = [
        morphing_components([power[i] for power in powers], overall[i]) for i in range(len(overall))
    ]
    products = {tuple(map(sum, zip(*terms, strict=True))) for terms in itertools.product(*factors)}
    assert morphing_components(powers, overall) == sorted(products)
    assert len(products) == number
    highest = highest_powers(powers, overall)
    assert highest == [max(column) for column in zip(*products, strict=True)]


@pytest.mark.parametrize(
    ("transform", "told"),
    [
        ("9**9**9**9", "'9 ** 9 ** 9' is not a finite number (column 4 of '9**9**9**9')"),
        ("theta + 1%0", "'1 % 0' is not a finite number (column 9 of 'theta + 1%0')"),
        ("1/theta", "has no finite value at theta = 0, a benchmark"),
        ("log(theta + 21)", None),
        ("sqrt(theta - 100)", "has no finite value at theta = 0, a benchmark"),
        ("1 / (abs(theta - 9.0) > 0.2)", "has no finite value at theta = 8.82883"),
        ("exp(theta)**10", None),
        ("16.52*\N{GREEK SMALL LETTER THETA}", "unknown name"),
        ("16.52*theta\N{NO-BREAK SPACE}", "U+00A0 (no-break space) is not part of the language"),
        ("\N{FULLWIDTH LATIN SMALL LETTER T}heta", "is not part of the language"),
    ],
)
def test_a_transform_has_a_value_wherever_it_is_needed(tmp_path, transform, told):
    text = change("param_card_transform: 16.52*theta", f"param_card_transform: '{transform}'")
    lines = lines_of(tmp_path, text)
    assert len(lines) == bool(told), lines
    assert told is None or (lines[0].startswith("12: ") and told in lines[0])


@pytest.mark.parametrize(
    ("efficiency", "told"),
    [
        ("2.0", "expected a probability, between 0 and 1, got 2"),
        ("-0.5", "expected a probability, between 0 and 1, got -0.5"),
        ("1e300", "expected a probability"),
        ("0.5", ""),
        ("sqrt(-1)", "'sqrt(-1)' is not a finite number"),
        ("1 if j[0].pt > log(0) else 0", "'log(0)' is not a finite number"),
        ("1%0", "'1 % 0' is not a finite number"),
        ("10**400", "'10 ** 400' is not a finite number"),
    ],
)
def test_what_is_undefined_for_every_event(tmp_path, efficiency, told):
    data = yaml.safe_load(TEXT)
    data["efficiencies"] = [{"definition": efficiency}]
    data["cuts"] = [{"definition": efficiency}]
    lines = lines_of(tmp_path, json.dumps(data))
    assert all(told in line for line in lines), lines
    assert len(lines) == (0 if not told else 2 if "finite" in told else 1)


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("ptj", 7000.0, "it must be less than 6500"),
        ("mmjj", 1e9, "it must be less than 1.3e+04"),
        ("drjj", 1000.0, "it must be less than 10.48"),
        ("deltaeta", 10.0, "it must be less than 10"),
        ("ptj", 6000.0, None),
    ],
)
def test_cuts_that_leave_no_events(tmp_path, key, value, told):
    data = yaml.safe_load(TEXT)
    data["processes"][0]["run"] = {key: value}
    lines = lines_of(tmp_path, yaml.safe_dump(data))
    assert [told in line for line in lines] == [True] * bool(told)


@pytest.mark.parametrize(
    ("split", "told"), [(1e-300, "no test events"), (1.0 - 1e-15, "no training events")]
)
def test_splits_that_leave_no_events(tmp_path, split, told):
    data = yaml.safe_load(TEXT)
    data["ml"]["test_split"] = split
    line = lines_of(tmp_path, yaml.safe_dump(data))[0]
    assert told in line and "ml.test_split" in line


@pytest.mark.parametrize(
    ("n", "split", "told"), [(1, 0.25, "validation"), (100, 0.999, "training")]
)
def test_splits_that_leave_no_samples(tmp_path, n, split, told):
    data = yaml.safe_load(TEXT)
    method = next(entry for entry in data["ml"]["methods"] if entry["method"] == "sally")
    method["n_samples"] = n
    method.setdefault("training", {})["validation_split"] = split
    (line,) = lines_of(tmp_path, json.dumps(data))
    assert f"leaves nothing for {told} out of {n} samples" in line and "validation_split" in line


@pytest.mark.parametrize(
    ("label", "told"),
    [
        (r"$\unknown$", "Unknown symbol"),
        (" ", "expected at least one visible character"),
        ("$", "matplotlib cannot draw"),
        ("a$b$c$", "matplotlib cannot draw"),
        ("$" + "{" * 90 + "x" + "}" * 90 + "$", "nested too deeply"),
        (r"$\frac{1}{2}", "matplotlib cannot draw"),
        ("x" * 201, "expected at most 200 characters"),
        (r"$\frac{1}{2}$", None),
        (r"100 % of \ & <b>", None),
    ],
)
def test_labels_that_cannot_be_drawn(tmp_path, label, told):
    data = yaml.safe_load(TEXT)
    data["parameters"][0]["latex"] = label
    data["observables"][0]["latex"] = label
    lines = lines_of(tmp_path, yaml.safe_dump(data, width=1000))
    assert len(lines) == (2 if told else 0)
    assert all(told in line for line in lines)
    data["observables"][0] |= {"latex": "x", "unit": label[:50]}
    data["parameters"][0]["latex"] = "x"
    assert len(lines_of(tmp_path, yaml.safe_dump(data))) <= 1


def test_a_character_that_the_font_lacks_is_a_warning(tmp_path):
    data = yaml.safe_load(TEXT)
    data["parameters"][0]["latex"] = "W\U0001f9a0\N{GREEK SMALL LETTER ALPHA}"
    file = tmp_path / "input.yml"
    file.write_text(yaml.safe_dump(data, allow_unicode=True), encoding="utf-8")
    (problem,) = problems(file)
    assert problem.warning and "the font used in plots has no 🦠;" in problem.message


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
