"""The REST interface: what the Kubernetes client of MLflow and ours call, with its answers."""

from __future__ import annotations

import json
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import docker
from werkzeug.exceptions import HTTPException
from werkzeug.routing import Map, Rule
from werkzeug.serving import make_server
from werkzeug.wrappers import Request, Response

from tests.support.kube_server.jobs import Job, check_restricted
from tests.support.kube_server.volumes import RefusedError, bind, host_path, lay_out

KINDS = {
    "configmaps": "ConfigMap",
    "persistentvolumes": "PersistentVolume",
    "persistentvolumeclaims": "PersistentVolumeClaim",
}
CORE = "/api/v1/namespaces/<namespace>"
BATCH = "/apis/batch/v1"
ROUTES = Map(
    [
        Rule("/version/", endpoint="version"),
        *(Rule(f"{p}/<plural>", methods=["POST"], endpoint="create") for p in ("/api/v1", CORE)),
        Rule(f"{CORE}/<plural>/<name>", methods=["PUT"], endpoint="replace"),
        Rule(f"{BATCH}/namespaces/<namespace>/jobs", methods=["POST"], endpoint="create_job"),
        Rule(f"{BATCH}/namespaces/<namespace>/jobs/<name>/status", endpoint="job_status"),
        Rule(f"{BATCH}/jobs", endpoint="list_jobs"),
        Rule(f"{CORE}/pods", endpoint="list_pods"),
        Rule(f"{CORE}/pods/<name>/log", endpoint="pod_log"),
    ]
)


class Cluster:
    """The application. The file system of its node is the directory ``node``."""

    def __init__(self, node: Path, engine: docker.DockerClient) -> None:
        self.node, self.engine = node, engine
        self.resources: dict[tuple[str, str], dict[str, Any]] = {}
        self.jobs: list[Job] = []
        self.refused: list[str] = []

    def __call__(self, environ: Any, start_response: Any) -> Any:
        request = Request(environ)
        try:
            endpoint, values = ROUTES.bind_to_environ(environ).match()
            answer = getattr(self, endpoint)(request, **values)
            code = 201 if request.method == "POST" else 200
        except HTTPException as error:
            answer, code = self._refuse(error.code or 500, f"{request.path}: {error}")
        except RefusedError as error:
            answer, code = self._refuse(error.code, error.message)
        if isinstance(answer, str):
            return Response(answer, code, content_type="text/plain")(environ, start_response)
        response = Response(json.dumps(answer), code, content_type="application/json")
        return response(environ, start_response)

    def _refuse(self, code: int, message: str) -> tuple[dict[str, Any], int]:
        self.refused.append(message)
        status = {"kind": "Status", "apiVersion": "v1", "status": "Failure"}
        return status | {"message": message, "code": code}, code

    # What clients ask for.

    def version(self, request: Request) -> dict[str, Any]:
        names = ("buildDate", "compiler", "gitCommit", "gitTreeState", "gitVersion", "goVersion")
        return {"major": "1", "minor": "37", "platform": "", **dict.fromkeys(names, "")}

    def create(self, request: Request, plural: str, namespace: str = "") -> dict[str, Any]:
        body = self._body(request, KINDS[plural], namespace)
        key = (body["kind"], body["metadata"]["name"])
        if key in self.resources:
            raise RefusedError(409, f"{plural} {key[1]} already exists")
        self.resources[key] = body
        return body

    def replace(self, request: Request, namespace: str, plural: str, name: str) -> dict[str, Any]:
        body = self._body(request, KINDS[plural], namespace)
        self._get(body["kind"], name)
        self.resources[body["kind"], name] = body
        return body

    def create_job(self, request: Request, namespace: str) -> dict[str, Any]:
        body = self._body(request, "Job", namespace)
        check_restricted(body)
        job = Job(body, self._mounts(body))
        self.jobs.append(job)
        job.start(self.engine)
        return self._job(job)

    def job_status(self, request: Request, namespace: str, name: str) -> dict[str, Any]:
        return self._job(self.job(name))

    def list_jobs(self, request: Request) -> dict[str, Any]:
        jobs = [self._job(job) for job in self.jobs]
        return _list("batch/v1", "JobList", jobs, request)

    def list_pods(self, request: Request, namespace: str) -> dict[str, Any]:
        return _list("v1", "PodList", [job.pod() for job in self.jobs], request)

    def pod_log(self, request: Request, namespace: str, name: str) -> str:
        return self.job(name.removesuffix("-pod")).log

    def job(self, name: str) -> Job:
        """The Job of that name."""
        for job in self.jobs:
            if job.name == name:
                return job
        raise RefusedError(404, f"jobs {name} not found")

    # How they are done.

    def _body(self, request: Request, kind: str, namespace: str) -> dict[str, Any]:
        body = json.loads(request.get_data())
        metadata = body["metadata"]
        if body["kind"] != kind or metadata.get("namespace", "") != namespace:
            raise RefusedError(400, f"{metadata['name']}: is no {kind} of {namespace!r}")
        return body

    def _job(self, job: Job) -> dict[str, Any]:
        return {**job.body, "status": job.status()}

    def _get(self, kind: str, name: str) -> dict[str, Any]:
        if (kind, name) not in self.resources:
            raise RefusedError(404, f"{kind} {name} not found")
        return self.resources[kind, name]

    def _mounts(self, body: dict[str, Any]) -> dict[str, dict[str, str]]:
        """Folders of this machine and where the container sees them, as Docker is told."""
        pod = body["spec"]["template"]["spec"]
        folders = {volume["name"]: self._folder(volume) for volume in pod["volumes"]}
        [container] = pod["containers"]
        return {
            str(folders[mount["name"]]): {
                "bind": mount["mountPath"],
                "mode": "ro" if mount.get("readOnly") else "rw",
            }
            for mount in container["volumeMounts"]
        }

    def _folder(self, volume: dict[str, Any]) -> Path:
        if "configMap" in volume:
            source = volume["configMap"]
            folder = Path(tempfile.mkdtemp(dir=self.node))
            folder.chmod(0o755)
            lay_out(self._get("ConfigMap", source["name"]), source, folder)
            return folder
        claim = self._get("PersistentVolumeClaim", volume["persistentVolumeClaim"]["claimName"])
        volumes = [v for (kind, _), v in self.resources.items() if kind == "PersistentVolume"]
        return host_path(bind(claim, volumes), self.node)


def _list(version: str, kind: str, found: list[dict[str, Any]], request: Request) -> dict[str, Any]:
    name, _, value = request.args.get("labelSelector", "").partition("=")
    chosen = [each for each in found if not name or each["metadata"]["labels"].get(name) == value]
    return {"apiVersion": version, "kind": kind, "metadata": {}, "items": chosen}


@contextmanager
def serving(cluster: Cluster) -> Iterator[str]:
    """Serve on a free port of this machine; the value is the URL."""
    server = make_server("127.0.0.1", 0, cluster, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()


def write_kubeconfig(file: Path, url: str) -> None:
    """Write what tells clients where the cluster is."""
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "test",
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        "clusters": [{"name": "test", "cluster": {"server": url}}],
        "users": [{"name": "test", "user": {}}],
    }
    file.write_text(json.dumps(content))
