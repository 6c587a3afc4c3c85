"""Jobs on a cluster that refuses, lets wait, drains nodes and ends pods: what is made of it.

The cluster is that of tests/support/kube_server, without Docker; what MLflow does with a Job is
done by a stand-in (tests/support/submitter.py), and its runs are in memory.
"""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result
from werkzeug.test import Client

from madminer_workflow.cli import main
from madminer_workflow.engines.order import Order
from madminer_workflow.errors import InputError, StepError
from madminer_workflow.kubernetes import cluster as api
from madminer_workflow.kubernetes import jobs, submitting, watching
from madminer_workflow.kubernetes.config_map import write
from madminer_workflow.kubernetes.project import JOB, MAIN, POD, TEMPLATE, Site, job_template
from madminer_workflow.kubernetes.submission import Submission, parameters
from tests.support import chain
from tests.support.kube_server.access import Access
from tests.support.kube_server.api import Cluster, serving, write_kubeconfig
from tests.support.kube_server.jobs import Pod
from tests.support.kube_server.node import ScriptedNode, ends, is_drained, runs, waits
from tests.support.paths import REPOSITORY
from tests.support.submitter import Submitter
from tests.support.tracked import Runs

ROLE = yaml.safe_load((REPOSITORY / "kube/role.yml").read_text())["rules"]
SPACE = "physics"


@dataclass
class User:
    """Somebody with the rights of the Role in one namespace, in a copy of this repository."""

    root: Path
    cluster: Cluster
    url: str
    tracked: Runs
    images: list[str] = field(default_factory=list)

    @property
    def node(self) -> ScriptedNode:
        assert isinstance(self.cluster.run, ScriptedNode)
        return self.cluster.run

    def happen(self, *happenings) -> None:
        """What happens to the next pods."""
        self.node.happenings = list(happenings)

    def cli(self, *arguments: str) -> Result:
        return CliRunner().invoke(main, ["kubernetes", *arguments, "--namespace", SPACE])

    def analysis(self, **settings) -> None:
        """An analysis of two methods, here and on the cluster."""
        methods = [m for m in chain.tiny("ml")["methods"] if m["name"] in ("counts", "ratio")]
        methods[-1] |= settings
        chain.analysis_file(
            self.root / "analysis/input.yml", ml={**chain.tiny("ml"), "methods": methods}
        )
        write(Path("analysis"), Path("kube/input_configmap.yml"))
        assert self.cli("apply").exit_code == 0

    def submission(self, wait: float = 60, **options) -> Submission:
        order = Order(Path("analysis"), Path("/data/analysis"), njobs=2)
        return Submission(order, "registry:5000", site=Site(SPACE, wait=wait), **options)

    def run(self, **options) -> None:
        """Run all steps."""
        jobs.run(MAIN, self.submission(**options))


@pytest.fixture
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[User]:
    for name in ("mlflow", "steps", "kube"):
        shutil.copytree(REPOSITORY / name, tmp_path / name)
    (tmp_path / "analysis").mkdir()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "node/srv/madminer-workflow").mkdir(parents=True)
    cluster = Cluster(tmp_path / "node")
    volume = yaml.safe_load(Path("kube/pv.yml").read_text())
    cluster.resources["PersistentVolume", "", "madminer-workflow"] = volume
    cluster.access = Access(SPACE, ROLE)
    tracked = Runs(lambda run_id: status(cluster, run_id))
    with serving(cluster) as url:
        write_kubeconfig(tmp_path / "kubeconfig", url)
        monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
        monkeypatch.setenv("MLFLOW_TRACKING_URI", url)
        user = User(tmp_path, cluster, url, tracked)
        monkeypatch.setattr(submitting, "MlflowClient", tracked)
        monkeypatch.setattr(jobs, "check_image", lambda name, build: user.images.append(name))
        monkeypatch.setattr(submitting, "LOOK_SECONDS", 0.1)
        monkeypatch.setattr(submitting, "POLL_SECONDS", 0.05)
        monkeypatch.setattr(submitting.Submitted, "command", stand_in(user))
        monkeypatch.setattr(submitting.subprocess, "Popen", Submitter)
        user.analysis()
        yield user
        for job in cluster.jobs:
            job.delete_pods()


def status(cluster: Cluster, run_id: str) -> str:
    """What MLflow says of a run, by its Job."""
    for job in cluster.jobs:
        if job.name.endswith(run_id):
            return "FAILED" if job.failed else "FINISHED" if job.complete else "RUNNING"
    return "RUNNING"


