"""The cards of the MadGraph generator: what is accepted, refused, and made of them."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from madminer_workflow.analysis.madgraph_cards import (
    read_param_card,
    read_process_card,
    read_run_card,
)
from madminer_workflow.errors import InputError
from madminer_workflow.physics.generators.madgraph import building, param_card, run_card
from madminer_workflow.physics.generators.madgraph.workplace import Workplace
from tests.support import parts
from tests.support.madgraph_stand_in import install_stand_in
from tests.support.parts import CWL2
from tests.support.paths import DATA

CARD = """
# a comment
import model EWdim6-full --modelname
set complex_mass_scheme True; define q = u d \\
    s c
generate p p > j j h QCD=0, h > a a @1   # VBF
add process p p > w+ h
"""
THETA = {"CWL2": 10.0}
CAPITAL = {**CWL2, "lha_block": "DIM6"}


def test_process_card_becomes_commands():
    card = read_process_card(CARD, "proc_card")
    assert (card.model, card.restriction) == ("EWdim6", "-full")
    assert card.commands(Path("/models/EWdim6"), "output x") == [
        "set complex_mass_scheme True",
        "import model /models/EWdim6-full --modelname",
        "define q = u d s c",
        "generate p p > j j h QCD=0, h > a a @1",
        "add process p p > w+ h",
        "output x",
    ]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("launch", "line 3: 'launch' is set by the workflow"),
        ("output here", "line 3: 'output' is set by the workflow"),
        ("generate p p > t t~ [QCD]", "only leading-order"),
        ("set nb_core 4", "'nb_core' cannot be set in the card"),
        ("set lhapdf /x", "'lhapdf' cannot be set in the card"),
        ("! rm -r x", "'! rm -r x' is not understood"),
        ("install pythia8", "not understood; expected import model, set"),
        ("import model sm", "has 2 lines 'import model"),
    ],
)
def test_process_card_refuses(line, message):
    with pytest.raises(InputError, match=message):
        read_process_card(f"import model sm\ngenerate p p > z\n{line}\n", "proc_card")


def test_process_card_lists_all_problems():
    with pytest.raises(InputError) as error:
        read_process_card("launch", "processes.signal.proc_card")
    lines = str(error.value).splitlines()
    assert [line.rpartition(": ")[2] for line in lines[1:]] == [
        "has 0 lines 'import model …'; expected one",
        "has no line 'generate …'",
    ]
    assert all(line.startswith("processes.signal.proc_card: ") for line in lines)


@pytest.fixture
def models(tmp_path):
    for folder, name in (("mg/models", "sm"), ("mg/models", "EWdim6"), ("own", "SMEFT")):
        (tmp_path / folder / name).mkdir(parents=True)
        (tmp_path / folder / name / "particles.py").write_text("")
    (tmp_path / "own" / "SMEFT" / "restrict_massless.dat").write_text("")
    (tmp_path / "own" / "SMEFT" / "py3_model.pkl").write_text("")
    return tmp_path


def copy(models: Path, name: str, own: str | None = None) -> Path:
    card = read_process_card(f"import model {name}\ngenerate p p > z\n", "card")
    return building.copy_model(card, own, models / "own", models / "mg", models / "copy", "card")


def test_models_are_copied(models):
    assert copy(models, "EWdim6-full") == models / "copy" / "EWdim6"
    own = copy(models, "SMEFT-massless", "models/SMEFT")
    assert [path.name for path in own.glob("*.p*")] == ["particles.py"]


@pytest.mark.parametrize(
    ("name", "own", "message"),
    [
        ("EWdim", None, "no UFO model EWdim .*there are EWdim6, sm.*did you mean EWdim6"),
        ("SMEFT", None, "name it with ufo_model"),
        ("sm", "models/SMEFT", "imports the model sm, but the ufo_model of the process is SMEFT"),
        ("SMEFT-light", "models/SMEFT", r"no restriction 'light' \(restrict_light.dat\)"),
    ],
)
def test_models_that_are_not_there(models, name, own, message):
    with pytest.raises(InputError, match=message):
        copy(models, name, own)


def test_run_card_is_read():
    text = "# comment\n  20.0 = ptj ! cut\n\n{25: 3} = pt_min_pdg\n 5 = ETAJ\n"
    assert read_run_card(text, "card") == {
        "ptj": "20.0",
        "pt_min_pdg": "{25: 3}",
        "etaj": "5",
    }
    assert read_run_card(None, "card") == {}


def test_run_card_with_densities_that_madgraph_does_not_bring():
    with pytest.raises(InputError, match="line 1: pdlabel is 'lhapdf'; expected one of nn23lo,"):
        read_run_card("lhapdf = pdlabel", "card")
    assert read_run_card("cteq6l1 = pdlabel", "card") == {"pdlabel": "cteq6l1"}


def test_run_card_lists_all_problems():
    text = "10 = nevents\n20 = ptj\n30 = ptj\nptj 20\n= etaj\nTrue = use_syst\n"
    with pytest.raises(InputError) as error:
        read_run_card(text, "processes.signal.run_card")
    lines = str(error.value).splitlines()
    assert len(lines) == 5
    assert "line 1: 'nevents' cannot be set: the analysis file sets" in lines[0]
    assert "line 3: 'ptj' is set twice" in lines[1]
    assert "line 4: 'ptj 20'; expected 'value = key'" in lines[2]
    assert "line 5: '= etaj'; expected" in lines[3]
    assert "line 6: 'use_syst' cannot be set: list the systematics" in lines[4]


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    install_stand_in(tmp_path / "mg", monkeypatch)
    return Workplace.create(tmp_path)


def test_run_card_is_merged_by_madgraph(workplace, tmp_path):
    default = tmp_path / "default.dat"
    default.write_text(json.dumps({"ptj": 20.0, "etaj": 5.0, "iseed": 0, "nevents": 10}))
    values = run_card.merge_run_card(workplace, default, {"ptj": "30"}, {"iseed": "7"}, "card")
    assert values == {"ptj": "30.0", "etaj": "5.0", "iseed": "7", "nevents": "10"}
    assert json.loads(default.read_text()) == {"ptj": 30.0, "etaj": 5.0, "iseed": 7, "nevents": 10}


def test_run_card_settings_that_madgraph_does_not_know(workplace, tmp_path):
    default = tmp_path / "default.dat"
    default.write_text(json.dumps({"ptj": 20.0, "etaj": 5.0}))
    with pytest.raises(InputError) as error:
        run_card.merge_run_card(workplace, default, {"ptjj": "30", "etaj": "much"}, {}, "card")
    lines = sorted(str(error.value).splitlines(), reverse=True)
    assert lines[0].startswith("card: 'ptjj' is not a setting") and "mean ptj?" in lines[0]
    assert lines[1].startswith("card: 'etaj' is 'much', which MadGraph refuses")


def test_workplace_has_a_home_of_its_own(workplace, monkeypatch):
    monkeypatch.setenv("HOME", "/nowhere")
    settings = (workplace.home / ".mg5" / "mg5_configuration.txt").read_text()
    for line in ("auto_update = 0", "automatic_html_opening = False", "run_mode = 0"):
        assert line in settings
    environment = workplace.environment()
    assert environment["HOME"] == str(workplace.home)
    assert environment["PATH"].startswith(str(Path(sys.executable).parent))


def card_text() -> str:
    return (DATA / "madgraph_param_card.dat").read_text()


def test_param_card_entries():
    known = read_param_card(card_text(), "card")
    assert known["mass", (25,)] == 125.0
    assert known["decay", (25,)] == 4.07e-3
    assert ("qnumbers", (1,)) not in known
    assert sum(block == "dim6" for block, _ in known) == 8


def test_param_card_at_a_benchmark():
    known = read_param_card(card_text(), "card")
    values = param_card.values_at([parts.parameter(**CAPITAL)], THETA, known, "card")
    assert values == {("dim6", (2,)): pytest.approx(165.2)}
    changed = read_param_card(param_card.with_values(card_text(), values), "card")
    assert changed == {**known, **values}


def test_param_card_keeps_comments_and_other_lines():
    width = {("decay", (25,)): 0.5, ("mass", (25,)): 120.0}
    before, after = card_text(), param_card.with_values(card_text(), width)
    different = [
        (a, b) for a, b in zip(before.splitlines(), after.splitlines(), strict=True) if a != b
    ]
    assert [b.split("#")[1].strip() for _, b in different] == ["MH", "WH"]
    assert "DECAY  25 5.0" in different[1][1]


def test_branching_ratios_are_no_parameters():
    text = "BLOCK MASS\n 25 1.25d2\nDECAY 25 4e-3\n 0.5 2 5 -5\n 2 0.5 7\nBlock A Q= 1.0\n 1 2 3.\n"
    assert read_param_card(text, "card") == {
        ("mass", (25,)): 125.0,
        ("decay", (25,)): 4e-3,
        ("a", (1, 2)): 3.0,
    }


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lha_block": "dim7"}, "no entry 2 in a block dim7; it has the blocks .*dim6"),
        ({"lha_id": 9}, "no entry 9 in a block dim6; it has 1, 2, 3, 4, 5, 6, 7, 8 in"),
        ({"param_card_transform": "log(theta-10)"}, "no finite value at theta = 10.0"),
    ],
)
@pytest.mark.filterwarnings("ignore:divide by zero")
def test_parameters_that_do_not_fit(change, message):
    known = read_param_card(card_text(), "card")
    with pytest.raises(InputError, match=message):
        param_card.values_at([parts.parameter(**{**CAPITAL, **change})], THETA, known, "card")


def test_coefficients_that_are_on_without_being_asked_for():
    known = {("dim6", (2,)): 1.0, ("dim6", (7,)): 1.0, ("dim6", (8,)): 0.0, ("mass", (6,)): 172.0}
    assert param_card.forgotten([parts.parameter(**CAPITAL)], known) == {("dim6", (7,)): 1.0}
    assert param_card.forgotten([], known) == {}
    mass = parts.parameter(lha_block="MASS", lha_id=25)
    assert param_card.forgotten([mass], known) == {}


def test_two_parameters_in_one_place():
    known = read_param_card(card_text(), "card")
    with pytest.raises(InputError, match="another parameter has the same entry in card"):
        param_card.values_at([parts.parameter(**CAPITAL)] * 2, THETA, known, "card")


@pytest.mark.parametrize("text", ["DECAY 25 Auto", "Block mass\n 25 scan: [1, 2] # x"])
def test_widths_and_scans_are_not_computed(text):
    with pytest.raises(InputError, match="is not a number; widths must be computed"):
        read_param_card(text, "card")


def test_text_that_is_no_card():
    with pytest.raises(InputError, match="is not a parameter card"):
        read_param_card("hello", "card")


def test_a_card_of_changes_completes_madgraphs():
    changes = "# only what differs\nBlock dim6\n  4 0.25 # CPWWWL2\nDECAY 25 4.07e-3\n"
    found = read_param_card(param_card.completed(card_text(), changes, "card"), "card")
    expected = read_param_card(card_text(), "card")
    expected |= {("dim6", (4,)): 0.25, ("decay", (25,)): 4.07e-3}
    assert found == expected
    assert param_card.completed(card_text(), None, "card") == card_text()
    assert param_card.completed(card_text(), card_text(), "card")


def test_a_card_of_changes_for_another_model():
    with pytest.raises(InputError, match=r"card: sets dim6 99, which the model does not have"):
        param_card.completed(card_text(), "Block dim6\n 99 1.0\n", "card")
