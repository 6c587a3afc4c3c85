"""A step as a Job of MLflow, or the whole: what must be there is looked for before."""

from __future__ import annotations

import os
import uuid

from madminer_workflow.errors import InputError, StepError
from madminer_workflow.graph import STEPS
from madminer_workflow.kubernetes import cluster
from madminer_workflow.kubernetes.config_map import config_map
from madminer_workflow.kubernetes.project import (
    MAIN,
    claim,
    entry_point,
    environment,
    image_in,
    job_template,
    namespace,
)
from madminer_workflow.kubernetes.submission import Submission
from madminer_workflow.kubernetes.submitting import check_image, submit
from madminer_workflow.tracking.server import probe
from madminer_workflow.tracking.uri import password, shown


def run(step: str, submission: Submission) -> None:
    """Run a step as a Job, or MAIN, which runs all of them as Jobs; StepError if that fails."""
    _check(submission, step)
    submit(step, submission)


def _check(submission: Submission, step: str) -> None:
    """Raise InputError if something is missing or wrong, StepError if a server does not answer."""
    known = entry_point(step)["parameters"]
    unknown = sorted(set(submission.parameters) - known.keys())
    if unknown:
        raise InputError(
            f"PARAMETERS: unknown {', '.join(unknown)}; expected {', '.join(sorted(known))}"
        )
    cluster.connect()
    _check_tracking()
    steps = STEPS if step == MAIN else [step]
    images = {image_in(submission.registry, environment(each).image): None for each in steps}
    _check_cluster(submission, step)
    for image in images:
        check_image(image, submission.build)


def _check_tracking() -> None:
    uri = os.environ.get("MLFLOW_TRACKING_URI", "")
    if not uri.startswith("http"):
        raise InputError(
            f"MLFLOW_TRACKING_URI is {shown(uri) or 'not set'}; expected a tracking server "
            "(http://… or https://…), as Jobs report to it"
        )
    if password(uri):
        raise InputError(
            f"MLFLOW_TRACKING_URI is {shown(uri)}: the Jobs would show its password to everyone; "
            "put it into MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
        )
    try:
        probe(uri)
    except OSError as error:
        raise StepError(f"the tracking server {uri} does not answer: {error}") from None


def _check_cluster(submission: Submission, step: str) -> None:
    """Raise InputError or StepError if the cluster would refuse the Job, or has no inputs."""
    space, analysis = namespace(submission.site), submission.analysis
    wanted = {
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": claim(), "namespace": space},
    }
    cluster.check_inputs(config_map(analysis, space) if analysis else None, wanted)
    job = job_template(step, analysis, "none", submission.site)
    job["metadata"]["name"] = f"{step}-{uuid.uuid4().hex}"
    cluster.try_job(job)
