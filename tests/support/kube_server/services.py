"""Programs that the tests start: Docker, a registry of images, MLflow's tracking server."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import requests

PATIENCE_SECONDS = 90


def answers(*command: str) -> bool:
    """Whether a command is there and succeeds."""
    if not shutil.which(command[0]):
        return False
    return subprocess.run(command, capture_output=True).returncode == 0


@contextmanager
def docker_daemon(directory: Path) -> Iterator[str]:
    """The address of Docker; empty if there is none and none can be started.

    Podman will not do: its socket does not serve digests of images in a registry, which MLflow
    asks for. Containers need no network of their own, so that nothing of the machine's changes.
    """
    if answers("docker", "info"):
        yield os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
        return
    if os.geteuid() or not shutil.which("dockerd"):
        yield ""
        return
    address = f"unix://{directory / 'docker.sock'}"
    places = [f"--{name}={directory / name}" for name in ("data-root", "exec-root", "pidfile")]
    command = ["dockerd", "--bridge=none", "--iptables=false", f"--host={address}", *places]
    with running(command, directory / "docker.log"):
        if waited(lambda: answers("docker", "--host", address, "info")):
            yield address
        else:
            yield ""
    # What containers left mounted would keep the directory from being removed.
    mounted = Path("/proc/mounts").read_text().splitlines()
    for line in reversed([line.split()[1] for line in mounted]):
        if line.startswith(str(directory)):
            subprocess.run(["umount", line], check=False)
    shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def registry(directory: Path) -> Iterator[str]:
    """The address of an empty registry of images, Debian's ``docker-registry``."""
    address = f"127.0.0.1:{free_port()}"
    config = directory / "registry.yml"
    config.write_text(
        f"version: 0.1\nstorage: {{filesystem: {{rootdirectory: {directory}/images}}}}\n"
        f"http: {{addr: '{address}'}}\n"
    )
    with running(["docker-registry", "serve", str(config)], directory / "registry.log"):
        assert waited(lambda: responds(f"http://{address}/v2/"))
        yield address


@contextmanager
def tracking_server(directory: Path) -> Iterator[str]:
    """The address of a tracking server with its own database and files."""
    port = free_port()
    command = [
        *(sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)),
        *("--backend-store-uri", f"sqlite:///{directory}/mlflow.db", "--workers", "1"),
        *("--artifacts-destination", str(directory / "artifacts")),
    ]
    with running(command, directory / "mlflow.log"):
        assert waited(lambda: responds(f"http://127.0.0.1:{port}/health"))
        yield f"http://127.0.0.1:{port}"


@contextmanager
def running(command: Sequence[str], log: Path) -> Iterator[None]:
    """Run a program with its output in ``log`` for as long as the block lasts."""
    with log.open("w") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        try:
            yield
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def waited(condition: Callable[[], bool]) -> bool:
    """Whether the condition came true in time."""
    end = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.5)
    return True


def responds(url: str) -> bool:
    """Whether there is a server at ``url``."""
    try:
        return requests.get(url, timeout=5).ok
    except requests.RequestException:
        return False


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
