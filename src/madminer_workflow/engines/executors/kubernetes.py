"""Steps as Jobs on Kubernetes, in pods that have the work directory under the same path.

The place is the file of a Job like which they are to be: namespace, volumes, users, nodes, and the
registry of its image. Without one it is that of JOB, which a pod of ours is told, or of the
repository.
"""

from __future__ import annotations

import copy
import hashlib
import json
import logging
import os
import re
import shlex
import signal
import threading
import time
import uuid
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import click
import yaml
from kubernetes.client import ApiException, BatchV1Api, CoreV1Api
from urllib3.exceptions import HTTPError

from madminer_workflow.engines.executors import Conditions, Lost, NotStarted, OutOfTime, Task
from madminer_workflow.engines.executors.installed import installed
from madminer_workflow.engines.executors.local import THREADS
from madminer_workflow.engines.surroundings import VARIABLES
from madminer_workflow.errors import InputError, StepError
from madminer_workflow.kubernetes import watching
from madminer_workflow.kubernetes.cluster import FORBIDDEN, connect, explained, said, try_job
from madminer_workflow.kubernetes.project import (
    JOB,
    POD,
    TEMPLATE,
    WAIT,
    WAIT_MINUTES,
    put_resources,
)

RUN = "madminer-workflow/run"
"""The label of all Jobs of a work directory."""
POLL_SECONDS = 1.0
LOOK_SECONDS = 10.0
STOP_SECONDS = 40.0
GRACE_SECONDS = 5
PATIENCE_SECONDS = 300.0
"""For how long a cluster may not answer."""
REPOSITORY = "madminer-workflow/"
"""How names of our images begin, in whatever registry."""
UNSEEN, OTHER = 96, 97
"""Exit codes of a pod that does not see the work directory, or has another installation."""
UNKNOWN = ("ContainerStatusUnknown", "NodeLost")
SEES = f'cd {{0}} && [ -w . ] || {{{{ echo "cannot write to" {{0}} >&2; exit {UNSEEN}; }}}}\n'


