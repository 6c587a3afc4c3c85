"""The laptop engine on a toy workflow: order, resume, failures, locks, interruption."""

from __future__ import annotations

import errno
import fcntl
import io
import os
import platform
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console

from madminer_workflow import files
from madminer_workflow.engines import backend, cache, run
from madminer_workflow.engines.executors import Conditions, Task
from madminer_workflow.engines.executors import make as make_executor
from madminer_workflow.engines.local import describe_failure, run_step
from madminer_workflow.engines.order import Order
from madminer_workflow.engines.run import run_workflow, run_yadage
from madminer_workflow.errors import InputError, StepError
from madminer_workflow.stopping import SIGNALS
from tests.support.paths import DATA, REPOSITORY

TOY = DATA / "toy_workflow"
WBF = REPOSITORY / "inputs" / "wbf"


class Toy:
    """One work directory of the toy workflow with its two inputs."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.workdir = directory / "workdir"
        self.letters = directory / "letters.txt"
        self.suffix = directory / "suffix.txt"
        self.letters.write_text("a b c")
        self.suffix.write_text("end\n")
        self.output = io.StringIO()

    def parameters(self, delay: float) -> dict[str, object]:
        return {"letters": str(self.letters), "suffix": str(self.suffix), "delay": delay}

    def run(self, delay: float = 0, workers: int = 2, fresh: bool = False) -> dict[str, str]:
        self.output = io.StringIO()
        console = Console(file=self.output, width=120)
        jobs = run_yadage(
            "workflow.yml", TOY, self.parameters(delay), self.workdir, workers, fresh, console
        )
        return {job.name.removeprefix("part/"): job.status for job in jobs}

    @property
    def joined(self) -> str:
        return (self.workdir / "part/join/joined.txt").read_text().replace("\n", "")


@pytest.fixture
def toy(tmp_path: Path) -> Toy:
    return Toy(tmp_path)


def ran(statuses: dict[str, str]) -> set[str]:
    return {name for name, status in statuses.items() if status != "reused"}


def test_map_and_reduce_and_resume(toy: Toy):
    everything = {"split", "double_0", "double_1", "double_2", "join"}
    assert ran(toy.run()) == everything
    assert toy.joined == "aabbccend"
    assert ran(toy.run()) == set()
    toy.suffix.write_text("END\n")
    assert ran(toy.run()) == {"join"}
    assert toy.joined == "aabbccEND"
    # One new job, and the others get other numbers: only the new one is computed.
    toy.letters.write_text("a aa b c")
    assert ran(toy.run()) == {"split", "double_1", "join"}
    assert toy.joined == "aaaaaabbccEND"
    assert ran(toy.run(fresh=True)) == everything | {"double_3"}


def test_a_change_that_changes_no_product_stops_there(toy: Toy):
    toy.run()
    toy.letters.write_text("a  b  c\n")
    assert ran(toy.run()) == {"split"}


def test_deleted_and_changed_products_are_restored(toy: Toy):
    toy.run()
    (toy.workdir / "part/double_1/doubled.txt").unlink()
    (toy.workdir / "part/join/joined.txt").unlink()
    (toy.workdir / "part/join/joined.txt").write_text("wrong")
    assert ran(toy.run()) == set()
    assert toy.joined == "aabbccend"


def test_fewer_jobs_leave_no_folders_and_no_cache_behind(toy: Toy):
    toy.run()
    toy.letters.write_text("a")
    toy.run()
    folders = {path.name for path in (toy.workdir / "part").iterdir()}
    assert folders == {"split", "double_0", "join"}
    assert len(list((toy.workdir / "_cache").iterdir())) == 3
    assert toy.joined == "aaend"


@pytest.mark.parametrize(("workers", "together"), [(1, 1), (2, 2), (8, 3)])
def test_as_many_steps_at_a_time_as_workers(toy: Toy, workers: int, together: int):
    console = Console(file=io.StringIO())
    jobs = run_yadage(
        "workflow.yml", TOY, toy.parameters(0.3), toy.workdir, workers, console=console
    )
    doubles = [job for job in jobs if job.stage == "double"]
    overlaps = [sum(b.started <= a.started < b.ended for b in doubles) for a in doubles]
    assert max(overlaps) == together


@pytest.mark.parametrize(
    ("given", "expected"), [({}, 8), ({"njobs": 9}, 9), ({"workers": 3}, 3), ({"njobs": 2}, 8)]
)
def test_as_many_steps_as_there_are_places_elsewhere(
    given: dict[str, int], expected: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    class Enough(Exception):  # noqa: N818
        pass

    def queue(workdir: Path, workers: int, *_: object) -> None:
        assert workers == expected
        raise Enough

    monkeypatch.setattr(run, "make_executor", lambda on, conditions: SimpleNamespace(places=8))
    monkeypatch.setattr(run, "_queue", queue)
    with pytest.raises(Enough):
        run_workflow(Order(DATA / "tiny", tmp_path, on="dask=there", **given))


def test_failure_names_the_step_and_shows_its_log(toy: Toy):
    toy.run()
    toy.letters.write_text("a bad c")
    with pytest.raises(StepError) as failure:
        toy.run()
    message = str(failure.value)
    log = toy.workdir / "part/double_1/_packtivity/double_1.run.log"
    assert "step part/double_1 failed with exit code 1" in message
    assert "  | doubling" in message
    assert str(log) in message
    assert log.read_text().endswith("doubling\n")
    assert "double FAILED" in toy.output.getvalue()
    # What was there before is still there, and what was done meanwhile is not done again.
    assert toy.joined == "aabbccend"
    toy.letters.write_text("a c d")
    assert ran(toy.run()) == {"split", "double_2", "join"}
    assert toy.joined == "aaccddend"


def test_what_a_failed_step_wrote_is_where_its_log_says(toy: Toy):
    text = (TOY / "steps.yml").read_text()
    broken = text.replace(
        "mkdir -p {output}/jobs &&",
        "echo no > {output}/why.txt && echo see {output}/why.txt && false &&",
    )
    for name, content in [
        ("workflow.yml", (TOY / "workflow.yml").read_text()),
        ("steps.yml", broken),
    ]:
        (toy.directory / name).write_text(content)

    def run() -> None:
        run_yadage("workflow.yml", toy.directory, toy.parameters(0), toy.workdir, 1)

    kept = toy.workdir / "part/split/_packtivity/failed"
    with pytest.raises(StepError, match=f"see {kept}/why.txt"):
        run()
    assert (kept / "why.txt").read_text() == "no\n"
    assert [path.name for path in (toy.workdir / "part/split").iterdir()] == ["_packtivity"]
    (toy.directory / "steps.yml").write_text(text)
    run()
    assert not kept.exists()


def test_after_a_failure_waiting_steps_do_not_start(toy: Toy):
    toy.letters.write_text("bad c d e")
    with pytest.raises(StepError):
        toy.run(workers=1, delay=0.2)
    assert toy.output.getvalue().count("double started") == 1


def test_a_step_that_refuses_its_input_makes_the_run_refuse(toy: Toy):
    toy.letters.write_text("a")
    toy.suffix.unlink()
    # grep, used by the step, has exit code 2 for a file that is not there.
    toy.letters.unlink()
    text = (TOY / "steps.yml").read_text()
    steps = text.replace("mkdir -p {output}/jobs &&", "grep x {letters} &&")
    for name, text in [("workflow.yml", (TOY / "workflow.yml").read_text()), ("steps.yml", steps)]:
        (toy.directory / name).write_text(text)
    with pytest.raises(InputError, match=r"part/split failed with exit code 2"):
        run_yadage("workflow.yml", toy.directory, toy.parameters(0), toy.workdir, 1)


def test_a_promised_file_that_is_missing_is_a_failure(toy: Toy):
    toy.letters.write_text("")
    with pytest.raises(StepError, match=r"part/split succeeded but did not publish jobs/\*.txt"):
        toy.run()


def test_lines_of_a_log_count_and_tell_what_was_unchanged(toy: Toy):
    toy.run()
    lines = toy.output.getvalue()
    for text in ("split done in", "double 1/3 done in", "double 3/3 done in", "join done in"):
        assert text in lines
    toy.run()
    assert "double 3/3 unchanged" in toy.output.getvalue()
    assert "started" not in toy.output.getvalue()


def test_table_on_a_terminal(toy: Toy):
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=100)
    run_yadage("workflow.yml", TOY, toy.parameters(0.3), toy.workdir, 2, console=console)
    text = screen.getvalue()
    for part in ("split", "double", "3/3", "join", "elapsed", "part/double_0"):
        assert part in text


def start(toy: Toy, delay: float) -> subprocess.Popen[str]:
    script = f"""
        from pathlib import Path
        from madminer_workflow.engines.run import run_yadage
        run_yadage(
            "workflow.yml", Path({str(TOY)!r}), {toy.parameters(delay)!r},
            Path({str(toy.workdir)!r}), 2,
        )
    """
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)], stderr=subprocess.PIPE, text=True
    )


def wait_for(condition, seconds: float = 30.0) -> None:
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit, "nothing happened in time"
        time.sleep(0.05)


def sleeping(delay: float) -> list[int]:
    commands = Path("/proc").glob("[0-9]*/cmdline")
    found = []
    for file in commands:
        try:
            if f"sleep\0{delay}\0" in file.read_text():
                found.append(int(file.parent.name))
        except OSError:
            continue
    return found


@pytest.mark.parametrize("number", SIGNALS)
def test_an_interrupted_run_leaves_nothing_running_and_resumes(toy: Toy, number: int):
    delay = 60.0 + os.getpid() / 1e6
    engine = start(toy, delay)
    wait_for(lambda: len(sleeping(delay)) == 2)
    engine.send_signal(number)
    _, errors = engine.communicate(timeout=30)
    assert engine.returncode != 0
    assert f"Stopped by {signal.Signals(number).name}. Run the same command again" in errors
    assert sleeping(delay) == []
    assert not (toy.workdir / "part/double_0/doubled.txt").exists()
    assert toy.run()["split"] == "reused"
    assert toy.joined == "aabbccend"


def test_a_killed_engine_takes_its_steps_along_and_a_new_run_goes_on(toy: Toy):
    """Only the engine: nobody but its guard knows, and the new run waits for what is left."""
    delay = 60.0 + os.getpid() / 1e6
    engine = start(toy, delay)
    wait_for(lambda: len(sleeping(delay)) == 2)
    engine.kill()
    engine.communicate(timeout=30)
    assert toy.run()["split"] == "reused"
    assert sleeping(delay) == []
    assert toy.joined == "aabbccend"
    assert not [path for path in toy.workdir.rglob(".*") if path.name != ".lock"]


def left_behind(toy: Toy, seconds: float) -> subprocess.Popen[bytes]:
    """A process that holds the lock of the work directory, whose engine is gone."""
    toy.workdir.mkdir()
    with (toy.workdir / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        gone = subprocess.Popen(["true"])
        gone.wait()
        lock.write(f"{gone.pid} {platform.node()}\n")
        lock.flush()
        return subprocess.Popen(["sleep", str(seconds)], pass_fds=[lock.fileno()])


def test_steps_that_outlive_their_engine_are_waited_for(toy: Toy):
    started = time.monotonic()
    orphan = left_behind(toy, 1.0)
    toy.run()
    assert time.monotonic() - started > 0.5
    orphan.wait()


def test_steps_that_outlive_their_engine_for_long_keep_others_out(
    toy: Toy, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(files, "_PATIENCE_SECONDS", 0.2)
    orphan = left_behind(toy, 60.0)
    try:
        with pytest.raises(InputError, match=f"steps of a killed run.*\\(kill {orphan.pid}\\)"):
            toy.run()
    finally:
        orphan.kill()
        orphan.wait()


def test_what_a_step_leaves_in_the_background_ends_with_it(toy: Toy):
    delay = 60.0 + os.getpid() / 1e6
    change_steps(
        toy, "mkdir -p {output}/jobs &&", f"(sleep {delay} &) && mkdir -p {{output}}/jobs &&"
    )
    run_yadage("workflow.yml", toy.directory, toy.parameters(0), toy.workdir, 1)
    assert sleeping(delay) == []


def change_steps(toy: Toy, old: str, new: str) -> None:
    """Put the toy workflow into the toy's directory, with a change of its steps."""
    text = (TOY / "steps.yml").read_text()
    assert old in text
    (toy.directory / "steps.yml").write_text(text.replace(old, new))
    (toy.directory / "workflow.yml").write_text((TOY / "workflow.yml").read_text())


