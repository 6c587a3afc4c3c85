"""The workflow files: valid, wired as documented, the same products alone and in the whole."""

from __future__ import annotations

import io
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from rich.console import Console

import madminer_workflow
from madminer_workflow import graph
from madminer_workflow.cli import main
from madminer_workflow.engines.executors import local as processes
from madminer_workflow.engines.order import Order
from madminer_workflow.engines.run import run_workflow
from madminer_workflow.errors import InputError
from tests.support.chain import observed_events
from tests.support.paths import DATA, REPOSITORY
from tests.support.stand_in import METHODS, install, yadage_with

ROOT = REPOSITORY
STEPS = {
    name: step
    for part in ("physics", "ml")
    for name, step in yaml.safe_load((ROOT / f"steps/{part}.yml").read_text()).items()
}
BLANK = ("settings", "observed", "tracking_uri")

PHYSICS = {
    "physics/configure": sorted(graph.STEPS["configure"].products.values()),
    "physics/combine": ["closure.json", "combined_delphes.h5", "cutflow.json"],
}
ML = {"ml/plotting": ["plots", "report.html", "results.json"]} | {
    f"ml/method_{k}/evaluating": ["Results.tar.gz"] for k in range(len(METHODS))
}


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with a stand-in for ``madminer-workflow``, which the engine then uses."""
    path = install(tmp_path / "bin")
    original = processes.environment
    monkeypatch.setattr(processes, "environment", lambda: original() | {"PATH": path})
    return tmp_path / "bin"


def run(workdir: Path, **arguments) -> int:
    """The number of steps that really ran."""
    console = Console(file=io.StringIO())
    analysis = ROOT / "inputs" / "wbf"
    return run_workflow(Order(analysis, workdir, workers=2, **arguments), console)


def published(workdir: Path, folders: dict[str, list[str]]) -> dict[str, list[str]]:
    return {
        folder: sorted(p.name for p in (workdir / folder).iterdir() if p.name != "_packtivity")
        for folder in folders
    }


def test_the_whole_and_its_parts_publish_the_same(stand_in: Path, tmp_path: Path):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    run(whole, njobs=3, ntrainsamples=2)
    run(parts, njobs=3, part="physics")
    assert not (parts / "ml").exists()
    run(parts, ntrainsamples=2, part="ml")
    for workdir in (whole, parts):
        assert published(workdir, PHYSICS | ML) == PHYSICS | ML
        assert len(list(workdir.glob("physics/pythia_*/Events.tar.gz"))) == 3
        assert len(list(workdir.glob("physics/delphes_*/delphes_data.h5"))) == 3
        assert len(list(workdir.glob("ml/method_*/training_*/Model.tar.gz"))) == 6
    assert (whole / "ml/plotting/results.json").read_text() == (
        parts / "ml/plotting/results.json"
    ).read_text()


@pytest.fixture
def toys(stand_in: Path) -> int:
    """The analysis asks for toys, in so many jobs for each method."""
    njobs = 12
    (stand_in / "toys").write_text(str(njobs))
    return njobs


def test_toys_go_where_they_belong(stand_in: Path, toys: int, tmp_path: Path):
    workdir = tmp_path / "workdir"
    run(workdir, njobs=1, ntrainsamples=2)
    made = set()
    for k, method in enumerate(METHODS):
        for i in range(toys):
            folder = workdir / f"ml/method_{k}/toys_{i}"
            command = (folder / f"_packtivity/toys_{i}.run.log").read_text().splitlines()[0]
            assert f"methods/{method}/toys_{i}.json" in command
            assert f"methods/{method}/evaluation.json" in command
            for member in (0, 1):
                assert f"ml/method_{k}/training_{member}/Model.tar.gz" in command
            made.add(str(folder / "Toys.npz"))
    log = (workdir / "ml/plotting/_packtivity/plotting.run.log").read_text()
    [option] = re.findall(r"--toys '(.*?)'", log)
    assert set(option.split()) == made and len(option.split()) == toys * len(METHODS)


def test_fewer_jobs_of_toys(stand_in: Path, toys: int, tmp_path: Path):
    run(tmp_path / "workdir", njobs=1, ntrainsamples=1)
    (stand_in / "toys").write_text("0")
    # Nothing says that the program has changed: another number of members does.
    run(tmp_path / "workdir", njobs=1, ntrainsamples=2)
    assert published(tmp_path / "workdir", PHYSICS | ML) == PHYSICS | ML
    assert not list(tmp_path.glob("workdir/ml/method_*/toys_*"))


@pytest.fixture
def observed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of observed events in the current directory."""
    monkeypatch.chdir(tmp_path)
    return observed_events(tmp_path / "events.h5", ROOT / "inputs/wbf/input.yml")


