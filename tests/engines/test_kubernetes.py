"""Steps as Jobs, on an API server whose pods are processes here (tests/support/kube_server)."""

from __future__ import annotations

import io
import json
import threading
from pathlib import Path

import pytest
from rich.console import Console

from madminer_workflow.engines.executors import Conditions, Task, kubernetes
from madminer_workflow.engines.executors import make as make_executor
from madminer_workflow.engines.executors.installed import installed
from madminer_workflow.engines.executors.installed import main as compare
from madminer_workflow.engines.local import describe_failure, run_step
from madminer_workflow.engines.order import Order
from madminer_workflow.engines.resources import resources_of
from madminer_workflow.engines.run import run_workflow, run_yadage
from madminer_workflow.errors import InputError, StepError
from tests.engines.test_dask import leftovers, products
from tests.engines.test_resources import CLASSES
from tests.engines.test_run import Toy, change_steps, wait_for
from tests.support.kube_server.access import Access
from tests.support.kube_server.jobs import Pod
from tests.support.kube_server.node import computes, waits
from tests.support.kube_site import IMAGE, ROLE, SPACE, Site
from tests.support.paths import DATA

TOY = DATA / "toy_workflow"


@pytest.fixture
def toy(site: Site) -> Toy:
    return Toy(site.volume)


def run(toy: Toy, on: str, workflow: Path = TOY) -> dict[str, str]:
    jobs = run_yadage("workflow.yml", workflow, toy.parameters(0), toy.workdir, 4, on=on)
    return {job.name.removeprefix("part/"): job.status for job in jobs}


def pod_of(job: dict) -> dict:
    return job["spec"]["template"]["spec"]


def test_a_drained_node_costs_its_step(toy: Toy, site: Site):
    change_steps(toy, "&& cat {job}", "; touch {output}/half; sleep 1; rm {output}/half; cat {job}")
    site.happen(computes(), computes(drained_after=0.7))
    assert set(run(toy, site.on, toy.directory).values()) == {"done"}
    assert toy.joined == "aabbccend" and not list(toy.workdir.rglob("half"))
    logs = [log.read_text() for log in toy.workdir.rglob("double_*.run.log")]
    assert (
        sum("drained, or is gone: running again, 1 of at most 5 times" in log for log in logs) == 1
    )
    assert len(site.created) == 6 and not site.cluster.jobs and not site.cluster.pods
    assert not site.cluster.refused


def test_a_job_that_somebody_deletes_is_lost(site: Site):
    def is_deleted(pod: Pod) -> None:
        pod.start()
        site.cluster.jobs.clear()

    site.happen(is_deleted)
    executor = site.executor()
    outcome = run_step(site.task("echo x > only"), executor)
    assert outcome.exit_code == 0 and (site.workdir / "step/only").read_text() == "x\n"
    assert "its Job was deleted from outside: running again" in (site.workdir / "log").read_text()


def test_out_of_memory_is_tried_once_more_in_the_next_class(site: Site):
    resources = resources_of({"resources": [CLASSES["medium"]]})
    task = site.task("echo begun; kill -9 $$", resources=resources)
    outcome = run_step(task, site.executor())
    message = describe_failure("part/big", outcome, task.log)
    assert task.log.read_text().count("\nbegun") == 2
    assert "out of memory before, and was run again in the resource class large (8Gi)" in message
    asked = [pod_of(job)["containers"][0]["resources"] for job in site.created]
    assert [each["limits"]["memory"] for each in asked] == ["4Gi", "8Gi"]
    assert [each["requests"]["memory"] for each in asked] == ["4Gi", "8Gi"]
    assert [pod_of(job)["activeDeadlineSeconds"] for job in site.created] == [28800, 86400]


def test_a_failure_is_told_as_here(toy: Toy, site: Site):
    toy.letters.write_text("bad c d e f")
    with pytest.raises(StepError, match=r"step part/double_0 failed with exit code 1") as failure:
        run(toy, site.on)
    assert "| doubling" in str(failure.value)
    assert "Run the same command again to continue" in str(failure.value)
    assert not site.cluster.jobs and leftovers(toy.workdir) == []


def test_a_step_is_ended_at_its_deadline(site: Site):
    task = site.task("echo begun; sleep 60")
    executor = site.executor(limit=1)
    # Python may take as long to start.
    executor._checked.add(pod_of(site.job)["containers"][0]["image"])
    outcome = run_step(task, executor)
    assert outcome.late and outcome.exit_code == 124
    text = task.log.read_text()
    assert "begun\n[ended: it took longer than its limit of 1 s]" in text


def test_what_a_step_waits_for_is_told_and_has_a_limit(site: Site, capsys):
    site.change(annotations={kubernetes.WAIT: "0.01"})
    site.happen(waits("FailedScheduling", "0/3 nodes are available"))
    executor = site.executor()
    with pytest.raises(StepError, match=r"part/step_0 did not start within 0\.01 minutes .*0/3"):
        executor.run(site.task("true"))
    assert "part/step_0 waits: FailedScheduling: 0/3 nodes" in capsys.readouterr().err
    assert not site.cluster.jobs and not site.cluster.pods


def test_a_job_whose_pod_waits_does_not_begin_after_a_failure(site: Site):
    site.happen(waits("FailedScheduling", "0/3 nodes are available"))
    executor = site.executor()
    threading.Timer(0.3, executor.hold).start()
    with pytest.raises(kubernetes.NotStarted):
        executor.run(site.task("true"))
    with pytest.raises(kubernetes.NotStarted):
        executor.run(site.task("true"))
    assert not site.cluster.jobs and len(site.created) == 1