def test_a_step_that_takes_too_long_is_ended(toy: Toy):
    delay = 60.0 + os.getpid() / 1e6
    log = toy.directory / "log"
    executor = make_executor("local", Conditions(limit=0.3))
    command = f"echo begun; echo half > half.txt; sleep {delay}"
    target = toy.directory / "part/slow"
    outcome = run_step(Task("slow", command, target, log), executor)
    executor.stop()
    assert outcome.late and outcome.exit_code == 124 and sleeping(delay) == []
    message = describe_failure("part/slow", outcome, log, 0.005)
    assert message.startswith("step part/slow took longer than its 0.005 minutes and was ended")
    assert "--step-timeout" in message and "| begun" in message and str(log) in message
    assert (toy.directory / "failed/half.txt").exists() and not target.exists()


@pytest.mark.parametrize("minutes", [0, -1, float("nan"), float("inf")])
def test_a_limit_is_a_number_of_minutes(tmp_path: Path, minutes: float):
    with pytest.raises(InputError, match=r"step-timeout = .*: expected a number of minutes"):
        run_workflow(Order(WBF, tmp_path / "results", step_timeout=minutes))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("kill -9 $$", "was ended by signal 9 (most often: the machine ran out of memory); use"),
        ("sh -c 'kill -9 $$'; exit $?", "was ended by signal 9 (most often"),
        ("kill -SEGV $$", "was ended by signal 11 (SIGSEGV)"),
        (
            "echo std::bad_alloc; kill -ABRT $$",
            "by signal 6 (SIGABRT), out of memory; use a machine",
        ),
        ("exit 3", "failed with exit code 3"),
    ],
)
def test_how_a_step_ended_is_said_in_words(tmp_path: Path, command: str, said: str):
    executor = make_executor("local", Conditions())
    log = tmp_path / "log"
    outcome = run_step(Task("part", command, tmp_path / "part", log), executor)
    executor.stop()
    assert said in describe_failure("part", outcome, log)


