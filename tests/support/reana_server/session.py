"""A person at a terminal: reana-client as a command, against a server of their own."""

from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tests.support.paths import REANA_CLIENT
from tests.support.reana_server import releases
from tests.support.reana_server.api import ReanaServer, serving

BIN = Path(sys.executable).parent
TOKEN = "a-token-for-tests"


@dataclasses.dataclass(frozen=True)
class Session:
    """Runs reana-client in ``folder``; ``packtivity`` is the release that the engine runs."""

    server: ReanaServer
    url: str
    packtivity: str
    folder: Path

    def in_folder(self, folder: Path) -> Session:
        return dataclasses.replace(self, folder=folder)

    def environment(self, **changes: str) -> dict[str, str]:
        path = os.pathsep.join([str(BIN), os.environ["PATH"]])
        own = {"REANA_SERVER_URL": self.url, "REANA_ACCESS_TOKEN": TOKEN, "PATH": path}
        return os.environ | own | {"PYTHONWARNINGS": "ignore"} | changes

    def client(self, *arguments: str, expected: int = 0, **environment: str) -> str:
        """What reana-client prints; its exit code must be the expected one."""
        finished = subprocess.run(
            [REANA_CLIENT, *arguments],
            cwd=self.folder,
            env=self.environment(**environment),
            capture_output=True,
            text=True,
        )
        assert finished.returncode == expected, finished.stdout + finished.stderr
        return finished.stdout

    def wait(self, name: str, seconds: float = 300) -> str:
        """Wait until the run has ended; the value is its status."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            status = self.server.run(name).status
            if status != "running":
                return status
            time.sleep(0.1)
        raise AssertionError(f"{name} still runs")

    def jobs(self, name: str) -> dict[str, dict[str, Any]]:
        """What the server knows about the jobs of a run."""
        return self.server.run(name).jobs()


@contextmanager
def session() -> Iterator[Session]:
    """A session with a server of its own, and the packtivity of REANA where it can be had."""
    # Not pytest's folders: nobody but their owner can enter those.
    directory = Path(tempfile.mkdtemp(prefix="reana"))
    directory.chmod(0o755)
    target = directory / "packtivity"
    problem = releases.install(target, f"packtivity=={releases.PACKTIVITY}")
    used = version("packtivity") if problem else releases.PACKTIVITY
    server = ReanaServer(directory, TOKEN, "" if problem else str(target))
    try:
        with serving(server) as url:
            yield Session(server, url, used, directory)
    finally:
        shutil.rmtree(directory)
