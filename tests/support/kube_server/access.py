"""Who may do what: the rules of a Role, as the API server applies them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from werkzeug.wrappers import Request

from tests.support.kube_server.volumes import RefusedError


@dataclass(frozen=True)
class Access:
    """A user who may do in ``namespace`` what the ``rules`` of a Role say, no more."""

    namespace: str
    rules: list[dict[str, Any]]

    def check(self, request: Request, values: dict[str, str]) -> None:
        """Refuse a request in the words of the real server."""
        if request.path == "/version/":
            return
        group = "batch" if request.path.startswith("/apis/batch/") else ""
        resource, verb = values["plural"], _verb(request, values)
        namespace = values.get("namespace", "")
        allowed = namespace == self.namespace and any(
            group in rule["apiGroups"] and resource in rule["resources"] and verb in rule["verbs"]
            for rule in self.rules
        )
        if not allowed:
            where = f'in the namespace "{namespace}"' if namespace else "at the cluster scope"
            raise RefusedError(
                403,
                f'{resource} is forbidden: User "physicist" cannot {verb} resource "{resource}" in '
                f'API group "{group}" {where}',
            )


def _verb(request: Request, values: dict[str, str]) -> str:
    if request.method == "GET":
        return "get" if "name" in values else "list"
    return {"POST": "create", "PUT": "update", "DELETE": "delete"}[request.method]