def test_an_input_that_changes_while_a_step_reads_it(toy: Toy):
    """Else its product would be found again for an input that it was not made from."""
    begin = "mkdir -p {output}/jobs &&"
    change_steps(toy, begin, f"echo z >> {{letters}} && {begin}")

    def run(directory: Path) -> None:
        run_yadage("workflow.yml", directory, toy.parameters(0), toy.workdir, 1)

    with pytest.raises(StepError, match=r"step part/split: its inputs.* changed while it"):
        run(toy.directory)
    assert not list((toy.workdir / "part/split").glob("jobs"))
    toy.letters.write_text("a b c")
    assert ran(toy.run())
    assert toy.joined == "aabbccend"


def test_what_lies_about_in_the_store_is_no_trouble(toy: Toy):
    toy.run()
    store = toy.workdir / "_cache"
    (store / ".nfs000000001").write_text("busy")
    (store / "notes.txt").write_text("mine")
    (store / "folder").mkdir()
    (store / ("0" * 64)).write_text("no directory")
    for key in toy.workdir.glob("**/_packtivity/key"):
        if "join" in str(key):
            key.write_bytes(b"\xff")
    entry = next(path for path in store.iterdir() if (path / "manifest.json").is_file())
    (entry / ".nfs000000002").write_text("busy")
    (entry / "files/.nfs000000003").write_text("busy")
    assert ran(toy.run()) == set()
    assert (store / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("damage", ["file", "unwritable"])
def test_a_store_that_cannot_be_used(toy: Toy, monkeypatch: pytest.MonkeyPatch, damage: str):
    toy.run()
    if damage == "file":
        shutil.rmtree(toy.workdir / "_cache")
        (toy.workdir / "_cache").write_text("")
        with pytest.raises(InputError, match="_cache: is a file; expected a directory"):
            toy.run()
        return

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "/store/file")

    monkeypatch.setattr(cache, "_link_files", full)
    toy.suffix.write_text("END\n")
    assert ran(toy.run()) == {"join"}
    assert "warning: not cached for later runs: /store/file: No space left" in toy.output.getvalue()
    assert toy.joined == "aabbccEND"


