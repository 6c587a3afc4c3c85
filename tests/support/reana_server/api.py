"""The REST interface: routes, checks and answers of the operations that reana-client uses."""

from __future__ import annotations

import difflib
import io
import json
import pprint
import re
import shutil
import subprocess
import tempfile
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from bravado_core.request import IncomingRequest, unmarshal_request
from bravado_core.response import OutgoingResponse, get_response_spec, validate_response
from bravado_core.spec import Spec
from werkzeug.exceptions import HTTPException
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.routing import Map, Rule
from werkzeug.serving import make_server, make_ssl_devcert
from werkzeug.wrappers import Request, Response

from tests.support.reana_server.issuer import Issuer
from tests.support.reana_server.job import now
from tests.support.reana_server.releases import OLDEST, Release
from tests.support.reana_server.runs import Run

USER = "00000000-0000-0000-0000-000000000000"
BACKENDS = ["kubernetes", "htcondorcern", "slurmcern"]
# Of this site; REANA takes fewer days than this only.
MAXIMUM_RETENTION = 30
MAXIMUM_BUNDLE = 100 << 20
LOADING = Path(__file__).with_name("loading.py")
CAPABILITY = "workflow-specification-bundles-v1"
OPEN = ("ping", "get_openid_configuration")
"""What one need not be logged in for."""


