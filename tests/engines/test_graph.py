"""The table of steps is what yadage makes of the workflow files; what a new step needs besides."""

from __future__ import annotations

import io
import json
import re
import shlex
import shutil
import sys
import types
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from rich.console import Console

from madminer_workflow import graph
from madminer_workflow.cli.steps import StepCommand
from madminer_workflow.engines.executors import local as processes
from madminer_workflow.engines.folder import commands
from madminer_workflow.engines.order import NJOBS, NTRAINSAMPLES, Order
from madminer_workflow.engines.run import run_yadage
from madminer_workflow.graph import STEPS, Option, Step
from madminer_workflow.kubernetes import entry_points
from tests.support.paths import REPOSITORY
from tests.support.stand_in import METHODS, install

FILES = {
    name: step
    for part in ("physics", "ml")
    for name, step in yaml.safe_load((REPOSITORY / f"steps/{part}.yml").read_text()).items()
}
PARAMETERS = yaml.safe_load((REPOSITORY / "inputs/parameters.yml").read_text())
TIMES = {"job": 3, "method": len(METHODS), "member": 2, "toys": 2}


def run(root: Path, directory: Path, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The jobs of the whole workflow in ``root`` with a stand-in, in ``directory/workdir``."""
    path = install(directory / "bin")
    (directory / "bin" / "toys").write_text(str(TIMES["toys"]))
    original = processes.environment
    monkeypatch.setattr(processes, "environment", lambda: original() | {"PATH": path})
    parameters = {
        "inputfile": str(root / PARAMETERS["inputfile"]),
        "njobs": TIMES["job"],
        "ntrainsamples": TIMES["member"],
    }
    console = Console(file=io.StringIO())
    return run_yadage("workflow.yml", root, parameters, directory / "workdir", 2, False, console)


@pytest.fixture(scope="module")
def workdir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What yadage makes of the workflow files."""
    directory = tmp_path_factory.mktemp("graph")
    with pytest.MonkeyPatch.context() as patch:
        run(REPOSITORY, directory, patch)
    return directory / "workdir"


def as_run(output: Path) -> list[str]:
    """The words of the command in the log of a step, as ``folder.commands`` orders them."""
    [log] = (output / "_packtivity").glob("*.run.log")
    _, _, name, *words = shlex.split(log.read_text().splitlines()[0])
    step, found = STEPS[name], []
    while words and words[0].startswith("--"):
        option, value, *words = words
        several = [o for o in step.options if o.word == option and graph.is_list(step, o)]
        for each in value.split() if several else [value]:
            found += [option, each] if each.strip() and option != "--tracking-uri" else []
    return sorted([name, *found, *words])


@pytest.mark.parametrize("name", STEPS)
def test_the_workflow_files_do_what_the_table_says(workdir: Path, name: str):
    order = Order(REPOSITORY / "inputs/wbf", workdir, TIMES["job"], TIMES["member"])
    lines = commands(name, order)
    wanted = 1
    for index in STEPS[name].each:
        wanted *= TIMES[index]
    assert len(lines) == wanted
    for line in lines:
        assert as_run(Path(line[line.index("--output") + 1])) == sorted(line)


def test_there_is_no_other_folder(workdir: Path):
    found = {path.parent for path in workdir.rglob("_packtivity")}
    order = Order(REPOSITORY / "inputs/wbf", workdir)
    lines = [line for name in STEPS for line in commands(name, order)]
    assert found == {Path(line[line.index("--output") + 1]) for line in lines}


@pytest.mark.parametrize("name", STEPS)
def test_what_is_published(name: str):
    publisher = FILES[name]["publisher"]
    if publisher["publisher_type"] == "interpolated-pub":
        published = {k: v.removeprefix("{workdir}/") for k, v in publisher["publish"].items()}
        assert published == STEPS[name].products
        return
    published = dict(re.findall(r'(\w+): "([^"]+)"', publisher["script"]))
    assert published.keys() == STEPS[name].products.keys()
    for key, file in STEPS[name].products.items():
        assert Path(file.format(method="m", member=0, job=0, toys=0)).match(published[key])


def test_the_defaults():
    assert PARAMETERS["njobs"] == NJOBS and PARAMETERS["ntrainsamples"] == NTRAINSAMPLES
    used = {name for step in STEPS.values() for name in step.parameters}
    assert PARAMETERS.keys() == used | {"tracking_uri"}


def test_names_are_those_of_no_other(workdir: Path):
    order = Order(REPOSITORY / "inputs/wbf", workdir)
    names = [graph.title(STEPS[n], words) for n in STEPS for words in commands(n, order)]
    assert len(names) == len(set(names)) and None not in names
    assert {"pythia_2", "training_alices_0", "evaluating_sally", "toys_histogram_1"} <= {*names}


def test_the_mlflow_project_is_made_from_the_table():
    assert (REPOSITORY / "MLproject").read_text() == entry_points.project()


def test_so_is_that_of_kubernetes(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(REPOSITORY)
    text = (REPOSITORY / "mlflow/MLproject").read_text()
    assert text == entry_points.kubernetes_project()
    config = json.loads((REPOSITORY / "mlflow/kubernetes_config.json").read_text())
    assert config["repository-uri"].startswith(entry_points.REGISTRY)


# A step like the one that CONTRIBUTING.md adds, for every method.
COUNTING = Step(
    "counting",
    "ml",
    """Count the events of one method's tests.

    Writes counts.json.
    """,
    [
        Option("evaluation", "sampling.evaluations", "`evaluation.json` from sampling."),
        Option("data", "combine.data", "MadMiner data file `combined_delphes.h5`."),
    ],
    {"counts": "counts.json"},
    each=["method"],
)
ENTRY = """
counting:
  process:
    process_type: string-interpolated-cmd
    cmd: >-
      madminer-workflow counting --evaluation {evaluation} --data {data}
      --output {output} --tracking-uri {tracking_uri}
  publisher:
    publisher_type: interpolated-pub
    publish:
      counts: '{workdir}/counts.json'
  environment:
    environment_type: docker-encapsulated
    image: madminer-workflow/madminer-ml
    imagetag: 1.0.0.dev0
    resources: [{$ref: 'resources.yml#/small'}]
"""
STAGE = """
  - name: counting
    dependencies: [init]
    scheduler:
      scheduler_type: singlestep-stage
      parameters:
        evaluation: {step: init, output: evaluation}
        data: {step: init, output: data}
        tracking_uri: {step: init, output: tracking_uri}
        output: '{workdir}'
      step: {$ref: ../steps/ml.yml#/counting}
"""


def test_a_new_step_touches_the_table_its_module_and_the_workflow_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(STEPS, "counting", COUNTING)
    root = tmp_path / "repository"
    root.mkdir()
    for name in ("workflow.yml", "workflows", "steps", "inputs"):
        copy = shutil.copytree if (REPOSITORY / name).is_dir() else shutil.copy
        copy(REPOSITORY / name, root / name)
    for file, text in (("steps/ml.yml", ENTRY), ("workflows/method.yml", STAGE)):
        (root / file).write_text((root / file).read_text() + text)
    jobs = run(root, tmp_path, monkeypatch)
    assert sum(job.stage == "counting" for job in jobs) == len(METHODS)
    order = Order(REPOSITORY / "inputs/wbf", tmp_path / "workdir")
    for line in commands("counting", order):
        assert as_run(Path(line[line.index("--output") + 1])) == sorted(line)

    done = []
    module = types.SimpleNamespace(counting=lambda **arguments: done.append(arguments))
    monkeypatch.setitem(sys.modules, COUNTING.module, module)
    [first, *_] = commands("counting", order)
    finished = CliRunner().invoke(StepCommand(COUNTING), first[1:])
    assert finished.exit_code == 0, finished.output
    [arguments] = done
    assert arguments.keys() == {"evaluation", "data", "output"}
    assert "step counting --workdir {workdir} --method {method}" in entry_points.project()
