"""The genuine reana-client, and our script around it, against the server in tests/reana_server."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import requests
import yaml

from tests.support.paths import DATA, NO_REANA, REPOSITORY

pytest.importorskip("reana_commons", reason=NO_REANA)
from reana_commons.job_utils import kubernetes_memory_to_bytes

from tests.support.reana_server import job, releases
from tests.support.reana_server.api import ReanaServer, serving
from tests.support.reana_server.session import TOKEN, Session, session

TOY = DATA / "toy_workflow"
TINY = "tests/data/tiny"
PARAMETERS = {"letters": "letters", "suffix": "suffix", "delay": 0}
SPECIFICATION = {
    "inputs": {"files": ["workflow.yml", "steps.yml", *("letters", "suffix")]},
    "workflow": {"type": "yadage", "file": "workflow.yml"},
    "outputs": {"files": ["part/join/joined.txt"]},
    "workspace": {"retention_days": {"part/double_*/doubled.txt": 3}},
}


def of(*chosen: releases.Release) -> pytest.MarkDecorator:
    """A test of some releases: what all have in common needs to be seen once."""
    return pytest.mark.parametrize(
        "reana", chosen, ids=lambda release: release.name, indirect=True, scope="module"
    )


# The clients, each with its server; the third release has another engine only.
CLIENTS = (releases.OLDEST, releases.NEWEST)


@pytest.fixture(scope="module", params=CLIENTS, ids=lambda release: release.name)
def reana(request: pytest.FixtureRequest) -> Iterator[Session]:
    if request.param.client is None:
        pytest.skip(f"no client of REANA {request.param.name}: make test-reana")
    with session(request.param) as open_session:
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


@of(*releases.RELEASES)
def test_a_whole_session(toy: Session):
    assert "Authenticated as: A User" in toy.client("ping")
    assert "toy.1" in toy.client("create", "-w", "toy", "-f", "reana.yaml").splitlines()
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
    for package in () if toy.problem else toy.release.engine:
        assert package.replace("==", " ") in logs["workflow_logs"], package
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

    # Restarts share a workspace, which the client 0.95 minds.
    toy.client("delete", "-w", "toy.1.1", *["--include-all-restarts"] * toy.release.bundles)
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


@of(releases.OLDEST)
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


def test_requests_and_answers_are_held_against_the_official_description(tmp_path: Path):
    class Wrong(ReanaServer):
        def get_you(self):
            return {"email": 3}

    server = Wrong(tmp_path, TOKEN)
    token = {"access_token": TOKEN}
    with serving(server) as url:
        requests.get(f"{url}/api/you", params=token)
        requests.post(f"{url}/api/workflows/a/start", params=token, json={"restart": "yes"})
        requests.get(f"{url}/api/workflows/a/status", params=token)
        requests.get(f"{url}/api/none", params=token)
    answered, started, unknown = server.problems
    assert answered.startswith("get_you answers 200") and "'string'" in answered
    assert started.startswith("start_workflow: ") and "'boolean'" in started
    assert unknown.startswith("GET /api/none")


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


ENGINE = """
import sys
from pathlib import Path
from tests.support.reana_server import job
job.end_with_parent()
job.run({"cmd": "echo $$; exec sleep 60"}, Path(sys.argv[1]))
"""
STARTER = "import subprocess, sys; subprocess.run(sys.argv[1:], start_new_session=True)"


def test_jobs_end_with_whoever_started_their_engine(tmp_path: Path):
    log = tmp_path / "log"
    engine = [sys.executable, "-c", ENGINE, str(log)]
    starter = subprocess.Popen([sys.executable, "-c", STARTER, *engine], cwd=REPOSITORY)
    try:
        wait_for(lambda: log.is_file() and log.read_text().endswith("\n"))
        running = psutil.Process(int(log.read_text()))
    finally:
        starter.kill()
        starter.wait()
    wait_for(lambda: not running.is_running() or running.status() == psutil.STATUS_ZOMBIE)


def wait_for(condition: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def script(reana: Session, what: str, expected: int = 0, **settings: str) -> str:
    """What ``scripts/reana`` says; its exit code must be the expected one."""
    finished = subprocess.run(
        [REPOSITORY / "scripts/reana", what],
        env=reana.environment(POLL_SECONDS="1", **settings),
        capture_output=True,
        text=True,
    )
    assert finished.returncode == expected, finished.stdout + finished.stderr
    assert TOKEN not in finished.stdout + finished.stderr
    return finished.stdout + finished.stderr


@of(releases.OLDEST)
def test_the_site_keeps_nothing_longer_than_it_says(toy: Session):
    text = (toy.folder / "reana.yaml").read_text()
    (toy.folder / "reana.yaml").write_text(text.replace("doubled.txt: 3", "doubled.txt: 30"))
    toy.client("create", "-w", "kept", "-f", "reana.yaml", expected=1)


@of(releases.NEWEST)
def test_a_bundle_that_cannot_be_loaded_is_refused_by_the_server(toy: Session):
    assert "SUCCESS" in toy.client("validate", "-f", "reana.yaml")
    (toy.folder / "steps.yml").write_text("split: 3\n")
    toy.client("create", "-w", "wrong", "-f", "reana.yaml", expected=1)
    assert not (toy.server.directory / "wrong.1").exists()
    with (toy.folder / "letters").open("wb") as large:
        large.truncate((100 << 20) + 1)
    said = toy.client("create", "-w", "large", "-f", "reana.yaml", expected=1)
    assert "too large" in said


def test_the_script_says_which_client_it_found(reana: Session, tmp_path: Path):
    name = reana.release.name.split()[0]
    assert f"reana-client {name}." in script(reana, "follow", 2, WORKFLOW="")
    if reana.release.bundles:
        said = script(reana, "follow", 2, REANA_SERVER_URL=reana.url)
        assert f"unset it, then log in once: reana-client login --server {reana.url}" in said
        said = script(reana, "follow", 2, REANA_CLIENT_CONFIG=str(tmp_path / "none"))
        assert "log in: reana-client login --server https://" in said
    else:
        assert "REANA_ACCESS_TOKEN is not set" in script(reana, "run", 2, REANA_ACCESS_TOKEN="")


BROWSER = """#!{python}
import sys, requests
requests.get(sys.argv[1], verify={certificate!r}).raise_for_status()
"""


@pytest.mark.skipif(releases.NEWEST.client is None, reason="no client of REANA 0.95")
@pytest.mark.parametrize("options", [(), ("--headless",)], ids=["browser", "headless"])
def test_login(options: tuple[str, ...], tmp_path: Path):
    """Login, a token that is refreshed, logout: the client's own, against an issuer of ours."""
    server = ReanaServer(tmp_path, "", "", releases.NEWEST)
    with serving(server, tmp_path / "site") as url:
        user = Session(server, url, "", tmp_path)
        browser = tmp_path / "browser"
        certificate = str(tmp_path / "site.crt")
        browser.write_text(BROWSER.format(python=sys.executable, certificate=certificate))
        browser.chmod(0o755)
        known = {"REANA_ACCESS_TOKEN": "", "REANA_SERVER_CA_CERTS": certificate}
        known |= {"BROWSER": f"{browser} %s &"}
        assert "Logged in to" in user.client("login", "--server", url, *options, **known)
        assert server.issuer.granted == ["a.token.0"]
        assert "Authenticated as: A User" in user.client("ping", **known)
        said = script(user, "follow", 2, WORKFLOW="", **known)
        assert f"reana-client 0.95.0a6, {url}" in said
        assert server.issuer.granted == ["a.token.0", "a.token.1"]
        user.client("logout", **known)
        assert server.issuer.revoked == ["refresh-2"]
        said = script(user, "follow", 2, WORKFLOW="", **known)
        assert "log in: reana-client login --server https://" in said
    assert server.problems == []


