"""The MLflow project of one step on Kubernetes, made from the files that are there anyway.

``mlflow/MLproject`` and ``mlflow/kubernetes_job_template.yaml`` describe any step. The step's own
image is put into the one, and its resource class and what the cluster asks for into the other.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from madminer_workflow.engines.resources import Resources, resources_of
from madminer_workflow.errors import InputError
from madminer_workflow.kubernetes.config_map import config_map, items, slug

TEMPLATE = Path("mlflow/kubernetes_job_template.yaml")
MLPROJECT = Path("mlflow/MLproject")
JOB = "MADMINER_KUBERNETES_JOB"
"""The variable that tells an engine in a pod what the Jobs of steps are like."""
POD = ("MADMINER_POD_NAME", "MADMINER_POD_UID")
"""Which pod that is: the Jobs go when it goes."""
WAIT = "madminer-workflow/wait-minutes"
"""An annotation of that Job: for how long steps may wait while none of the run is running."""
WAIT_MINUTES = 60.0
BUILD = Path("build/mlflow-kubernetes")
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
MAIN = "main"
"""The entry point of the whole workflow: a Job that runs the steps as Jobs."""
SERVICE_ACCOUNT = "madminer-workflow"
"""Who that is for the cluster, if nobody says otherwise (kube/service_account.yml)."""
LABEL = "madminer-workflow/submission"
"""The label that tells the Jobs of one submission from all others."""


@dataclass(frozen=True)
class Site:
    """What a cluster asks of its users; empty where the template of the Job says it, or nobody.

    Jobs go to ``namespace``, pull images with the Secret ``pull_secret``, run as
    ``service_account`` on nodes with the labels ``node_selector``, and may ``wait`` for so many
    minutes. ``any_user`` leaves it to the cluster who they run as, as OpenShift wants it.
    """

    namespace: str = ""
    pull_secret: str = ""
    service_account: str = ""
    node_selector: Mapping[str, str] = field(default_factory=dict)
    any_user: bool = False
    wait: float = WAIT_MINUTES


@dataclass(frozen=True)
class Environment:
    """What a step runs in: its image without registry, and its resource class."""

    image: str
    resources: Resources


def environment(step: str, steps: Path = Path("steps")) -> Environment:
    """What the files in ``steps`` say about ``step``; InputError for a step that is none.

    MAIN needs what learning needs, but computes nothing itself.
    """
    if step == MAIN:
        return replace(environment("training", steps), resources=_resources(steps, "small"))
    known: dict[str, Any] = {}
    for part in ("physics", "ml"):
        known |= _read(steps / f"{part}.yml")
    if step not in known:
        raise InputError(f"{step}: is not a step; expected all, or one of {', '.join(known)}")
    described = known[step]["environment"]
    [reference] = described["resources"]
    resources = _resources(steps, reference["$ref"].partition("#/")[2])
    return Environment(f"{described['image']}:{described['imagetag']}", resources)


def _resources(steps: Path, name: str) -> Resources:
    resources = resources_of({"resources": [_read(steps / "resources.yml")[name]]})
    assert resources
    return resources


def entry_point(step: str) -> dict[str, Any]:
    """What ``mlflow/MLproject`` says about ``step``."""
    return _read(MLPROJECT)["entry_points"][step]


def write_project(
    step: str, analysis: Path | None, registry: str, submission: str, site: Site = Site()
) -> Path:
    """Write the project of ``step`` with images from ``registry``; return its directory.

    To be called in the root of the repository. ``analysis`` is the folder that the ConfigMap is
    made from, None if the analysis is on the volume; ``submission`` labels the Job.
    """
    image = image_in(registry, environment(step).image)
    directory = BUILD / submission
    directory.mkdir(parents=True, exist_ok=True)
    project = _read(MLPROJECT)
    project["entry_points"] = {step: project["entry_points"][step]}
    project["docker_env"] = {"image": image}
    _write(directory / "MLproject", project)
    template = job_template(step, analysis, submission, site, image)
    _write(directory / "job_template.yaml", template)
    config = json.loads(Path("mlflow/kubernetes_config.json").read_text())
    config["kube-job-template-path"] = str(directory / "job_template.yaml")
    config["repository-uri"] = f"{image.rpartition('/')[0]}/project"
    (directory / "kubernetes_config.json").write_text(json.dumps(config, indent=2) + "\n")
    return directory


def image_in(registry: str, image: str) -> str:
    """The name of an image in ``registry``; with none given, its name must have one."""
    if registry:
        return f"{registry}/{image}"
    if image.count("/") < 2:
        raise InputError(
            "REGISTRY is not set: set it to the registry from which the cluster can pull "
            f"{image}; make images-push REGISTRY=… pushes the images"
        )
    return image


def namespace(site: Site) -> str:
    """Where Jobs go: where ``site`` or else the template says."""
    return site.namespace or _read(TEMPLATE)["metadata"]["namespace"]


def claim() -> str:
    """The name of the claim that Jobs mount, in the template."""
    pod = _read(TEMPLATE)["spec"]["template"]["spec"]
    claims = [volume.get("persistentVolumeClaim") for volume in pod["volumes"]]
    return next(claim["claimName"] for claim in claims if claim)


def job_template(
    step: str, analysis: Path | None, submission: str, site: Site, image: str = "none"
) -> dict[str, Any]:
    """The Job of ``step`` as MLflow gets it: without its name, image and command.

    That of MAIN is told what those of the steps are like, with ``image``.
    """
    template = _read(TEMPLATE)
    template["metadata"]["namespace"] = namespace(site)
    pod = template["spec"]["template"]
    for metadata in (template["metadata"], pod["metadata"]):
        metadata["labels"] |= {LABEL: submission, "madminer-workflow/step": step}
    put_resources(pod["spec"], environment(step).resources)
    [container] = pod["spec"]["containers"]
    if analysis:
        [source] = [v["configMap"] for v in pod["spec"]["volumes"] if "configMap" in v]
        content = config_map(analysis)
        source |= {"name": content["metadata"]["name"], "items": items(content)}
        for metadata in (template["metadata"], pod["metadata"]):
            metadata["labels"]["madminer-workflow/analysis"] = slug(analysis)
    else:
        unused = [v["name"] for v in pod["spec"]["volumes"] if "configMap" in v]
        for place, key in ((pod["spec"], "volumes"), (container, "volumeMounts")):
            place[key] = [each for each in place[key] if each["name"] not in unused]
    _put_site(pod["spec"], site)
    if step == MAIN:
        _put_engine(template, image, site)
    return template


def _put_engine(template: dict[str, Any], image: str, site: Site) -> None:
    """Have a Job run others like itself: it may, is told how, and has no end of its own."""
    template["metadata"]["annotations"] = {WAIT: f"{site.wait:g}"}
    pod = template["spec"]["template"]["spec"]
    pod["containers"][0]["image"] = image
    pod.pop("activeDeadlineSeconds")
    variables: list[dict[str, Any]] = [{"name": JOB, "value": json.dumps(template)}]
    for name, path in zip(POD, ("metadata.name", "metadata.uid"), strict=True):
        variables.append({"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}})
    pod["containers"][0].setdefault("env", []).extend(variables)
    pod["serviceAccountName"] = site.service_account or SERVICE_ACCOUNT
    pod["automountServiceAccountToken"] = True


def put_resources(pod: dict[str, Any], resources: Resources) -> None:
    """Have a pod ask for the memory, CPU and time of a class.

    What else it asks for, such as a GPU, stays.
    """
    pod["activeDeadlineSeconds"] = resources.kubernetes_job_timeout
    asked = pod["containers"][0].setdefault("resources", {})
    memory = resources.kubernetes_memory_limit
    for kind, cpu in (
        ("requests", resources.kubernetes_cpu_request),
        ("limits", resources.kubernetes_cpu_limit),
    ):
        asked[kind] = {**asked.get(kind, {}), "cpu": cpu, "memory": memory}


def _put_site(pod: dict[str, Any], site: Site) -> None:
    """Have a pod respect what the cluster asks for."""
    if site.pull_secret:
        pod["imagePullSecrets"] = [{"name": site.pull_secret}]
    if site.service_account:
        pod["serviceAccountName"] = site.service_account
    if site.node_selector:
        pod["nodeSelector"] = {**pod.get("nodeSelector", {}), **site.node_selector}
    if site.any_user:
        for name in ("runAsUser", "fsGroup", "fsGroupChangePolicy"):
            pod["securityContext"].pop(name, None)


def _read(file: Path) -> Any:
    """What a file of the repository says; some are read for every Job."""
    return yaml.load(file.read_text(), Loader=_LOADER)


def _write(file: Path, content: dict[str, Any]) -> None:
    file.write_text(yaml.safe_dump(content, sort_keys=False))
