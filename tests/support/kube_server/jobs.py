"""A Job and its pods, as the controllers of Jobs treat them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from tests.support.kube_server.volumes import RefusedError

RESTRICTED = {
    "runAsNonRoot": True,
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}


@dataclass
class Pod:
    """One try of a Job: where its mounts are on this machine, and how its container does."""

    job: Job
    number: int
    mounts: dict[str, dict[str, str]]
    started: str = ""
    exit_code: int | None = None
    log: str = ""
    reason: str = ""
    disrupted: bool = False
    events: list[tuple[str, str, str]] = field(default_factory=list)
    killed: threading.Event = field(default_factory=threading.Event)

    @property
    def name(self) -> str:
        return f"{self.job.name}-{self.number}"

    @property
    def spec(self) -> dict[str, Any]:
        return self.job.pod_spec

    def tell(self, kind: str, reason: str, message: str) -> None:
        """An Event about this pod."""
        self.events.append((kind, reason, message))

    def start(self) -> None:
        """Its container runs."""
        self.started = now()

    def run_for(self, seconds: float) -> None:
        """Let its container run; it is killed at the deadline of the pod, or with the pod."""
        self.started = self.started or now()
        deadline = self.spec.get("activeDeadlineSeconds", float("inf"))
        if not self.killed.wait(min(seconds, deadline)) and seconds >= deadline:
            self.end(137, "DeadlineExceeded")

    def end(self, code: int, reason: str = "") -> None:
        """Its container ended; what has ended stays so."""
        if self.exit_code is None:
            self.reason = reason or ("Error" if code else "Completed")
            self.exit_code = code

    def drain(self) -> None:
        """Its node is drained."""
        self.disrupted = True
        self.end(137, "EvictionByEvictionAPI")

    @property
    def waits(self) -> bool:
        """Whether its container has not started."""
        return not self.started and self.exit_code is None

    def described(self) -> dict[str, Any]:
        [container] = self.spec["containers"]
        state: dict[str, Any] = {"running": {"startedAt": self.started}}
        phase, more = "Running", {}
        if self.waits:
            phase, state = "Pending", {"waiting": {"reason": "ContainerCreating"}}
        elif self.exit_code is not None:
            phase = "Failed" if self.exit_code else "Succeeded"
            by_deadline = self.reason == "DeadlineExceeded"
            reason = "Error" if by_deadline else self.reason
            state = {"terminated": {"exitCode": self.exit_code, "reason": reason}}
            more = {"reason": self.reason} if by_deadline else {}
        if self.disrupted:
            more["conditions"] = [{"type": "DisruptionTarget", "status": "True"}]
        status = {
            "name": container["name"],
            "image": container["image"],
            "imageID": container["image"],
            "ready": False,
            "restartCount": 0,
            "state": state,
        }
        labels = {**self.job.body["spec"]["template"]["metadata"]["labels"]}
        metadata = {
            "name": self.name,
            "namespace": self.job.namespace,
            "labels": labels | {"job-name": self.job.name},
        }
        return {
            "metadata": metadata,
            "spec": self.spec,
            "status": {"phase": phase, "containerStatuses": [status], **more},
        }


def environment(pod: Pod) -> dict[str, str]:
    """The variables of a pod's container, with what they tell of the pod itself."""
    [container] = pod.spec["containers"]
    fields = {"metadata.name": pod.name, "metadata.uid": pod.name}
    return {
        each["name"]: each["value"]
        if "value" in each
        else fields[each["valueFrom"]["fieldRef"]["fieldPath"]]
        for each in container.get("env", [])
    }


@dataclass
class Job:
    """What was posted, where its mounts are on this machine, and its pods."""

    body: dict[str, Any]
    mounts: dict[str, dict[str, str]]
    run: Callable[[Pod], None]
    pods: list[Pod] = field(default_factory=list)
    events: list[tuple[str, str, str]] = field(default_factory=list)
    failed: str = ""

    @property
    def name(self) -> str:
        return self.body["metadata"]["name"]

    @property
    def namespace(self) -> str:
        return self.body["metadata"]["namespace"]

    @property
    def pod_spec(self) -> dict[str, Any]:
        return self.body["spec"]["template"]["spec"]

    def start(self) -> None:
        """Create its pod, and watch its deadline."""
        self._create_pod()
        deadline = self.body["spec"].get("activeDeadlineSeconds")
        if deadline is not None:
            timer = threading.Timer(deadline, self._exceed)
            timer.daemon = True
            timer.start()

    def _create_pod(self) -> None:
        pod = Pod(self, len(self.pods), self.mounts)
        self.pods.append(pod)
        threading.Thread(target=self._follow, args=(pod,), daemon=True).start()

    def _follow(self, pod: Pod) -> None:
        self.run(pod)
        if pod.disrupted and self.ignores_disruption:
            self._create_pod()
        elif pod.exit_code:
            self.failed = self.failed or "BackoffLimitExceeded"

    @property
    def ignores_disruption(self) -> bool:
        """Whether a pod whose node is drained has not failed."""
        rules = self.body["spec"].get("podFailurePolicy", {}).get("rules", [])
        ignored = [rule["onPodConditions"] for rule in rules if rule["action"] == "Ignore"]
        return any(c["type"] == "DisruptionTarget" for conditions in ignored for c in conditions)

    def _exceed(self) -> None:
        """At its deadline a Job fails, and its pods are gone."""
        if not (self.failed or self.complete):
            self.failed = "DeadlineExceeded"
            self.delete_pods()

    def delete_pods(self) -> None:
        for pod in self.pods:
            pod.killed.set()
        self.pods = []

    @property
    def complete(self) -> bool:
        return any(pod.exit_code == 0 for pod in self.pods)

    def described(self) -> dict[str, Any]:
        started = next((pod.started for pod in self.pods if pod.started), "")
        status: dict[str, Any] = {"startTime": started} if started else {}
        kind = "Failed" if self.failed else "Complete" if self.complete else ""
        if kind:
            said = f"{self.name}: {self.failed or 'Completed'}"
            status["conditions"] = [{"type": kind, "status": "True", "message": said}]
        else:
            status["active"] = 1
        return {**self.body, "status": status}


def check_restricted(body: dict[str, Any]) -> None:
    """Refuse what the restricted Pod Security Standard does not allow."""
    pod = body["spec"]["template"]["spec"]
    for container in pod["containers"]:
        context = pod["securityContext"] | container.get("securityContext", {})
        for name, wanted in RESTRICTED.items():
            if context.get(name) != wanted:
                raise RefusedError(403, f'violates PodSecurity "restricted": {name} != {wanted}')
        if context.get("runAsUser") == 0:
            raise RefusedError(403, 'violates PodSecurity "restricted": runAsUser=0')


def check_constraint(body: dict[str, Any], users: range) -> str:
    """Why OpenShift's constraint restricted-v2 creates no such pod, if it does not.

    It chooses the user itself, one of ``users`` that the namespace has, and the group of the files.
    """
    context = body["spec"]["template"]["spec"]["securityContext"]
    for name in ("runAsUser", "fsGroup"):
        if name in context and context[name] not in users:
            return (
                "unable to validate against any security context constraint: provider "
                f"restricted-v2: .spec.securityContext.{name}: Invalid value: {context[name]}: "
                f"must be in the ranges: [{users[0]}, {users[-1]}]"
            )
    return ""


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
