"""What is around MadGraph: results, archives, checks, and failures of programs that say nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from madminer_workflow.errors import InputError, StepError
from madminer_workflow.files import pack, unpack
from madminer_workflow.physics.generators import Request, madgraph
from madminer_workflow.physics.generators.madgraph import building, drawing, integrated, workplace
from madminer_workflow.physics.generators.madgraph.drawing import madgraph_seed
from madminer_workflow.physics.generators.madgraph.inside import survey
from madminer_workflow.physics.generators.madgraph.integration import read_cross_section
from madminer_workflow.physics.generators.madgraph.workplace import Workplace
from tests.support import parts
from tests.support.madgraph_stand_in import install_stand_in

CARD = "import model sm\ngenerate p p > z\n"
RESULTS = "  0.65990E-03 0.61590E-05 0.00000E+00    62010     4771    5     2026\n   3    0.6\n"


def request(models: Path, **process) -> Request:
    asked = parts.process("madgraph", **{"proc_card": CARD, **process})
    return parts.request(asked, [], {"sm": {}}, models=models)


def install(tmp_path: Path, monkeypatch, mg5: str = "", interface: str = "") -> None:
    install_stand_in(tmp_path / "mg", monkeypatch, mg5, interface)
    (tmp_path / "mg" / "models" / "sm").mkdir()
    (tmp_path / "mg" / "models" / "sm" / "particles.py").write_text("")
    monkeypatch.setattr(madgraph, "check_compilers", lambda: None)


def channel(point: Path, name: str, text: str) -> None:
    folder = point / "SubProcesses" / "P1_qq" / name
    folder.mkdir(parents=True)
    (folder / "results.dat").write_text(text)


def test_channels_add_up(tmp_path):
    channel(tmp_path, "G1", RESULTS)
    channel(tmp_path, "G2", "0.3D-03 0.8D-05 0.0 1 1 1 1\n")
    value, error = read_cross_section(tmp_path, "sm")
    assert value == pytest.approx(0.6599e-3 + 0.3e-3)
    assert error == pytest.approx((0.6159e-5**2 + 0.8e-5**2) ** 0.5)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("end code not correct 139\n", "unreadable result of the integration channel G1 of P1_qq"),
        ("0.0 0.0 0 1\n", "cross-section is 0 .*It vanishes if cuts"),
        ("NaN 0.1 0 1\n", "cross-section is nan"),
        ("1.0 0.2 0 1\n", r"is uncertain, 1 \+- 0.2 pb; expected a relative error below 5 %"),
    ],
)
def test_integrations_that_failed(tmp_path, text, message):
    channel(tmp_path, "G1", text)
    with pytest.raises(StepError, match=message):
        read_cross_section(tmp_path, "sm")


def test_integration_without_results(tmp_path):
    with pytest.raises(StepError, match="closure: MadGraph's integration left no results"):
        read_cross_section(tmp_path, "closure")


MADEVENT = """#!/bin/sh
read points iterations rest
echo $points $(cat moffset.dat) $(cat ftn25) >> runs
new=$((points * 15))
awk -v n=$new 'BEGIN { printf "%g %g 0 %d\\n", 1.0, 5.0 / sqrt(n), n }' > results.dat
echo adapted > ftn26
"""


@pytest.fixture
def channels(tmp_path, monkeypatch):
    """A large and a small channel whose errors fall as the square root of the points."""
    monkeypatch.chdir(tmp_path)
    channel(tmp_path, "G1", "1.0 0.05 0 10000\n")
    channel(tmp_path, "G2", "0.001 0.0001 0 10000\n")
    program = tmp_path / "SubProcesses" / "P1_qq" / "madevent"
    program.write_text(MADEVENT)
    program.chmod(0o755)
    for name in ("G1", "G2"):
        (program.parent / name / "ftn26").write_text("surveyed")
    return program.parent


def test_channels_that_dominate_the_error_are_improved(channels):
    survey.improve(0.02, 2)
    assert survey.read_result(str(channels / "G1" / "results.dat"))[1] <= 0.02
    runs = [line.split() for line in (channels / "G1" / "runs").read_text().splitlines()]
    assert [offset for _, offset, _ in runs] == [str(i + 1) for i in range(len(runs))]
    assert [grid for _, _, grid in runs] == ["surveyed"] + ["adapted"] * (len(runs) - 1)
    assert not (channels / "G2" / "runs").exists()


def test_good_channels_are_left_alone(channels):
    survey.improve(0.1, 2)
    assert not (channels / "G1" / "runs").exists()


def test_time_is_forgotten(tmp_path):
    path = tmp_path / "results.dat"
    path.write_text("1.0 0.1\n <cumulated_time>92.7</cumulated_time>\n")
    survey.forget_time(str(path))
    assert path.read_text() == "1.0 0.1\n <cumulated_time> 0.0 </cumulated_time>\n"


def test_channel_that_crashes(channels):
    (channels / "madevent").write_text("#!/bin/sh\nexit 3\n")
    with pytest.raises(subprocess.CalledProcessError):
        survey.improve(0.02, 1)


@pytest.mark.parametrize("name", ["a.tar", "b.tar"])
def test_archives_that_are_damaged_or_missing(tmp_path, monkeypatch, name):
    (tmp_path / "a.tar").write_bytes(b"x" * 100)
    install(tmp_path, monkeypatch)
    place = Workplace.create(tmp_path / "place")
    with pytest.raises(InputError, match=r"cannot be unpacked .*run the generate step again"):
        drawing.prepare(place, [tmp_path / name], tmp_path / "c")


def test_packed_process_is_small_and_relocatable(tmp_path):
    process = tmp_path / "scratch" / "process"
    kept = {
        "Cards/run_card.dat": "",
        "Cards/proc_card_mg5.dat": f"import model {process.parent}/models/sm\n",
        "SubProcesses/P1_qq/madevent": "program",
        "lib/Pdfdata/NNPDF23_lo_as_0130_qed_mem0.grid": "",
        "lib/Pdfdata/cteq6l1.tbl": "",
    }
    dropped = {
        "Cards/param_card.dat": "",
        "Cards/me5_configuration.txt": "",
        "SubProcesses/P1_qq/matrix1.o": "",
        "SubProcesses/P1_qq/matrix1.f": "",
        "SubProcesses/P1_qq/symfact.dat": "",
        "SubProcesses/P1_qq/G1/results.dat": "",
        "lib/Pdfdata/NNPDF23_lo_as_0119_qed_mem0.grid": "",
    }
    for name, text in {**kept, **dropped}.items():
        (process / name).parent.mkdir(parents=True, exist_ok=True)
        (process / name).write_text(text)
    integrated.pack_process(process, "nn23lo1", tmp_path / "process.tar")
    unpack(tmp_path / "process.tar", tmp_path / "there")
    there = tmp_path / "there"
    found = {str(path.relative_to(there)) for path in there.rglob("*") if path.is_file()}
    assert found == set(kept)
    assert (there / "Cards" / "proc_card_mg5.dat").read_text() == "import model ./models/sm\n"


def test_generator_reads_its_parameters_when_it_runs(tmp_path):
    (tmp_path / "Cards").mkdir()
    (tmp_path / "Source" / "MODEL").mkdir(parents=True)
    ident = "cccc\nc      written by the UFO converter\n\ndim6 2 mdl_CWL2\n\ndecay 25 mdl_WH\n"
    (tmp_path / "Cards" / "ident_card.dat").write_text(ident)
    building.read_parameters_at_run_time(tmp_path)
    code = (tmp_path / "Source" / "MODEL" / "param_read.inc").read_text()
    assert code.splitlines()[0].strip() == "CALL LHA_LOADCARD(PARAM_NAME,NPARA,PARAM,VALUE)"
    assert code.count("LHA_GET_REAL") == 2
    assert "'mdl_CWL2'" in code and " MDL_WH,0D0)" in code
    assert max(map(len, code.splitlines())) <= 72


def test_seeds_are_those_that_madgraph_accepts():
    seeds = [madgraph_seed(seed, "survey", "sm") for seed in range(1000)]
    assert len(set(seeds)) == 1000
    assert min(seeds) > 0 and max(seeds) < 30081**2


def test_missing_compilers(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(InputError, match="gfortran, make, gcc, strip: not found"):
        workplace.check_compilers()


def test_cores(monkeypatch):
    assert 1 <= workplace.available_cores() <= 8
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)), raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    for text, cores in (("max 100000", 8), ("250000 100000", 2), ("50000 100000", 1)):
        monkeypatch.setattr(Path, "read_text", lambda _, text=text: text)
        assert workplace.available_cores() == cores


def test_interpreter_that_cannot_compile(tmp_path, monkeypatch):
    install(tmp_path, monkeypatch)
    (tmp_path / "six.py").write_text("raise ImportError('no six here')")
    (tmp_path / "python").write_text(
        f'#!/bin/sh\nPYTHONPATH={tmp_path} exec {sys.executable} "$@"\n'
    )
    (tmp_path / "python").chmod(0o755)
    monkeypatch.setenv("MG5_PYTHON", str(tmp_path / "python"))
    with pytest.raises(InputError, match=r"\(no six here\); install six and numpy"):
        Workplace.create(tmp_path / "work").interpreter()
    (tmp_path / "python").write_text("#!/bin/sh\necho broken >&2; exit 1\n")
    workplace._interpreter.cache_clear()
    with pytest.raises(InputError, match="cannot be run: broken"):
        Workplace.create(tmp_path / "work2").interpreter()


def test_madgraph_that_writes_nothing(tmp_path, monkeypatch):
    install(tmp_path, monkeypatch, mg5="print('Command \"generate\" interrupted with error')")
    with pytest.raises(StepError) as error:
        madgraph.integrate(request(tmp_path), tmp_path / "out")
    text = str(error.value)
    assert text.startswith("process signal: MadGraph did not write the process; the end of its log")
    assert "interrupted with error" in text


def test_madgraph_that_asks(tmp_path, monkeypatch):
    """A question gets no answer: there is no input to wait for."""
    install(tmp_path, monkeypatch, mg5="input('Do you want to download the model?')")
    with pytest.raises(StepError, match="EOF when reading a line"):
        madgraph.integrate(request(tmp_path), tmp_path / "out")


def test_wrong_cards_are_found_before_anything_runs(tmp_path, monkeypatch):
    monkeypatch.delenv("MG5_DIR", raising=False)
    with pytest.raises(InputError, match=r"processes.signal.run_card: line 1: 'nevents' cannot"):
        madgraph.integrate(request(tmp_path, run_card="1 = nevents"), tmp_path)
    with pytest.raises(InputError, match=r"processes.signal.proc_card: line 1"):
        madgraph.integrate(request(tmp_path, proc_card="lunch"), tmp_path)
    install(tmp_path, monkeypatch, mg5="raise SystemExit('was run')")
    with pytest.raises(InputError, match="no UFO model smeft"):
        madgraph.integrate(request(tmp_path, proc_card="import model smeft\ngenerate a"), tmp_path)


@pytest.fixture
def packed(tmp_path, monkeypatch):
    """An integrated process whose archives hold nothing, drawn from by a stand-in."""
    install(
        tmp_path,
        monkeypatch,
        interface="""