@of(releases.OLDEST)
def test_the_script_knows_no_other_release(reana: Session, tmp_path: Path):
    client = tmp_path / "reana-client"
    client.write_text("#!/bin/sh\necho 1.0.0\n")
    client.chmod(0o755)
    path = os.pathsep.join([str(tmp_path), reana.environment()["PATH"]])
    assert "expected 0.9 or 0.95" in script(reana, "follow", 2, PATH=path)


@of(releases.OLDEST)
def test_the_script_says_what_is_missing(reana: Session, tmp_path: Path):
    assert "expected all, physics or ml" in script(reana, "run", 2, PART="half")
    assert "inputs/none/input.yml: no such file" in script(reana, "run", 2, ANALYSIS="inputs/none")
    assert "expected a path below" in script(reana, "run", 2, ANALYSIS=str(tmp_path))
    assert "none.h5: no such file" in script(reana, "run", 2, PART="ml", DATA="runs/none.h5")
    assert "none.h5: no such file" in script(reana, "run", 2, OBSERVED="runs/none.h5")
    assert "expected a path below" in script(reana, "run", 2, OBSERVED=str(tmp_path / "x.h5"))
    assert "expected a path below" in script(reana, "run", 2, ANALYSIS="--help")
    said = script(reana, "run", 2, TRACKING_URI="https://me:pa55word@mlflow.example")
    assert "put it into secrets" in said and "pa55word" not in said
    assert "name the workflow" in script(reana, "download", 2, WORKFLOW="")


def test_the_script_shows_why_a_run_failed(reana: Session):
    said = script(reana, "run", 1, PART="ml", ANALYSIS=TINY, DATA="README.md", WORKFLOW="no-events")
    assert "Workflow no-events.1 on http" in said
    assert "Step: sampling" in said and "error: " in said and "README.md" in said
    assert "no-events.1 is failed" in said
    said = script(reana, "logs", WORKFLOW="no-events.1", STEP="sampling")
    assert "== sampling failed" in said and "README.md" in said
    said = script(reana, "logs", 1, WORKFLOW="no-events.1", METHOD="sally")
    assert "no such step has run yet" in said


