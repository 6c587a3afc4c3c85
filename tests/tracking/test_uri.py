"""Passwords in tracking URIs: MLflow gets them, and nobody else ever sees them."""

from __future__ import annotations

import base64
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from madminer_workflow.errors import InputError, StepError
from madminer_workflow.tracking import followed, target
from madminer_workflow.tracking.upload import sync
from madminer_workflow.tracking.uri import HIDDEN, scrubbed, shown, without_credentials
from tests.support.chain import TINY
from tests.tracking.test_tracking import process

SECRET = "s3cr3t-pw"
VARIABLES = ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD")


@pytest.fixture(autouse=True)
def variables(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """MLflow's variables are as they were in the end."""
    before = {name: os.environ.pop(name, None) for name in VARIABLES}
    yield
    for name, value in before.items():
        os.environ.pop(name, None)
        if value is not None:
            os.environ[name] = value


def test_a_server_gets_its_password_by_mlflows_variables():
    wanted = target(f"https://me%40home:{SECRET}%21@mlflow.example:8443/path#my name")
    assert wanted and wanted.uri == "https://mlflow.example:8443/path"
    assert wanted.run == "my name"
    assert [os.environ[name] for name in VARIABLES] == ["me@home", f"{SECRET}!"]


def test_the_password_of_a_database_stays_in_its_uri_and_is_hidden():
    uri = f"postgresql://me:{SECRET}@host/database?sslmode=require&sslpassword=k3y"
    assert without_credentials(uri) == uri
    assert not any(name in os.environ for name in VARIABLES)
    hidden = f"postgresql://me:{HIDDEN}@host/database?sslmode=require&sslpassword={HIDDEN}"
    assert shown(uri) == hidden
    told = f"cannot connect to {uri}: wrong password {SECRET} or k3y"
    assert scrubbed(told, uri) == f"cannot connect to {hidden}: wrong password {HIDDEN} or {HIDDEN}"


@pytest.mark.parametrize(
    "uri",
    ["sqlite:////data/a:b@c.db", "http://localhost:5000", "https://me@host/x", "databricks://prod"],
)
def test_uris_without_passwords_stay_as_they_are(uri: str):
    assert without_credentials(uri) == shown(uri) == uri
    assert scrubbed(f"{uri} does not answer", uri) == f"{uri} does not answer"


@pytest.mark.parametrize(
    "uri", ["http://[::1", f"http://me:{SECRET}@host:x", f"http://me:{SECRET}/a@host"]
)
def test_what_is_no_uri_is_refused_without_repeating_it(uri: str):
    with pytest.raises(InputError, match="is not a URI") as caught:
        target(uri)
    assert SECRET not in str(caught.value)


@given(
    password=st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=4),
    scheme=st.sampled_from(["http", "https", "postgresql", "mysql+pymysql"]),
)
def test_no_password_is_ever_shown(password: str, scheme: str):
    uri = f"{scheme}://user:{password}@host.example:1234/name"
    assert shown(uri) == f"{scheme}://user:{HIDDEN}@host.example:1234/name"
    assert password not in scrubbed(f"<{password}> {uri}", uri).replace(HIDDEN, "")


class Server(BaseHTTPRequestHandler):
    """Refuses everything, and keeps how it was asked."""

    asked: ClassVar[list[str | None]] = []

    def do_GET(self) -> None:
        self.asked.append(self.headers["Authorization"])
        self.send_response(401)
        self.end_headers()

    def do_POST(self) -> None:
        self.do_GET()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    """The host and port of a server that refuses everything."""
    listening = HTTPServer(("127.0.0.1", 0), Server)
    threading.Thread(target=listening.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{listening.server_port}"
    listening.shutdown()
    listening.server_close()


def files_with_the_secret(folder: Path) -> list[Path]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return [path for path in files if SECRET.encode() in path.read_bytes()]


def test_a_refusal_is_told_and_recorded_without_the_password(tmp_path: Path, server: str):
    warnings: list[str] = []
    Server.asked.clear()
    given = f"http://me:{SECRET}@{server}"
    with followed(tmp_path / "run", {"njobs": 1}, given, warnings.append):
        pass
    wanted = "Basic " + base64.b64encode(f"me:{SECRET}".encode()).decode()
    assert set(Server.asked) == {wanted}
    [warning] = warnings
    assert warning.startswith(f"tracking: http://{server}: ") and SECRET not in warning
    with pytest.raises(StepError) as caught:
        sync(tmp_path, f"mysql://me:{SECRET}@{server}/x")
    assert SECRET not in str(caught.value) and f"me:{HIDDEN}@{server}" in str(caught.value)
    assert not files_with_the_secret(tmp_path)


def test_a_step_shows_no_password(tmp_path: Path):
    uri = f"http://me:{SECRET}@127.0.0.1:9"
    words = ("--input", TINY, "--output", tmp_path / "out")
    by_option = process("configure", *words, "--tracking-uri", uri)
    by_variable = process("configure", *words, MLFLOW_TRACKING_URI=uri)
    for finished in (by_option, by_variable):
        assert finished.returncode == 0
        assert "warning: tracking: http://127.0.0.1:9: " in finished.stderr
        assert SECRET not in finished.stdout + finished.stderr
    assert not files_with_the_secret(tmp_path)