def test_a_run_that_is_stopped_leaves_nothing_running(site: Site):
    executor = site.executor()
    threading.Timer(0.5, executor.stop).start()
    assert executor.run(site.task("sleep 60")) < 0
    assert not site.cluster.jobs and not site.cluster.pods and not site.cluster.orphans
    assert executor.run(site.task("true")) < 0


def test_what_a_killed_run_left_is_deleted_by_the_next(site: Site):
    first = site.executor()
    thread = threading.Thread(target=lambda: _quietly(first, site.task("sleep 60")))
    thread.start()
    wait_for(lambda: bool(site.cluster.pods))
    first._delete = lambda name: None  # as if it had died
    site.executor()
    assert not site.cluster.jobs and not site.cluster.pods
    thread.join()


def _quietly(executor: kubernetes.Executor, task: Task) -> None:
    with pytest.raises(kubernetes.Lost):
        executor.run(task)


def test_missing_rights_are_told_in_one_line(site: Site):
    kept = [rule for rule in ROLE if "jobs" not in rule["resources"]]
    site.cluster.access = Access(SPACE, kept)
    with pytest.raises(StepError) as failure:
        site.executor()
    [line] = str(failure.value).splitlines()
    assert 'the Kubernetes cluster refused the request: jobs is forbidden: User "physicist"' in line


def test_jobs_are_like_the_one_in_the_file(site: Site, monkeypatch: pytest.MonkeyPatch):
    for name, value in zip(kubernetes.POD, ("engine", "uid-1"), strict=True):
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    pod_of(site.job)["nodeSelector"] = {"kind": "cpu"}
    site.change(labels={"app": "other", "mine": "yes"})
    executor = site.executor(variables={"CORES": "1"})
    image = IMAGE.replace("-ml", "-physics")
    command = 'echo "$OMP_NUM_THREADS $CORES"'
    assert executor.run(site.task(command, image=image)) == 0
    assert executor.run(site.task("true", image=image)) == 0
    assert (site.workdir / "log").read_text() == "3 1\n"
    first, second = site.created
    for job in site.created:
        assert pod_of(job)["containers"][0]["image"] == f"registry.example/{image}"
        assert pod_of(job)["nodeSelector"] == {"kind": "cpu"}
        assert job["metadata"]["labels"]["mine"] == "yes"
        assert [owner["uid"] for owner in job["metadata"]["ownerReferences"]] == ["uid-1"]
        # Another pod must not go on where this one has written.
        assert job["spec"]["backoffLimit"] == 0 and "podFailurePolicy" not in job["spec"]
    # An image is asked once what it has installed.
    scripts = [pod_of(job)["containers"][0]["command"][-1] for job in (first, second)]
    assert ["executors.installed" in script for script in scripts] == [True, False]


def test_an_image_of_another_kind_is_meant_for_all_steps():
    wanted = IMAGE.replace("-ml", "-physics")
    assert kubernetes._image("registry:5000/mine:2@sha256:1", wanted) == (
        "registry:5000/mine:2@sha256:1"
    )
    assert kubernetes._image(IMAGE, wanted) == wanted


def test_an_image_that_would_compute_something_else(site: Site, monkeypatch, capsys):
    known = {**installed(), "numpy": "1.0", "not-in-the-image": "3"}
    monkeypatch.setattr(kubernetes, "installed", lambda: known)
    executor = site.executor()
    with pytest.raises(InputError, match=r"would compute something else: it has numpy .* 1\.0;"):
        executor.run(site.task("true"))
    assert compare(json.dumps({**installed(), "not-in-the-image": "3"})) == 0


def test_pods_that_do_not_see_the_files(site: Site):
    executor = site.executor()
    task = Task("step", "true", site.volume / "away", site.workdir / "log")
    with pytest.raises(InputError, match=r"cannot access the work directory, .*cannot write to"):
        executor.run(task)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "no such file; expected --on kubernetes=FILE"),
        ("kind: Job", "expected a Job with one container and image"),
        ("{", "expected a Job with one container and image"),
    ],
)
def test_a_file_that_is_no_job(site: Site, content: str | None, said: str):
    site.file.unlink()
    if content:
        site.file.write_text(content)
    with pytest.raises(InputError, match=said):
        site.executor()


def test_a_work_directory_that_is_on_no_volume(site: Site, tmp_path: Path):
    said = "/elsewhere is not on a volume of the Jobs \\(they mount .*/srv/madminer-workflow\\)"
    with pytest.raises(InputError, match=said):
        make_executor(site.on, Conditions(logs=tmp_path / "elsewhere/_yadage"))


def test_the_file_may_be_told_by_a_variable(site: Site, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(kubernetes.JOB, site.file.read_text())
    monkeypatch.chdir(site.volume)
    executor = make_executor("kubernetes", Conditions(logs=site.workdir / "_yadage"))
    (site.workdir / "step").mkdir(parents=True)
    assert executor.run(site.task("true")) == 0


@pytest.mark.slow
def test_the_same_bytes_of_a_whole_analysis(site: Site, tmp_path: Path):
    """Two of the pods are drained."""
    order = Order(DATA / "tiny", tmp_path / "here", njobs=2, ntrainsamples=2, workers=2)
    quiet = Console(file=io.StringIO())
    run_workflow(order, quiet)
    site.happen(computes(), computes(drained_after=0.5), *[computes()] * 4, computes(0.5))
    there = Order(DATA / "tiny", site.workdir, njobs=2, ntrainsamples=2, workers=2, on=site.on)
    run_workflow(there, quiet)
    assert products(site.workdir) == products(order.workdir)
    assert leftovers(site.workdir) == [] and not site.cluster.jobs
    logs = [log.read_text() for log in site.workdir.rglob("*.run.log")]
    assert sum("running again" in log for log in logs) == 2
