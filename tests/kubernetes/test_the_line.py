"""``mlflow run mlflow --backend kubernetes`` as it stands: the real MLflow, and no Docker."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from mlflow import MlflowClient
from mlflow.projects.utils import load_project

from madminer_workflow.cli import main
from tests.support.kube_server.access import Access
from tests.support.kube_server.api import Cluster, serving, write_kubeconfig
from tests.support.kube_server.docker_api import without_docker
from tests.support.paths import REPOSITORY

LINE = (
    "mlflow run mlflow -P alpha=0.5 --backend kubernetes "
    "--backend-config mlflow/kubernetes_config.json"
)


def test_the_line_is_in_the_documentation():
    assert LINE in (REPOSITORY / "docs/kubernetes.md").read_text()


@pytest.mark.slow
def test_the_line_runs_the_whole_workflow_as_one_job(tmp_path: Path):
    cluster = Cluster(tmp_path)
    (tmp_path / "srv/madminer-workflow").mkdir(parents=True)
    for name in ("pv", "pvc", "input_configmap"):
        body = yaml.safe_load((REPOSITORY / f"kube/{name}.yml").read_text())
        metadata = body["metadata"]
        cluster.resources[body["kind"], metadata.get("namespace", ""), metadata["name"]] = body
    rules = yaml.safe_load((REPOSITORY / "kube/role.yml").read_text())["rules"]
    cluster.access = Access("default", rules)
    # A Job could not report to it; the pods here say nothing.
    tracking_uri = f"sqlite:///{tmp_path}/mlflow.db"
    with (
        serving(cluster) as url,
        without_docker(tmp_path) as (engine, docker),
    ):
        write_kubeconfig(tmp_path / "kubeconfig", url)
        given = {"KUBECONFIG": str(tmp_path / "kubeconfig"), "MLFLOW_TRACKING_URI": tracking_uri}
        _, *words = shlex.split(LINE)
        finished = subprocess.run(
            [sys.executable, "-m", "mlflow", *words],
            cwd=REPOSITORY,
            env=os.environ | docker | given,
            capture_output=True,
            text=True,
        )
        assert finished.returncode == 0, finished.stderr
    [run] = MlflowClient(tracking_uri).search_runs(["0"])
    assert run.info.status == "FINISHED" and run.data.params["alpha"] == "0.5"
    [job] = cluster.jobs
    [container] = job.pod_spec["containers"]
    image = load_project(str(REPOSITORY / "mlflow")).docker_env["image"]
    assert container["image"].startswith(f"{image}@sha256:")
    assert engine.pushed == [image.partition(":1")[0]]
    program, name, *arguments = container["command"]
    assert program == "madminer-workflow"
    parsed = main.commands[name].make_context(name, arguments).params
    assert (parsed["analysis"], parsed["workdir"]) == (Path("/analysis"), Path("/data/wbf"))
    assert "training.alpha=0.5" in parsed["changes"]
    assert not cluster.refused
