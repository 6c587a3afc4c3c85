"""Steps as Jobs: the real MLflow, Docker, registry, tracking server and Kubernetes client.

Only the cluster is ours (tests/support/kube_server); the containers that it runs are real. Needs
Docker and Debian's docker-registry, and the image of the learning steps (``make images``) in Docker
or Podman: with a built-in generator it can do all steps, and stands in for the other two images.
"""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import docker
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

import madminer_workflow
from madminer_workflow.tracking.server import EXPERIMENT
from tests.support import chain
from tests.support.kube_server.api import Cluster, serving, write_kubeconfig
from tests.support.kube_server.containers import DockerNode
from tests.support.kube_server.services import answers, docker_daemon, registry, tracking_server
from tests.support.paths import REPOSITORY

IMAGE = f"madminer-workflow/madminer-ml:{madminer_workflow.__version__}"
IMAGES = ("madminer", "madminer-physics", "madminer-ml")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[docker.DockerClient]:
    """Docker with the image of the learning steps."""
    with docker_daemon(tmp_path_factory.mktemp("docker")) as address:
        if not address:
            pytest.skip("no Docker runs here, and none can be started (dockerd, as root)")
        if not shutil.which("docker-registry"):
            pytest.skip("there is no docker-registry here")
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("DOCKER_HOST", address)
            client = docker.from_env(timeout=600)
            if not client.images.list(IMAGE):
                load(client)
            yield client


def load(client: docker.DockerClient) -> None:
    """Get the image from podman."""
    if not answers("podman", "image", "inspect", IMAGE):
        pytest.skip(f"neither Docker nor Podman has the image {IMAGE}: make images")
    with subprocess.Popen(["podman", "save", IMAGE], stdout=subprocess.PIPE) as saving:
        [image] = client.images.load(saving.stdout)
    names = image.tags
    image.tag(IMAGE)
    for name in set(names) - {IMAGE}:
        client.images.remove(name)


