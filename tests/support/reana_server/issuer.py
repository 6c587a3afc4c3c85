"""Who REANA 0.95 asks who somebody is: logins by a browser and by a code, as OpenID Connect says.

Everybody is let in, but not by a wrong proof (RFC 7636), and a refresh token is good once.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from werkzeug.utils import redirect
from werkzeug.wrappers import Request, Response

CLIENT = "reana-cli"
DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"


class Issuer:
    """The application, below ``place``; ``grant`` is told every token that is good from now on."""

    def __init__(self, grant: Callable[[str], None]) -> None:
        """Begin with nobody logged in."""
        self.grant, self.place = grant, ""
        self.granted: list[str] = []
        self.revoked: list[str] = []
        self._asked: dict[str, dict[str, str]] = {}
        self._pending: set[str] = set()

    def metadata(self) -> dict[str, Any]:
        """What REANA's server says of it."""
        names = {"authorization": "authorize", "token": "token"}
        names |= {"device_authorization": "device", "revocation": "revoke"}
        about = {f"{kind}_endpoint": f"{self.place}/{name}" for kind, name in names.items()}
        return about | {"issuer": self.place, "reana_cli_client_id": CLIENT}

    def __call__(self, environ: Any, start_response: Any) -> Any:
        request = Request(environ)
        asked = request.values.to_dict()
        try:
            if asked.get("client_id", CLIENT) != CLIENT:
                raise ValueError("unauthorized_client")
            answer = getattr(self, request.path.strip("/"))(asked)
        except ValueError as error:
            answer = Response(json.dumps({"error": str(error)}), 400)
        return answer(environ, start_response)

    def authorize(self, asked: dict[str, str]) -> Response:
        """The page of a browser, whose user agrees at once."""
        code = self._code(asked)
        answer = urlencode({"code": code, "state": asked["state"]})
        return redirect(f"{asked['redirect_uri']}?{answer}")

    def device(self, asked: dict[str, str]) -> Response:
        """A code for a user who agrees elsewhere, by the second time that the client asks."""
        code = self._code(asked)
        self._pending.add(code)
        place = f"{self.place}/here?code={code}"
        prompt = {"verification_uri_complete": place, "verification_uri": place, "user_code": code}
        return _json({"device_code": code, "expires_in": 60, "interval": 1, **prompt})

    def token(self, asked: dict[str, str]) -> Response:
        """A token for a code with its proof, or for the last refresh token."""
        if asked["grant_type"] == "refresh_token":
            if asked["refresh_token"] != self._refresh_token:
                raise ValueError("invalid_grant")
        else:
            self._check(asked)
        self.granted.append(f"a.token.{len(self.granted)}")
        self.grant(self.granted[-1])
        # The first is of no use soon, so that the client has to refresh it.
        lifetime = 0 if len(self.granted) == 1 else 3600
        return _json(
            {
                "access_token": self.granted[-1],
                "refresh_token": self._refresh_token,
                "expires_in": lifetime,
                "token_type": "Bearer",
            }
        )

    def revoke(self, asked: dict[str, str]) -> Response:
        """The end of a refresh token."""
        self.revoked.append(asked["token"])
        return _json({})

    @property
    def _refresh_token(self) -> str:
        return f"refresh-{len(self.granted)}"

    def _code(self, asked: dict[str, str]) -> str:
        if asked["code_challenge_method"] != "S256" or "openid" not in asked["scope"].split():
            raise ValueError("invalid_request")
        code = f"code-{len(self._asked)}"
        self._asked[code] = asked
        return code

    def _check(self, asked: dict[str, str]) -> None:
        by_device = asked["grant_type"] == DEVICE_CODE
        code = asked["device_code" if by_device else "code"]
        if by_device and code in self._pending:
            self._pending.discard(code)
            raise ValueError("authorization_pending")
        before = self._asked.pop(code, {})
        digest = hashlib.sha256(asked["code_verifier"].encode()).digest()
        proof = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        told = proof, asked.get("redirect_uri")
        if told != (before.get("code_challenge"), before.get("redirect_uri")):
            raise ValueError("invalid_grant")


def _json(answer: dict[str, Any]) -> Response:
    return Response(json.dumps(answer), content_type="application/json")
