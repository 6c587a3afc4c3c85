"""A Job and its one pod: a container that Docker runs."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import docker
import requests

from tests.support.kube_server.volumes import RefusedError, size

RESTRICTED = {
    "runAsNonRoot": True,
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}


@dataclass
class Job:
    """What was posted, where its mounts are on this machine, and how its container does."""

    body: dict[str, Any]
    mounts: dict[str, dict[str, str]]
    started: str = ""
    exit_code: int | None = None
    log: str = ""
    reason: str = ""
    thread: threading.Thread | None = field(default=None, repr=False)

    @property
    def name(self) -> str:
        return self.body["metadata"]["name"]

    @property
    def pod_spec(self) -> dict[str, Any]:
        return self.body["spec"]["template"]["spec"]

    def start(self, engine: docker.DockerClient) -> None:
        self.thread = threading.Thread(target=self._run, args=(engine,), daemon=True)
        self.thread.start()

    def _run(self, engine: docker.DockerClient) -> None:
        self.started = now()
        try:
            self._run_container(engine)
        except (docker.errors.DockerException, requests.RequestException) as error:
            self.log, self.reason, self.exit_code = f"{error}\n", "Error", 128

    def _run_container(self, engine: docker.DockerClient) -> None:
        [container] = self.pod_spec["containers"]
        user = self.pod_spec["securityContext"]
        limits = container["resources"]["limits"]
        repository, _, digest = container["image"].partition("@")
        engine.images.pull(f"{repository.rpartition(':')[0]}@{digest}")
        running = engine.containers.run(
            container["image"],
            entrypoint=container["command"],
            environment={each["name"]: each["value"] for each in container["env"]},
            user=f"{user['runAsUser']}:{user['runAsGroup']}",
            group_add=[str(user["fsGroup"])],
            cap_drop=container["securityContext"]["capabilities"]["drop"],
            security_opt=["no-new-privileges"],
            mem_limit=size(limits["memory"]),
            cpu_period=100_000,
            cpu_quota=int(100_000 * float(limits["cpu"])),
            network_mode="host",
            volumes=self.mounts,
            detach=True,
        )
        try:
            self._wait(running)
        finally:
            running.remove(force=True)

    def _wait(self, running: Any) -> None:
        try:
            code = running.wait(timeout=self.body["spec"]["activeDeadlineSeconds"])["StatusCode"]
        except requests.RequestException:
            code, self.reason = 137, "DeadlineExceeded"
        running.reload()
        killed = running.attrs["State"]["OOMKilled"]
        self.log = running.logs().decode()
        self.reason = self.reason or ("OOMKilled" if killed else "Error" if code else "Completed")
        self.exit_code = code

    def status(self) -> dict[str, Any]:
        if self.exit_code is None:
            return {"active": 1, **({"startTime": self.started} if self.started else {})}
        kind = "Failed" if self.exit_code else "Complete"
        condition = {"type": kind, "status": "True", "message": f"{self.name}: {self.reason}"}
        return {"startTime": self.started, "conditions": [condition]}

    def pod(self) -> dict[str, Any]:
        [container] = self.pod_spec["containers"]
        state: dict[str, Any] = {"running": {"startedAt": self.started}}
        phase = "Running"
        if self.exit_code is not None:
            phase = "Failed" if self.exit_code else "Succeeded"
            state = {"terminated": {"exitCode": self.exit_code, "reason": self.reason}}
        status = {
            "name": container["name"],
            "image": container["image"],
            "imageID": container["image"],
            "ready": False,
            "restartCount": 0,
            "state": state,
        }
        labels = {**self.body["spec"]["template"]["metadata"]["labels"], "job-name": self.name}
        return {
            "metadata": {
                "name": f"{self.name}-pod",
                "namespace": self.body["metadata"]["namespace"],
                "labels": labels,
            },
            "spec": self.pod_spec,
            "status": {"phase": phase, "containerStatuses": [status]},
        }


def check_restricted(body: dict[str, Any]) -> None:
    """Refuse what the restricted Pod Security Standard does not allow."""
    pod = body["spec"]["template"]["spec"]
    for container in pod["containers"]:
        context = pod["securityContext"] | container.get("securityContext", {})
        for name, wanted in RESTRICTED.items():
            if context.get(name) != wanted:
                raise RefusedError(403, f'violates PodSecurity "restricted": {name} != {wanted}')
        if not context.get("runAsUser"):
            raise RefusedError(403, 'violates PodSecurity "restricted": runAsUser=0')


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
