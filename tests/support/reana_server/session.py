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
from pathlib import Path
from typing import Any

from tests.support.reana_server import releases
from tests.support.reana_server.api import ReanaServer, serving
from tests.support.reana_server.releases import OLDEST, Release

BIN = Path(sys.executable).parent
# As REANA 0.95 wants it, a JSON web token with three parts.
TOKEN = "a.token.for-tests"


@dataclasses.dataclass(frozen=True)
class Session:
    """Runs reana-client in ``folder``; ``problem``: why the engine runs other packages."""

    server: ReanaServer
    url: str
    problem: str
    folder: Path

    @property
    def release(self) -> Release:
        return self.server.release

    def in_folder(self, folder: Path) -> Session:
        return dataclasses.replace(self, folder=folder)

    def environment(self, **changes: str) -> dict[str, str]:
        client = str(Path(self.release.python).parent)
        path = os.pathsep.join([client, str(BIN), os.environ["PATH"]])
        server = {"REANA_SERVER_URL": self.url}
        if self.release.bundles:
            server = {"REANA_CLIENT_CONFIG": str(self.server.directory / "client.json")}
        given = {k: v for k, v in os.environ.items() if not k.startswith("REANA_")}
        own = {"REANA_ACCESS_TOKEN": TOKEN, "PATH": path, "PYTHONWARNINGS": "ignore"}
        return given | server | own | changes

    def client(self, *arguments: str, expected: int = 0, **environment: str) -> str:
        """What reana-client prints, errors too if one is expected, as its exit code."""
        finished = subprocess.run(
            [str(self.release.client), *arguments],
            cwd=self.folder,
            env=self.environment(**environment),
            capture_output=True,
            text=True,
        )
        assert finished.returncode == expected, finished.stdout + finished.stderr
        return finished.stdout + (finished.stderr if expected else "")

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
def session(release: Release = OLDEST) -> Iterator[Session]:
    """A session with a server of its own, and the engine of the release where it can be had."""
    # Not pytest's folders: nobody but their owner can enter those.
    directory = Path(tempfile.mkdtemp(prefix="reana"))
    directory.chmod(0o755)
    target = directory / "engine"
    problem = releases.install(target, *release.engine)
    server = ReanaServer(directory, TOKEN, "" if problem else str(target), release)
    try:
        with serving(server) as url:
            opened = Session(server, url, problem, directory)
            if release.bundles:
                opened.client("server-add", url)
                opened.client("server-use", url)
            yield opened
    finally:
        shutil.rmtree(directory)