def GridPackCmd(me_dir, nb_event, seed, gran):
    print("drawing nothing")
""",
    )
    directory = tmp_path / "packed"
    (directory / "points").mkdir(parents=True)
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "Cards").mkdir()
    card = tmp_path / "empty" / "Cards" / "x_card.dat"
    card.write_text("")
    for archive in (
        integrated.process_archive(directory),
        integrated.point_archive(directory, "sm"),
    ):
        pack(tmp_path / "empty", archive)
    save(directory)
    return directory


def save(directory: Path, **changes) -> None:
    there = Workplace.create(Path(os.fspath(directory.parent / f"place{len(changes)}")))
    known = {"madgraph": "3.1.1", "interpreter": there.interpreter(), **changes}
    integrated.IntegratedProcess(
        name="signal",
        benchmarks=[("sm", {})],
        cross_sections={"sm": [1.0, 0.01]},
        run_card={},
        process_card="",
        reference="sm",
        variations=[],
        lhapdf_id=247000,
        **known,
    ).save(directory)


def test_job_that_draws_nothing(packed, tmp_path):
    with pytest.raises(StepError, match=r"(?s)MadGraph drew no events; the end.*drawing nothing"):
        madgraph.generate_events(packed, "sm", 10, 1, tmp_path / "events.lhe")
    assert not (tmp_path / "events.lhe").exists()


def test_job_in_another_installation(packed, tmp_path):
    save(packed, madgraph="3.5.0")
    with pytest.raises(InputError, match=r"signal: was integrated with MadGraph 3.5.0, but here"):
        madgraph.generate_events(packed, "sm", 10, 1, tmp_path / "events.lhe")


def test_unknown_names(packed, tmp_path):
    with pytest.raises(InputError, match="n_events: is 0"):
        madgraph.generate_events(packed, "sm", 0, 1, tmp_path / "events.lhe")
    with pytest.raises(
        InputError, match=r"sampling benchmark 'w': is not a sampling benchmark .*, sm"
    ):
        madgraph.generate_events(packed, "w", 10, 1, tmp_path / "events.lhe")
    with pytest.raises(InputError, match="no integrated process"):
        madgraph.generate_events(tmp_path, "sm", 10, 1, tmp_path / "events.lhe")
