"""What MLflow asks of Docker to submit a Job from an image as it is, without Docker."""

from __future__ import annotations

import hashlib
import json
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from werkzeug.serving import make_server
from werkzeug.wrappers import Request, Response


class Engine:
    """The REST interface of a Docker that has every image, and its registry as well."""

    def __init__(self) -> None:
        self.pushed: list[str] = []

    def __call__(self, environ: Any, start_response: Any) -> Any:
        request = Request(environ)
        path = re.sub(r"^/v[0-9.]+", "", request.path)
        return self._answer(path)(environ, start_response)

    def _answer(self, path: str) -> Response:
        name = re.sub(r"^/(images|distribution)/|/(json|push)$", "", path)
        digest = f"sha256:{hashlib.sha256(name.encode()).hexdigest()}"
        if path == "/version":
            return _json({"ApiVersion": "1.44", "Version": "0"})
        if path.startswith("/distribution/"):
            descriptor = {"digest": digest, "size": 1, "mediaType": ""}
            return _json({"Descriptor": descriptor, "Platforms": []})
        if path == "/images/json":
            return _json([{"Id": digest, "RepoTags": []}])
        if path.endswith("/push"):
            self.pushed.append(name)
            return _json({"status": "pushed"})
        return _json({"Id": digest, "RepoTags": [name]})


def _json(answer: Any) -> Response:
    return Response(json.dumps(answer), content_type="application/json")


@contextmanager
def without_docker(directory: Path) -> Iterator[tuple[Engine, dict[str, str]]]:
    """Such an engine, and the environment in which it is found, with a command ``docker``."""
    engine = Engine()
    server = make_server("127.0.0.1", 0, engine, threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    command = directory / "bin/docker"
    command.parent.mkdir(parents=True)
    command.write_text(f"#!{sys.executable}\n")
    command.chmod(0o755)
    try:
        address = f"tcp://127.0.0.1:{server.server_port}"
        yield engine, {"DOCKER_HOST": address, "PATH": f"{command.parent}:/usr/bin:/bin"}
    finally:
        server.shutdown()
