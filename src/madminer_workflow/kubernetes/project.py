"""The MLflow project of one step on Kubernetes, made from the files that are there anyway.

``mlflow/MLproject`` and ``mlflow/kubernetes_job_template.yaml`` describe any step. The step's own
image is put into the one, and its resource class and what the cluster asks for into the other.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from madminer_workflow.errors import InputError
from madminer_workflow.kubernetes.config_map import config_map, items, slug

TEMPLATE = Path("mlflow/kubernetes_job_template.yaml")
MLPROJECT = Path("mlflow/MLproject")
BUILD = Path("build/mlflow-kubernetes")
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
LABEL = "madminer-workflow/submission"
"""The label that tells the Jobs of one submission from all others."""


@dataclass(frozen=True)
class Site:
    """What a cluster asks of its users; empty where the template of the Job says it, or nobody.

    Jobs go to ``namespace``, pull images with the Secret ``pull_secret``, run as
    ``service_account`` on nodes with the labels ``node_selector``. ``any_user`` leaves it to the
    cluster who they run as, as OpenShift wants it.
    """

    namespace: str = ""
    pull_secret: str = ""
    service_account: str = ""
    node_selector: Mapping[str, str] = field(default_factory=dict)
    any_user: bool = False


@dataclass(frozen=True)
class Environment:
    """What a step runs in: its image without registry, and its resource class."""

    image: str
    resources: dict[str, Any]


def environment(step: str, steps: Path = Path("steps")) -> Environment:
    """What the files in ``steps`` say about ``step``; InputError for a step that is none."""
    known: dict[str, Any] = {}
    for part in ("physics", "ml"):
        known |= _read(steps / f"{part}.yml")
    if step not in known:
        raise InputError(f"{step}: is no step; expected all, or one of {', '.join(known)}")
    described = known[step]["environment"]
    [reference] = described["resources"]
    name = reference["$ref"].partition("#/")[2]
    classes = _read(steps / "resources.yml")
    return Environment(f"{described['image']}:{described['imagetag']}", classes[name])


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
    _write(directory / "job_template.yaml", job_template(step, analysis, submission, site))
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
            f"REGISTRY is not set: expected the registry where the cluster finds {image}; images "
            "get there with make images-push REGISTRY=…"
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


def job_template(step: str, analysis: Path | None, submission: str, site: Site) -> dict[str, Any]:
    """The Job of ``step`` as MLflow gets it: without its name, image and command."""
    template = _read(TEMPLATE)
    template["metadata"]["namespace"] = namespace(site)
    pod = template["spec"]["template"]
    for metadata in (template["metadata"], pod["metadata"]):
        metadata["labels"] |= {LABEL: submission, "madminer-workflow/step": step}
    resources = environment(step).resources
    pod["spec"]["activeDeadlineSeconds"] = resources["kubernetes_job_timeout"]
    [container] = pod["spec"]["containers"]
    memory = resources["kubernetes_memory_limit"]
    # What else the template asks for, such as a GPU, stays.
    asked = container["resources"]
    asked["requests"] |= {"cpu": resources["kubernetes_cpu_request"], "memory": memory}
    asked["limits"] |= {"cpu": resources["kubernetes_cpu_limit"], "memory": memory}
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
    return template


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