@pytest.mark.slow
def test_observed_data_count_by_content(stand_in: Path, toys: int, observed: Path, tmp_path: Path):
    def again(value: str) -> int:
        return run(tmp_path / "workdir", njobs=1, ntrainsamples=1, observed=value)

    again(" ")
    users = len(METHODS) + 1
    assert again("events.h5") == users
    assert again(str(observed)) == 0
    shutil.copy(observed, "renamed.h5")
    assert again("renamed.h5") == 0
    observed_events(observed, ROOT / "inputs/wbf/input.yml", n=4)
    assert again("events.h5") == users
    assert again("sm") == users
    assert again("CWL2=0.2,CPWL2=0") == users
    assert again("") == users
    assert again(" ") == 0


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"observed": "none.h5"}, "none.h5: no such file"),
        ({"observed": "smm"}, "no benchmark smm.*did you mean sm?"),
        ({"observed": "CWL2=0.2"}, "expected finite values for CWL2, CPWL2"),
        ({"observed": "my events.h5"}, "choose a path without spaces"),
        ({"observed": "sm", "part": "physics"}, "does not use observed data"),
    ],
)
def test_wrong_observed_data_stop_it_before_it_starts(
    stand_in: Path, observed: Path, tmp_path: Path, arguments: dict[str, str], problem: str
):
    observed.rename("my events.h5")
    with pytest.raises(InputError, match=problem):
        run(tmp_path / "workdir", **arguments)
    assert not (tmp_path / "workdir").exists()


def test_learning_from_a_file_elsewhere(stand_in: Path, tmp_path: Path):
    data = tmp_path / "events.h5"
    data.write_text("events")
    run(tmp_path / "workdir", ntrainsamples=1, part="ml", data=data)
    assert published(tmp_path / "workdir", ML) == ML


def test_one_job_and_one_member(stand_in: Path, tmp_path: Path):
    run(tmp_path / "workdir", njobs=1, ntrainsamples=1)
    assert published(tmp_path / "workdir", PHYSICS | ML) == PHYSICS | ML


def test_more_members_train_only_the_new_ones(stand_in: Path, tmp_path: Path):
    run(tmp_path / "workdir", njobs=2, ntrainsamples=1)
    assert run(tmp_path / "workdir", njobs=2, ntrainsamples=1) == 0
    # sampling, and for each method one member and the evaluation, and the plots.
    assert run(tmp_path / "workdir", njobs=2, ntrainsamples=2) == 1 + 2 * len(METHODS) + 1


def test_jobs_and_members_keep_their_numbers(stand_in: Path, tmp_path: Path):
    run(tmp_path / "workdir", njobs=12, ntrainsamples=11)
    for k in (2, 10, 11):
        log = tmp_path / f"workdir/physics/pythia_{k}/_packtivity/pythia_{k}.run.log"
        assert f"job_{k:04d}.json" in log.read_text()
    for k, method in enumerate(METHODS):
        log = tmp_path / f"workdir/ml/method_{k}/training_10/_packtivity/training_10.run.log"
        assert f"Samples_{method}_10.npz" in log.read_text()


def test_plain_yadage_with_the_plug_in(tmp_path: Path):
    (tmp_path / "letters").write_text("a b")
    (tmp_path / "suffix").write_text("end")
    subprocess.run(
        [
            *(sys.executable, "-m", "yadage.steering", "workdir", "workflow.yml"),
            *("--toplevel", str(DATA / "toy_workflow"), "-d", f"initdir={tmp_path}"),
            *("-p", "letters=letters", "-p", "suffix=suffix", "-p", "delay=0"),
            *("--plugins", "madminer_workflow.engines.local", "-b", "multiproc:2"),
        ],
        cwd=tmp_path,
        check=True,
        capture_output=True,
    )
    assert (tmp_path / "workdir/part/join/joined.txt").read_text() == "a\na\nb\nb\nend"


