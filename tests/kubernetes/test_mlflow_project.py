"""The MLflow project: its entry points, here and as Kubernetes gets them; real local runs."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.projects.kubernetes import _get_run_command
from mlflow.projects.utils import load_project

from madminer_workflow.cli import main
from madminer_workflow.engines.folder import UNCHANGED
from madminer_workflow.graph import STEPS
from tests.support.paths import DATA, REPOSITORY

PROJECT = load_project(str(REPOSITORY))
ON_KUBERNETES = load_project(str(REPOSITORY / "mlflow"))
HYPERPARAMETERS = {
    "alpha": "training.alpha",
    "epochs": "training.n_epochs",
    "batch_size": "training.batch_size",
    "learning_rate": "training.initial_lr",
}


def command(entry: str, **parameters: str) -> str:
    """The line that MLflow runs."""
    return PROJECT.get_entry_point(entry).compute_command(parameters, None)


def on_kubernetes(line: str) -> list[str]:
    """The words that a container gets: there is no shell, so quotes stay."""
    return _get_run_command([line])


def parsed(words: list[str]) -> dict:
    """What our command line understands."""
    program, name, *arguments = words
    assert program == "madminer-workflow"
    return main.commands[name].make_context(name, arguments).params


@pytest.mark.parametrize("entry", STEPS)
@pytest.mark.parametrize("split", [shlex.split, on_kubernetes])
def test_every_step_is_an_entry_point(entry: str, split):
    given = parsed(split(command(entry)))
    assert given["name"] == entry and given["workdir"] == "runs/wbf"
    assert all(not change or change.endswith(UNCHANGED) for change in given["changes"])


@pytest.mark.parametrize("split", [shlex.split, on_kubernetes])
def test_the_whole_is_an_entry_point(split):
    given = parsed(split(command("main", njobs="3")))
    assert given["analysis"] == Path("inputs/wbf") and given["njobs"] == 3
    assert given["observed"] == "" and given["workdir"] == Path("runs/wbf")
    assert all(not change or change.endswith(UNCHANGED) for change in given["changes"])
    given = parsed(split(command("main", alpha="0.5", workdir="a folder", settings="a.b=1 c.d=2")))
    assert "training.alpha=0.5" in given["changes"] and "a.b=1 c.d=2" in given["changes"]
    assert given["workdir"] == Path("a folder")


@pytest.mark.parametrize("entry", ["main", *STEPS])
def test_on_kubernetes_the_paths_are_those_of_a_job(entry: str):
    assert ON_KUBERNETES.docker_env["image"].startswith("localhost:5000/madminer-workflow/")
    point = ON_KUBERNETES.get_entry_point(entry)
    given = parsed(on_kubernetes(point.compute_command({}, None)))
    here = parsed(shlex.split(command(entry)))
    places = {"analysis": "/analysis", "workdir": "/data/wbf"}
    for name in point.parameters.keys() & places.keys():
        assert str(given.pop(name)) == places[name]
        del here[name]
    assert given == here


def test_a_sweep_is_an_entry_point():
    given = parsed(shlex.split(command("sweep", data="README.md")))
    assert given["file"] == Path("inputs/wbf/sweep.yml")
    assert given["workdir"] == Path("runs/wbf-sweep")


@pytest.mark.parametrize("split", [shlex.split, on_kubernetes])
def test_hyperparameters(split):
    values = {name: f"1{i}" for i, name in enumerate(HYPERPARAMETERS)}
    given = parsed(split(command("training", n_hidden="100,50", method="sally", **values)))
    wanted = [f"{HYPERPARAMETERS[name]}={value}" for name, value in values.items()]
    assert given["changes"] == (*wanted, "network.n_hidden=[100,50]")
    assert given["method"] == "sally"


@pytest.mark.parametrize("split", [shlex.split, on_kubernetes])
def test_blanks_survive(split):
    settings = "sally.training.n_epochs=3 ratio.training.alpha=0.5"
    given = parsed(split(command("sampling", settings=settings, workdir="a folder")))
    assert given["changes"] == (settings,) and given["workdir"] == "a folder"


@pytest.mark.parametrize("split", [shlex.split, on_kubernetes])
@pytest.mark.parametrize("entry", ["evaluating", "plotting"])
@pytest.mark.parametrize("observed", ["", "CWL2=0.2,CPWL2=0", "a folder/events.h5"])
def test_observed_data(entry: str, observed: str, split):
    assert parsed(split(command(entry, observed=observed)))["observed"] == observed


def mlflow_run(entry: str, uri: str, *parameters: str) -> None:
    """What a user types."""
    finished = subprocess.run(
        [
            *(sys.executable, "-m", "mlflow", "run", ".", "--env-manager", "local"),
            *("--entry-point", entry, "--experiment-name", "project", "--run-name", entry),
            *(word for pair in parameters for word in ("--param-list", pair)),
        ],
        cwd=REPOSITORY,
        env=os.environ
        | {
            "MLFLOW_TRACKING_URI": uri,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        },
        capture_output=True,
        text=True,
    )
    assert finished.returncode == 0, finished.stderr


def runs(uri: str, **attributes: str) -> list[Run]:
    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name("project")
    chosen = " and ".join(f"{name} = '{value}'" for name, value in attributes.items())
    return client.search_runs([experiment.experiment_id], chosen)


@pytest.mark.slow
def test_the_whole_and_a_training_with_another_alpha(tmp_path: Path):
    workdir = tmp_path / "run"
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    client = MlflowClient(uri)
    client.create_experiment("project", (tmp_path / "artifacts").as_uri())
    mlflow_run("main", uri, f"analysis={DATA / 'tiny'}", f"workdir={workdir}", "njobs=2")
    [whole] = runs(uri, run_name="main")
    assert whole.info.status == "FINISHED"
    inner = client.search_runs(
        [whole.info.experiment_id], f"tags.`mlflow.parentRunId` = '{whole.info.run_id}'"
    )
    names = {run.info.run_name for run in inner}
    assert names == {
        *("configure", "generate", "pythia_0", "pythia_1", "delphes_0", "delphes_1", "combine"),
        *("sampling", "counts", "sally", "ratio", "plotting"),
    }
    assert whole.data.metrics["expected_events"] > 0

    model = workdir / "ml/method_1/training_0/Model.tar.gz"
    before = model.read_bytes()
    parameters = ("method=ratio", "alpha=0.5", "epochs=3", "batch_size=32", "n_hidden=6,6")
    mlflow_run("training", uri, f"workdir={workdir}", *parameters)
    [training] = runs(uri, run_name="training")
    assert training.info.status == "FINISHED"
    assert training.data.params["training.alpha"] == training.data.params["alpha"] == "0.5"
    assert training.data.params["training.n_epochs"] == "3"
    assert training.data.params["network.n_hidden"] == "[6, 6]"
    steps = [point.step for point in client.get_metric_history(training.info.run_id, "loss_train")]
    assert sorted(steps) == [1, 2, 3]
    assert model.read_bytes() != before
