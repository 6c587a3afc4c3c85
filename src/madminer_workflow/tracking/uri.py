"""Tracking URIs with passwords: where these go instead, and what may be shown."""

from __future__ import annotations

import os
import re
from urllib.parse import unquote, urlsplit

from madminer_workflow.errors import InputError

HIDDEN = "***"

_SECRETS = re.compile(r"([?&][^=&#]*(?:pass|pwd|token|secret|key)[^=&#]*=)([^&#]+)", re.IGNORECASE)


def password(uri: str) -> str:
    """The password in ``uri``, as it is written there, or an empty text.

    Raises InputError, which does not repeat it, for what is no URI.
    """
    try:
        parts = urlsplit(uri)
        _ = parts.port
    except ValueError:
        # What Python has to say may repeat a part of the password.
        raise InputError(
            "the tracking URI is not a URI; expected for example http://localhost:5000 or "
            "sqlite:///mlflow.db, with characters such as / and @ in a password written as %2F "
            "and %40"
        ) from None
    return parts.password or ""


def without_credentials(uri: str) -> str:
    """``uri`` of a server without user and password, which MLflow finds in its variables instead.

    The URI of a database keeps them: nothing else tells them to it.
    """
    secret, parts = password(uri), urlsplit(uri)
    if not secret or parts.scheme not in ("http", "https"):
        return uri
    os.environ["MLFLOW_TRACKING_USERNAME"] = unquote(parts.username or "")
    os.environ["MLFLOW_TRACKING_PASSWORD"] = unquote(secret)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def shown(uri: str) -> str:
    """``uri`` as it may stand in messages and files: passwords and tokens are hidden."""
    secret = password(uri)
    text = uri.replace(f":{secret}@", f":{HIDDEN}@", 1) if secret else uri
    return _SECRETS.sub(rf"\1{HIDDEN}", text)


def reason(error: Exception, uri: str) -> str:
    """What an error of others who know ``uri`` says in its first line, without secrets of it."""
    lines = str(error).strip().splitlines()
    return scrubbed(lines[0] if lines else repr(error), uri)


def scrubbed(text: str, uri: str) -> str:
    """``text`` without the passwords and tokens of ``uri``."""
    secrets = [password(uri), *(match[2] for match in _SECRETS.finditer(uri))]
    for secret in filter(None, secrets):
        for form in {secret, unquote(secret)}:
            text = text.replace(form, HIDDEN)
    return text
