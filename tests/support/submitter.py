"""In place of ``mlflow run --backend kubernetes``: a Job from its template, waited for."""

from __future__ import annotations

import json
import threading
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml


class Submitter:
    """What is asked of a process: ``SERVER TEMPLATE RUN_ID`` are its words."""

    def __init__(self, words: Sequence[str], start_new_session: bool) -> None:
        assert start_new_session
        self.returncode: int | None = None
        self._stopped = False
        self._thread = threading.Thread(target=self._run, args=words, daemon=True)
        self._thread.start()

    def _run(self, server: str, template: str, run_id: str) -> None:
        """Submit a Job, and wait for its end as MLflow does."""
        job = yaml.safe_load(Path(template).read_text())
        job["metadata"]["name"] = f"madminer-workflow-{run_id}"
        [container] = job["spec"]["template"]["spec"]["containers"]
        container.setdefault("env", []).append({"name": "MLFLOW_RUN_ID", "value": run_id})
        jobs = f"{server}/apis/batch/v1/namespaces/{job['metadata']['namespace']}/jobs"
        call(jobs, job)
        while not self._stopped:
            status = call(f"{jobs}/{job['metadata']['name']}/status")["status"]
            for condition in status.get("conditions", []):
                self.returncode = int(condition["type"] == "Failed")
                return
            time.sleep(0.03)
        self.returncode = -15

    def poll(self) -> int | None:
        return self.returncode

    def terminate(self) -> None:
        self._stopped = True

    def wait(self, timeout: float | None = None) -> None:
        self._thread.join(timeout)


def call(url: str, body: dict[str, Any] | None = None) -> Any:
    """Ask the server."""
    data = json.dumps(body).encode() if body else None
    with urllib.request.urlopen(urllib.request.Request(url, data), timeout=10) as answer:
        return json.load(answer)
