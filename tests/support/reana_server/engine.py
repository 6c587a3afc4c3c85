"""REANA's workflow engine and job controller, in one process: ``python -m … REQUEST``.

REQUEST is a JSON file: the workspace, the specification, the parameters and options, and the
directory for notes. ``jobs.json`` among the notes describes every job; its log lies beside it.
"""

from __future__ import annotations

import functools
import json
import logging
import os
import signal
import sys
import threading
import uuid
from concurrent.futures import Future, ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jq
import jsonpath_rw
from bravado_core.spec import Spec
from bravado_core.validate import validate_schema_object
from packtivity.asyncbackends import ExternalAsyncBackend
from reana_commons.config import REANA_LOG_FORMAT, REANA_LOG_LEVEL, REANA_WORKFLOW_UMASK
from reana_commons.yadage import yadage_load_from_workspace
from yadage.backends.packtivitybackend import PacktivityBackend
from yadage.steering_api import steering_ctx
from yadage.utils import WithJsonRefEncoder

from tests.support.reana_server.job import end_all, end_with_parent, now, run
from tests.support.reana_server.releases import RELEASES, Release

POLL_SECONDS = 0.1


class JobController:
    """Takes jobs, checks them against the official description, and runs them as REANA would."""

    def __init__(self, workspace: Path, notes: Path, release: Release) -> None:
        """Run in ``workspace`` as many jobs at a time as there are cores."""
        self.workspace, self.notes, self.release = workspace, notes, release
        self.jobs: dict[str, dict[str, Any]] = {}
        self.futures: dict[str, Future[None]] = {}
        self.lock = threading.Lock()
        self.pool = ThreadPoolExecutor(len(os.sched_getaffinity(0)))
        text = release.description("reana_job_controller")
        self.description = Spec(
            json.loads(text.read_text()), config={"validate_swagger_spec": False}
        )

    def submit(self, job: dict[str, Any]) -> dict[str, str]:
        """Queue a step as packtivity describes it."""
        environment = job["env"]
        request = {
            "job_name": job["metadata"]["name"],
            "docker_img": f"{environment['image']}:{environment['imagetag']}",
            "cmd": job["job"]["command"],
            "workflow_uuid": self.notes.name,
            "workflow_workspace": str(self.workspace),
        }
        for resource in environment["resources"]:
            request |= {key: resource[key] for key in self.release.resources if key in resource}
        schema = self.description.spec_dict["definitions"]["JobRequest"]
        validate_schema_object(self.description, schema, request)
        job["state"].ensure()
        identifier = str(uuid.uuid4())
        self.note(identifier, request=request, status="created", started_at=None, finished_at=None)
        self.futures[identifier] = self.pool.submit(self.execute, identifier)
        return {"job_id": identifier}

    def execute(self, identifier: str) -> None:
        self.note(identifier, status="running", started_at=now())
        log = self.notes / f"{identifier}.log"
        self.note(identifier, **run(self.jobs[identifier]["request"], log))

    def note(self, identifier: str, **changes: Any) -> None:
        with self.lock:
            self.jobs.setdefault(identifier, {}).update(changes)
            aside = self.notes / "jobs.json.new"
            aside.write_text(json.dumps(self.jobs))
            aside.replace(self.notes / "jobs.json")

    def ready(self, proxy: dict[str, str]) -> bool:
        return self.futures[proxy["job_id"]].done()

    def successful(self, proxy: dict[str, str]) -> bool:
        return self.jobs[proxy["job_id"]]["status"] == "finished"

    def fail_info(self, proxy: dict[str, str]) -> str:
        return f"job {proxy['job_id']} failed"


def compile_once() -> None:
    """Old packages compile the same few programs at every call: nine tenths of what they do."""
    jq.jq = functools.cache(jq.jq)
    jsonpath_rw.parse = functools.cache(jsonpath_rw.parse)


def main(request_file: str) -> None:
    """Run the workflow that ``request_file`` describes; an exception means that it failed."""
    signal.signal(signal.SIGTERM, end_all)
    end_with_parent()
    compile_once()
    request = json.loads(Path(request_file).read_text())
    workspace, options = Path(request["workspace"]), request["options"]
    logging.basicConfig(level=REANA_LOG_LEVEL, format=REANA_LOG_FORMAT)
    packages = ("yadage", "packtivity", "yadage-schemas", "adage", "jq")
    logging.info(", ".join(f"{package} {version(package)}" for package in packages))
    os.umask(REANA_WORKFLOW_UMASK)
    specification = yadage_load_from_workspace(
        str(workspace), request["specification"], options.get("toplevel", "")
    )["workflow"]["specification"]
    release = next(release for release in RELEASES if release.name == request["release"])
    controller = JobController(workspace, Path(request["notes"]), release)
    backend = PacktivityBackend(
        packtivity_backend=ExternalAsyncBackend(job_backend=controller), backendopts={}
    )
    with steering_ctx(
        dataarg=str(workspace),
        dataopts={"initdir": str(workspace / options.get("initdir", ""))},
        initdata=request["parameters"],
        # As JSON, because that is how the specification reaches REANA's engine.
        workflow_json=json.loads(json.dumps(specification, cls=WithJsonRefEncoder)),
        backend=backend,
        accept_metadir=True,
        visualize=False,
        updateinterval=POLL_SECONDS,
    ):
        pass


if __name__ == "__main__":
    main(sys.argv[1])