@of(releases.NEWEST)
def test_settings_and_the_tracking_uri_reach_no_shell(reana: Session, tmp_path: Path):
    payload = f"$(touch {tmp_path}/canary)'; touch {tmp_path}/canary; '"
    given = {"SETTINGS": payload, "TRACKING_URI": payload, "NTRAINSAMPLES": payload}
    said = script(
        reana, "run", 1, PART="ml", ANALYSIS=TINY, DATA="README.md", WORKFLOW="data", **given
    )
    assert "Step: sampling" in said and "ntrainsamples" in said
    [sampling] = reana.jobs("data.1").values()
    words = shlex.split(sampling["request"]["cmd"])
    assert words[words.index("--set") + 1] == words[words.index("--ntrainsamples") + 1] == payload
    assert words[words.index("--tracking-uri") + 1] == f"{payload}#data.1"
    assert not (tmp_path / "canary").exists()


@pytest.fixture
def fetched() -> Iterator[Path]:
    """Where the script puts the results of the workflow ``pytest``."""
    folder = REPOSITORY / "runs/reana/pytest.1"
    yield folder
    for each in (folder, folder.with_name("pytest-ml.1")):
        shutil.rmtree(each, ignore_errors=True)


@pytest.mark.slow
def test_the_tiny_analysis_whole_and_again_from_its_events(reana: Session, fetched: Path):
    if reana.release is releases.OLDEST and not os.environ.get("OLDEST"):
        pytest.skip("the newest engine runs it; for this one: make test-reana OLDEST=yes")
    said = script(reana, "run", ANALYSIS=TINY, NJOBS="2", WORKFLOW="pytest")
    # configure, generate, 2 pythia, 2 delphes, combine, sampling, 3 methods of 2 steps, plotting.
    assert "finished 15 of 15 jobs" in said
    assert "files in runs/reana/pytest.1" in script(reana, "download", WORKFLOW="pytest.1")
    assert len(list(fetched.glob("ml/method_*/evaluating/Results.tar.gz"))) == 3
    assert (fetched / "physics/combine/cutflow.json").is_file()
    assert (fetched / "ml/plotting/report.html").is_file()

    jobs = reana.jobs("pytest.1").values()
    for each in jobs:
        request = each["request"]
        assert each["memory_bytes"] < kubernetes_memory_to_bytes(request["kubernetes_memory_limit"])
    print(*sorted(f"{j['request']['job_name']} {j['memory_bytes'] >> 20} MiB" for j in jobs))
    check_features(reana, "pytest.1")
    check_retention(reana.server.run("pytest.1").specification, reana.server.directory / "pytest.1")

    # Each method has a training_0: the method tells them apart.
    methods = sorted({line.split()[2] for line in said_of(reana, STEP="training")})
    assert len(methods) == 3
    for method in methods:
        [line] = said_of(reana, STEP="training", METHOD=method)
        assert line == f"== training_0 {method} finished"

    events = fetched / "physics/combine/combined_delphes.h5"
    data = events.relative_to(REPOSITORY).as_posix()
    script(reana, "run", PART="ml", ANALYSIS=TINY, DATA=data, WORKFLOW="pytest-ml")
    script(reana, "download", WORKFLOW="pytest-ml.1")
    results = "ml/plotting/results.json"
    again = fetched.with_name("pytest-ml.1")
    assert (again / results).read_bytes() == (fetched / results).read_bytes()


def said_of(reana: Session, **chosen: str) -> list[str]:
    """The headings of the logs of a choice of steps."""
    said = script(reana, "logs", WORKFLOW="pytest.1", **chosen)
    return [line for line in said.splitlines() if line.startswith("== ")]


def check_retention(specification: dict, workspace: Path) -> None:
    for pattern in specification["workspace"]["retention_days"]:
        assert list(workspace.glob(pattern)), pattern


def check_features(reana: Session, workflow: str) -> None:
    """REANA's own checker passes every scenario, and fails one that is wrong."""
    target = reana.server.directory / "gherkin"
    problem = releases.install(target, *releases.GHERKIN)
    if problem:
        pytest.skip(f"pip cannot install REANA's checker: {problem}")
    wrong = reana.server.directory / "wrong.feature"
    wrong.write_text(
        "Feature: Wrong\n  Scenario: Nothing\n    When the workflow is finished\n"
        '    Then the workspace should include "nothing"\n'
    )
    features = [*(str(path) for path in sorted((REPOSITORY / "reana/tests").iterdir())), str(wrong)]
    paths = os.pathsep.join([str(target), str(REPOSITORY)])
    checked = subprocess.run(
        [sys.executable, "-m", "tests.support.reana_server.features", workflow, *features],
        env=reana.environment(PYTHONPATH=paths, REANA_SERVER_URL=reana.url),
        capture_output=True,
        text=True,
    )
    assert checked.returncode == 0, checked.stderr
    *right, last = checked.stdout.splitlines()
    assert len(right) == 6 and all(line.startswith("passed") for line in right), checked.stdout
    assert last.startswith("failed Nothing"), checked.stdout
