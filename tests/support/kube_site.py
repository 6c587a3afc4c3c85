"""A cluster as steps find it: an API server whose pods are processes, and the volume they share."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

import madminer_workflow
from madminer_workflow.engines.executors import Conditions, Task, kubernetes
from madminer_workflow.engines.executors import make as make_executor
from tests.support.kube_server.access import Access
from tests.support.kube_server.api import Cluster, serving, write_kubeconfig
from tests.support.kube_server.node import ProcessNode
from tests.support.paths import REPOSITORY

SPACE = "physics"
IMAGE = f"madminer-workflow/madminer-ml:{madminer_workflow.__version__}"
ROLE = yaml.safe_load((REPOSITORY / "kube/role.yml").read_text())["rules"]


@dataclass
class Site:
    """A cluster, the volume of its pods, which is here as well, and the Job that says so."""

    cluster: Cluster
    volume: Path
    file: Path
    job: dict
    created: list[dict]

    @property
    def on(self) -> str:
        """What ``--on`` takes."""
        return f"kubernetes={self.file}"

    @property
    def workdir(self) -> Path:
        return self.volume / "workdir"

    def happen(self, *happenings) -> None:
        """What happens to the next pods."""
        assert isinstance(self.cluster.run, ProcessNode)
        self.cluster.run.happenings = list(happenings)

    def executor(self, **conditions) -> kubernetes.Executor:
        (self.workdir / "step").mkdir(parents=True, exist_ok=True)
        given = Conditions(logs=self.workdir / "_yadage", **conditions)
        executor = make_executor(self.on, given)
        assert isinstance(executor, kubernetes.Executor)
        return executor

    def task(self, command: str, **more) -> Task:
        return Task("part/step_0", command, self.workdir / "step", self.workdir / "log", **more)

    def change(self, **metadata) -> None:
        """Another Job in the file."""
        self.job["metadata"] |= metadata
        self.file.write_text(json.dumps(self.job))


@contextmanager
def kube_site(directory: Path) -> Iterator[Site]:
    """A cluster in ``directory``, which this process and its children know while it is there."""
    cluster = Cluster(directory / "node", ProcessNode())
    volume = directory / "node/srv/madminer-workflow"
    volume.mkdir(parents=True)
    for name, space in (("pv", ""), ("pvc", SPACE)):
        body = yaml.safe_load((REPOSITORY / f"kube/{name}.yml").read_text())
        cluster.resources[body["kind"], space, body["metadata"]["name"]] = body
    job = yaml.safe_load((REPOSITORY / "mlflow/kubernetes_job_template.yaml").read_text())
    pod = job["spec"]["template"]["spec"]
    pod["volumes"] = [volume for volume in pod["volumes"] if volume["name"] == "data"]
    pod["containers"][0]["volumeMounts"] = [{"name": "data", "mountPath": str(volume)}]
    pod["containers"][0]["image"] = f"registry.example/{IMAGE}@sha256:1"
    cluster.access = Access(SPACE, ROLE)
    created: list[dict] = []
    create_job = cluster.create_job

    def create(request, **values):
        body = create_job(request, **values)
        if "dryRun" not in request.args:
            created.append(copy.deepcopy(body))
        return body

    with pytest.MonkeyPatch.context() as patch, serving(cluster) as url:
        patch.setattr(cluster, "create_job", create)
        write_kubeconfig(directory / "kubeconfig", url)
        patch.setenv("KUBECONFIG", str(directory / "kubeconfig"))
        site = Site(cluster, volume, directory / "job.yml", job, created)
        site.change(namespace=SPACE)
        try:
            yield site
        finally:
            for left in cluster.jobs:
                left.delete_pods()
