"""The MLflow project of one step on Kubernetes, made from the files that are there anyway.

MLflow runs a project with an image in containers only, here too: ``mlflow/MLproject`` therefore has
none. For Kubernetes the step's image is added to it, and its resource class to the Job.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from madminer_workflow.errors import InputError
from madminer_workflow.kubernetes.config_map import config_map, items

MLPROJECT = Path("mlflow/MLproject")
BUILD = Path("build/mlflow-kubernetes")
LABEL = "madminer-workflow/submission"
"""The label that tells the Jobs of one submission from all others."""


@dataclass(frozen=True)
class Environment:
    """What a step runs in: its image without registry, and its resource class."""

    image: str
    resources: dict[str, Any]


def environment(step: str, steps: Path = Path("steps")) -> Environment:
    """What the files in ``steps`` say about ``step``; InputError for a step that is none."""
    known: dict[str, Any] = {}
    for part in ("physics", "ml"):
        known |= yaml.safe_load((steps / f"{part}.yml").read_text())
    if step not in known:
        raise InputError(f"{step}: is no step; expected all, or one of {', '.join(known)}")
    described = known[step]["environment"]
    [reference] = described["resources"]
    name = reference["$ref"].partition("#/")[2]
    classes = yaml.safe_load((steps / "resources.yml").read_text())
    return Environment(f"{described['image']}:{described['imagetag']}", classes[name])


def entry_point(step: str) -> dict[str, Any]:
    """What ``mlflow/MLproject`` says about ``step``."""
    return yaml.safe_load(MLPROJECT.read_text())["entry_points"][step]


def write_project(step: str, analysis: Path | None, registry: str, submission: str) -> Path:
    """Write the project of ``step`` with images from ``registry``; return its directory.

    To be called in the root of the repository. ``analysis`` is the folder that the ConfigMap is
    made from, None if the analysis is on the volume; ``submission`` labels the Job.
    """
    surroundings = environment(step)
    image = image_in(registry, surroundings.image)
    directory = BUILD / submission
    directory.mkdir(parents=True, exist_ok=True)
    project = yaml.safe_load(MLPROJECT.read_text())
    project["entry_points"] = {step: project["entry_points"][step]}
    project["docker_env"] = {"image": image}
    _write(directory / "MLproject", project)
    template = yaml.safe_load(Path("mlflow/kubernetes_job_template.yaml").read_text())
    complete_template(template, surroundings.resources, analysis, submission)
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
            f"REGISTRY is not set: expected the registry where the cluster finds {image}; images "
            "get there with make images-push REGISTRY=…"
        )
    return image


def complete_template(
    template: dict[str, Any], resources: dict[str, Any], analysis: Path | None, submission: str
) -> None:
    """Put the resources of a class, the files of ``analysis`` and the label into a Job."""
    template["metadata"]["labels"][LABEL] = submission
    template["spec"]["activeDeadlineSeconds"] = resources["kubernetes_job_timeout"]
    pod = template["spec"]["template"]
    pod["metadata"]["labels"][LABEL] = submission
    memory = resources["kubernetes_memory_limit"]
    pod["spec"]["containers"][0]["resources"] = {
        "requests": {"cpu": resources["kubernetes_cpu_request"], "memory": memory},
        "limits": {"cpu": resources["kubernetes_cpu_limit"], "memory": memory},
    }
    if analysis:
        [source] = [v["configMap"] for v in pod["spec"]["volumes"] if "configMap" in v]
        source["items"] = items(config_map(analysis))


def _write(file: Path, content: dict[str, Any]) -> None:
    file.write_text(yaml.safe_dump(content, sort_keys=False))
