"""Finding and running external programs, with stand-ins."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

from madminer_workflow.analysis.file import read_analysis
from madminer_workflow.errors import InputError, StepError
from madminer_workflow.physics import programs
from tests.support.paths import DATA, REPOSITORY

VARIABLES = ("MG5_DIR", "MG5_PYTHON", "DELPHES_DIR", "SOFTWARE_DIR")


@pytest.fixture(autouse=True)
def nothing_installed(monkeypatch):
    for variable in VARIABLES:
        monkeypatch.delenv(variable, raising=False)


def install(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def install_madgraph(directory: Path, version: str = "3.1.1") -> Path:
    install(directory / "bin" / "mg5_aMC")
    (directory / "VERSION").write_text(f"version = {version}\ndate = 2021-05-28\n")
    return directory


def test_madgraph_by_its_own_variables(tmp_path, monkeypatch):
    monkeypatch.setenv("MG5_DIR", str(install_madgraph(tmp_path / "mg")))
    monkeypatch.setenv("MG5_PYTHON", sys.executable)
    assert programs.madgraph() == programs.MadGraph(tmp_path / "mg", Path(sys.executable), "3.1.1")


def test_madgraph_in_the_software_directory(tmp_path, monkeypatch):
    install_madgraph(tmp_path / "MG5_aMC_v3_1_1")
    install_madgraph(tmp_path / "MG5_aMC_v3_5_0", "3.5.0")
    monkeypatch.setenv("SOFTWARE_DIR", str(tmp_path))
    found = programs.madgraph()
    assert (found.directory.name, found.version) == ("MG5_aMC_v3_5_0", "3.5.0")
    assert found.python.name == "python3"


def test_missing_madgraph_says_what_to_set(tmp_path, monkeypatch):
    with pytest.raises(InputError, match=r"MadGraph is needed.*Set MG5_DIR.*or SOFTWARE_DIR"):
        programs.madgraph()
    monkeypatch.setenv("SOFTWARE_DIR", str(tmp_path))
    with pytest.raises(InputError, match=f"SOFTWARE_DIR, {tmp_path}, does not contain it"):
        programs.madgraph()
    monkeypatch.setenv("MG5_DIR", str(tmp_path))
    with pytest.raises(InputError, match=r"MG5_DIR: .* does not contain MadGraph"):
        programs.madgraph()


def test_incomplete_madgraph(tmp_path, monkeypatch):
    monkeypatch.setenv("MG5_DIR", str(install_madgraph(tmp_path)))
    monkeypatch.setenv("MG5_PYTHON", "/nowhere/python")
    with pytest.raises(InputError, match="MG5_PYTHON: '/nowhere/python' is not a Python"):
        programs.madgraph()
    monkeypatch.delenv("MG5_PYTHON")
    (tmp_path / "VERSION").unlink()
    with pytest.raises(InputError, match="has no file with the version"):
        programs.madgraph()


@pytest.mark.parametrize("folder", ["", "bin"])
def test_delphes_prefers_the_executable_for_hepmc2(tmp_path, monkeypatch, folder):
    install(tmp_path / folder / "DelphesHepMC3")
    monkeypatch.setenv("DELPHES_DIR", str(tmp_path))
    assert programs.delphes() == programs.delphes(3) == tmp_path / folder / "DelphesHepMC3"
    with pytest.raises(InputError, match=r"does not contain Delphes for HepMC files of version 2"):
        programs.delphes(2)
    install(tmp_path / folder / "DelphesHepMC")
    assert programs.delphes().name == "DelphesHepMC"
    install(tmp_path / folder / "DelphesHepMC2")
    assert programs.delphes().name == programs.delphes(2).name == "DelphesHepMC2"


def test_delphes_inside_madgraph(tmp_path, monkeypatch):
    executable = install(tmp_path / "MG5_aMC" / "Delphes" / "DelphesHepMC2")
    monkeypatch.setenv("MG5_DIR", str(tmp_path / "MG5_aMC"))
    assert programs.delphes() == executable
    monkeypatch.delenv("MG5_DIR")
    monkeypatch.setenv("SOFTWARE_DIR", str(tmp_path))
    assert programs.delphes() == executable
    nearer = install(tmp_path / "Delphes-3.5.0" / "DelphesHepMC2")
    assert programs.delphes() == nearer


def test_missing_delphes(tmp_path, monkeypatch):
    with pytest.raises(InputError, match=r"Delphes is needed.*Set DELPHES_DIR"):
        programs.delphes()
    monkeypatch.setenv("DELPHES_DIR", str(tmp_path))
    with pytest.raises(InputError, match="no DelphesHepMC2 or bin/DelphesHepMC2 or"):
        programs.delphes()


@pytest.mark.parametrize("folder", ["", "bin"])
def test_cards_that_delphes_ships(tmp_path, monkeypatch, folder):
    install(tmp_path / folder / "DelphesHepMC2")
    card = install(tmp_path / "cards" / "delphes_card_CMS.tcl")
    monkeypatch.setenv("DELPHES_DIR", str(tmp_path))
    assert programs.delphes_card("delphes_card_CMS.tcl") == card
    with pytest.raises(
        InputError, match=r"no card 'delphes_card_cms.tcl'.*did you mean delphes_card_CMS.tcl"
    ):
        programs.delphes_card("delphes_card_cms.tcl")
    with pytest.raises(InputError, match="no card"):
        programs.delphes_card("../cards/delphes_card_CMS.tcl")


def test_optional_programs(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    assert programs.lhapdf_config() is None
    on_path = install(tmp_path / "path" / "lhapdf-config")
    assert programs.lhapdf_config() == on_path
    tools = tmp_path / "MG5_aMC" / "HEPTools"
    install(tools / "lhapdf6_source" / "bin" / "lhapdf-config")
    config = install(tools / "lhapdf6_py3" / "bin" / "lhapdf-config")
    install(tools / "lhapdf6_py3" / "lib" / "libLHAPDF.so")
    for variable, directory in (("MG5_DIR", tmp_path / "MG5_aMC"), ("SOFTWARE_DIR", tmp_path)):
        monkeypatch.setenv(variable, str(directory))
        assert programs.lhapdf_config() == config
        monkeypatch.delenv(variable)


def test_program_gets_environment_and_no_input(tmp_path, monkeypatch):
    monkeypatch.setenv("INHERITED", "1")
    script = "import os, sys; print(os.environ['INHERITED'], os.environ['ADDED'], sys.stdin.read())"
    command = [sys.executable, "-c", script + "; print(os.getcwd())"]
    log = tmp_path / "log"
    log.write_text("before\n")
    programs.run_program(command, tmp_path, log, {"ADDED": "2"})
    assert log.read_text().split() == ["before", "1", "2", str(tmp_path)]


def test_failing_program_shows_the_end_of_its_log(tmp_path):
    script = "print('first'); [print('line', i) for i in range(30)]; raise SystemExit(3)"
    with pytest.raises(StepError) as error:
        programs.run_program([sys.executable, "-c", script], tmp_path, tmp_path / "log")
    text = str(error.value)
    assert f"{Path(sys.executable).name} failed with exit code 3" in text
    assert "  line 29" in text and "first" not in text
    assert len(text.splitlines()) == programs.LOG_LINES + 1


def test_program_ended_by_a_signal(tmp_path):
    with pytest.raises(StepError, match="sh was ended by signal 9"):
        programs.run_program(["sh", "-c", "kill -9 $$"], tmp_path, tmp_path / "log")


def test_program_that_does_not_exist(tmp_path):
    with pytest.raises(StepError, match="nowhere: cannot be started"):
        programs.run_program([tmp_path / "nowhere"], tmp_path, tmp_path / "log")


def test_end_of_missing_coloured_and_empty_logs(tmp_path):
    assert "there is no log" in programs.log_end(tmp_path / "log")
    (tmp_path / "log").write_text("\x1b[1;31mred\x1b[0m\n")
    assert programs.log_end(tmp_path / "log") == "  red"
    (tmp_path / "log").write_text("\n\n")
    assert "the log is empty" in programs.log_end(tmp_path / "log")


def running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs Linux' process table")
def test_interruption_leaves_no_children(tmp_path, monkeypatch):
    pids = tmp_path / "pids"
    script = f"sleep 60 & echo $! $$ > {pids}; wait"
    wait = subprocess.Popen.wait

    def interrupted(process, timeout=None):
        monkeypatch.setattr(subprocess.Popen, "wait", wait)
        while not (pids.exists() and len(pids.read_text().split()) == 2):
            time.sleep(0.01)
        raise KeyboardInterrupt

    monkeypatch.setattr(subprocess.Popen, "wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        programs.run_program(["sh", "-c", script], tmp_path, tmp_path / "log")
    children = [int(pid) for pid in pids.read_text().split()]
    deadline = time.monotonic() + 5.0
    while any(map(running, children)) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not any(map(running, children))
    assert os.getpid() not in children


def test_what_an_analysis_misses(tmp_path, monkeypatch):
    for name in ("MG5_DIR", "DELPHES_DIR", "SOFTWARE_DIR"):
        monkeypatch.delenv(name, raising=False)
    analysis = read_analysis(DATA / "tiny" / "input.yml")
    assert programs.missing(analysis) == []
    analysis = read_analysis(REPOSITORY / "inputs" / "wbf-madgraph" / "input.yml")
    assert analysis.detector.delphes_card == "delphes_card_CMS.tcl"
    monkeypatch.setattr(programs.shutil, "which", lambda name: None)
    madgraph, delphes, lhapdf = programs.missing(analysis)
    assert madgraph.startswith("MadGraph is needed and was not found. Set MG5_DIR")
    assert delphes.startswith("Delphes is needed and was not found. Set DELPHES_DIR")
    assert lhapdf.startswith("scale and PDF uncertainties of MadGraph's events need LHAPDF 6")
    assert "\n" not in lhapdf
    (tmp_path / "DelphesHepMC2").touch()
    monkeypatch.setenv("DELPHES_DIR", str(tmp_path))
    assert programs.missing(analysis) == [madgraph, lhapdf]
    without = [entry for entry in analysis.systematics if entry.effect not in ("scale", "pdf")]
    analysis = msgspec.structs.replace(analysis, systematics=tuple(without))
    assert programs.missing(analysis) == [madgraph]


def test_lhapdf_finds_its_library(tmp_path, monkeypatch):
    config, library = tmp_path / "bin/lhapdf-config", tmp_path / "lib64/libLHAPDF.so"
    for file in (config, library):
        file.parent.mkdir()
        file.touch()
    monkeypatch.delenv("LD_LIBRARY_PATH", raising=False)
    environment = programs.lhapdf_environment(config)
    assert environment == {"LD_LIBRARY_PATH": str(tmp_path / "lib64")}
    monkeypatch.setenv("LD_LIBRARY_PATH", "/elsewhere")
    environment = programs.lhapdf_environment(config)
    assert environment == {"LD_LIBRARY_PATH": f"{tmp_path}/lib64:/elsewhere"}
