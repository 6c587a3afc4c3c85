"""Tracking: what is recorded, what MLflow is told, and what happens when it does not listen."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from itertools import repeat
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import mlflow
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from mlflow.entities import Run

from madminer_workflow.cli import main
from madminer_workflow.errors import InputError, StepError
from madminer_workflow.files import checksum, read_json, write_json
from madminer_workflow.statistics.results import (
    Check,
    Estimate,
    FisherInformation,
    JointThresholds,
    Limits,
    PointCoverage,
    ProvenInformation,
    Shares,
    ToySummary,
)
from madminer_workflow.tracking import FOLDER, RUN, SPOOL, followed, step_environment, target
from madminer_workflow.tracking.findings import MethodFindings, method_numbers
from madminer_workflow.tracking.journal import (
    Artifact,
    Begun,
    Dataset,
    Ended,
    Journal,
    Metrics,
    Params,
    dotted,
    entries,
)
from madminer_workflow.tracking.products import describe, place
from madminer_workflow.tracking.record import records_in
from madminer_workflow.tracking.server import Server
from madminer_workflow.tracking.upload import PATH_TAG, Uploader, sync
from tests.support import learning
from tests.support.chain import TINY

COMMAND = [str(Path(sys.executable).parent / "madminer-workflow")]
QUIET = {
    name: value
    for name, value in os.environ.items()
    if not name.startswith(("MLFLOW_", "MADMINER_"))
}


@dataclass
class Finished:
    """How a command ended and what it said."""

    returncode: int
    stdout: str
    stderr: str


def command(*arguments: object, **environment: str) -> Finished:
    """Run the command line in this process."""
    strangers = dict.fromkeys(os.environ.keys() - QUIET.keys())
    finished = CliRunner().invoke(main, [*map(str, arguments)], env=strangers | environment)
    return Finished(finished.exit_code, finished.stdout, finished.stderr)


def process(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process of its own, as engines do."""
    return subprocess.run(
        [*COMMAND, *map(str, arguments)],
        env=QUIET | environment,
        capture_output=True,
        text=True,
        timeout=300,
    )


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def uri(tmp_path: Path, empty_database: Path) -> str:
    """A database without runs."""
    (tmp_path / "tracking").mkdir()
    shutil.copy(empty_database, tmp_path / "tracking/mlflow.db")
    return f"sqlite:///{tmp_path}/tracking/mlflow.db"


def runs(uri: str) -> dict[str, Run]:
    """All runs by their name, which must be unique."""
    client = mlflow.MlflowClient(uri)
    experiments = [each.experiment_id for each in client.search_experiments()]
    found = client.search_runs(experiments)
    names = [run.info.run_name for run in found]
    assert len(set(names)) == len(names), names
    return dict(zip(names, found, strict=True))


def parent(run: Run, all_runs: dict[str, Run]) -> str | None:
    """The name of the run that a run is nested in."""
    wanted = run.data.tags.get("mlflow.parentRunId")
    return next((name for name, each in all_runs.items() if each.info.run_id == wanted), None)


def artifacts(uri: str, run: Run) -> set[str]:
    return {each.path for each in mlflow.MlflowClient(uri).list_artifacts(run.info.run_id)}


def history(uri: str, run: Run, key: str) -> list[tuple[int, float]]:
    found = mlflow.MlflowClient(uri).get_metric_history(run.info.run_id, key)
    return sorted((metric.step, metric.value) for metric in found)


# Records


def test_without_a_uri_nothing_is_recorded_and_mlflow_is_not_imported(tmp_path: Path):
    code = (
        "import sys; from madminer_workflow.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit as end: assert not end.code, end\n"
        "assert not {'mlflow', 'madminer_workflow.tracking.upload'} & set(sys.modules)"
    )
    arguments = ["configure", "--input", str(TINY), "--output", str(tmp_path), "--tracking-uri", ""]
    subprocess.run([sys.executable, "-c", code, *arguments], env=QUIET, check=True)
    assert not (tmp_path / FOLDER).exists()


