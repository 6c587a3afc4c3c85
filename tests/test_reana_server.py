"""The genuine reana-client against the server in tests/reana_server, with a toy workflow."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.conftest import DATA
from tests.reana_server import job
from tests.reana_server.session import Session, session

TOY = DATA / "toy_workflow"
PARAMETERS = {"letters": "letters", "suffix": "suffix", "delay": 0}
SPECIFICATION = {
    "inputs": {"files": ["workflow.yml", "steps.yml", *("letters", "suffix")]},
    "workflow": {"type": "yadage", "file": "workflow.yml"},
    "outputs": {"files": ["part/join/joined.txt"]},
    "workspace": {"retention_days": {"part/double_*/doubled.txt": 3}},
}


@pytest.fixture(scope="module")
def reana() -> Iterator[Session]:
    with session() as open_session:
        yield open_session
        assert open_session.server.problems == []


@pytest.fixture
def toy(reana: Session, tmp_path: Path) -> Session:
    """A session in a folder with the toy workflow and its REANA specification."""
    for file in TOY.iterdir():
        shutil.copy(file, tmp_path)
    (tmp_path / "letters").write_text("a b")
    (tmp_path / "suffix").write_text("end")
    (tmp_path / "other").write_text("END")
    inputs = SPECIFICATION["inputs"] | {"parameters": PARAMETERS}
    (tmp_path / "reana.yaml").write_text(yaml.safe_dump(SPECIFICATION | {"inputs": inputs}))
    return reana.in_folder(tmp_path)


def test_a_whole_session(toy: Session):
    assert "Authenticated as: A User" in toy.client("ping")
    assert toy.client("create", "-w", "toy", "-f", "reana.yaml").splitlines()[-2] == "toy.1"
    uploaded = toy.client("upload", "-w", "toy.1")
    assert uploaded.count("successfully uploaded") == 4
    assert json.loads(toy.client("status", "-w", "toy.1", "--json"))[0]["status"] == "created"
    toy.client("start", "-w", "toy.1", "-p", "delay=0")
    assert toy.wait("toy.1") == "finished"

    [status] = json.loads(toy.client("status", "-w", "toy.1", "--json", "-v"))
    assert status["progress"] == "4/4"
    logs = json.loads(toy.client("logs", "-w", "toy.1", "--json"))
    steps = {each["job_name"]: each for each in logs["job_logs"].values()}
    assert set(steps) == {"split", "double_0", "double_1", "join"}
    # Which letter is whose is up to the order of the folder, on REANA as here.
    assert sorted(steps[f"double_{k}"]["logs"] for k in (0, 1)) == [
        "doubling\na\n",
        "doubling\nb\n",
    ]
    assert steps["double_0"]["docker_img"] == "toy:latest"
    assert f"packtivity {toy.packtivity}" in logs["workflow_logs"]
    assert "workflow completed successfully" in logs["workflow_logs"]
    assert "part/join/joined.txt" in toy.client("ls", "-w", "toy.1")
    assert "part/double_*/doubled.txt" in toy.client("retention-rules-list", "-w", "toy.1")
    toy.client("download", "-w", "toy.1")
    joined = (toy.folder / "part/join/joined.txt").read_text()
    assert sorted(joined.split()) == ["a", "a", "b", "b", "end"]

    toy.client("upload", "-w", "toy.1", "other")
    toy.client("restart", "-w", "toy.1", "-p", "suffix=other")
    assert toy.wait("toy.1.1") == "finished"
    toy.client("download", "-w", "toy.1.1", "-o", "again")
    assert (toy.folder / "again/part/join/joined.txt").read_text() == joined.replace("end", "END")
    difference = toy.client("diff", "toy.1", "toy.1.1")
    assert "'suffix': 'other'" in difference and "workspace" not in difference

    toy.client("delete", "-w", "toy.1.1")
    assert json.loads(toy.client("status", "-w", "toy.1.1", "--json"))[0]["status"] == "deleted"
    assert not (toy.server.directory / "toy.1").exists()


def test_a_failed_step_shows_as_failed_with_its_log(toy: Session):
    (toy.folder / "letters").write_text("a bad")
    toy.client("run", "-w", "failing", "-f", "reana.yaml")
    assert toy.wait("failing.1") == "failed"
    [status] = json.loads(toy.client("status", "-w", "failing.1", "--json"))
    assert status["status"] == "failed"
    shown = toy.client("logs", "-w", "failing.1", "--filter", "status=failed")
    assert shown.count("Step: double_") == 1 and "bad.txt" in shown and "doubling\n" in shown
    assert "join" not in [each["request"]["job_name"] for each in toy.jobs("failing.1").values()]


def test_jobs_run_as_the_user_of_reana_and_are_measured(toy: Session):
    toy.client("run", "-w", "user", "-f", "reana.yaml")
    assert toy.wait("user.1") == "finished"
    for each in toy.jobs("user.1").values():
        assert each["exit_code"] == 0
        assert each["memory_bytes"] > 1e6 and each["wall_seconds"] > 0
    joined = toy.server.directory / "user.1/part/join/joined.txt"
    if not job.as_reana_user():
        pytest.skip("user 1000 cannot run this Python, or we are not root")
    assert (joined.stat().st_uid, joined.stat().st_gid) == (1000, 0)


def test_a_wrong_token_is_refused(toy: Session):
    toy.client("ping", expected=1, REANA_ACCESS_TOKEN="wrong")


def run(tmp_path: Path, command: str, **resources) -> tuple[dict, str]:
    log = tmp_path / "log"
    ended = job.run({"cmd": command} | resources, log)
    return ended, log.read_text()


def test_a_job_sees_its_user_and_nothing_of_ours(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("REANA_ACCESS_TOKEN", "secret")
    ended, log = run(tmp_path, "id -u; id -g; id -G; env; touch /by-a-job")
    if job.as_reana_user():
        assert log.splitlines()[:3] == ["1000", "0", "0"]
        assert ended["status"] == "failed"
    assert "secret" not in log and "HOME=/\n" in log


def test_the_memory_limit_holds(tmp_path: Path):
    script = "import sys; print(len(bytearray(300 << 20)))"
    command = f'/usr/bin/env python3 -c "{script}"'
    ended, log = run(tmp_path, command, kubernetes_memory_limit="1Gi")
    assert (ended["status"], log) == ("finished", f"{300 << 20}\n")
    assert ended["memory_bytes"] > 300 << 20
    ended, log = run(tmp_path, command, kubernetes_memory_limit="256Mi")
    assert ended["status"] == "failed" and "MemoryError" in log


def test_the_time_limit_holds(tmp_path: Path):
    ended, log = run(tmp_path, "echo before; sleep 60 & wait", kubernetes_job_timeout=1)
    assert ended["status"] == "failed" and ended["wall_seconds"] < 30
    assert log.startswith("before\n") and "kubernetes_job_timeout" in log