class RefusedError(Exception):
    """An answer other than 200: its status code and message."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


class Incoming(IncomingRequest):
    """A request as bravado-core wants to see it."""

    def __init__(self, request: Request, path: dict[str, str]) -> None:
        self.request, self.path = request, path
        self.query, self.headers = request.args.to_dict(), request.headers
        # Of other requests the content is read as a stream.
        parts = request.mimetype == "multipart/form-data"
        self.form: dict[str, str] = request.form.to_dict() if parts else {}
        uploaded = request.files if parts else {}
        self.files: dict[str, bytes] = {name: part.read() for name, part in uploaded.items()}

    def json(self, **_: Any) -> Any:
        if self.request.mimetype == "application/octet-stream":
            return "a file, which is read as a stream"
        return json.loads(self.request.get_data())


class Outgoing(OutgoingResponse):
    """A JSON answer as bravado-core wants to see it."""

    def __init__(self, answer: dict[str, Any]) -> None:
        self.content_type, self.headers, self.answer = "application/json", {}, answer
        self.text = json.dumps(answer)
        self.raw_bytes = self.text.encode()

    def json(self, **_: Any) -> Any:
        return self.answer


class ReanaServer:
    """The application. ``problems`` collects everything that breaks the official description."""

    def __init__(
        self, directory: Path, token: str, python_path: str = "", release: Release = OLDEST
    ) -> None:
        """Keep workspaces in ``directory``; engines find packages in ``python_path`` first."""
        self.directory, self.token, self.python_path = directory, token, python_path
        self.release = release
        self.runs: list[Run] = []
        self.problems: list[str] = []
        self.issuer = Issuer(self._accept)
        description = json.loads(release.description("reana_server").read_text())
        self.description = Spec.from_dict(description, config={"use_models": False})
        self.routes = Map(
            [
                Rule(_route(path), methods=[method.upper()], endpoint=(method, path))
                for path, methods in description["paths"].items()
                for method, operation in methods.items()
                if hasattr(self, operation["operationId"])
            ]
        )

    def __call__(self, environ: Any, start_response: Any) -> Any:
        request = Request(environ)
        try:
            (method, path), values = self.routes.bind_to_environ(environ).match()
        except HTTPException as error:
            self.problems.append(f"{request.method} {request.path}: {error}")
            return error(environ, start_response)
        operation = self.description.get_op_for_request(method, path)
        return self.answer(operation, request, values)(environ, start_response)

    def answer(self, operation: Any, request: Request, values: dict[str, str]) -> Response:
        """Check the request, do what it asks, check the answer."""
        try:
            arguments = unmarshal_request(Incoming(request, values), operation)
            token = arguments.pop("access_token", None)
            if self.release.bundles:
                arguments.pop("Authorization", None)
                token = request.headers.get("Authorization", "").removeprefix("Bearer ")
            if token != self.token and operation.operation_id not in OPEN:
                raise RefusedError(403, "Token not valid.")
            if operation.operation_id == "upload_file":
                arguments["file"] = request.stream
            answer = getattr(self, operation.operation_id)(**arguments)
            if isinstance(answer, Response):
                return answer
            code = 201 if operation.operation_id == "create_workflow" else 200
        except RefusedError as refused:
            code, answer = refused.code, {"message": refused.message}
        except Exception as error:
            self.problems.append(f"{operation.operation_id}: {error!r}")
            code, answer = 500, {"message": repr(error)}
        try:
            validate_response(get_response_spec(code, operation), operation, Outgoing(answer))
        except Exception as error:
            self.problems.append(f"{operation.operation_id} answers {code}: {error!r}")
        return Response(json.dumps(answer), code, content_type="application/json")

    def _accept(self, token: str) -> None:
        self.token = token

    def run(self, workflow_id_or_name: str) -> Run:
        """The run of that name, the latest of that name without number, or of that identifier."""
        for run in reversed(self.runs):
            if workflow_id_or_name in (run.identifier, run.full_name, run.name):
                return run
        raise RefusedError(404, f"{workflow_id_or_name} does not exist.")

    def workspace_file(self, workflow_id_or_name: str, name: str) -> Path:
        """The file of that name; the client writes names from the workspace with a slash."""
        return self.run(workflow_id_or_name).workspace / name.lstrip("/")

    # The operations, by their names in the official description.

    def ping(self) -> dict[str, Any]:
        known = {"api_capabilities": [CAPABILITY]} if self.release.bundles else {}
        return {"message": "OK", "status": "200"} | known

    def get_openid_configuration(self) -> dict[str, Any]:
        return self.issuer.metadata()

    def get_you(self) -> dict[str, Any]:
        version = "0.95" if self.release.bundles else "0.9"
        return {"email": "user@example.org", "full_name": "A User", "reana_server_version": version}

    def info(self) -> dict[str, Any]:
        return {
            "compute_backends": {"title": "Compute backends", "value": BACKENDS},
            "workspaces_available": {"title": "Workspaces", "value": [str(self.directory)]},
            "maximum_workspace_retention_period": {
                "title": "Maximum retention period in days for workspace files",
                "value": str(MAXIMUM_RETENTION),
            },
        }

    def create_workflow(
        self,
        workflow_name: str,
        reana_specification: dict[str, Any] | None = None,
        spec: str | None = None,
        bundle: bytes | None = None,
    ) -> dict[str, Any]:
        number = str(1 + sum(run.name == workflow_name for run in self.runs))
        name = f"{workflow_name}.{number}"
        workspace, notes = self.directory / name, self.directory / "notes" / name
        if bundle is not None:
            reana_specification = self._loaded(bundle, workspace)
        assert reana_specification
        for days in reana_specification.get("workspace", {}).get("retention_days", {}).values():
            if days >= MAXIMUM_RETENTION:
                shutil.rmtree(workspace, ignore_errors=True)
                raise RefusedError(
                    400,
                    "Maximum workflow retention period was reached. "
                    f"Please use less than {MAXIMUM_RETENTION} days.",
                )
        workspace.mkdir(exist_ok=True)
        # Group 0 owns and may write everything, as on REANA.
        workspace.chmod(0o775)
        self.runs.append(Run(workflow_name, number, reana_specification, workspace, notes))
        self.runs[-1].release = self.release.name
        return self._about(self.runs[-1]) | {"message": "Created."}

    def get_workflows(self, workflow_id_or_name: str | None = None, **_: Any) -> dict[str, Any]:
        items = [
            self.get_workflow_status(run.full_name) | {"progress": run.progress()}
            for run in self.runs
            if workflow_id_or_name in (None, run.identifier, run.full_name, run.name)
        ]
        return {"items": items, "total": len(items)}

    def validate_workflow_specification(
        self, bundle: bytes, environments: Any = None
    ) -> dict[str, Any]:
        with tempfile.TemporaryDirectory() as folder:
            try:
                self._loaded(bundle, Path(folder) / "bundle")
            except RefusedError as refused:
                error = {"code": "invalid", "message": refused.message, "path": "reana.yaml"}
                return {"valid": False, "errors": [error], "warnings": []}
        return {"valid": True, "errors": [], "warnings": []}

    def _loaded(self, bundle: bytes, workspace: Path) -> dict[str, Any]:
        """The specification of a bundle, whose files become those of the workspace."""
        with zipfile.ZipFile(io.BytesIO(bundle)) as archive:
            if sum(member.file_size for member in archive.infolist()) > MAXIMUM_BUNDLE:
                raise RefusedError(413, "Specification bundle is too large.")
            workspace.mkdir()
            archive.extractall(workspace)
        command = [self.release.python, "-W", "ignore", str(LOADING), str(workspace)]
        loaded = subprocess.run(command, cwd=workspace, capture_output=True, text=True)
        if loaded.returncode:
            shutil.rmtree(workspace)
            raise RefusedError(400, loaded.stderr.strip().rpartition("\n")[2])
        return json.loads(loaded.stdout)

    def upload_file(
        self, workflow_id_or_name: str, file: Any, file_name: str, preview: Any
    ) -> dict[str, Any]:
        path = self.workspace_file(workflow_id_or_name, file_name)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as output:
            shutil.copyfileobj(file, output)
        return {"message": f"{file_name} has been successfully uploaded."}

    def get_workflow_specification(self, workflow_id_or_name: str) -> dict[str, Any]:
        run = self.run(workflow_id_or_name)
        return {"specification": run.specification, "parameters": run.parameters}

    def get_workflow_parameters(self, workflow_id_or_name: str) -> dict[str, Any]:
        run = self.run(workflow_id_or_name)
        own = run.parameters or run.specification.get("inputs", {}).get("parameters", {})
        kind = run.specification["workflow"]["type"]
        return {"id": run.identifier, "name": run.full_name, "type": kind, "parameters": own}

    def start_workflow(
        self, workflow_id_or_name: str, parameters: dict[str, Any]
    ) -> dict[str, Any]:
        run = self.run(workflow_id_or_name)
        if parameters.get("restart"):
            run = self._restarted(run, parameters.get("reana_specification"))
        elif run.status != "created":
            raise RefusedError(409, f"Workflow {run.full_name} is already {run.status}.")
        options = parameters.get("operational_options", {})
        run.start(parameters.get("input_parameters", {}), options, self.python_path)
        return self._about(run) | {
            "workflow_name": run.name,
            "run_number": run.number,
            "message": "Workflow submitted.",
            "status": "queued",
            "user": USER,
        }

    def get_workflow_status(self, workflow_id_or_name: str) -> dict[str, Any]:
        run = self.run(workflow_id_or_name)
        status = run.status
        return {
            "id": run.identifier,
            "name": run.full_name,
            "created": run.created,
            "status": status,
            "progress": run.progress(),
            "user": USER,
        }

    def set_workflow_status(
        self, workflow_id_or_name: str, status: str, parameters: dict[str, Any]
    ) -> dict[str, Any]:
        run = self.run(workflow_id_or_name)
        if status != "deleted" or run.status == "running":
            raise RefusedError(409, f"Workflow {run.full_name} is {run.status}.")
        everything = parameters.get("all_runs")
        for each in [other for other in self.runs if other.name == run.name]:
            if each is run or everything:
                each.deleted = True
                shutil.rmtree(each.workspace, ignore_errors=True)
        return self._about(run) | {"message": "Deleted.", "status": "deleted", "user": USER}

    def get_workflow_logs(
        self, workflow_id_or_name: str, steps: list[str] | None, page: Any, size: Any
    ) -> dict[str, Any]:
        run = self.run(workflow_id_or_name)
        return self._about(run) | {"logs": json.dumps(run.logs(steps)), "user": USER}

    def get_files(
        self, workflow_id_or_name: str, file_name: str | None, page: Any, size: Any, search: Any
    ) -> dict[str, Any]:
        run = self.run(workflow_id_or_name)
        listing = [entry for entry in self._listing(run) if _matches(entry["name"], file_name)]
        return {"items": listing, "total": len(listing)}

    def get_workflow_disk_usage(
        self, workflow_id_or_name: str, parameters: dict[str, Any] | None
    ) -> dict[str, Any]:
        run = self.run(workflow_id_or_name)
        listing = [{"name": f"/{e['name']}", "size": e["size"]} for e in self._listing(run)]
        return self._about(run) | {"disk_usage_info": listing, "user": USER}

    def get_workflow_retention_rules(self, workflow_id_or_name: str) -> dict[str, Any]:
        run = self.run(workflow_id_or_name)
        days = run.specification.get("workspace", {}).get("retention_days", {})
        rules = [
            {"workspace_files": files, "retention_days": n, "status": "created", "apply_on": None}
            for files, n in days.items()
        ]
        return self._about(run) | {"retention_rules": rules}

    def download_file(self, workflow_id_or_name: str, file_name: str) -> Response:
        path = self.workspace_file(workflow_id_or_name, file_name)
        if path.is_file():
            name, content, kind = file_name, path.read_bytes(), "application/octet-stream"
        elif path.is_dir():
            name, content, kind = f"{path.name}.zip", _zipped(path), "application/zip"
        else:
            raise RefusedError(404, f"{file_name} does not exist.")
        disposition = {"Content-Disposition": f"attachment; filename={name}"}
        return Response(content, 200, disposition, content_type=kind)

    def get_workflow_diff(
        self, workflow_id_or_name_a: str, workflow_id_or_name_b: str, brief: Any, context_lines: Any
    ) -> dict[str, Any]:
        runs = [self.run(workflow_id_or_name_a), self.run(workflow_id_or_name_b)]
        specifications = [_effective_specification(run) for run in runs]
        sections = {
            section: _difference(*(_pretty(one.get(section)) for one in specifications))
            for section in specifications[0]
        }
        names = [
            [path.relative_to(run.workspace).as_posix() for path in run.files()] for run in runs
        ]
        return {
            "reana_specification": json.dumps(sections),
            "workspace_listing": json.dumps("\n".join(_difference(*names))),
        }

    def _about(self, run: Run) -> dict[str, Any]:
        return {"workflow_id": run.identifier, "workflow_name": run.full_name}

    def _restarted(self, run: Run, specification: dict[str, Any] | None) -> Run:
        """A new run in the same workspace."""
        if run.status not in ("finished", "failed"):
            raise RefusedError(409, "Only finished or failed workflows can be restarted.")
        first = run.number.split(".")[0]
        count = sum(each.workspace == run.workspace for each in self.runs)
        notes = self.directory / "notes" / f"{run.name}.{first}.{count}"
        new = specification or run.specification
        self.runs.append(Run(run.name, f"{first}.{count}", new, run.workspace, notes))
        return self.runs[-1]

    def _listing(self, run: Run) -> list[dict[str, Any]]:
        return [
            {
                "name": path.relative_to(run.workspace).as_posix(),
                "last-modified": now(),
                "size": {"raw": size, "human_readable": f"{size / 1024:.1f} KiB"},
            }
            for path in run.files()
            for size in [path.stat().st_size]
        ]


@contextmanager
def serving(server: ReanaServer, certificate: Path | None = None) -> Iterator[str]:
    """Serve on a free port of this machine; the value is the address. Ends running engines.

    With the name of a ``certificate`` to be made (.crt and .key are added) by HTTPS, and people can
    log in, as their client sends what is secret by no other way.
    """
    pair = make_ssl_devcert(str(certificate), host="localhost") if certificate else None
    app = DispatcherMiddleware(server, {"/issuer": server.issuer})
    listener = make_server("127.0.0.1", 0, app, threaded=True, ssl_context=pair)
    thread = threading.Thread(target=listener.serve_forever)
    thread.start()
    url = f"{'https://localhost' if pair else 'http://127.0.0.1'}:{listener.server_port}"
    server.issuer.place = f"{url}/issuer"
    try:
        yield url
    finally:
        listener.shutdown()
        thread.join()
        for run in server.runs:
            run.stop()


def _route(path: str) -> str:
    return re.sub(r"{(\w+)}", r"<\1>", path).replace("<file_name>", "<path:file_name>")


def _matches(name: str, pattern: str | None) -> bool:
    return pattern is None or PurePosixPath(name).match(pattern) or name.startswith(f"{pattern}/")


def _zipped(directory: Path) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for path in sorted(directory.rglob("*")):
            archive.write(path, path.relative_to(directory.parent))
    return content.getvalue()


def _effective_specification(run: Run) -> dict[str, Any]:
    inputs = run.specification.get("inputs", {}) | {"parameters": run.parameters}
    return run.specification | {"inputs": inputs}


def _pretty(value: Any) -> list[str]:
    return pprint.pformat(value).splitlines()


def _difference(a: list[str], b: list[str]) -> list[str]:
    return list(difflib.unified_diff(a, b, lineterm=""))[2:]