def stand_in(user: User):
    """What tells the stand-in what to do, in place of a command, and the run that MLflow makes."""
    command = submitting.Submitted.command

    def made(self: submitting.Submitted) -> list[str]:
        words = command(self)
        project = words[words.index("run") + 1]
        tags = {
            "mlflow.runName": self.name,
            "mlflow.source.name": project,
            "mlflow.project.entryPoint": self.step,
            "mlflow.project.backend": "kubernetes",
        }
        params = {k: str(v) for k, v in parameters(self.step, self.submission).items()}
        return [user.url, f"{project}/job_template.yaml", user.tracked.add(tags, params)]

    return made


# What the cluster knows.


def test_who_may_not_create_volumes_gets_everything_else(user: User):
    user.cluster.resources.clear()
    first, second = user.cli("apply"), user.cli("apply")
    volume, claim, config_map = first.output.splitlines()
    assert first.exit_code == second.exit_code == 0
    assert volume.startswith(
        "PersistentVolume madminer-workflow: not created, because you do not have permission to "
        "create"
    )
    assert claim == "PersistentVolumeClaim madminer-workflow: created"
    assert config_map == "ConfigMap madminer-workflow-analysis: created"
    assert second.output.splitlines()[1:] == [
        "PersistentVolumeClaim madminer-workflow: exists already",
        "ConfigMap madminer-workflow-analysis: exists already",
    ]
    assert {namespace for _, namespace, _ in user.cluster.resources} == {SPACE}


def test_a_class_of_volumes_or_no_file_needs_no_volume(user: User):
    user.cluster.resources.clear()
    said = user.cli("apply", "--storage-class", "cephfs").output
    assert "PersistentVolume " not in said
    claim = user.cluster.resources["PersistentVolumeClaim", SPACE, "madminer-workflow"]
    assert claim["spec"]["storageClassName"] == "cephfs"
    Path("kube/pv.yml").unlink()
    assert user.cli("apply").output.count("exists already") == 2


def test_a_config_map_that_differs_is_replaced(user: User):
    user.cluster.resources["ConfigMap", SPACE, "madminer-workflow-analysis"]["data"] = {"a": "b"}
    assert "ConfigMap madminer-workflow-analysis: replaced" in user.cli("apply").output


def test_all_that_is_refused_is_said_in_a_line_each(user: User):
    finished = CliRunner().invoke(main, ["kubernetes", "apply", "--namespace", "other"])
    *_, claim, config_map = finished.output.splitlines()
    assert finished.exit_code == 1 and "Traceback" not in finished.output
    for line, kind in ((claim, "persistentvolumeclaims"), (config_map, "configmaps")):
        assert (
            f'the Kubernetes cluster refused the request: {kind} is forbidden: User "physicist"'
            in line
        )
    finished = CliRunner().invoke(main, ["kubernetes", "logs", "--namespace", "other"])
    assert finished.exit_code == 1
    assert 'cannot list resource "jobs" in API group "batch"' in finished.output


def test_another_analysis_on_the_cluster_is_seen_before_anything_runs(user: User):
    text = Path("analysis/input.yml").read_text()
    Path("analysis/input.yml").write_text(text + "\n")
    with pytest.raises(InputError, match="the contents of input\\.yml differ from those here"):
        user.run()
    del user.cluster.resources["ConfigMap", SPACE, "madminer-workflow-analysis"]
    with pytest.raises(InputError, match="ConfigMap madminer-workflow-analysis: is not in the"):
        user.run()
    del user.cluster.resources["PersistentVolumeClaim", SPACE, "madminer-workflow"]
    with pytest.raises(InputError, match="PersistentVolumeClaim madminer-workflow: is not in the"):
        user.run()
    assert not user.cluster.jobs and not user.tracked.known


def test_a_job_that_the_cluster_would_not_take_is_seen_before_anything_runs(user: User):
    template = yaml.safe_load(Path(TEMPLATE).read_text())
    template["spec"]["template"]["spec"]["securityContext"]["runAsNonRoot"] = False
    Path(TEMPLATE).write_text(yaml.safe_dump(template))
    with pytest.raises(StepError, match='refused the request: violates PodSecurity "restr'):
        user.run()
    assert not user.cluster.jobs and not user.tracked.known


# What happens to a Job.


def training(user: User, **options) -> str:
    return submitting.submit("training", user.submission(**options))


def connected(user: User) -> None:
    api.connect()


def deadline(seconds: int) -> None:
    classes = yaml.safe_load(Path("steps/resources.yml").read_text())
    for each in classes.values():
        each["kubernetes_job_timeout"] = seconds
    Path("steps/resources.yml").write_text(yaml.safe_dump(classes))


def test_a_step_at_its_deadline_keeps_its_log(user: User):
    connected(user)
    deadline(1)
    user.happen(runs(60))
    with pytest.raises(StepError, match="its log is an artifact of the run"):
        training(user)
    [(_, text)] = user.tracked.texts.items()
    assert text == "working\n\n-- Failed: DeadlineExceeded; Error, exit code 137\n"


