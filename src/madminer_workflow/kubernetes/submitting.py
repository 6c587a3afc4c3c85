"""One Job: MLflow submits it and waits for it; its log joins its run; nothing is left running."""

from __future__ import annotations

import subprocess
import sys
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

import click
import docker
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from madminer_workflow.errors import InputError, StepError
from madminer_workflow.kubernetes import watching
from madminer_workflow.kubernetes.cluster import explained
from madminer_workflow.kubernetes.project import LABEL, MAIN, namespace, write_project
from madminer_workflow.kubernetes.submission import Submission, parameters
from madminer_workflow.tracking.server import EXPERIMENT

POLL_SECONDS = 0.5
LOOK_SECONDS = 5.0
PATIENCE_SECONDS = 20


@dataclass(frozen=True)
class Submitted:
    """The Job of a step that MLflow submits, or has; ``label`` tells it from all others."""

    step: str
    submission: Submission
    label: str
    namespace: str

    @classmethod
    def of(cls, step: str, submission: Submission) -> Submitted:
        """One with a label of its own."""
        label = f"{step}-{uuid.uuid4().hex}"
        return cls(step, submission, label, namespace(submission.site))

    @property
    def name(self) -> str:
        """The name of its run: that of the step, or of the whole."""
        return self.submission.order.workdir.name if self.step == MAIN else self.step

    @property
    def selector(self) -> str:
        """What selects it."""
        return f"{LABEL}={self.label}"

    def command(self) -> list[str]:
        """What has MLflow run it."""
        of = self.submission
        project = write_project(self.step, of.analysis, of.registry, self.label, of.site)
        words = [
            *(sys.executable, "-m", "mlflow", "run", str(project), "--entry-point", self.step),
            *("--backend", "kubernetes"),
            *("--backend-config", str(project / "kubernetes_config.json")),
            *("--experiment-name", EXPERIMENT, "--run-name", self.name),
            *(["--build-image"] if of.build else []),
        ]
        for name, value in parameters(self.step, of).items():
            words += ["--param-list", f"{name}={value}"]
        return words

    def run(self) -> str:
        """The id of its run, empty if MLflow has none yet."""
        client = MlflowClient()
        experiment = client.get_experiment_by_name(EXPERIMENT)
        if not experiment:
            return ""
        wanted = f"tags.`mlflow.source.name` LIKE '%{self.label}%'"
        runs = client.search_runs([experiment.experiment_id], wanted, max_results=1)
        return runs[0].info.run_id if runs else ""

    def cancel(self, process: subprocess.Popen[bytes], status: str) -> str:
        """End MLflow, and then the Job with its pods; the id of the run, which gets ``status``."""
        process.terminate()
        try:
            process.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        watching.delete(self.namespace, self.selector)
        run_id = self.run()
        if run_id:
            MlflowClient().set_terminated(run_id, status)
        return run_id


def submit(step: str, submission: Submission) -> str:
    """Have MLflow run a step as a Job and wait for it, and keep its log; the id of its run.

    Raises StepError if it failed or did not start in time. If anything interrupts this, the Job is
    deleted.
    """
    submitted = Submitted.of(step, submission)
    # In a session of its own: what ends this process must not have MLflow leave pods behind.
    process = subprocess.Popen(submitted.command(), start_new_session=True)
    try:
        _wait(process, submitted)
    except StepError as error:
        run_id = submitted.cancel(process, "FAILED")
        if run_id:
            _keep(run_id, str(error), "logs/events.log")
        raise
    except BaseException:
        submitted.cancel(process, "KILLED")
        raise
    kept = keep_logs(submitted.namespace, submitted.selector)
    run_id = submitted.run()
    if process.returncode:
        raise StepError(f"{submitted.name} failed on Kubernetes; {_where(run_id, kept)}")
    return run_id


def _wait(process: subprocess.Popen[bytes], submitted: Submitted) -> None:
    """Wait until MLflow has ended; StepError if the Job does not start in time."""
    name, minutes = submitted.name, submitted.submission.site.wait
    watched = watching.Waiting(submitted.namespace, submitted.selector)
    polls = 0
    while process.poll() is None:
        time.sleep(POLL_SECONDS)
        polls += 1
        if polls % round(LOOK_SECONDS / POLL_SECONDS):
            continue
        for line in watched.look():
            click.echo(f"{name} waits: {line}", err=True)
        if watched.seconds > 60 * minutes:
            with explained():
                found = watching.jobs(submitted.namespace, submitted.selector)
            raise watching.stuck(name, found, minutes)


def _where(run_id: str, kept: Sequence[watching.Log]) -> str:
    """Where to read why a Job failed."""
    if any(log.text for log in kept):
        return f"its log is an artifact of the run {run_id}"
    problems = [f"{log.pod} has no log: {log.problem}" for log in kept]
    return "; ".join(problems) or "see above"


def keep_logs(space: str, selector: str = watching.APP) -> list[watching.Log]:
    """Make the logs of the Jobs in a namespace artifacts of their runs; return them all."""
    found = list(watching.logs(space, selector))
    for log in found:
        if log.text:
            _keep(log.run_id, log.text, f"logs/{log.pod}.log")
    return found


def _keep(run_id: str, text: str, artifact: str) -> None:
    try:
        MlflowClient().log_text(run_id, text, artifact)
    except MlflowException as error:
        # A Job of another tracking server, or a run that was deleted.
        click.echo(f"warning: run {run_id}: {artifact} could not be stored: {error}", err=True)


def check_image(image: str, build: bool) -> str:
    """The checksum of ``image`` in its registry, or here if another is built on it.

    Raises InputError if it is not there, or if MLflow would push it under another name that it has
    here; StepError without Docker, which MLflow asks for it.
    """
    try:
        engine = docker.from_env()
        here = _here(engine, image)
        if build and here:
            return here.id
        if here and here.tags[0] != image:
            raise InputError(
                f"{image}: also has the name {here.tags[0]}, and MLflow would push it under that "
                f"name; remove it (docker rmi {here.tags[0]}), or use BUILD=1"
            )
        return engine.images.get_registry_data(image).id
    except docker.errors.APIError as error:
        raise InputError(
            f"{image}: Docker cannot find it in the registry ({error.explanation}); push the "
            "images with make images-push REGISTRY=…"
        ) from None
    except docker.errors.DockerException as error:
        raise StepError(
            f"Docker, which MLflow uses to find images, does not answer: {error}"
        ) from None


def _here(engine: docker.DockerClient, image: str) -> docker.models.images.Image | None:
    try:
        return engine.images.get(image)
    except docker.errors.ImageNotFound:
        return None
