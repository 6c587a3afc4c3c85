"""A submitted Job: whether it runs or waits and why, the logs of its pods, and its end."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from kubernetes.client import ApiException, BatchV1Api, CoreV1Api
from urllib3.exceptions import HTTPError

from madminer_workflow.errors import StepError
from madminer_workflow.kubernetes.cluster import explained, said

APP = "app=madminer-workflow"


@dataclass(frozen=True)
class Log:
    """What a pod has said, with how it ended; or, without ``text``, why there is nothing."""

    run_id: str
    pod: str
    text: str
    problem: str = ""


@dataclass
class Waiting:
    """Tells what the Jobs that ``selector`` selects wait for, and how long they have waited.

    A pod waits until its container runs: for a node, quota, a volume, an image. One that ran and is
    replaced, because its node was drained, waits anew.
    """

    namespace: str
    selector: str
    since: float | None = None
    _told: set[str] = field(default_factory=set)

    def look(self) -> list[str]:
        """The warnings that are new, in the words of the cluster; none if it does not answer."""
        try:
            return self._look()
        except (ApiException, HTTPError):
            return []

    def _look(self) -> list[str]:
        found = jobs(self.namespace, self.selector)
        if not found or any(
            has_started(pod) and not is_replaced(pod) for job in found for pod in pods(job)
        ):
            self.since = None
            return []
        self.since = self.since or time.monotonic()
        warnings = [line for job in found for line in events(job, "Warning")]
        new = [line for line in dict.fromkeys(warnings) if line not in self._told]
        self._told.update(new)
        return new

    @property
    def seconds(self) -> float:
        """For how long a Job has been waiting."""
        return time.monotonic() - self.since if self.since else 0.0


def jobs(namespace: str, selector: str = APP) -> list[Any]:
    """The Jobs of a namespace that ``selector`` selects."""
    return BatchV1Api().list_namespaced_job(namespace, label_selector=selector).items


def pods(job: Any) -> list[Any]:
    """The pods of a Job."""
    selector = f"job-name={job.metadata.name}"
    return CoreV1Api().list_namespaced_pod(job.metadata.namespace, label_selector=selector).items


def is_replaced(pod: Any) -> bool:
    """Whether the node of a pod was drained; the one in its place counts."""
    return any(c.type == "DisruptionTarget" for c in pod.status.conditions or [])


def has_started(pod: Any) -> bool:
    """Whether the container of a pod runs, or has run."""
    if pod.status.phase != "Pending":
        return True
    states = [status.state for status in pod.status.container_statuses or []]
    return any(state.running or state.terminated for state in states)


def events(job: Any, kind: str = "") -> list[str]:
    """What has happened to a Job, its pods and claims, of one ``kind`` or any: ``reason: message``.

    Pods have the name of the Job there: every try to create one has another.
    """
    pod_name = re.compile(rf"{re.escape(job.metadata.name)}-\w+")
    claims = [volume.persistent_volume_claim for volume in job.spec.template.spec.volumes or []]
    names = [job.metadata.name, *(pod.metadata.name for pod in pods(job))]
    names += [claim.claim_name for claim in claims if claim]
    lines = []
    for name in names:
        found = CoreV1Api().list_namespaced_event(
            job.metadata.namespace, field_selector=f"involvedObject.name={name}"
        )
        for event in found.items:
            if kind in ("", event.type):
                words = " ".join((event.message or "").split())
                lines.append(f"{event.reason}: {pod_name.sub(job.metadata.name, words)}")
    return lines


def run_of(job: Any) -> str:
    """The id of the MLflow run of a Job, empty if it has none."""
    variables = job.spec.template.spec.containers[0].env or []
    return next((each.value for each in variables if each.name == "MLFLOW_RUN_ID"), "")


def logs(namespace: str, selector: str = APP) -> Iterator[Log]:
    """The logs of all pods of the Jobs that ``selector`` selects and MLflow knows."""
    with explained():
        found = [(job, run_id) for job in jobs(namespace, selector) if (run_id := run_of(job))]
        for job, run_id in found:
            for pod in pods(job):
                yield _log(run_id, pod)


def _log(run_id: str, pod: Any) -> Log:
    name = pod.metadata.name
    if not has_started(pod):
        # The cluster may answer with an empty log.
        return Log(run_id, name, "", "it has not started")
    try:
        answer = CoreV1Api().read_namespaced_pod_log(
            name,
            pod.metadata.namespace,
            _preload_content=False,  # the client would make it the text b'...'
        )
    except ApiException as error:
        # What never started, or is gone, has no log; what the cluster answers instead is none.
        return Log(run_id, name, "", said(error))
    text = answer.data.decode(errors="replace")
    ends = [status.state.terminated for status in pod.status.container_statuses or []]
    reasons = [f"{end.reason}, exit code {end.exit_code}" for end in ends if end]
    # A pod at its deadline says so itself; its container has only been killed.
    words = [pod.status.reason, *reasons] if pod.status.reason else reasons
    return Log(run_id, name, f"{text}\n-- {pod.status.phase}: {'; '.join(words) or 'no reason'}\n")


def delete(namespace: str, selector: str) -> None:
    """Delete Jobs and their pods: without a policy the pods would stay, and run on."""
    with explained():
        for job in jobs(namespace, selector):
            try:
                BatchV1Api().delete_namespaced_job(
                    job.metadata.name, namespace, propagation_policy="Background"
                )
            except ApiException as error:
                if error.status != 404:
                    raise


def stuck(name: str, found: Sequence[Any], minutes: float) -> StepError:
    """What to say about the Jobs of a step that has waited for too long, with their Events."""
    with explained():
        lines = [line for job in found for line in events(job)]
    told = "; ".join(dict.fromkeys(lines)) or "the cluster reports no Events"
    return StepError(f"{name} did not start within {minutes:g} minutes (WAIT=): {told}")