def test_a_deadline_of_the_job_would_lose_it(user: User):
    connected(user)
    template = yaml.safe_load(Path(TEMPLATE).read_text())
    template["spec"]["activeDeadlineSeconds"] = 1
    Path(TEMPLATE).write_text(yaml.safe_dump(template))
    user.happen(runs(60))
    with pytest.raises(StepError, match="failed on Kubernetes; see above"):
        training(user)
    assert not user.tracked.texts


@pytest.mark.parametrize(
    ("reason", "message"),
    [
        ("FailedScheduling", "0/3 nodes are available: 3 Insufficient memory."),
        ("FailedMount", "MountVolume.SetUp failed for volume data"),
        ("Failed", "Failed to pull image: unauthorized"),
    ],
)
def test_waiting_has_a_limit_and_its_events_are_told(user: User, reason, message, capsys):
    connected(user)
    user.happen(waits(reason, message))
    with pytest.raises(StepError) as caught:
        training(user, wait=0.01)
    wanted = f"training did not start within 0.01 minutes (WAIT=): {reason}: {message}"
    assert str(caught.value) == wanted
    assert f"training waits: {reason}: {message}" in capsys.readouterr().err
    [run] = user.tracked.named("training")
    assert run.info.status == "FAILED"
    assert user.tracked.texts[run.info.run_id, "logs/events.log"] == wanted
    assert not user.cluster.jobs and not user.cluster.pods


def test_a_full_quota_is_told_by_the_job(user: User):
    connected(user)
    user.cluster.quota = 'pods "x" is forbidden: exceeded quota: compute'
    with pytest.raises(StepError, match=r"FailedCreate: Error creating: pods .*exceeded quota"):
        training(user, wait=0.01)


def test_the_deadline_does_not_count_while_a_pod_waits(user: User):
    connected(user)
    deadline(1)

    def happen(pod: Pod) -> None:
        pod.killed.wait(1.2)
        ends(0)(pod)

    user.happen(happen)
    assert training(user)


def test_a_drained_node_costs_no_step(user: User):
    connected(user)
    user.happen(is_drained)
    run_id = training(user)
    texts = {name: text for (_, name), text in user.tracked.texts.items()}
    assert [text.partition("\n")[0] for text in texts.values()] == ["half done", "done"]
    assert user.tracked.known[run_id]


def test_without_the_policy_it_would(user: User):
    connected(user)
    template = yaml.safe_load(Path(TEMPLATE).read_text())
    del template["spec"]["podFailurePolicy"]
    Path(TEMPLATE).write_text(yaml.safe_dump(template))
    user.happen(is_drained)
    with pytest.raises(StepError, match="training failed on Kubernetes"):
        training(user)


def test_an_interrupted_run_leaves_no_pod(user: User):
    def happen(pod: Pod) -> None:
        pod.start()
        os.kill(os.getpid(), signal.SIGINT)
        runs(60)(pod)

    user.happen(happen)
    with pytest.raises(KeyboardInterrupt):
        user.run()
    assert not user.cluster.jobs and not user.cluster.orphans and not user.cluster.pods
    assert user.tracked.named("analysis")[0].info.status == "KILLED"


def test_a_job_that_is_deleted_without_a_policy_leaves_its_pod(user: User):
    connected(user)
    training(user)
    [job] = user.cluster.jobs
    path = f"/apis/batch/v1/namespaces/{SPACE}/jobs/{job.name}"
    assert Client(user.cluster).delete(path).status_code == 200
    assert not user.cluster.jobs and len(user.cluster.orphans) == 1


def test_what_the_cluster_answers_instead_of_a_log_is_none(user: User):
    connected(user)
    user.cluster.mute = True
    user.happen(ends(1))
    with pytest.raises(StepError, match=r'training-0* has no log: pods ".*" not found|no log'):
        training(user)
    assert not user.tracked.texts
    finished = user.cli("logs")
    assert "0 logs stored" in finished.output and "no log: pods" in finished.output
    user.cluster.mute = False
    assert user.cli("logs").output == "1 logs stored\n"


def test_a_pod_that_waits_has_no_log(user: User):
    connected(user)
    user.happen(waits("FailedScheduling", "no node"))
    Client(user.cluster).post(f"/apis/batch/v1/namespaces/{SPACE}/jobs", json=waiting_job(user))
    [log] = watching.logs(SPACE)
    assert (log.text, log.problem) == ("", "it has not started")


def waiting_job(user: User) -> dict:
    job = job_template("training", Path("analysis"), "a", Site(SPACE))
    [container] = job["spec"]["template"]["spec"]["containers"]
    container["env"] = [{"name": "MLFLOW_RUN_ID", "value": "1"}]
    return job


