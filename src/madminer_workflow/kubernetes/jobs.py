"""Steps as Jobs: MLflow submits each of them and waits for it; the log joins its run."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import docker
from mlflow import MlflowClient

from madminer_workflow import graph
from madminer_workflow.analysis.file import read_analysis
from madminer_workflow.engines.order import Order
from madminer_workflow.errors import InputError, StepError
from madminer_workflow.kubernetes import cluster
from madminer_workflow.kubernetes.project import (
    LABEL,
    entry_point,
    environment,
    image_in,
    write_project,
)
from madminer_workflow.tracking.server import EXPERIMENT, probe
from madminer_workflow.tracking.uri import password, shown

Parameters = Mapping[str, str | int]
MOUNTED = "/analysis"
"""Where a Job sees the analysis of the ConfigMap."""


@dataclass(frozen=True)
class Submission:
    """How steps are submitted: the work directory is on the volume, ``parameters`` of MLproject.

    Images are taken from ``registry`` as they are, or with ``build`` get the project on top.
    """

    order: Order
    registry: str
    parameters: Parameters = field(default_factory=dict)
    build: bool = False
    parallel: int = 1


@dataclass(frozen=True)
class Job:
    """One Job: ``name`` is that of its run."""

    step: str
    name: str
    parameters: Parameters = field(default_factory=dict)


def stages(order: Order) -> Iterator[list[Job]]:
    """The Jobs of the whole workflow; those of one stage do not depend on each other."""
    ml = read_analysis(order.analysis / "input.yml", cards=False, changes=order.changes).ml
    methods = {method.name: method for method in ml.methods}

    def values(index: str, given: graph.Key) -> Sequence[str | int]:
        if index == "method":
            return list(methods)
        if index == "member":
            return range(methods[str(given["method"])].members(order.ntrainsamples))
        return range({"job": order.njobs, "toys": ml.limits.toys.jobs}[index])

    for steps in graph.groups():
        yield [
            Job(step.name, step.title(key), {graph.SELECTORS[i]: key[i] for i in step.each})
            for step in steps
            for key in graph.keys(step.each, values)
        ]


def run_step(step: str, submission: Submission) -> None:
    """Run one step as one Job; StepError if it fails."""
    _check(submission, [step])
    submit(Job(step, step), submission)


def run_all(submission: Submission) -> None:
    """Run all steps, ``parallel`` Jobs at a time, in runs nested in one; StepError if one fails."""
    _check(submission, graph.STEPS)
    client = MlflowClient()
    parent = client.create_run(
        _experiment(client), run_name=submission.order.workdir.name
    ).info.run_id
    status = "FAILED"
    try:
        with ThreadPoolExecutor(submission.parallel) as pool:
            for stage in stages(submission.order):
                list(pool.map(lambda job: submit(job, submission, parent), stage))
        status = "FINISHED"
    finally:
        client.set_terminated(parent, status)


def submit(job: Job, submission: Submission, parent: str | None = None) -> None:
    """Have MLflow run one Job and wait for it, and keep its log; StepError if it failed."""
    label = f"{job.step}-{uuid.uuid4().hex}"
    analysis = None if "analysis" in submission.parameters else submission.order.analysis
    project = write_project(job.step, analysis, submission.registry, label)
    if not submission.build:
        check_image(image_in(submission.registry, environment(job.step).image))
    command = [
        *(sys.executable, "-m", "mlflow", "run", str(project), "--entry-point", job.step),
        *("--backend", "kubernetes", "--backend-config", str(project / "kubernetes_config.json")),
        *("--experiment-name", EXPERIMENT, "--run-name", job.name),
        *(["--build-image"] if submission.build else []),
    ]
    for name, value in parameters(job, submission).items():
        command += ["--param-list", f"{name}={value}"]
    finished = subprocess.run(command)
    runs = keep_logs(f"{LABEL}={label}")
    for run_id in runs:
        if parent:
            MlflowClient().set_tag(run_id, "mlflow.parentRunId", parent)
    if finished.returncode:
        where = f"its log is an artifact of the run {', '.join(runs)}" if runs else "see above"
        raise StepError(f"{job.name} failed on Kubernetes; {where}")


def parameters(job: Job, submission: Submission) -> dict[str, str | int]:
    """The parameters of a Job: what its entry point has of those of the submission."""
    order = submission.order
    common = {
        "workdir": str(order.workdir),
        "analysis": MOUNTED,
        "njobs": order.njobs,
        "ntrainsamples": order.ntrainsamples,
        **submission.parameters,
    }
    known = entry_point(job.step)["parameters"]
    return {name: common[name] for name in known if name in common} | dict(job.parameters)


def keep_logs(selector: str = cluster.APP) -> list[str]:
    """Make the logs of Jobs artifacts of their runs; return the runs."""
    found = []
    for run_id, pod, text in cluster.logs(selector):
        MlflowClient().log_text(run_id, text, f"logs/{pod}.log")
        found.append(run_id)
    return found


def check_image(image: str) -> None:
    """Raise InputError if MLflow would push ``image`` under another name that it has here."""
    try:
        tags = docker.from_env().images.get(image).tags
    except docker.errors.ImageNotFound:
        return
    if tags[0] != image:
        raise InputError(
            f"{image}: is called {tags[0]} too, and MLflow would push it under that name; remove "
            f"the name (docker rmi {tags[0]}), or use BUILD=1"
        )


def _check(submission: Submission, steps: Iterable[str]) -> None:
    """Raise InputError if something is missing or wrong, StepError if a server does not answer."""
    known = {name for step in steps for name in entry_point(step)["parameters"]}
    unknown = sorted(set(submission.parameters) - known)
    if unknown:
        raise InputError(
            f"PARAMETERS: unknown {', '.join(unknown)}; expected {', '.join(sorted(known))}"
        )
    cluster.connect()
    uri = os.environ.get("MLFLOW_TRACKING_URI", "")
    if not uri.startswith("http"):
        raise InputError(
            f"MLFLOW_TRACKING_URI is {shown(uri) or 'not set'}; expected a tracking server "
            "(http://… or https://…), as Jobs report to it"
        )
    if password(uri):
        raise InputError(
            f"MLFLOW_TRACKING_URI is {shown(uri)}: the Jobs would show its password to everybody; "
            "expected it in MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
        )
    try:
        probe(uri)
    except OSError as error:
        raise StepError(f"the tracking server {uri} does not answer: {error}") from None


def _experiment(client: MlflowClient) -> str:
    found = client.get_experiment_by_name(EXPERIMENT)
    return found.experiment_id if found else client.create_experiment(EXPERIMENT)
