"""Workflow runs: a workspace each, an engine while they run, and what is known about them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.paths import REPOSITORY
from tests.support.reana_server.job import now


@dataclass(eq=False)
class Run:
    """One run of a workflow: ``number`` is "1", "2", … and "1.1" for the first restart of "1"."""

    name: str
    number: str
    specification: dict[str, Any]
    workspace: Path
    notes: Path
    identifier: str = field(default_factory=lambda: str(uuid.uuid4()))
    created: str = field(default_factory=now)
    parameters: dict[str, Any] = field(default_factory=dict)
    started: str | None = None
    finished: str | None = None
    deleted: bool = False
    release: str = "0.9"
    engine: subprocess.Popen[bytes] | None = None

    @property
    def full_name(self) -> str:
        return f"{self.name}.{self.number}"

    @property
    def status(self) -> str:
        if self.deleted:
            return "deleted"
        if self.engine is None:
            return "created"
        exit_code = self.engine.poll()
        if exit_code is None:
            return "running"
        self.finished = self.finished or now()
        return "failed" if exit_code else "finished"

    def start(self, parameters: dict[str, Any], options: dict[str, Any], python_path: str) -> None:
        """Run the workspace with ``parameters`` instead of those in the specification."""
        inputs = self.specification.get("inputs", {})
        self.parameters = inputs.get("parameters", {}) | parameters
        request = {
            "workspace": str(self.workspace),
            "specification": self.specification,
            "parameters": self.parameters,
            "options": inputs.get("options", {}) | options,
            "notes": str(self.notes),
            "release": self.release,
        }
        self.notes.mkdir(parents=True)
        (self.notes / "request.json").write_text(json.dumps(request))
        paths = [python_path, str(REPOSITORY), os.environ.get("PYTHONPATH", "")]
        self.started = now()
        with (self.notes / "engine.log").open("wb") as log:
            self.engine = subprocess.Popen(
                [
                    *(sys.executable, "-W", "ignore", "-m", "tests.support.reana_server.engine"),
                    str(self.notes / "request.json"),
                ],
                env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))},
                cwd=self.workspace,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def stop(self) -> None:
        """End the engine and its jobs, if they still run."""
        if self.engine and self.engine.poll() is None:
            self.engine.terminate()
            self.engine.wait()

    def jobs(self) -> dict[str, dict[str, Any]]:
        """The engine's notes on every job, in the order of their submission."""
        file = self.notes / "jobs.json"
        return json.loads(file.read_text()) if file.exists() else {}

    def progress(self) -> dict[str, Any]:
        """How many jobs are in which state, and when the run began and ended."""
        jobs = self.jobs()
        by_status = {
            status: [name for name, job in jobs.items() if job["status"] == status]
            for status in ("running", "finished", "failed")
        }
        counts = {key: {"total": len(ids), "job_ids": ids} for key, ids in by_status.items()}
        return counts | {
            "total": {"total": len(jobs), "job_ids": []},
            "run_started_at": self.started,
            "run_finished_at": self.finished,
        }

    def logs(self, steps: list[str] | None) -> dict[str, Any]:
        """The engine's log and those of the jobs, or only those of the jobs called ``steps``."""
        engine = self.notes / "engine.log"
        whole = engine.read_text(errors="replace") if engine.exists() else ""
        return {
            "workflow_logs": None if steps else whole,
            "engine_specific": None,
            "job_logs": {
                name: self._job_log(name, job)
                for name, job in self.jobs().items()
                if not steps or job["request"]["job_name"] in steps
            },
        }

    def _job_log(self, name: str, job: dict[str, Any]) -> dict[str, Any]:
        log = self.notes / f"{name}.log"
        return {
            "workflow_uuid": self.identifier,
            "job_name": job["request"]["job_name"],
            "compute_backend": "Kubernetes",
            "backend_job_id": name,
            "docker_img": job["request"]["docker_img"],
            "cmd": job["request"]["cmd"],
            "status": job["status"],
            "logs": log.read_text(errors="replace") if log.exists() else "",
            "started_at": job["started_at"],
            "finished_at": job["finished_at"],
        }

    def files(self) -> list[Path]:
        """All files of the workspace, sorted."""
        return sorted(path for path in self.workspace.rglob("*") if path.is_file())
