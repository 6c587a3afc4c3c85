"""Analyses with cards: what the file says of processes, systematics and detector, and its cards."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from madminer_workflow.analysis.cards import mentioned_files
from madminer_workflow.analysis.cards import parts as parts_of
from madminer_workflow.analysis.file import problems, read_analysis
from madminer_workflow.analysis.types import DelphesCard, MadGraphProcess
from madminer_workflow.errors import InputError
from madminer_workflow.files import read_json, unpack
from madminer_workflow.physics.configure import configure, pack_models
from tests.support import parts
from tests.support.chain import set_up
from tests.support.paths import DATA, REPOSITORY
from tests.support.special_files import special

INPUTS = REPOSITORY / "inputs" / "wbf-madgraph"
TINY = DATA / "tiny" / "input.yml"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return shutil.copytree(INPUTS, tmp_path / "analysis")


def change(folder: Path, *changes: tuple[str, str]) -> list[str]:
    """All problems after changes of the text, without folder and line."""
    file = folder / "input.yml"
    text = file.read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    file.write_text(text)
    lines = [str(problem).replace(f"{folder}/", "") for problem in problems(file)]
    return [line.split(": ", 1)[1] for line in lines]


@pytest.mark.parametrize("name", ["input.yml", "background-only.yml"])
def test_the_analysis_is_valid(name):
    read_analysis(INPUTS / name)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (
            "    pythia8_card: cards/pythia8_card.dat\n",
            "",
            "processes[signal]: process 'signal' needs a pythia8_card: Delphes requires hadrons",
        ),
        (
            "  delphes_card: delphes_card_CMS.tcl\n",
            "",
            "processes[signal].pythia8_card: showered events need a detector.delphes_card; "
            "without one, leave this out",
        ),
        (
            "  acceptance:",
            "  met_noise: {abs_: 1.0}\n  acceptance:",
            "detector.met_noise: not used with delphes_card",
        ),
        (
            "    proc_card: cards/proc_card_signal.dat\n",
            "",
            "processes[signal]: missing key 'proc_card' (File with the MadGraph commands that "
            "define the process (`import model`, `define`, `generate`, `add process`), without "
            "`output` and `launch`)",
        ),
        (
            "    proc_card: cards/proc_card_signal.dat\n",
            "    proc_card: cards/proc_card_signal.dat\n    process: wbf_haa\n",
            "processes[signal].process: not used by generator 'madgraph' (only by builtin)",
        ),
        (
            "cards/run_card_signal.dat",
            "cards/run_card.dat",
            "processes[signal].run_card: cannot read cards/run_card.dat: No such file or directory",
        ),
        (
            "delphes_card_CMS.tcl",
            "cards/mine.tcl",
            "detector.delphes_card: cannot read cards/mine.tcl: No such file or directory",
        ),
        (
            "    systematics: [luminosity, scale_signal,",
            "    systematics: [luminosty, scale_signal,",
            "processes[signal].systematics[0]: unknown systematic uncertainty 'luminosty' "
            "(expected one of luminosity, scale_signal, scale_background, pdf, jet_scale, "
            "photon_id); did you mean 'luminosity'?",
        ),
        (
            "norm_variation: 1.02",
            "norm_variation: 1.0",
            "systematics[0].norm_variation: 1 is not a variation; use e.g. 1.05 for 5 %",
        ),
        (
            "effect: norm, norm_variation: 1.02",
            "effect: norm, scale: mu, norm_variation: 1.02",
            "systematics[0].scale: not used by effect 'norm' (only by scale)",
        ),
        (
            "effect: norm, norm_variation: 1.02",
            "effect: scale, scale_variations: [0.5, 1, 2, 4]",
            "systematics[0].scale_variations: expected one or two factors other than 1, got 3",
        ),
        (
            "effect: norm, norm_variation: 1.02",
            "effect: scale, scale_variations: [0.5, 0.7]",
            "systematics[0].scale_variations: expected a factor below 1 and one above, got 0.5 and "
            "0.7",
        ),
        (
            "effect: norm, norm_variation: 1.02",
            "effect: pdf, pdf_variation: CT18NLO, pdf_members: 57, pdf_error_type: hessian",
            "systematics[0].pdf_members: the members of type hessian come in pairs: expected an "
            "even number",
        ),
        (
            "effect: norm, norm_variation: 1.02",
            "effect: pdf, pdf_variation: CT18NLO, pdf_members: 1, pdf_error_type: replicas",
            "systematics[0].pdf_members: expected at least 2 replicas: their spread is the "
            "uncertainty",
        ),
        (
            "definition: '(a[0] + a[1]).m < 128.0'",
            "definition: 'v[0].pt > 20.0'",
            "cuts[1].definition: 'v' exists only at parton level, not after Delphes",
        ),
        (
            "  neg_ww: {CWL2: 0.4",
            "  a_nuisance_param_0: {CWL2: 0.4",
            "benchmarks.a_nuisance_param_0: names with '_nuisance_param_' are reserved for "
            "systematic uncertainties; rename it",
        ),
    ],
)
def test_each_mistake_is_told(folder, old, new, told):
    assert told in change(folder, (old, new))


def test_a_systematic_uncertainty_that_affects_nothing(folder):
    told = change(folder, ("[luminosity, scale_background, pdf,", "[luminosity, pdf,"))
    assert "systematics[2].systematic_name: affects no process; leave it out" in told


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ("effect: scale, scale: mur", "does not depend on the renormalisation scale"),
        (
            "effect: pdf, pdf_variation: A, pdf_members: 2, pdf_error_type: hessian",
            "has only one set of parton densities",
        ),
    ],
)
def test_systematics_of_built_in_processes(tmp_path, entry, told):
    file = tmp_path / "input.yml"
    text = TINY.read_text()
    file.write_text(f"{text}\nsystematics: [{{systematic_name: s, {entry}}}]\n")
    assert any(told in str(problem) for problem in problems(file))


@pytest.mark.parametrize(
    ("card", "told"),
    [
        ("import model sm\n", "has no line 'generate …'"),
        ("generate p p > j j\noutput here\n", "line 2: 'output' is set by the workflow"),
        ("generate p p > j j\nlaunch\n", "line 2: 'launch' is set by the workflow; leave it out"),
        ("generate p p > j j [QCD]\n", "only leading-order processes are supported"),
        ("import model /etc\ngenerate p p > j j\n", "imports the model '/etc'; expected a name"),
        ("generate p p > j j\n", "has 0 lines 'import model …'; expected one"),
        ("import model sm\ngenerat p p > j j\n", "line 2: 'generat p p > j j' is not understood"),
    ],
)
def test_a_process_card_defines_a_process_and_nothing_else(folder, card, told):
    (folder / "cards/proc_card_signal.dat").write_text(card)
    place = "processes[signal].proc_card: cards/proc_card_signal.dat: "
    assert any(line.startswith(place) and told in line for line in change(folder))


@pytest.mark.parametrize(
    ("card", "text", "told"),
    [
        ("run_card", "10 = nevents\n20 == ptj\n", "line 1: 'nevents' cannot be set: the analysis"),
        ("run_card", "20 ptj\n", "line 1: '20 ptj'; expected 'value = key'"),
        ("param_card", "Block dim6\n 2 Auto\n", "line 2: 'Auto' is not a number; widths must be"),
        ("run_card", "1 = 2 = ptj\n", "line 1: '1 = 2 = ptj'; expected 'value = key'"),
        ("run_card", "x" * 10**6 + "\n", "line 1: 'xxx"),
        ("param_card", "Block mass\n 25 nan\n", "line 2: 'nan' is not a finite number"),
        ("param_card", "hello\n", "is not a parameter card: it has no block with an entry"),
    ],
)
def test_cards_that_generate_would_refuse_are_told_before(folder, card, text, told):
    (folder / f"cards/{card}_signal.dat").write_text(text)
    place = f"processes[signal].{card}: cards/{card}_signal.dat: "
    assert any(line.startswith(place + told) for line in change(folder))


def test_what_is_told_of_a_card_is_short(folder):
    (folder / "cards/run_card_signal.dat").write_text("wrong\n" * 1000)
    told = change(folder)
    assert len(told) == 21 and "and 980 more problems" in told[-1]
    (folder / "cards/proc_card_signal.dat").write_text("x" * 10**6)
    assert all(len(line) < 1000 for line in change(folder))


def test_a_card_must_be_text(folder):
    (folder / "cards/pythia8_card.dat").write_bytes(b"\xff\xfe\x00")
    assert any("not a text file" in line for line in change(folder))


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("pipe", "a pipe; expected a file"),
        ("zero", "a device; expected a file"),
        ("socket", "No such device or address"),
        ("folder", "a directory; expected a file"),
    ],
)
@pytest.mark.parametrize("card", ["proc_card_signal.dat", "pythia8_card.dat"])
def test_a_card_is_a_file(folder, kind, told, card):
    (folder / "cards" / card).unlink()
    special(folder / "cards" / card, kind)
    assert any(f"cannot read cards/{card}: {told}" in line for line in change(folder))


def test_a_card_is_of_a_sane_size(folder):
    card = folder / "cards/proc_card_signal.dat"
    os.truncate(card, 10**11)
    assert any("proc_card_signal.dat: larger than 10 MB" in line for line in change(folder))
    card.unlink()
    card.symlink_to(card)
    assert any("Too many levels of symbolic links" in line for line in change(folder))


@pytest.mark.parametrize("kind", ["pipe", "zero", "socket"])
def test_a_model_has_files_only(folder, kind):
    model = folder / "Model"
    model.mkdir()
    for name in ("__init__.py", "particles.py"):
        (model / name).touch()
    with_model = (
        "proc_card: cards/proc_card_signal.dat",
        "proc_card: cards/proc_card_signal.dat\n    ufo_model: Model",
    )
    assert not any("Model" in line for line in change(folder, with_model))
    special(model / "x.py", kind)
    assert any("x.py is a" in line and "expected files only" in line for line in change(folder))
    (model / "x.py").unlink()
    (model / "y.py").symlink_to("nowhere")
    assert any("y.py is a broken link" in line for line in change(folder))
    (model / "y.py").unlink()
    (model / "inside").mkdir()
    (model / "inside" / "again").symlink_to(model)
    assert any(
        "again: is a link to Model, the folder that contains it" in line for line in change(folder)
    )


def test_cards_are_inlined_and_split(folder):
    (folder / "mine.tcl").write_text("set ExecutionPath {}\n")
    change(folder, ("delphes_card_CMS.tcl", "mine.tcl"))
    generation, reconstruction = parts_of(read_analysis(folder / "input.yml"), folder)
    signal, background = generation.processes
    assert isinstance(signal, MadGraphProcess)
    assert signal.proc_card == (folder / "cards/proc_card_signal.dat").read_text()
    assert signal.ufo_model is None
    # What is generated does not depend on the uncertainties of reconstructed objects.
    assert signal.systematics == ("luminosity", "scale_signal", "pdf")
    assert background.systematics == ("luminosity", "scale_background", "pdf")
    card = DelphesCard(name="mine.tcl", text="set ExecutionPath {}\n")
    assert reconstruction.detector.delphes_card == card
    _, shipped = parts_of(read_analysis(INPUTS / "input.yml"), INPUTS)
    assert shipped.detector.delphes_card == DelphesCard(name="delphes_card_CMS.tcl", text=None)


def test_a_wrong_card_of_the_shower_is_told_before_anything_is_integrated(folder, tmp_path):
    (folder / "cards/pythia8_card.dat").write_text("PartonLevel:MPII = off\n")
    with pytest.raises(InputError, match=r"processes\.signal\.pythia8_card: line 1: .*know"):
        set_up(folder / "input.yml", tmp_path / "run")


def test_learning_needs_no_cards(folder):
    shutil.rmtree(folder / "cards")
    with pytest.raises(InputError, match="cannot read"):
        read_analysis(folder / "input.yml")
    read_analysis(folder / "input.yml", cards=False)


def test_mentioned_files(folder):
    names = [path.name for path in mentioned_files(folder / "input.yml")]
    assert names == [
        "proc_card_signal.dat",
        "run_card_signal.dat",
        "param_card_signal.dat",
        "pythia8_card.dat",
        "proc_card_background.dat",
        "run_card_background.dat",
    ]
    (folder / "other.yml").write_text("stages: [a, b]\n")
    assert mentioned_files(folder / "other.yml") == []
    (folder / "broken.yml").write_text("{")
    assert mentioned_files(folder / "broken.yml") == []


def model(folder: Path, name: str) -> Path:
    place = folder / name
    place.mkdir(parents=True)
    for file in ("__init__.py", "particles.py"):
        (place / file).write_text(f"# {file} of {name}\n")
    (place / "__pycache__").mkdir()
    (place / "__pycache__/particles.pyc").write_bytes(b"\0")
    return place


def test_models_travel_with_the_analysis(folder, tmp_path):
    model(folder, "models/Mine_UFO")
    card = "    proc_card: cards/proc_card_signal.dat\n"
    assert change(folder, (card, f"{card}    ufo_model: models/Mine_UFO\n")) == []
    configure(folder / "input.yml", tmp_path / "out")
    generation = read_json(tmp_path / "out/generation.json")
    assert generation["processes"][0]["ufo_model"] == "Mine_UFO"
    models = unpack(tmp_path / "out/Models.tar.gz", tmp_path / "models")
    files = sorted(path.name for path in models.rglob("*") if path.is_file())
    assert files == ["__init__.py", "particles.py"]
    assert folder / "models/Mine_UFO" in mentioned_files(folder / "input.yml")


def test_no_model_there(folder):
    card = "    proc_card: cards/proc_card_signal.dat\n"
    (folder / "empty").mkdir()
    told = change(folder, (card, f"{card}    ufo_model: empty\n"))
    assert told == [
        "processes[signal].ufo_model: empty is not a UFO model: it has no __init__.py and no "
        "particles.py"
    ]
    told = change(folder, ("ufo_model: empty", "ufo_model: nowhere"))
    assert told == [
        "processes[signal].ufo_model: there is no folder nowhere; expected the folder of a UFO "
        "model: see docs/ufo-model.md for how to get one"
    ]


def test_two_models_of_one_name(folder, tmp_path):
    places = {name: model(folder, f"{name}/UFO").relative_to(folder) for name in ("a", "b")}
    processes = [
        parts.process("madgraph", name=name, proc_card="", ufo_model=place.as_posix())
        for name, place in places.items()
    ]
    with pytest.raises(InputError, match="have the same name"):
        pack_models(processes, folder, tmp_path / "Models.tar.gz")
