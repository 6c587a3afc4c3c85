"""Steps on a real Dask scheduler, whose workers are processes that die."""

from __future__ import annotations

import hashlib
import io
import os
import random
import re
import signal
import subprocess
import sys
import textwrap
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from madminer_workflow.engines.executors import Conditions, Task, dask_worker
from madminer_workflow.engines.executors import make as make_executor
from madminer_workflow.engines.order import Order
from madminer_workflow.engines.resources import resources_of
from madminer_workflow.engines.run import run_workflow, run_yadage
from madminer_workflow.errors import InputError, StepError, not_installed
from tests.engines.test_resources import CLASSES
from tests.engines.test_run import Toy, change_steps, sleeping, wait_for
from tests.support.dask_cluster import DaskCluster, dask_cluster
from tests.support.paths import DATA

pytest.importorskip("distributed")
TOY = DATA / "toy_workflow"
KILLS = 10


@pytest.fixture
def toy(tmp_path: Path) -> Toy:
    return Toy(tmp_path)


def run(toy: Toy, on: str, workers: int = 4, workflow: Path = TOY) -> dict[str, str]:
    jobs = run_yadage(
        "workflow.yml", workflow, toy.parameters(0), toy.workdir, workers, console=None, on=on
    )
    return {job.name.removeprefix("part/"): job.status for job in jobs}


def products(workdir: Path) -> dict[str, str]:
    """The content of everything that a run made, but for logs, records and the cache."""
    return {
        file.relative_to(workdir).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(workdir.rglob("*"))
        if file.is_file()
        and not any(part[0] in "._" for part in file.relative_to(workdir).parts)
        and file.name != "ro-crate-metadata.json"
    }


def leftovers(directory: Path) -> list[Path]:
    return [path for path in directory.rglob(".*") if path.name != ".lock"]


def test_a_failure_is_told_as_here_and_nothing_more_begins(toy: Toy, cluster: DaskCluster):
    toy.letters.write_text("bad c d e f g h i k l m n")
    # Dask chooses which goes first.
    note = "grep -q bad {job} && cp ../../../begun ../../../then || sleep 2"
    change_steps(toy, "sleep {delay}; echo doubling", f"echo x >> ../../../begun; {note}")
    with pytest.raises(StepError, match=r"step part/double_0 failed with exit code 1") as failure:
        run(toy, cluster.on, 12, toy.directory)
    assert "Run the same command again to continue" in str(failure.value)
    then, begun = ((toy.directory / name).read_text().count("x") for name in ("then", "begun"))
    # Each of the three workers may have begun another before the engine knew.
    assert begun <= then + 3
    assert leftovers(toy.workdir) == []


def test_a_lost_worker_costs_its_step(toy: Toy, cluster: DaskCluster):
    once = toy.directory / "once"
    lose = "mkdir ../../../once && (touch {output}/half; kill -9 $PPID; sleep 60); cat"
    change_steps(toy, "&& cat {job}", f"; {lose} {{job}}")
    statuses = run(toy, cluster.on, 4, toy.directory)
    assert set(statuses.values()) == {"done"}
    assert "".join((toy.workdir / "part/join/joined.txt").read_text().split()) == "aabbccend"
    assert once.exists() and not list(toy.workdir.rglob("half"))
    logs = [log.read_text() for log in toy.workdir.rglob("double_*.run.log")]
    assert sum("was lost: running again, 1 of at most 5 times" in log for log in logs) == 1


def test_out_of_memory_is_tried_once_more_and_told(tmp_path: Path, cluster: DaskCluster):
    executor = make_executor(cluster.on, Conditions())
    # A worker that was lost may not be there again yet.
    assert executor.places in (1, 2)
    from madminer_workflow.engines.local import describe_failure, run_step

    log = tmp_path / "notes/log"
    resources = resources_of({"resources": [CLASSES["medium"]]})
    task = Task("part/big", "echo begun; kill -9 $$", tmp_path / "big", log, "", resources)
    outcome = run_step(task, executor)
    executor.stop()
    message = describe_failure("part/big", outcome, log)
    assert log.read_text().count("\nbegun") == 2
    assert "out of memory before, and was run again in the resource class large (8Gi)" in message