def test_a_record_needs_no_mlflow(tmp_path: Path):
    code = (
        "import sys; from pathlib import Path\n"
        "from madminer_workflow.tracking.journal import Journal\n"
        "journal = Journal.begin(Path(sys.argv[1]), ['a']); journal.end('FINISHED')\n"
        "assert 'mlflow' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)
    [record] = records_in(tmp_path, "")
    assert [type(entry) for entry in record.entries] == [Begun, Ended]
    lines = record.file.read_text().splitlines()
    assert [json.loads(line)["kind"] for line in lines] == ["run", "end"]


@given(cut=st.integers(min_value=0))
def test_a_record_that_broke_off_is_read_up_to_there(
    cut: int, tmp_path_factory: pytest.TempPathFactory
):
    spool = tmp_path_factory.mktemp("spool")
    journal = Journal.begin(spool, ["root", "step"])
    journal.params({"a": {"b": 1}})
    journal.metrics({"loss": 0.5}, 3)
    journal.end("FINISHED")
    whole, text = entries(journal.file), journal.file.read_text()
    journal.file.write_text(text[: cut % (len(text) + 1)])
    found = entries(journal.file)
    assert found == whole[: len(found)]
    assert len(found) >= text[: cut % (len(text) + 1)].count("\n")


def test_settings_become_dotted_names():
    assert dotted({"a": {"b": [1, 2], "c": None}, "d": "text", "e": True}) == {
        "a.b": "[1, 2]",
        "a.c": "null",
        "d": "text",
        "e": "true",
    }


def test_toys_are_part_of_the_run_of_their_method(tmp_path: Path):
    for name, content in (("toys_1.json", {"job": 1, "njobs": 4}), ("Toys.npz", {})):
        write_json(tmp_path / "ratio" / name, content)
    (tmp_path / "events.h5").write_text("events")
    arguments = {
        "evaluation": tmp_path / "ratio/evaluation.json",
        "job": tmp_path / "ratio/toys_1.json",
        "output": tmp_path / "ratio",
        "observed": str(tmp_path / "events.h5"),
    }
    assert place("toys", arguments) == (["ratio", "toys_ratio_1"], False)
    assert place("evaluating", arguments) == (["ratio"], True)
    journal = Journal.begin(tmp_path / "spool", ["toys"])
    describe("toys", arguments, journal)
    said = entries(journal.file)
    params = {k: v for entry in said if isinstance(entry, Params) for k, v in entry.values.items()}
    assert (params["job"], params["njobs"]) == ("1", "4")
    assert [entry.name for entry in said if isinstance(entry, Artifact)] == ["Toys.npz"]
    [events] = [entry for entry in said if isinstance(entry, Dataset)]
    assert (events.digest, events.use) == (checksum(tmp_path / "events.h5"), "observed")


def limits_of(volume: float) -> Limits:
    return Limits(
        best_fit=[0.0],
        intervals={"p": {"0.95": [(-1.0, 1.0)]}},
        allowed_volume={"0.95": volume},
    )


def check_of(value: float | None) -> Check:
    words = dict.fromkeys(("expected", "meaning", "reason", "sentence", "proves"), "")
    return Check(name="E[r]", value=value, error=0.1, passed=True, **words)


def test_coverage_and_observed_limits_are_numbers():
    coverage = JointThresholds(
        coverage={"0.95": Estimate(value=0.93, error=0.01)},
        critical={},
        edges=[],
        q=[],
        parameters={},
    )
    estimate = partial(Estimate, error=0.1)
    point = PointCoverage(name="p=0.5", theta=[0.5], kinds={"shape": coverage})
    numbers = method_numbers(
        MethodFindings(
            name="sally",
            believed=True,
            fisher_information=FisherInformation(
                matrix=[[2.0]], statistical_error=[[3.0]], ensemble_spread=[[4.0]], members=[]
            ),
            proven_information=ProvenInformation(
                matrix=[[1.5]],
                error=[[0.1]],
                claimed=Shares(parameters={"p": estimate(value=1.3)}, together=estimate(value=1.3)),
            ),
            limits={"shape": limits_of(3.0)},
            observed={"shape": limits_of(4.0)},
            toys=ToySummary(n_toys=10, points=[point], intervals={}),
            checks=[check_of(1.1)],
            diagnostics=[[check_of(1.0)], [check_of(None)]],
        ),
        ["p"],
    )
    assert (numbers["fisher/p.p"], numbers["fisher_error/p.p"]) == (2.0, 5.0)
    assert (numbers["proven/p"], numbers["proven_error/p"]) == (1.5, 0.1)
    assert numbers["claimed_over_proven/p"] == 1.3
    assert numbers["check/E_r_/1"] is None
    assert (numbers["check/E_r_/ensemble"], numbers["check/E_r_/0"]) == (1.1, 1.0)
    assert numbers["limits/shape/0.95/volume"] == 3.0
    assert numbers["observed/shape/0.95/volume"] == 4.0
    assert numbers["observed/shape/0.95/width.p"] == 2.0
    assert numbers["toys/p_0.5/shape/0.95/coverage"] == 0.93
    assert numbers["toys/p_0.5/shape/0.95/coverage_error"] == 0.01


def test_what_is_no_finite_number_is_no_metric(tmp_path: Path):
    journal = Journal.begin(tmp_path, ["a"])
    journal.metrics({"good": 1, "nan": float("nan"), "none": None, "inf": float("inf")})
    [_, metrics] = entries(journal.file)
    assert isinstance(metrics, Metrics)
    assert metrics.values == {"good": 1}


def test_a_full_disk_is_the_loss_of_the_record_alone(tmp_path: Path):
    spool = tmp_path / "file"
    spool.write_text("not a directory")
    journal = Journal.begin(spool, ["a"])
    journal.metrics({"loss": 1.0})
    journal.artifact(TINY)
    journal.end("FINISHED")


@pytest.mark.parametrize(
    ("given_uri", "environment", "expected"),
    [
        (None, None, None),
        ("", None, None),
        ("http://host:5000#first try", None, ("http://host:5000", "first try")),
        ("sqlite:///x.db", None, ("sqlite:///x.db", None)),
        (None, "http://other", ("http://other", None)),
        ("", "http://other", ("http://other", None)),
        (" ", None, None),
        ("http://host", "http://other", ("http://host", None)),
    ],
)
def test_where_to_track(
    monkeypatch: pytest.MonkeyPatch, given_uri: str | None, environment: str | None, expected: Any
):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    if environment:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", environment)
    found = target(given_uri)
    assert (found and (found.uri, found.run)) == expected


def test_a_name_that_no_run_can_have_is_refused(tmp_path: Path):
    result = command(
        *("configure", "--input", TINY, "--output", tmp_path / "o"),
        *("--tracking-uri", "sqlite:///x.db#it's"),
    )
    assert result.returncode == 2
    assert result.stderr.startswith('error: --tracking-uri: the name "it\'s" of the run: expected')
    assert "Traceback" not in result.stderr


# MLflow


def test_a_step_alone(tmp_path: Path):
    # A database that does not exist yet, in a folder that does not either.
    uri = f"sqlite:///{tmp_path}/tracking/mlflow.db"
    output = tmp_path / "configure"
    result = process("configure", "--input", TINY, "--output", output, "--tracking-uri", uri)
    assert (result.returncode, result.stderr) == (0, "")
    [(name, run)] = runs(uri).items()
    assert (name, run.info.status) == ("configure", "FINISHED")
    assert run.data.params["seed"] == "1"
    assert run.data.params["benchmarks.w.CWL2"] == "15.2"
    assert run.data.params["config_sha256"] == checksum(output / "analysis.json")
    assert run.data.params["versions.madminer"] == "0.9.6"
    assert run.data.tags["madminer.step"] == "configure"
    assert run.data.metrics["cpu_seconds"] > 0.0
    assert artifacts(uri, run) == {"analysis.json"}
    # What MLflow has needs not be kept twice.
    assert not [path for path in (output / FOLDER).iterdir() if path.is_dir()]


def test_a_training_shows_its_epochs_in_the_run_of_its_method(
    tmp_path: Path, uri: str, toy_file: Path
):
    settings = learning.settings("sally")
    samples = learning.samples(toy_file, settings, tmp_path, member=1)
    result = command(
        *("training", "--samples", samples, "--output", tmp_path / "out"),
        *("--set", "training.n_epochs=4", "--tracking-uri", f"{uri}#whole"),
    )
    assert (result.returncode, result.stderr) == (0, "")
    found = runs(uri)
    assert {name: parent(run, found) for name, run in found.items()} == {
        "whole": None,
        "sally": "whole",
        "training_sally_1": "sally",
    }
    run = found["training_sally_1"]
    losses = history(uri, run, "loss_val")
    assert [step for step, _ in losses] == [1, 2, 3, 4]
    assert run.data.metrics["best_loss_val"] == min(loss for _, loss in losses)
    rates = [rate for _, rate in history(uri, run, "learning_rate")]
    assert rates[0] == pytest.approx(settings["training"]["initial_lr"])
    assert rates[-1] == pytest.approx(settings["training"]["final_lr"])
    assert run.data.params["training.n_epochs"] == "4"
    assert run.data.params["member"] == "1"
    assert artifacts(uri, run) == {"Model.tar.gz"}
    assert {each.info.status for each in found.values()} == {"FINISHED"}


def test_a_run_that_is_handed_on_by_its_id_is_neither_made_nor_ended(
    tmp_path: Path, uri: str, monkeypatch: pytest.MonkeyPatch
):
    server = Server(uri)
    above = server.create_run(None, "above", 1, {})
    named = f"{uri}#{above}"
    for i in range(2):
        journal = Journal.begin(tmp_path / f"job_{i}", [above, f"job_{i}"])
        journal.end("FINISHED" if i else "FAILED")
    # Nobody is to be agreed with.
    monkeypatch.setattr(Server, "alone", lambda _: nullcontext(False))
    monkeypatch.setattr("madminer_workflow.tracking.upload.SETTLING_SECONDS", 1e6)
    uploader = Uploader(uri)
    assert [uploader.upload_all(tmp_path / f"job_{i}") for i in range(2)] == [1, 1]
    with followed(tmp_path / "work", {"answer": 42}, named, pytest.fail, whole=False) as whole:
        assert whole is not None
        member = Journal.begin(tmp_path / "work" / FOLDER, [above, "sally", "sally_0"])
        member.end("FINISHED")
    found = runs(uri)
    assert {name: parent(run, found) for name, run in found.items()} == {
        **{"above": None, "job_0": "above", "job_1": "above"},
        **{"sally": "above", "sally_0": "sally"},
    }
    # Whoever made it ends it.
    assert found["above"].info.status == "RUNNING"
    assert found["above"].data.params == {"workflow.answer": "42"}
    assert found["sally"].info.status == "FINISHED"


def test_a_failure_is_told_and_stays_one(tmp_path: Path, uri: str):
    named = f"{uri}#whole"
    output = tmp_path / "generate"
    configured = tmp_path / "configure"
    command("configure", "--input", TINY, "--output", configured, "--tracking-uri", named)
    arguments = [
        *("--config", configured / "config.h5", "--generation", configured / "generation.json"),
        *("--models", configured / "Models.tar.gz", "--output", output, "--tracking-uri", named),
    ]
    failed = command("generate", *arguments, "--njobs", 0)
    assert failed.returncode == 2
    found = runs(uri)
    assert found["generate"].info.status == "FAILED"
    assert found["generate"].data.tags["madminer.problem"] in failed.stderr
    assert found["whole"].info.status == "FAILED"
    assert found["configure"].info.status == "FINISHED"


def test_the_run_of_a_project_is_the_run_of_its_step(tmp_path: Path, uri: str):
    client = mlflow.MlflowClient(uri)
    made = client.create_run(client.create_experiment("project"), run_name="entry")
    result = command(
        *("configure", "--input", TINY, "--output", tmp_path / "o"),
        MLFLOW_TRACKING_URI=uri,
        MLFLOW_RUN_ID=made.info.run_id,
    )
    assert (result.returncode, result.stderr) == (0, "")
    [(name, run)] = runs(uri).items()
    assert (name, run.info.run_id) == ("entry", made.info.run_id)
    assert run.data.params["analysis"] == "tiny"
    # Whoever made it ends it.
    assert run.info.status == "RUNNING"


def test_what_mlflow_refuses_does_not_keep_it_from_the_rest(tmp_path: Path, uri: str):
    spool = tmp_path / "spool"
    journal = Journal.begin(spool, ["a"])
    journal.metrics({"a=b?": 1.0})
    journal.metrics({"fine": 2.0})
    journal.end("FINISHED")
    uploader = Uploader(uri)
    assert uploader.upload_all(spool) == 1
    assert runs(uri)["a"].data.metrics == {"fine": 2.0}
    [problem] = uploader.refused
    assert problem.startswith("a: ")


def test_a_setting_keeps_its_first_value(tmp_path: Path, uri: str):
    for value in ("1", "2"):
        journal = Journal.begin(tmp_path / value, ["same"], shared=True)
        journal.params({"x": value, f"only{value}": value})
        journal.end("FINISHED")
        assert Uploader(uri).upload_all(tmp_path / value) == 1
    assert runs(uri)["same"].data.params == {"x": "1", "only1": "1", "only2": "2"}


def test_uploaders_at_the_same_moment_share_a_parent(tmp_path: Path, uri: str):
    outputs = [tmp_path / f"delphes_{i}" for i in range(4)]
    for i, output in enumerate(outputs):
        journal = Journal.begin(output / FOLDER, ["whole", f"delphes_{i}"])
        journal.end("FINISHED")
    # Copies of this process, for which MLflow is imported already.
    with ProcessPoolExecutor(len(outputs), get_context("fork")) as uploaders:
        assert [*uploaders.map(sync, outputs, repeat(uri))] == [(1, 0)] * len(outputs)
    client = mlflow.MlflowClient(uri)
    found = client.search_runs(["1"], f"tags.`{PATH_TAG}` = 'whole'")
    assert len(found) == 1
    assert len(runs(uri)) == 5


@pytest.mark.parametrize("goes", [True, False])
def test_of_parents_made_at_the_same_moment_all_take_one(
    tmp_path: Path, uri: str, monkeypatch: pytest.MonkeyPatch, goes: bool
):
    """As on a server, where no lock keeps others from making one."""
    server = Server(uri)
    waited = []

    def meanwhile(seconds: float) -> None:
        waited.append(seconds)
        [mine] = runs(uri).values()
        while True:
            other = server.create_run(None, "whole", 1, {PATH_TAG: "whole"})
            if (other < mine.info.run_id) == goes:
                break
            server.client.delete_run(other)

    monkeypatch.setattr(Server, "alone", lambda _: nullcontext(False))
    monkeypatch.setattr("madminer_workflow.tracking.upload.time.sleep", meanwhile)
    Journal.begin(tmp_path / "a", ["whole", "job"]).end("FINISHED")
    Uploader(uri).upload_all(tmp_path / "a")
    assert len(waited) == 1
    assert waited[0] >= 1.0
    found = server.client.search_runs(["1"])
    [job] = [run for run in found if run.info.run_name == "job"]
    wholes = {run.info.run_id for run in found if run.info.run_name == "whole"}
    assert len(wholes) == (1 if goes else 2)
    assert job.data.tags["mlflow.parentRunId"] == min(wholes)


def test_a_lost_note_uploads_nothing_twice(tmp_path: Path, uri: str):
    journal = Journal.begin(tmp_path / "s", ["a"])
    journal.metrics({"loss": 1.0}, 1)
    journal.end("FINISHED")
    assert Uploader(uri).upload_all(tmp_path / "s") == 1
    journal.file.with_suffix(".json").unlink()
    assert Uploader(uri).upload_all(tmp_path / "s") == 1
    assert history(uri, runs(uri)["a"], "loss") == [(1, 1.0)]


# Servers


def test_nobody_listens(tmp_path: Path, uri: str):
    server = f"http://127.0.0.1:{free_port()}"
    output = tmp_path / "configure"
    started = time.monotonic()
    result = command("configure", "--input", TINY, "--output", output, "--tracking-uri", server)
    assert result.returncode == 0
    assert (output / "config.h5").exists()
    [warning] = result.stderr.splitlines()
    assert warning.startswith(f"warning: tracking: {server}: ")
    assert f"the record is kept in {output / FOLDER}" in warning
    assert time.monotonic() - started < 20.0

    synced = command("track", "--sync", output, "--tracking-uri", uri)
    assert (synced.returncode, synced.stdout) == (0, f"1 runs uploaded to {uri}\n")
    assert runs(uri)["configure"].info.status == "FINISHED"
    assert artifacts(uri, runs(uri)["configure"]) == {"analysis.json"}
    again = command("track", "--sync", output, "--tracking-uri", uri)
    assert again.stdout == f"0 runs uploaded to {uri}\n"


def test_somebody_listens_and_never_answers(tmp_path: Path):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        server = f"http://127.0.0.1:{silent.getsockname()[1]}"
        started = time.monotonic()
        result = command(
            *("configure", "--input", TINY, "--output", tmp_path / "o", "--tracking-uri", server),
            MLFLOW_HTTP_REQUEST_TIMEOUT="2",
        )
    assert result.returncode == 0
    assert len(result.stderr.splitlines()) == 1
    assert "the record is kept in" in result.stderr
    assert time.monotonic() - started < 20.0


@pytest.mark.parametrize("kind", ["nothing", "somewhere"])
def test_mistakes_of_track_are_explained(tmp_path: Path, kind: str):
    if kind == "nothing":
        result = command("track", "--sync", tmp_path, "--tracking-uri", "sqlite:///x.db")
        expected = f"error: {tmp_path}: no records of runs"
    else:
        result = command("track", "--sync", tmp_path)
        expected = "error: no tracking server; give --tracking-uri or set MLFLOW_TRACKING_URI"
    assert result.returncode == 2
    assert result.stderr.startswith(expected)
    assert not Path("x.db").exists()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A real tracking server with a database and a store for artifacts."""
    port = free_port()
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)),
            *("--backend-store-uri", f"sqlite:///{tmp_path}/server.db", "--workers", "1"),
            *("--artifacts-destination", str(tmp_path / "server-artifacts")),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        wait_for(lambda: listens(port))
        yield f"http://127.0.0.1:{port}", process
    finally:
        stop(process)


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        os.killpg(process.pid, 9)
        process.wait()


def wait_for(condition: Any, seconds: float = 120.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.1)


WHOLE = {
    **dict.fromkeys(("configure", "generate", "combine", "sampling", "plotting"), "whole"),
    **{f"{step}_{i}": "whole" for step in ("pythia", "delphes") for i in range(2)},
    **dict.fromkeys(("counts", "sally", "ratio"), "whole"),
    **{f"training_{name}_0": name for name in ("counts", "sally", "ratio")},
    "whole": None,
}


def run_tiny(workdir: Path, server: str) -> list[object]:
    return [
        *("run", TINY.parent, "--workdir", workdir, "--njobs", 2),
        *("--tracking-uri", f"{server}#whole"),
    ]


@pytest.mark.slow
def test_a_whole_workflow_in_a_server(tmp_path: Path, server: tuple[str, subprocess.Popen[bytes]]):
    uri, workdir = server[0], tmp_path / "workdir"
    result = process(*run_tiny(workdir, uri))
    assert result.returncode == 0, result.stderr
    assert "tracking" not in result.stderr
    found = runs(uri)
    assert {name: parent(run, found) for name, run in found.items()} == WHOLE
    assert {run.info.status for run in found.values()} == {"FINISHED"}

    results = read_json(workdir / "ml/plotting/results.json")
    whole = found["whole"].data
    for method in results["methods"]:
        name, matrix = method["name"], method["fisher_information"]["matrix"]
        assert found[name].data.metrics["fisher/CWL2.CWL2"] == pytest.approx(matrix[0][0])
        assert whole.metrics[f"{name}/fisher/CWL2.CPWL2"] == pytest.approx(matrix[0][1])
        volume = method["limits"]["rate_and_shape"]["allowed_volume"]["0.95"]
        assert whole.metrics[f"{name}/limits/rate_and_shape/0.95/volume"] == pytest.approx(volume)
        assert found[name].data.tags["madminer.believed"] == ("yes" if method["believed"] else "no")
    assert artifacts(uri, found["whole"]) == {"report.html", "results.json"}
    assert artifacts(uri, found["plotting"]) == {"plots", "report.html", "results.json"}
    digest = checksum(workdir / "physics/combine/combined_delphes.h5")
    for name in ("combine", "sampling", "sally", "plotting"):
        [used] = found[name].inputs.dataset_inputs
        assert json.loads(used.dataset.profile) == {"sha256": digest}
    # Nothing is computed again for the sake of its record, and the results are told all the same.
    again = process(*run_tiny(workdir, uri)[:-1], f"{uri}#again")
    assert again.returncode == 0
    repeated = runs(uri)["again"].data
    assert repeated.metrics["steps_run"] == 0
    assert {k: v for k, v in repeated.metrics.items() if "/" in k} == {
        k: v for k, v in whole.metrics.items() if "/" in k
    }


@pytest.mark.slow
def test_a_server_that_dies_half_way(
    tmp_path: Path, uri: str, server: tuple[str, subprocess.Popen[bytes]]
):
    address, process = server
    workdir = tmp_path / "workdir"
    running = subprocess.Popen(
        [*COMMAND, *map(str, run_tiny(workdir, address))],
        env=QUIET,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_for(lambda: "generate" in runs(address))
    stop(process)
    _, said = running.communicate(timeout=300)
    assert running.returncode == 0, said
    assert " ".join(said.split()).count("the record is kept in") == 1
    assert (workdir / "ml/plotting/report.html").exists()

    complete, pending = sync(workdir, uri)
    assert complete > 5
    assert pending == 0
    for name, run in runs(uri).items():
        assert run.info.status == "FINISHED", name


def test_steps_know_the_record_of_their_workflow(tmp_path: Path):
    journal = Journal.begin(tmp_path, ["name"], shared=True)
    assert step_environment(journal) == {SPOOL: str(tmp_path), RUN: "name"}
    assert step_environment(None) == {}


def damaged_record(tmp_path: Path, *lines: bytes) -> Path:
    """A record of a finished run with other lines in it."""
    journal = Journal.begin(tmp_path / FOLDER, ["damaged"])
    with journal.file.open("ab") as file:
        file.write(b"".join(line + b"\n" for line in lines))
    journal.end("FINISHED")
    return journal.file


def test_damaged_lines_of_a_record_are_left_out(tmp_path: Path, uri: str):
    damaged_record(tmp_path, b"\x9d{", b'{"kind":"metrics","values":{"a":"b"}}', b"[]", b'"\xff"')
    assert sync(tmp_path, uri) == (1, 0)
    assert list(runs(uri)) == ["damaged"]


@pytest.mark.parametrize("note", ["[]", '{"x": {"uploaded": -5}}', '{"x": {"uploaded": "1"}}', "{"])
def test_a_damaged_note_of_an_upload_is_named(tmp_path: Path, uri: str, note: str):
    place = damaged_record(tmp_path).with_suffix(".json")
    place.write_text(note)
    with pytest.raises(InputError, match=str(place)):
        sync(tmp_path, uri)


@pytest.mark.parametrize("name", ["../../secret", "/etc/passwd"])
def test_what_lies_outside_of_a_record_is_no_artifact_of_it(tmp_path: Path, uri: str, name: str):
    (tmp_path / "secret").write_text("secret")
    entry = json.dumps({"kind": "artifact", "time": 1, "name": name})
    damaged_record(tmp_path, entry.encode())
    with pytest.raises(InputError, match="is not one of its artifacts"):
        sync(tmp_path, uri)
    [run] = runs(uri).values()
    assert not artifacts(uri, run)


def test_a_database_that_cannot_be_written_is_told_at_once(tmp_path: Path):
    damaged_record(tmp_path)
    before = time.monotonic()
    with pytest.raises(StepError, match="unable to open database file"):
        sync(tmp_path, "sqlite:////proc/mlflow.db")
    assert time.monotonic() - before < 20