@pytest.mark.parametrize("error", [ValueError("odd"), MemoryError(), OSError(28, "No space left")])
def test_a_step_that_cannot_be_started_is_named(
    toy: Toy, monkeypatch: pytest.MonkeyPatch, error: Exception
):
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(backend, "run_step", fail)
    with pytest.raises(StepError, match=r"step part/split could not be run: \S"):
        toy.run()


def test_two_runs_do_not_share_a_work_directory(toy: Toy):
    delay = 60.0 + os.getpid() / 1e6
    engine = start(toy, delay)
    try:
        wait_for(lambda: len(sleeping(delay)) == 2)
        with pytest.raises(InputError, match="another run is using this directory"):
            toy.run()
    finally:
        engine.send_signal(signal.SIGTERM)
        engine.communicate(timeout=30)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"njobs": 0}, "njobs = 0: expected a whole number, 1 or more"),
        ({"ntrainsamples": -1}, "ntrainsamples = -1"),
        ({"workers": 0}, "workers = 0"),
        ({"part": "plots"}, "expected one of all, physics, ml"),
        ({"analysis": Path("nowhere/input.yml")}, "nowhere/input.yml: no such file"),
        ({"part": "ml"}, "combined_delphes.h5: no such file"),
        ({"part": "ml", "data": Path("no.h5")}, "no.h5: no such file"),
        ({"part": "all", "data": Path("some.h5")}, "only the part ml reads events"),
    ],
)
def test_bad_arguments_write_nothing(tmp_path: Path, changes: dict, message: str):
    arguments = {"analysis": WBF, "workdir": tmp_path / "workdir"} | changes
    with pytest.raises(InputError, match=message):
        run_workflow(Order(**arguments))
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_analysis_writes_nothing(tmp_path: Path):
    (tmp_path / "input.yml").write_text("version: 1\nnonsense: 2\n")
    with pytest.raises(InputError, match="nonsense"):
        run_workflow(Order(tmp_path, tmp_path / "workdir"))
    assert not (tmp_path / "workdir").exists()


def test_paths_that_a_shell_would_split_are_refused(tmp_path: Path):
    with pytest.raises(InputError, match="without spaces"):
        run_workflow(Order(WBF, tmp_path / "my results"))
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="is a file"):
        run_workflow(Order(WBF, tmp_path / "file"))


def test_where_nothing_can_be_written_another_place_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(os, "access", lambda place, mode: False)
    with pytest.raises(InputError, match=r"is not writable.* --workdir"):
        run_workflow(Order(WBF, tmp_path / "results"))
    assert list(tmp_path.iterdir()) == []