class Executor:
    """Runs every step as a Job of its own, which is deleted when it has ended."""

    elsewhere = True
    places = 0

    def __init__(self, conditions: Conditions, place: str = "") -> None:
        """Connect to the cluster, and ask whether it would take the Jobs.

        What an engine that was killed has left running in the same work directory is deleted.
        """
        logging.getLogger("urllib3").addHandler(logging.NullHandler())
        self._conditions = conditions
        self._template = _template(place)
        self._space = self._template["metadata"].get("namespace") or "default"
        self._wait = _wait_minutes(self._template)
        workdir = conditions.logs.parent if conditions.logs else Path.cwd()
        _check_volume(self._template, workdir)
        volumes = self._template["spec"]["template"]["spec"].get("volumes")
        self._label = hashlib.sha256(json.dumps([str(workdir), volumes]).encode()).hexdigest()[:40]
        self._selector = f"{RUN}={self._label}"
        self._checked: set[str] = set()
        self._told: set[str] = set()
        self._lock, self._looking = threading.Lock(), threading.Lock()
        self._held, self._stopped = False, False
        self._ended = threading.Event()
        self._jobs: dict[str, Any] = {}
        self._pods: dict[str, list[Any]] = {}
        self._looked = self._told_at = float("-inf")
        self._running = self._answered = time.monotonic()
        connect()
        self._batch, self._core = BatchV1Api(), CoreV1Api()
        watching.delete(self._space, self._selector)
        try_job(self._job(Task("step", "true", workdir, workdir / "log")))

    def run(self, task: Task) -> int:
        """Run the command of ``task`` in a pod, return its exit code."""
        job = self._job(task)
        name = job["metadata"]["name"]
        image = job["spec"]["template"]["spec"]["containers"][0]["image"]
        with self._lock:
            if self._stopped:
                return -signal.SIGTERM
            if self._held:
                raise NotStarted
            with explained():
                self._batch.create_namespaced_job(self._space, job)
        try:
            code = self._follow(name, task)
        except Lost:
            if not self._stopped:
                raise
            return self._stopped_code()
        finally:
            self._delete(name)
        self._checked.add(image)
        return code

    def hold(self) -> None:
        """Have Jobs deleted whose pods have not started, and create no further ones."""
        with self._lock:
            self._held = True

    def stop(self) -> None:
        """Delete all Jobs and their pods; return when they are gone."""
        with self._lock:
            self._stopped = True
        try:
            watching.delete(self._space, self._selector)
            end = time.monotonic() + STOP_SECONDS
            while self._list(self._core.list_namespaced_pod) and time.monotonic() < end:
                time.sleep(0.2)
        except (ApiException, HTTPError, StepError) as error:
            click.echo(
                "warning: some Jobs may remain; delete them with kubectl delete job -n "
                f"{self._space} -l {self._selector}: {error}",
                err=True,
            )
        finally:
            self._ended.set()

    def _stopped_code(self) -> int:
        # What it writes may be removed only when its pod is gone.
        self._ended.wait(STOP_SECONDS)
        return -signal.SIGTERM

    # What a Job is.

    def _job(self, task: Task) -> dict[str, Any]:
        """The Job of a step, like the template.

        A drained pod fails it: another must not go on in a directory where this one has written.
        """
        job = copy.deepcopy(self._template)
        title = re.sub(r"[^a-z0-9]+", "-", task.name.lower()).strip("-")[-40:].strip("-")
        job["metadata"] |= {"name": f"{title or 'step'}-{uuid.uuid4().hex[:16]}"}
        spec, pod = job["spec"], job["spec"]["template"]
        spec["backoffLimit"] = 0
        for name in ("podFailurePolicy", "activeDeadlineSeconds"):
            spec.pop(name, None)
        labels = {
            "app": "madminer-workflow",
            RUN: self._label,
            "madminer-workflow/step": title,
        }
        for metadata in (job["metadata"], pod.setdefault("metadata", {})):
            metadata["labels"] = {**metadata.get("labels", {}), **labels}
        owner = [os.environ.get(name) for name in POD]
        if all(owner):
            job["metadata"]["ownerReferences"] = [
                {"apiVersion": "v1", "kind": "Pod", "name": owner[0], "uid": owner[1]}
            ]
        if task.resources:
            put_resources(pod["spec"], task.resources)
        if self._conditions.limit is not None:
            pod["spec"]["activeDeadlineSeconds"] = max(1, round(self._conditions.limit))
        pod["spec"] |= {"restartPolicy": "Never", "terminationGracePeriodSeconds": GRACE_SECONDS}
        [container] = pod["spec"]["containers"]
        container["image"] = _image(container["image"], task.image)
        container["command"] = ["sh", "-c", self._script(task, container["image"])]
        container.pop("args", None)
        told = _variables(self._conditions.variables)
        kept = [entry for entry in container.get("env") or [] if entry["name"] not in told]
        container["env"] = kept + [{"name": name, "value": told[name]} for name in sorted(told)]
        return job

    def _script(self, task: Task, image: str) -> str:
        """What its pod does: the log is on the volume, so that it can be read meanwhile."""
        lines = SEES.format(shlex.quote(str(task.directory)))
        if image not in self._checked:
            module = "madminer_workflow.engines.executors.installed"
            expected = shlex.quote(json.dumps(installed(), sort_keys=True))
            lines += f"python -m {module} {expected} || exit {OTHER}\n"
        return f"{lines}exec >>{shlex.quote(str(task.log))} 2>&1 || exit {UNSEEN}\n{task.command}"

    # How it does.

    def _follow(self, name: str, task: Task) -> int:
        """The exit code of a step, once its pod has ended."""
        begun, size = time.monotonic(), _size(task.log)
        while not (self._ended.wait(POLL_SECONDS) or self._stopped):
            job, pods = self._look(name, begun)
            ended = [pod for pod in pods if pod.status.phase in ("Succeeded", "Failed")]
            if any(map(watching.is_replaced, pods)):
                raise Lost("the node of its pod was drained, or is gone")
            if ended:
                return self._exit_code(ended[0], task, size)
            if self._looked < begun:
                continue
            if job is None:
                raise Lost("its Job was deleted from outside")
            ends = {c.type for c in job.status.conditions or [] if c.status == "True"}
            if "Complete" in ends:
                return 0
            if "Failed" in ends:
                raise Lost("its pod is gone")
            if not any(map(watching.has_started, pods)):
                self._waits(job, task, begun)
        return self._stopped_code()

    def _look(self, name: str, begun: float) -> tuple[Any, list[Any]]:
        """A Job and its pods; the cluster is asked once for all steps."""
        with self._looking:
            if self._looked < max(begun, time.monotonic() - POLL_SECONDS / 2):
                self._ask()
            return self._jobs.get(name), self._pods.get(name, [])

    def _ask(self) -> None:
        now = time.monotonic()
        try:
            # In this order: whoever is told that a Job has ended is told of its pod.
            jobs = self._list(self._batch.list_namespaced_job)
            pods = self._list(self._core.list_namespaced_pod)
        except (ApiException, HTTPError) as error:
            if isinstance(error, ApiException) and error.status in (401, FORBIDDEN):
                raise StepError(
                    f"the Kubernetes cluster refused the request: {said(error)}"
                ) from None
            if now - self._answered > PATIENCE_SECONDS:
                raise StepError(
                    f"the Kubernetes cluster has not answered for {PATIENCE_SECONDS / 60:g} minutes"
                ) from None
            return
        self._looked = self._answered = now
        self._jobs = {job.metadata.name: job for job in jobs}
        self._pods = {}
        for pod in pods:
            self._pods.setdefault((pod.metadata.labels or {}).get("job-name", ""), []).append(pod)
            if pod.status.phase == "Running":
                self._running = now

    def _list(self, of_kind: Any) -> list[Any]:
        return list(of_kind(self._space, label_selector=self._selector).items)

    def _waits(self, job: Any, task: Task, begun: float) -> None:
        """Tell what a step waits for; NotStarted after ``hold``, StepError after too long."""
        if self._held:
            raise NotStarted
        now = time.monotonic()
        if now - max(begun, self._running) > 60 * self._wait:
            raise watching.stuck(task.name, [job], self._wait)
        with self._lock:
            if now - max(begun, self._told_at) < LOOK_SECONDS:
                return
            self._told_at = now
        with suppress(ApiException, HTTPError):
            for line in watching.events(job, "Warning"):
                if (words := line.replace(job.metadata.name, "")) not in self._told:
                    self._told.add(words)
                    click.echo(f"{task.name} waits: {line}", err=True)

    def _exit_code(self, pod: Any, task: Task, size: int) -> int:
        """How the container of a pod has ended, as executors tell it."""
        if pod.status.reason == "DeadlineExceeded":
            seconds = pod.spec.active_deadline_seconds
            _append(task.log, f"[ended: it took longer than its limit of {seconds} s]\n")
            raise OutOfTime
        statuses = pod.status.container_statuses or []
        end = next((status.state.terminated for status in statuses), None)
        if end is None or end.reason in UNKNOWN:
            reason = pod.status.message or pod.status.reason or "the reason is unknown"
            raise Lost(f"its pod ended with its node: {reason}")
        if end.exit_code in (UNSEEN, OTHER):
            raise InputError(_unfit(pod, end.exit_code, self._said(pod)))
        if end.exit_code and _size(task.log) == size:
            # It did not come as far as to the log on the volume.
            _append(task.log, self._said(pod) + (f"{end.message}\n" if end.message else ""))
        return -signal.SIGKILL if end.reason == "OOMKilled" else int(end.exit_code)

    def _said(self, pod: Any) -> str:
        """What a pod has said elsewhere than in the log on the volume."""
        try:
            answer = self._core.read_namespaced_pod_log(
                pod.metadata.name, self._space, _preload_content=False
            )
        except (ApiException, HTTPError):
            return ""
        return str(answer.data.decode(errors="replace"))

    def _delete(self, name: str) -> None:
        with suppress(ApiException, HTTPError):
            self._batch.delete_namespaced_job(name, self._space, propagation_policy="Background")


