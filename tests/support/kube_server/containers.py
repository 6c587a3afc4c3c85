"""A node on which a pod is a container that Docker runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import docker
import requests

from tests.support.kube_server.jobs import Pod, environment
from tests.support.kube_server.volumes import size


class DockerNode:
    """Runs pods with ``engine``, as the kubelet would.

    Pods with a service account find the cluster by the file ``kubeconfig``.
    """

    def __init__(self, engine: docker.DockerClient, kubeconfig: Path | None = None) -> None:
        self.engine, self.kubeconfig = engine, kubeconfig

    def __call__(self, pod: Pod) -> None:
        pod.start()
        try:
            self._run(pod)
        except (docker.errors.DockerException, requests.RequestException) as error:
            pod.log = f"{error}\n"
            pod.end(128)

    def _run(self, pod: Pod) -> None:
        [container] = pod.spec["containers"]
        user = pod.spec["securityContext"]
        limits = container["resources"]["limits"]
        repository, _, digest = container["image"].partition("@")
        name, _, tag = repository.rpartition(":")
        self.engine.images.pull(f"{name}@{digest}" if digest else f"{name}:{tag}")
        variables, mounts = environment(pod), dict(pod.mounts)
        if pod.spec["automountServiceAccountToken"]:
            variables["KUBECONFIG"] = "/kubeconfig"
            mounts[str(self.kubeconfig)] = {"bind": "/kubeconfig", "mode": "ro"}
        running = self.engine.containers.run(
            container["image"],
            entrypoint=container["command"],
            environment=variables,
            user=f"{user['runAsUser']}:{user['runAsGroup']}",
            group_add=[str(user["fsGroup"])],
            cap_drop=container["securityContext"]["capabilities"]["drop"],
            security_opt=["no-new-privileges"],
            mem_limit=size(limits["memory"]),
            cpu_period=100_000,
            cpu_quota=int(100_000 * float(limits["cpu"])),
            network_mode="host",
            volumes=mounts,
            detach=True,
        )
        try:
            self._wait(pod, running)
        finally:
            running.remove(force=True)

    def _wait(self, pod: Pod, running: Any) -> None:
        try:
            code = running.wait(timeout=pod.spec.get("activeDeadlineSeconds"))["StatusCode"]
            reason = ""
        except requests.RequestException:
            code, reason = 137, "DeadlineExceeded"
        running.reload()
        killed = running.attrs["State"]["OOMKilled"]
        pod.log = running.logs().decode()
        pod.end(code, reason or ("OOMKilled" if killed else ""))