def start(toy: Toy, delay: float, on: str) -> subprocess.Popen[str]:
    script = f"""
        from pathlib import Path
        from madminer_workflow.engines.run import run_yadage
        run_yadage(
            "workflow.yml", Path({str(TOY)!r}), {toy.parameters(delay)!r},
            Path({str(toy.workdir)!r}), 4, on={on!r},
        )
    """
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)], stderr=subprocess.PIPE, text=True
    )


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_run_that_ends_leaves_nothing_running(toy: Toy, cluster: DaskCluster, number: int):
    delay = 60.0 + os.getpid() / 1e6
    engine = start(toy, delay, cluster.on)
    try:
        wait_for(lambda: len(sleeping(delay)) == 2, 120)
        engine.send_signal(number)
        _, errors = engine.communicate(timeout=60)
    finally:
        engine.kill()
    if number == signal.SIGKILL:
        wait_for(lambda: sleeping(delay) == [])
    else:
        assert "Stopped by SIGINT. Run the same command again" in errors
        assert leftovers(toy.workdir) == []
    assert sleeping(delay) == []
    assert run(toy, cluster.on)["split"] == "reused"
    assert leftovers(toy.workdir) == []


@pytest.mark.slow
def test_without_its_scheduler_a_run_ends_with_all_steps(toy: Toy, tmp_path: Path):
    delay = 60.0 + os.getpid() / 1e6
    with dask_cluster(tmp_path / "dask", 2) as cluster:
        engine = start(toy, delay, cluster.on)
        try:
            wait_for(lambda: len(sleeping(delay)) == 2, 120)
            cluster.scheduler.kill()
            wait_for(lambda: sleeping(delay) == [], 20)
            _, errors = engine.communicate(timeout=120)
        finally:
            engine.kill()
    assert (
        "step part/double_0 could not be run: the connection to the Dask scheduler was lost"
        in errors
    )


@pytest.mark.parametrize(
    ("on", "said"),
    [
        ("dask", "no scheduler is configured; expected --on dask=ADDRESS"),
        ("dask=nothing.Cluster", "nothing.Cluster needs nothing, which is not installed"),
        ("dask=distributed.Nothing", "distributed has no Nothing"),
        ("dask=tcp://127.0.0.1:1", "no scheduler answers"),
        ("dask=oar", "oarsub not found; start from a machine on which jobs can be submitted"),
        ("local=here", "expected local without a place"),
    ],
)
def test_a_place_that_is_none(on: str, said: str, monkeypatch: pytest.MonkeyPatch):
    from madminer_workflow.engines.executors import dask

    monkeypatch.setattr(dask, "CONNECT_SECONDS", 0.5)
    with pytest.raises(InputError, match=said):
        make_executor(on, Conditions())


def test_workers_must_compute_the_same_and_see_the_files(tmp_path: Path):
    known = dask_worker.installed()
    task = Task("step", "true", tmp_path, tmp_path / "log")
    other = dask_worker.Errand("", "", task, {}, None, {**known, "numpy": "1.0"})
    with pytest.raises(InputError, match=r"worker tcp://n1 has numpy .*, but this machine has 1.0"):
        dask_worker._check(other, "tcp://n1")
    away = Task("step", "true", tmp_path / "away", tmp_path / "log")
    with pytest.raises(InputError, match=r"cannot access .*away: choose a --workdir that all"):
        dask_worker._check(dask_worker.Errand("", "", away, {}, None, known), "tcp://n1")


def test_without_dask_one_line_names_the_extra():
    message = str(not_installed(ModuleNotFoundError(name="distributed")))
    assert "pip install 'madminer-workflow[dask]'" in message
    code = "import sys, madminer_workflow.cli.run; sys.exit('distributed' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@pytest.mark.slow
def test_workers_that_are_killed_all_the_time_change_no_byte(tmp_path: Path):
    """One of three dies at random times, as often as the longest step takes, with its step."""
    chance, kills, done, output = random.Random(5), 0, threading.Event(), io.StringIO()
    order = Order(DATA / "tiny", tmp_path / "here", njobs=4, ntrainsamples=2, workers=2)
    run_workflow(order, Console(file=output, width=120))
    longest = max(map(float, re.findall(r"done in ([\d.]+) s", output.getvalue())))
    with dask_cluster(tmp_path / "dask", 3) as cluster:

        def kill() -> None:
            nonlocal kills
            while not done.wait(longest * chance.uniform(0.2, 1.8)):
                kills += cluster.kill_a_worker(chance)

        killer = threading.Thread(target=kill)
        killer.start()
        try:
            while kills < KILLS:
                place = tmp_path / f"there_{kills}"
                run_workflow(replace(order, workdir=place, on=cluster.on, workers=3))
                assert products(place) == products(order.workdir)
                assert leftovers(place) == []
        finally:
            done.set()
            killer.join()
    logs = [log.read_text() for log in tmp_path.glob("there_*/**/*.run.log")]
    print(f"{kills} kills, {sum(log.count('running again') for log in logs)} steps run again")
    assert sum(log.count("was lost: running again") for log in logs) > 0