@pytest.mark.parametrize(
    ("workflow", "toplevel", "folders"),
    [("workflow.yml", ".", PHYSICS | ML), ("physics.yml", "workflows", PHYSICS)],
)
def test_parameters_that_are_not_given_have_their_defaults(
    stand_in: Path, tmp_path: Path, workflow: str, toplevel: str, folders: dict[str, list[str]]
):
    """The one line that README promises, with nothing but the workflow files and the plug-in."""
    line = "workflow.yml -p njobs=6 --plugins madminer_workflow.engines.local"
    assert f"yadage-run workdir {line}" in (ROOT / "README.md").read_text()
    words = shlex.split(line.replace("workflow.yml", workflow).replace("njobs=6", "njobs=2"))
    path = f"{stand_in}{os.pathsep}{os.environ['PATH']}"
    workdir = tmp_path / "workdir"
    command = [
        sys.executable,
        "-c",
        yadage_with(path),
        str(workdir),
        *words,
        "--toplevel",
        toplevel,
    ]
    finished = subprocess.run(
        [*command, "-b", "foregroundasync"], cwd=ROOT, capture_output=True, text=True
    )
    assert finished.returncode == 0, finished.stderr[-4000:]
    assert published(workdir, folders) == folders
    log = (workdir / "physics/configure/_packtivity/configure.run.log").read_text()
    assert "--input 'inputs/wbf/input.yml' " in log
    assert len(list(workdir.glob("physics/pythia_*"))) == 2


def test_plain_yadage_shows_why_a_step_failed(tmp_path: Path):
    (tmp_path / "letters").write_text("bad")
    (tmp_path / "suffix").write_text("end")
    finished = subprocess.run(
        [
            *(sys.executable, "-m", "yadage.steering", "workdir", "workflow.yml"),
            *("--toplevel", str(DATA / "toy_workflow"), "-d", f"initdir={tmp_path}"),
            *("-p", "letters=letters", "-p", "suffix=suffix", "-p", "delay=0"),
            *("--plugins", "madminer_workflow.engines.local", "-b", "foregroundasync"),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert finished.returncode == 1
    assert "step double_0 failed with exit code 1" in finished.stderr


@pytest.mark.parametrize("name", STEPS)
def test_a_step_is_one_command_line_with_known_options(name: str):
    command = STEPS[name]["process"]["cmd"]
    assert command.startswith(f"madminer-workflow {name} ")
    # Parameters are words of the shell already, in quotes: more of these would let them out.
    assert not set(command) & set(';|&$`\n"') and command.count("'") == 2 * ("'{toys}'" in command)
    assert f"{command} ".count(" --tracking-uri {tracking_uri} ") == 1
    shown = CliRunner().invoke(main, [name, "--help"]).output
    for option in re.findall(r"--[\w-]+", command):
        assert re.search(rf"{option}\b", shown), f"{name} has no option {option}"


@pytest.mark.parametrize("name", STEPS)
def test_a_step_names_its_image(name: str):
    environment = STEPS[name]["environment"]
    assert environment["environment_type"] == "docker-encapsulated"
    assert environment["imagetag"] == madminer_workflow.__version__


@pytest.mark.parametrize(
    ("file", "toplevel"),
    [("workflow.yml", "."), ("physics.yml", "workflows"), ("ml.yml", "workflows")],
)
def test_workflow_files_pass_the_schema(file: str, toplevel: str):
    import yadageschemas
    from yadage.workflow_loader import workflow

    workflow(file, toplevel=str(ROOT / toplevel), schemadir=yadageschemas.schemadir)


def test_default_parameters_name_the_reference_analysis():
    parameters = yaml.safe_load((ROOT / "inputs/parameters.yml").read_text())
    assert parameters.keys() == {"inputfile", "njobs", "ntrainsamples", *BLANK}
    assert {parameters[name] for name in BLANK} == {" "}
    assert (ROOT / parameters["inputfile"]).is_file()
