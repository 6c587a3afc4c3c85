"""What is asked of Kubernetes itself: to know the manifests, and for the logs of Jobs."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml
from kubernetes.client import ApiException, BatchV1Api, CoreV1Api, VersionApi
from urllib3.exceptions import HTTPError

import kubernetes
from madminer_workflow.errors import InputError, StepError

PATIENCE_SECONDS = 10
APP = "app=madminer-workflow"
RESOURCES = {
    "ConfigMap": "namespaced_config_map",
    "PersistentVolume": "persistent_volume",
    "PersistentVolumeClaim": "namespaced_persistent_volume_claim",
}


def connect() -> None:
    """Use the cluster of KUBECONFIG, or the one that this runs in.

    Raises InputError if there is none, and StepError if it does not answer.
    """
    try:
        _configure()
        VersionApi().get_code(_request_timeout=PATIENCE_SECONDS)
    except kubernetes.config.ConfigException as error:
        raise InputError(f"no Kubernetes cluster is known here: {error}; see KUBECONFIG") from None
    except (ApiException, HTTPError) as error:
        reason = getattr(error, "reason", error)
        raise StepError(f"the Kubernetes cluster does not answer: {reason}") from None


def _configure() -> None:
    try:
        kubernetes.config.load_kube_config(os.environ.get("KUBECONFIG"))
    except kubernetes.config.ConfigException:
        if "KUBERNETES_SERVICE_HOST" not in os.environ:
            raise
        kubernetes.config.load_incluster_config()


def apply(files: Sequence[Path]) -> Iterator[str]:
    """Create what the files describe, and say for each what became of it.

    A ConfigMap that is there already is replaced; volumes, which cannot change, stay.
    """
    for file in files:
        body = yaml.safe_load(file.read_text())
        name = f"{body['kind']} {body['metadata']['name']}"
        try:
            _call("create", body)
            yield f"{name}: created"
        except ApiException as error:
            if error.status != 409:
                raise
            if body["kind"] != "ConfigMap":
                yield f"{name}: is there already"
                continue
            _call("replace", body)
            yield f"{name}: replaced"


def logs(selector: str = APP) -> Iterator[tuple[str, str, str]]:
    """MLflow run, name of the pod and log of every pod of the Jobs that ``selector`` selects."""
    for job in BatchV1Api().list_job_for_all_namespaces(label_selector=selector).items:
        run_id = _run_id(job)
        pods = CoreV1Api().list_namespaced_pod(
            job.metadata.namespace, label_selector=f"job-name={job.metadata.name}"
        )
        for pod in pods.items if run_id else []:
            yield run_id, pod.metadata.name, _log(pod)


def _run_id(job: Any) -> str:
    variables = job.spec.template.spec.containers[0].env or []
    return next((each.value for each in variables if each.name == "MLFLOW_RUN_ID"), "")


def _log(pod: Any) -> str:
    try:
        answer = CoreV1Api().read_namespaced_pod_log(
            pod.metadata.name,
            pod.metadata.namespace,
            _preload_content=False,  # the client would make it the text b'...'
        )
        text = answer.data.decode(errors="replace")
    except ApiException as error:
        # A container that never started has no log, and Kubernetes says why.
        text = f"{error.body}\n"
    ends = [status.state.terminated for status in pod.status.container_statuses or []]
    said = [f"{end.reason}, exit code {end.exit_code}" for end in ends if end]
    return f"{text}\n-- {pod.status.phase}: {'; '.join(said) or pod.status.reason or 'no reason'}\n"


def _call(verb: str, body: dict[str, Any]) -> None:
    """Create or replace a resource."""
    resource = RESOURCES[body["kind"]]
    arguments: dict[str, Any] = {"body": body}
    if "namespaced" in resource:
        arguments["namespace"] = body["metadata"]["namespace"]
    if verb == "replace":
        arguments["name"] = body["metadata"]["name"]
    getattr(CoreV1Api(), f"{verb}_{resource}")(**arguments)