def _template(place: str) -> dict[str, Any]:
    """The Job like which those of the steps are to be; InputError if there is none."""
    told = "" if place else os.environ.get(JOB, "")
    file = Path(place or TEMPLATE)
    if not told and not file.is_file():
        raise InputError(
            f"--on kubernetes: {file}: no such file; expected --on kubernetes=FILE with a "
            "template for the Jobs of steps, such as mlflow/kubernetes_job_template.yaml"
        )
    try:
        job = yaml.safe_load(told or file.read_text())
        [container] = job["spec"]["template"]["spec"]["containers"]
        fits = job["kind"] == "Job" and bool(container["image"]) and bool(job["metadata"])
    except (yaml.YAMLError, KeyError, TypeError, ValueError):
        fits = False
    if not fits:
        raise InputError(
            f"--on kubernetes: {JOB if told else file}: expected a Job with one container and image"
        )
    return dict(job)


def _wait_minutes(job: Mapping[str, Any]) -> float:
    text = (job["metadata"].get("annotations") or {}).get(WAIT, WAIT_MINUTES)
    try:
        return float(text)
    except ValueError:
        raise InputError(f"--on kubernetes: {WAIT}: {text}: expected minutes") from None


def _check_volume(job: Mapping[str, Any], workdir: Path) -> None:
    """Raise InputError if pods have the work directory on no volume."""
    [container] = job["spec"]["template"]["spec"]["containers"]
    places = [
        mount["mountPath"]
        for mount in container.get("volumeMounts") or []
        if not mount.get("readOnly")
    ]
    if not any(workdir.is_relative_to(place) for place in places):
        raise InputError(
            f"--on kubernetes: {workdir} is not on a volume of the Jobs (they mount "
            f"{', '.join(places) or 'none'}); expected a --workdir on such a volume, with the "
            "same path here; without such a volume, run everything in the cluster: make "
            "mlflow-kubernetes"
        )