def test_every_try_to_create_a_pod_is_told_once(user: User):
    connected(user)
    Client(user.cluster).post(f"/apis/batch/v1/namespaces/{SPACE}/jobs", json=waiting_job(user))
    [job] = user.cluster.jobs
    for suffix in ("x7k2p", "b9c4z"):
        message = f'pods "{job.name}-{suffix}" is forbidden: exceeded quota'
        job.events.append(("Warning", "FailedCreate", message))
    [found] = watching.jobs(SPACE)
    assert set(watching.events(found)) == {
        f'FailedCreate: pods "{job.name}" is forbidden: exceeded quota'
    }


def test_the_jobs_of_others_are_not_touched(user: User):
    connected(user)
    training(user)
    user.happen(waits("FailedScheduling", "no node"))
    with pytest.raises(StepError, match="did not start"):
        training(user, wait=0.005)
    assert len(user.cluster.jobs) == 1 and len(watching.jobs(SPACE)) == 1


# All steps.


def test_all_steps_are_run_by_one_job_that_is_told_how(user: User):
    user.run(wait=7)
    [job] = user.cluster.jobs
    [container] = job.pod_spec["containers"]
    told = {each["name"]: each for each in container["env"]}
    assert [told[name]["valueFrom"]["fieldRef"]["fieldPath"] for name in POD] == [
        *("metadata.name", "metadata.uid")
    ]
    assert job.pod_spec["serviceAccountName"] == "madminer-workflow"
    assert job.pod_spec["automountServiceAccountToken"] is True
    # It lasts as long as all its steps.
    assert "activeDeadlineSeconds" not in job.pod_spec
    assert container["resources"]["limits"] == {"cpu": "1", "memory": "2Gi"}
    steps = yaml.safe_load(told[JOB]["value"])
    assert steps["metadata"]["namespace"] == SPACE
    assert steps["metadata"]["annotations"] == {"madminer-workflow/wait-minutes": "7"}
    pod = steps["spec"]["template"]["spec"]
    assert pod["volumes"] == job.pod_spec["volumes"]
    assert pod["automountServiceAccountToken"] is False and "serviceAccountName" not in pod
    assert pod["containers"][0]["image"] in images() and "env" not in pod["containers"][0]
    # Which images there are is asked before anything runs.
    assert set(user.images) == images()
    [run] = user.tracked.named("analysis")
    assert run.data.params["engine"] == "kubernetes" and run.data.params["njobs"] == "2"


def images() -> set[str]:
    described = {}
    for part in ("physics", "ml"):
        described |= yaml.safe_load(Path(f"steps/{part}.yml").read_text())
    environments = [step["environment"] for step in described.values()]
    return {f"registry:5000/{e['image']}:{e['imagetag']}" for e in environments}


def test_a_failed_run_is_told(user: User):
    user.happen(ends(2))
    with pytest.raises(StepError, match="analysis failed on Kubernetes; its log is an artifact"):
        user.run()
    assert user.tracked.named("analysis")[0].info.status == "FAILED"


# What a cluster asks for.


def test_settings_of_the_cluster(user: User):
    connected(user)
    site = Site(SPACE, "pull", "worker", {"kind": "cpu"})
    submitting.submit("training", replace(user.submission(), site=site))
    [job] = user.cluster.jobs
    assert job.pod_spec["imagePullSecrets"] == [{"name": "pull"}]
    assert job.pod_spec["serviceAccountName"] == "worker"
    assert job.pod_spec["nodeSelector"] == {"kind": "cpu"}
    assert job.pod_spec["securityContext"]["fsGroupChangePolicy"] == "OnRootMismatch"


def test_what_the_template_asks_for_besides_stays(user: User):
    connected(user)
    template = yaml.safe_load(Path(TEMPLATE).read_text())
    [container] = template["spec"]["template"]["spec"]["containers"]
    container["resources"]["limits"]["nvidia.com/gpu"] = "1"
    Path(TEMPLATE).write_text(yaml.safe_dump(template))
    training(user)
    [container] = user.cluster.jobs[0].pod_spec["containers"]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert container["resources"]["limits"]["memory"] == "8Gi"


def test_openshift_chooses_the_user(user: User):
    connected(user)
    user.cluster.users = range(1000680000, 1000690000)
    with pytest.raises(StepError, match=r"restricted-v2: \.spec\.securityContext\.runAsUser"):
        training(user, wait=0.005)
    site = Site(SPACE, any_user=True)
    submitting.submit("training", replace(user.submission(), site=site))
    context = user.cluster.jobs[-1].pod_spec["securityContext"]
    assert not {"runAsUser", "fsGroup"} & context.keys() and context["runAsNonRoot"]
