"""The REST interface: what the Kubernetes client of MLflow and ours call, with its answers."""

from __future__ import annotations

import json
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from werkzeug.exceptions import HTTPException
from werkzeug.routing import Map, Rule
from werkzeug.serving import make_server
from werkzeug.wrappers import Request, Response

from tests.support.kube_server.access import Access
from tests.support.kube_server.jobs import Job, Pod, check_constraint, check_restricted
from tests.support.kube_server.node import ScriptedNode
from tests.support.kube_server.volumes import RefusedError, bind, host_path, lay_out

KINDS = {
    "configmaps": "ConfigMap",
    "persistentvolumes": "PersistentVolume",
    "persistentvolumeclaims": "PersistentVolumeClaim",
}
CORE = "/api/v1/namespaces/<namespace>"
BATCH = "/apis/batch/v1"
JOBS = f"{BATCH}/namespaces/<namespace>/<any(jobs):plural>"
PODS = f"{CORE}/<any(pods):plural>"
ROUTES = Map(
    [
        Rule("/version/", endpoint="version"),
        *(Rule(f"{p}/<plural>", methods=["POST"], endpoint="create") for p in ("/api/v1", CORE)),
        *(
            Rule(f"{p}/<plural>/<name>", methods=["GET"], endpoint="read")
            for p in ("/api/v1", CORE)
        ),
        Rule(f"{CORE}/<plural>/<name>", methods=["PUT"], endpoint="replace"),
        Rule(JOBS, methods=["POST"], endpoint="create_job"),
        Rule(JOBS, methods=["GET"], endpoint="list_jobs"),
        Rule(f"{JOBS}/<name>", methods=["DELETE"], endpoint="delete_job"),
        Rule(
            f"{BATCH}/namespaces/<namespace>/jobs/<name>/status",
            endpoint="job_status",
            defaults={"plural": "jobs/status"},
        ),
        Rule(f"{BATCH}/jobs", endpoint="list_jobs", defaults={"plural": "jobs", "namespace": ""}),
        Rule(PODS, methods=["GET"], endpoint="list_pods"),
        Rule(f"{CORE}/pods/<name>/log", endpoint="pod_log", defaults={"plural": "pods/log"}),
        Rule(f"{CORE}/<any(events):plural>", methods=["GET"], endpoint="list_events"),
    ]
)