def _image(template: str, wanted: str) -> str:
    """The image of a step, from the registry that the template's is from.

    An image of another kind in the template is meant for all steps.
    """
    name = template.partition("@")[0]
    registry, ours, _ = name.rpartition(REPOSITORY)
    if not wanted.startswith(REPOSITORY) or not ours:
        return template
    return f"{registry}{wanted}"


def _variables(given: Mapping[str, str | None]) -> dict[str, str]:
    """What decides about numbers, and what this run tells its steps; all else is the image's."""
    told = {name: os.environ[name] for name in VARIABLES - {"PYTHIA8DATA"} if name in os.environ}
    told = {**dict.fromkeys(THREADS, "1"), **told, "PYTHONUNBUFFERED": "1"}
    told |= {"PYTHONUTF8": "1", "PYTHONIOENCODING": "utf-8"}
    return told | {name: value for name, value in given.items() if value is not None}


def _unfit(pod: Any, code: int, text: str) -> str:
    """Why pods are of no use, in a line."""
    *_, last = ["", *text.strip().splitlines()]
    image = pod.spec.containers[0].image
    if code == OTHER:
        return f"the image {image} would compute something else: {last}; expected the same release"
    return (
        f"its pod cannot access the work directory, or cannot write to it ({last}): expected a "
        "volume with the same path here and in the pod, writable for the user of the pods"
    )


def _size(log: Path) -> int:
    return log.stat().st_size if log.exists() else 0


def _append(log: Path, text: str) -> None:
    with log.open("a") as file:
        file.write(text)