@dataclass
class Session:
    """What a user has: a repository of this one's files, the cluster, and MLflow."""

    repository: Path
    cluster: Cluster
    environment: dict[str, str]
    registry: str

    @property
    def volume(self) -> Path:
        """The volume that the steps share."""
        return self.cluster.node / "srv/madminer-workflow"

    def run(self, *arguments: str, expected: int = 0, **variables: str) -> str:
        """What ``madminer-workflow kubernetes`` says."""
        finished = subprocess.run(
            [Path(sys.executable).with_name("madminer-workflow"), "kubernetes", *arguments],
            cwd=self.repository,
            env=self.environment | variables,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        assert finished.returncode == expected, finished.stdout
        return finished.stdout

    def step(self, step: str, *arguments: str, expected: int = 0) -> str:
        """Run one step, or all, of the tiny analysis with one method."""
        options = ["--registry", self.registry, "--analysis", "analysis", "--njobs", "2"]
        return self.run("run", step, *options, *arguments, expected=expected)

    @property
    def client(self) -> MlflowClient:
        """The tracking server."""
        return MlflowClient(self.environment["MLFLOW_TRACKING_URI"])

    def runs(self, name: str) -> list[Run]:
        """The runs of that name, the latest first."""
        experiment = self.client.get_experiment_by_name(EXPERIMENT)
        return self.client.search_runs(
            [experiment.experiment_id], f"attributes.run_name = '{name}'"
        )

    def log(self, run: Run) -> str:
        """The log of the pod that is kept with a run."""
        [artifact] = self.client.list_artifacts(run.info.run_id, "logs")
        directory = self.repository / run.info.run_id
        directory.mkdir(exist_ok=True)
        return Path(
            self.client.download_artifacts(run.info.run_id, artifact.path, str(directory))
        ).read_text()


@pytest.fixture(scope="module")
def session(
    engine: docker.DockerClient, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Session]:
    """A cluster that knows the manifests, and the images in a registry."""
    repository = tmp_path_factory.mktemp("repository")
    for name in ("mlflow", "steps", "kube"):
        shutil.copytree(REPOSITORY / name, repository / name)
    (repository / "analysis").mkdir()
    methods = [method for method in chain.tiny("ml")["methods"] if method["name"] == "ratio"]
    chain.analysis_file(
        repository / "analysis/input.yml", ml={**chain.tiny("ml"), "methods": methods}
    )
    # The folder of a volume, as pv.yml asks for it: group 0 may write, whoever owns it.
    node = tmp_path_factory.mktemp("node")
    cluster = Cluster(node, DockerNode(engine, repository / "kubeconfig"))
    (node / "srv/madminer-workflow").mkdir(parents=True)
    os.chown(node / "srv/madminer-workflow", 54321, 0)
    (node / "srv/madminer-workflow").chmod(0o2775)
    for folder in (node, *node.parents[:2]):
        folder.chmod(0o755)
    with (
        registry(tmp_path_factory.mktemp("registry")) as address,
        tracking_server(tmp_path_factory.mktemp("tracking")) as tracking_uri,
        serving(cluster) as url,
    ):
        kubeconfig = repository / "kubeconfig"
        write_kubeconfig(kubeconfig, url)
        environment = os.environ | {
            "KUBECONFIG": str(kubeconfig),
            "MLFLOW_TRACKING_URI": tracking_uri,
            # Another name of the same server: what Jobs use is this one.
            "KUBE_MLFLOW_TRACKING_URI": tracking_uri.replace("127.0.0.1", "localhost"),
        }
        push(engine, address)
        user = Session(repository, cluster, environment, address)
        user.run("input", "--analysis", "analysis")
        yield user
        for image in engine.images.list(f"{address}/madminer-workflow/project"):
            engine.images.remove(image.id, force=True)
        for name in IMAGES:
            engine.images.remove(f"{address}/{IMAGE.replace('madminer-ml', name)}")


def push(engine: docker.DockerClient, address: str) -> None:
    """Put the three images into the registry: the same one, told apart by a label."""
    for name in IMAGES:
        tag = f"{address}/{IMAGE.replace('madminer-ml', name)}"
        dockerfile = f"FROM {IMAGE}\nLABEL stands-for={name}\n"
        engine.images.build(fileobj=io.BytesIO(dockerfile.encode()), tag=tag, forcerm=True)
        pushed = list(engine.images.push(tag, stream=True, decode=True))
        assert not [line for line in pushed if "error" in line], pushed[-1]


def test_the_manifests_are_known_once(session: Session):
    names = ["PersistentVolume madminer-workflow", "PersistentVolumeClaim madminer-workflow"]
    names.append("ConfigMap madminer-workflow-analysis")
    first, second = session.run("apply"), session.run("apply")
    assert first.splitlines() == [f"{name}: created" for name in names]
    assert second.splitlines() == [f"{name}: exists already" for name in names]


@pytest.fixture(scope="module")
def all_steps(session: Session) -> str:
    """What is said while all steps run."""
    session.run("apply")
    return session.step("all", "--ntrainsamples", "2")


def test_all_steps_from_prebuilt_images(session: Session, all_steps: str):
    assert "=== Building docker image" not in all_steps
    [parent] = session.runs("analysis")
    steps = session.client.search_runs(
        [parent.info.experiment_id], f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'"
    )
    names = {run.info.run_name for run in steps}
    assert {"configure", "generate", "pythia_0", "pythia_1", "delphes_0", "combine"} <= names
    assert {"sampling", "ratio", "plotting"} <= names
    assert {run.info.status for run in (parent, *steps)} == {"FINISHED"}
    assert session.log(parent).endswith("-- Succeeded: Completed, exit code 0\n")
    assert "CPWL2 95 %" in session.log(parent)
    # The Jobs of steps are deleted when they have ended.
    [job] = session.cluster.jobs
    assert job.pod_spec["containers"][0]["image"].startswith(f"{session.registry}/{IMAGE}")
    report = session.volume / "analysis/ml/plotting/report.html"
    assert (report.stat().st_uid, report.stat().st_gid) == (1000, 0)
    # What is read before it is created.
    assert all(each.endswith("not found") for each in session.cluster.refused)


def test_a_built_image_and_settings(session: Session, all_steps: str):
    arguments = "method=ratio member=0 alpha=0.5 epochs=3 n_hidden=6,6"
    said = session.step("training", "--build", "--parameters", arguments)
    assert "=== Building docker image" in said
    run = session.runs("training")[0]
    assert run.info.status == "FINISHED"
    parameters = run.data.params
    assert (parameters["training.alpha"], parameters["training.n_epochs"]) == ("0.5", "3")
    assert parameters["network.n_hidden"] == "[6, 6]"
    losses = session.client.get_metric_history(run.info.run_id, "loss_train")
    assert sorted(point.step for point in losses) == [1, 2, 3]
    [container] = session.cluster.jobs[-1].pod_spec["containers"]
    assert container["image"].startswith(f"{session.registry}/madminer-workflow/project")
    tracking = {each["name"]: each["value"] for each in container["env"]}["MLFLOW_TRACKING_URI"]
    assert tracking == session.environment["KUBE_MLFLOW_TRACKING_URI"]


def test_a_failed_step_is_failed_with_its_log(session: Session):
    session.run("apply")
    said = session.step("training", "--parameters", "workdir=/data/none", expected=1)
    run = session.runs("training")[0]
    assert run.info.status == "FAILED"
    assert f"its log is an artifact of the run {run.info.run_id}" in said
    problem = "error: /data/none/ml/sampling/methods: has no products of sampling"
    assert session.log(run).startswith(problem)
    assert session.log(run).endswith("-- Failed: Error, exit code 2\n")


def test_a_name_that_the_image_has_too(session: Session, engine: docker.DockerClient):
    image = f"{session.registry}/{IMAGE}"
    engine.images.get(image).tag("0.example/other", "latest")
    try:
        said = session.step("training", expected=2)
    finally:
        engine.images.remove("0.example/other:latest")
    assert "is called 0.example/other:latest too" in said


def test_logs_of_jobs_that_mlflow_submitted_alone(session: Session):
    assert session.run("logs") == f"{len(session.cluster.jobs)} logs stored\n"
