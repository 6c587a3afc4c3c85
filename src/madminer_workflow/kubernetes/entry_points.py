"""The two MLflow projects, made from the table of steps.

``MLproject`` runs here. ``mlflow/MLproject`` names an image, with which MLflow runs projects in
containers only, and has the paths of a Job: it is that of Kubernetes.

python -m madminer_workflow.kubernetes.entry_points > MLproject
python -m madminer_workflow.kubernetes.entry_points kubernetes > mlflow/MLproject
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping

from madminer_workflow.engines.order import NJOBS, NTRAINSAMPLES
from madminer_workflow.graph import ALL, SELECTORS, STEPS, Step
from madminer_workflow.kubernetes.project import environment

HERE = """\
# The project for `mlflow run . -e STEP -P NAME=VALUE --env-manager local` (docs/kubernetes.md),
# made by `make docs`: an entry point for each step; main, the whole workflow; sweep, a search over
# settings. Paths are relative to the repository. nan leaves a setting as the analysis file has it.
# Steps that are done once for every job, method or member of an ensemble do all of them, or the
# one that is named.
name: madminer-workflow

entry_points:
"""
ON_KUBERNETES = """\
# The project for `mlflow run mlflow -e STEP -P NAME=VALUE --backend kubernetes --backend-config
# mlflow/kubernetes_config.json` (docs/kubernetes.md), made by `make docs`: an entry point for each
# step; main, the whole workflow in one Job. Put your registry in place of localhost:5000, here and
# in that file. Paths are those of the Job: the analysis of the ConfigMap, and the volume. Otherwise
# it is the project in ../MLproject.
name: madminer-workflow

docker_env:
  image: {image}

entry_points:
"""
REGISTRY = "localhost:5000"
IN_A_JOB = {"inputs/wbf": "/analysis", "runs/wbf": "/data/wbf"}
"""Where a Job has what is in the repository here."""
Parameters = Mapping[str, tuple[str, object, str]]

PARAMETERS: Parameters = {
    "analysis": ("string", "inputs/wbf", "-- {analysis}"),
    "workdir": ("string", "runs/wbf", "--workdir {workdir}"),
    "njobs": ("float", NJOBS, "--njobs {njobs}"),
    "ntrainsamples": ("float", NTRAINSAMPLES, "--ntrainsamples {ntrainsamples}"),
    **{name: ("string", ALL, f"--{name} {{{name}}}") for name in SELECTORS.values()},
    "settings": ("string", "''", "--set {settings}"),
    "observed": ("string", "''", "--observed {observed}"),
}
"""Type and default of every parameter, and how the command line says it."""
ENGINE = ("string", "local", "--on {engine}")
"""The same for where the steps of the whole run. Without quotes, YAML takes `on` for true."""
HYPERPARAMETERS: Parameters = {
    "alpha": ("float", "nan", "--set training.alpha={alpha}"),
    "epochs": ("float", "nan", "--set training.n_epochs={epochs}"),
    "batch_size": ("float", "nan", "--set training.batch_size={batch_size}"),
    "learning_rate": ("float", "nan", "--set training.initial_lr={learning_rate}"),
    # Units in each hidden layer: 100,100.
    "n_hidden": ("string", "nan", "--set 'network.n_hidden=['{n_hidden}']'"),
}
"""The same for those that a training has besides, and the whole for all trainings."""
SWEEP = {
    "sweep": ("string", "inputs/wbf/sweep.yml", "-- {sweep}"),
    "data": ("string", "runs/wbf/physics/combine/combined_delphes.h5", "--data {data}"),
    "workdir": ("string", "runs/wbf-sweep", "--workdir {workdir}"),
}


def project() -> str:
    """The text of the project that runs here."""
    return HERE + "\n".join([*_steps(), _entry_point("sweep", "sweep", SWEEP)])


def kubernetes_project() -> str:
    """The text of the project that runs on Kubernetes."""
    # The image of the learning steps does all of them, with the built-in generator.
    head = ON_KUBERNETES.format(image=f"{REGISTRY}/{environment('training').image}")
    text = "\n".join(_steps())
    for here, there in IN_A_JOB.items():
        text = text.replace(f"default: {here}}}", f"default: {there}}}")
    return head + text


def _steps() -> Iterator[str]:
    """The entry points of the whole and of every step."""
    main = {name: p for name, p in PARAMETERS.items() if name not in SELECTORS.values()}
    yield _entry_point("main", "run", {**main, "engine": ENGINE, **HYPERPARAMETERS})
    for step in STEPS.values():
        own = dict(_parameters(step))
        if "analysis" in own:
            own["analysis"] = ("string", "inputs/wbf", "--analysis {analysis}")
        yield _entry_point(step.name, f"step {step.name}", own)


def _parameters(step: Step) -> Iterator[tuple[str, tuple[str, object, str]]]:
    """The parameters of a step, in the order of the command line."""
    names = {"inputfile": "analysis"}
    wanted = {"workdir", *(names.get(name, name) for name in step.parameters)}
    wanted |= {SELECTORS[index] for index in step.each}
    yield from ((name, PARAMETERS[name]) for name in PARAMETERS if name in wanted)
    if step.epochs:
        yield from HYPERPARAMETERS.items()


def _entry_point(name: str, command: str, parameters: Parameters) -> str:
    lines = [f"  {name}:", "    parameters:"]
    lines += [f"      {n}: {{type: {t}, default: {d}}}" for n, (t, d, _) in parameters.items()]
    # What has no option in front comes last, after the sign that no option follows.
    last = sorted(
        (word for *_, word in parameters.values()), key=lambda word: word.startswith("-- ")
    )
    words = [f"madminer-workflow {command}", *last]
    lines += ["    command: >-", *_folded(words)]
    return "\n".join([*lines, ""])


def _folded(words: list[str], width: int = 90) -> Iterator[str]:
    """Words in lines that are not too long."""
    line = "     "
    for word in words:
        if len(line) + len(word) > width:
            yield line
            line = "     "
        line += f" {word}"
    yield line


if __name__ == "__main__":
    print(kubernetes_project() if "kubernetes" in sys.argv else project(), end="")