class Cluster:
    """The application; the file system of its node is the directory ``node``.

    ``run`` is what the node does with a pod. A test may set ``access``, without which everything is
    allowed; ``quota``, why no pod is created; ``users``, from which OpenShift chooses those of
    pods; and ``mute``, while which no log can be read.
    """

    def __init__(self, node: Path, run: Callable[[Pod], None] | None = None) -> None:
        self.node, self.run = node, run or ScriptedNode()
        self.resources: dict[tuple[str, str, str], dict[str, Any]] = {}
        self.jobs: list[Job] = []
        self.orphans: list[Pod] = []
        self.refused: list[str] = []
        self.access: Access | None = None
        self.quota = ""
        self.users: range | None = None
        self.mute = False

    def __call__(self, environ: Any, start_response: Any) -> Any:
        request = Request(environ)
        try:
            endpoint, values = ROUTES.bind_to_environ(environ).match()
            if self.access:
                self.access.check(request, values)
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
        key = (body["kind"], namespace, body["metadata"]["name"])
        if key in self.resources:
            raise RefusedError(409, f"{plural} {key[-1]} already exists")
        self.resources[key] = body
        return body

    def read(self, request: Request, plural: str, name: str, namespace: str = "") -> dict[str, Any]:
        return self._get(KINDS[plural], namespace, name)

    def replace(self, request: Request, namespace: str, plural: str, name: str) -> dict[str, Any]:
        body = self._body(request, KINDS[plural], namespace)
        self._get(body["kind"], namespace, name)
        self.resources[body["kind"], namespace, name] = body
        return body

    def create_job(self, request: Request, namespace: str, plural: str) -> dict[str, Any]:
        body = self._body(request, "Job", namespace)
        check_restricted(body)
        job = Job(body, self._mounts(body), self.run)
        if "dryRun" in request.args:
            return job.described()
        self.jobs.append(job)
        refused = self.quota or (check_constraint(body, self.users) if self.users else "")
        if refused:
            job.events.append(("Warning", "FailedCreate", f"Error creating: {refused}"))
        else:
            job.start()
        return job.described()

    def delete_job(
        self, request: Request, namespace: str, plural: str, name: str
    ) -> dict[str, Any]:
        job = self.job(name)
        body = json.loads(request.get_data() or "{}") or {}
        policy = request.args.get("propagationPolicy") or body.get("propagationPolicy")
        if policy in ("Background", "Foreground"):
            job.delete_pods()
        self.orphans += job.pods
        self.jobs.remove(job)
        return job.described()

    def job_status(
        self, request: Request, namespace: str, plural: str, name: str
    ) -> dict[str, Any]:
        return self.job(name).described()

    def list_jobs(self, request: Request, namespace: str, plural: str) -> dict[str, Any]:
        jobs = [job.described() for job in self.jobs if namespace in ("", job.namespace)]
        return _list("batch/v1", "JobList", jobs, request)

    def list_pods(self, request: Request, namespace: str, plural: str) -> dict[str, Any]:
        return _list("v1", "PodList", [pod.described() for pod in self.pods], request)

    def pod_log(self, request: Request, namespace: str, plural: str, name: str) -> str:
        for pod in self.pods:
            if pod.name == name and not self.mute:
                return pod.log
        raise RefusedError(404, f'pods "{name}" not found')

    def list_events(self, request: Request, namespace: str, plural: str) -> dict[str, Any]:
        wanted = request.args["fieldSelector"].removeprefix("involvedObject.name=")
        about = [thing for thing in (*self.jobs, *self.pods) if thing.name == wanted]
        items = [
            {
                "metadata": {"name": f"{wanted}.{i}", "namespace": namespace},
                "involvedObject": {"name": wanted},
                "type": kind,
                "reason": reason,
                "message": message,
            }
            for thing in about
            for i, (kind, reason, message) in enumerate(thing.events)
        ]
        return {"apiVersion": "v1", "kind": "EventList", "metadata": {}, "items": items}

    @property
    def pods(self) -> list[Pod]:
        """All pods there are."""
        return [*self.orphans, *(pod for job in self.jobs for pod in job.pods)]

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

    def _get(self, kind: str, namespace: str, name: str) -> dict[str, Any]:
        if (kind, namespace, name) not in self.resources:
            raise RefusedError(404, f"{kind} {name} not found")
        return self.resources[kind, namespace, name]

    def _mounts(self, body: dict[str, Any]) -> dict[str, dict[str, str]]:
        """Folders of this machine and where the container sees them, as Docker is told."""
        pod = body["spec"]["template"]["spec"]
        space = body["metadata"]["namespace"]
        folders = {volume["name"]: self._folder(volume, space) for volume in pod["volumes"]}
        [container] = pod["containers"]
        return {
            str(folders[mount["name"]]): {
                "bind": mount["mountPath"],
                "mode": "ro" if mount.get("readOnly") else "rw",
            }
            for mount in container["volumeMounts"]
        }

    def _folder(self, volume: dict[str, Any], space: str) -> Path:
        if "configMap" in volume:
            source = volume["configMap"]
            folder = Path(tempfile.mkdtemp(dir=self.node))
            folder.chmod(0o755)
            lay_out(self._get("ConfigMap", space, source["name"]), source, folder)
            return folder
        name = volume["persistentVolumeClaim"]["claimName"]
        claim = self._get("PersistentVolumeClaim", space, name)
        volumes = [v for (kind, *_), v in self.resources.items() if kind == "PersistentVolume"]
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
