"""The workflow files: valid, wired as documented, the same products alone and in the whole."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from rich.console import Console

import madminer_workflow
from madminer_workflow.cli import main
from madminer_workflow.engines import commands
from madminer_workflow.engines.run import run_workflow

ROOT = Path(__file__).parents[1]
DATA = Path(__file__).parent / "data"
STEPS = {
    name: step
    for part in ("physics", "ml")
    for name, step in yaml.safe_load((ROOT / f"steps/{part}.yml").read_text()).items()
}
OPTIONS = sorted(set(re.findall(r"--([\w-]+)", str(STEPS))))
METHODS = ["alices", "histogram", "sally"]

PHYSICS = {
    "physics/configure": [
        "Models.tar.gz",
        "analysis.json",
        "config.h5",
        "generation.json",
        "reconstruction.json",
    ],
    "physics/combine": ["closure.json", "combined_delphes.h5", "cutflow.json"],
}
ML = {"ml/plotting": ["plots", "report.html", "results.json"]} | {
    f"ml/method_{k}/evaluating": ["Results.tar.gz"] for k in range(len(METHODS))
}

# Publishes what every step promises; the content is a checksum of what the step reads.
STAND_IN = f"""#!{sys.executable}
import argparse, hashlib, sys
from pathlib import Path

step = sys.argv[1]
parser = argparse.ArgumentParser()
for option in {OPTIONS!r}:
    parser.add_argument("--" + option)
parser.add_argument("files", nargs="*")
arguments = vars(parser.parse_args(sys.argv[2:]))
output = Path(arguments.pop("output"))
files = arguments.pop("files")
for option in ("tracking_uri", "set"):
    arguments.pop(option)
numbers = {{name: int(arguments.pop(name) or 0) for name in ("njobs", "ntrainsamples")}}
inputs = [Path(file).read_bytes() for file in [*filter(None, arguments.values()), *files]]
content = hashlib.sha256(b"".join(inputs)).hexdigest()
products = {{
    "configure": {PHYSICS["physics/configure"]!r},
    "generate": ["Processes.tar.gz"]
    + [f"jobs/job_{{i:04d}}.json" for i in range(numbers["njobs"])],
    "pythia": ["Events.tar.gz"],
    "delphes": ["delphes_data.h5"],
    "combine": ["combined_delphes.h5", "cutflow.json", "closure.json"],
    "sampling": ["analysis.json"]
    + [f"methods/{{m}}/evaluation.json" for m in {METHODS!r}]
    + [f"methods/{{m}}/Samples_{{m}}_{{i}}.npz"
       for m in {METHODS!r} for i in range(numbers["ntrainsamples"])],
    "training": ["Model.tar.gz"],
    "evaluating": ["Results.tar.gz"],
    "plotting": ["report.html", "results.json", "plots/limits.pdf"],
}}
for name in products[step]:
    (output / name).parent.mkdir(parents=True, exist_ok=True)
    # A sample depends on its own settings only, so that other methods' settings do not show.
    own = name if "Samples" in name else f"{{name}} {{content}}"
    (output / name).write_text(f"{{step}} {{own}}\\n")
"""


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with a stand-in for ``madminer-workflow``, which the engine then uses."""
    directory = tmp_path / "bin"
    directory.mkdir()
    (directory / "madminer-workflow").write_text(STAND_IN)
    (directory / "madminer-workflow").chmod(0o755)
    original = commands.environment
    path = f"{directory}{os.pathsep}{os.environ['PATH']}"
    monkeypatch.setattr(commands, "environment", lambda: original() | {"PATH": path})
    return directory


def run(workdir: Path, **arguments) -> int:
    """The number of steps that really ran."""
    console = Console(file=io.StringIO())
    analysis = ROOT / "inputs" / "wbf"
    return run_workflow(analysis, workdir, workers=2, console=console, **arguments).ran


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
    assert not set(command) & set(";|&$`\n")
    assert (
        command.endswith("--tracking-uri '{tracking_uri}'")
        or " --tracking-uri '{tracking_uri}' {" in command
    )
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
    assert sorted(parameters) == ["inputfile", "njobs", "ntrainsamples", "settings", "tracking_uri"]
    assert parameters["settings"] == parameters["tracking_uri"] == " "
    assert (ROOT / parameters["inputfile"]).is_file()
