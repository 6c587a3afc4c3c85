"""Steps as Jobs: one of them, or all in their order but those that are done."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import click
from mlflow import MlflowClient

from madminer_workflow import graph
from madminer_workflow.errors import InputError, StepError
from madminer_workflow.kubernetes import cluster
from madminer_workflow.kubernetes.config_map import config_map
from madminer_workflow.kubernetes.done import Done
from madminer_workflow.kubernetes.project import (
    claim,
    entry_point,
    environment,
    image_in,
    job_template,
    namespace,
)
from madminer_workflow.kubernetes.submission import Job, Submission, stages
from madminer_workflow.kubernetes.submitting import check_image, submit
from madminer_workflow.tracking.server import EXPERIMENT, probe
from madminer_workflow.tracking.uri import password, shown


def run_step(step: str, submission: Submission) -> None:
    """Run one step as one Job; StepError if it fails."""
    _check(submission, [step])
    submit(Job(step, step), submission)


def run_all(submission: Submission) -> None:
    """Run all steps, ``parallel`` Jobs at a time, in runs nested in one; StepError if one fails.

    Those that an earlier submission has done are left out.
    """
    images = _check(submission, graph.STEPS)
    order = [list(stage) for stage in stages(submission.order)]
    done = Done(submission, [job for stage in order for job in stage], images, _place(submission))
    client = MlflowClient()
    name = submission.order.workdir.name
    parent = client.create_run(_experiment(client), run_name=name).info.run_id
    status = "FAILED"
    try:
        for stage in order:
            _run_stage(stage, submission, done, parent)
        status = "FINISHED"
    except KeyboardInterrupt:
        status = "KILLED"
        raise
    finally:
        client.set_terminated(parent, status)


def _run_stage(stage: Sequence[Job], submission: Submission, done: Done, parent: str) -> None:
    """Run the Jobs of a stage that are not done.

    After one has failed no other begins, but those that run may end. If this is interrupted, they
    are deleted.
    """
    stop = Event()

    def run(job: Job) -> None:
        done.record(job, submit(job, submission, parent, stop))

    wanted = [job for job in stage if not done.has(job)]
    for job in stage:
        if job not in wanted:
            click.echo(f"{job.name}: is done")
    with ThreadPoolExecutor(submission.parallel) as pool:
        try:
            list(pool.map(run, wanted))
        except StepError:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
        except BaseException:
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _place(submission: Submission) -> str:
    """Which volume the Jobs write to."""
    return f"{cluster.address()} {namespace(submission.site)} {claim()}"


def _check(submission: Submission, steps: Iterable[str]) -> Mapping[str, str]:
    """The checksums of the steps' images, by their names without registry.

    Raises InputError if something is missing or wrong, StepError if a server does not answer.
    """
    steps = list(steps)
    known = {name for step in steps for name in entry_point(step)["parameters"]}
    unknown = sorted(set(submission.parameters) - known)
    if unknown:
        raise InputError(
            f"PARAMETERS: unknown {', '.join(unknown)}; expected {', '.join(sorted(known))}"
        )
    cluster.connect()
    _check_tracking()
    images = dict.fromkeys(environment(step).image for step in steps)
    named = {image: image_in(submission.registry, image) for image in images}
    _check_cluster(submission, steps)
    return {image: check_image(name, submission.build) for image, name in named.items()}


def _check_tracking() -> None:
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


def _check_cluster(submission: Submission, steps: Sequence[str]) -> None:
    """Raise InputError or StepError if the cluster lacks what Jobs need, or would not take them."""
    space, analysis = namespace(submission.site), submission.analysis
    wanted = {
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": claim(), "namespace": space},
    }
    cluster.check_inputs(config_map(analysis, space) if analysis else None, wanted)
    for step in steps:
        job = job_template(step, analysis, "none", submission.site)
        job["metadata"]["name"] = f"{step}-{uuid.uuid4().hex}"
        cluster.try_job(job)


def _experiment(client: MlflowClient) -> str:
    found = client.get_experiment_by_name(EXPERIMENT)
    return found.experiment_id if found else client.create_experiment(EXPERIMENT)
