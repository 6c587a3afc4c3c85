"""The cluster: how it is reached, what it says if it refuses, and the manifests that it knows."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from kubernetes.client import ApiException, BatchV1Api, CoreV1Api, VersionApi
from urllib3.exceptions import HTTPError

import kubernetes
from madminer_workflow.errors import InputError, StepError

PATIENCE_SECONDS = 10
FORBIDDEN, NOT_FOUND = 403, 404
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
        with explained():
            VersionApi().get_code(_request_timeout=PATIENCE_SECONDS)
    except kubernetes.config.ConfigException as error:
        raise InputError(f"no Kubernetes cluster is configured: {error}; see KUBECONFIG") from None


def _configure() -> None:
    try:
        kubernetes.config.load_kube_config(os.environ.get("KUBECONFIG"))
    except kubernetes.config.ConfigException:
        if "KUBERNETES_SERVICE_HOST" not in os.environ:
            raise
        kubernetes.config.load_incluster_config()


@contextmanager
def explained() -> Iterator[None]:
    """Raise StepError with what the cluster says where it refuses, or does not answer."""
    try:
        yield
    except ApiException as error:
        raise StepError(f"the Kubernetes cluster refused the request: {said(error)}") from None
    except HTTPError as error:
        reason = getattr(error, "reason", None) or error
        raise StepError(f"the Kubernetes cluster does not answer: {reason}") from None


def said(error: ApiException) -> str:
    """Why the cluster refuses, in one line."""
    try:
        message = json.loads(error.body)["message"]
    except (TypeError, ValueError, KeyError):
        message = error.body or error.reason
    text = message.decode(errors="replace") if isinstance(message, bytes) else str(message)
    return " ".join(text.split()) or f"HTTP {error.status}"


def manifest(file: Path, namespace: str = "", storage_class: str = "") -> dict[str, Any]:
    """What a file describes, in ``namespace`` instead of its own if one is given.

    A claim asks for the class ``storage_class`` of volumes, if one is given.
    """
    if not file.is_file():
        raise InputError(f"{file}: no such file; make kube-input ANALYSIS=… writes the ConfigMap")
    body = yaml.safe_load(file.read_text())
    if namespace and "namespaced" in RESOURCES[body["kind"]]:
        body["metadata"]["namespace"] = namespace
    if storage_class and body["kind"] == "PersistentVolumeClaim":
        body["spec"]["storageClassName"] = storage_class
    return body


def apply(bodies: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Have the cluster know ``bodies``, and say for each what became of it.

    A ConfigMap that differs is replaced; volumes, which cannot change, stay. A volume that this
    user may not create is left to others, as users of a namespace may not. Raises StepError for
    what else is refused, after all have been tried.
    """
    problems = []
    for body in bodies:
        name = f"{body['kind']} {body['metadata']['name']}"
        try:
            with explained():
                yield f"{name}: {_applied(body)}"
        except StepError as error:
            problems.append(f"{name}: {error}")
    if problems:
        raise StepError("\n".join(problems))


def _applied(body: dict[str, Any]) -> str:
    """Create or replace what ``body`` describes, if need be; say what was done."""
    found = None
    try:
        found = read(body)
    except ApiException as error:
        if error.status != FORBIDDEN:
            raise
    if found is not None:
        if body["kind"] != "ConfigMap" or same_files(found, body):
            return "exists already"
        _call("replace", body, name=body["metadata"]["name"], body=body)
        return "replaced"
    try:
        _call("create", body, body=body)
    except ApiException as error:
        if error.status != FORBIDDEN or body["kind"] != "PersistentVolume":
            raise
        return (
            "not created, because you do not have permission to create volumes; ask the "
            "administrators of the cluster for one, or for a storage class with volumes to "
            "which many pods can write: STORAGE_CLASS=…"
        )
    return "created"


def read(body: dict[str, Any]) -> Any:
    """What the cluster has of that kind and name, or None."""
    try:
        return _call("read", body, name=body["metadata"]["name"])
    except ApiException as error:
        if error.status != NOT_FOUND:
            raise
        return None


def same_files(found: Any, body: dict[str, Any]) -> bool:
    """Whether a ConfigMap of the cluster has the files of ``body``, and no others."""
    return not different_files(found, body)


def different_files(found: Any, body: dict[str, Any]) -> list[str]:
    """The keys whose contents are not the same in a ConfigMap of the cluster and in ``body``."""
    there = (found.data or {}) | (found.binary_data or {})
    here = body["data"] | body.get("binaryData", {})
    return sorted(key for key in there.keys() | here.keys() if there.get(key) != here.get(key))


def check_inputs(config_map: dict[str, Any] | None, claim: dict[str, Any]) -> None:
    """Raise InputError unless the cluster has the claim, and the ConfigMap as it is here."""
    with explained():
        missing = [body for body in (claim, config_map) if body and read(body) is None]
        for body in missing:
            raise InputError(
                f"{body['kind']} {body['metadata']['name']}: is not in the namespace "
                f"{body['metadata']['namespace']}; run make kube-input kube-apply first"
            )
        differing = different_files(read(config_map), config_map) if config_map else []
    if config_map and differing:
        metadata = config_map["metadata"]
        raise InputError(
            f"ConfigMap {metadata['name']}: in the namespace {metadata['namespace']}, the "
            f"contents of {', '.join(differing).replace('..', '/')} differ from those here, so a "
            "different analysis would run; run make kube-input kube-apply first"
        )


def try_job(job: dict[str, Any]) -> None:
    """Ask the cluster whether it would take a Job; StepError if not."""
    with explained():
        BatchV1Api().create_namespaced_job(job["metadata"]["namespace"], job, dry_run="All")


def _call(verb: str, described: dict[str, Any], **arguments: Any) -> Any:
    resource = RESOURCES[described["kind"]]
    if "namespaced" in resource:
        arguments["namespace"] = described["metadata"]["namespace"]
    return getattr(CoreV1Api(), f"{verb}_{resource}")(**arguments)


def address() -> str:
    """The address of the cluster."""
    return kubernetes.client.Configuration.get_default_copy().host
