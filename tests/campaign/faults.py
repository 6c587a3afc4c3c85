"""Machines that are full, closed, foreign, slow or shared: what goes wrong around a run.

A run either makes the products of an undisturbed one, or says in a line why not, and makes them
when the fault is gone and it is repeated. A fault is a row of ``FAULTS``: what prepares it and
returns what ends it.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.campaign.engine import Engine, differences, disturbed, finishes, kill, left
from tests.campaign.outcome import Faults, Outcome
from tests.campaign.sandbox import Constraints

NOBODY = 65534
FUTURE = 4_000_000_000
End = Callable[[], None]


def nothing() -> None:
    """There is nothing to repair."""


@dataclass(frozen=True)
class Case:
    """A fault: ``prepare`` brings it about and returns what ends it.

    ``genuine`` if it is about how the steps' processes start. ``succeeds`` if a run must not mind.
    ``repeated`` is false if the command itself is the fault, ``killed`` true if no program can say
    what ended it.
    """

    name: str
    prepare: Callable[[Engine], End]
    genuine: bool = False
    succeeds: bool = False
    repeated: bool = True
    killed: bool = False


def run(case: Case, engine: Engine, undisturbed: Mapping[str, bytes]) -> tuple[Outcome, Faults]:
    """Run under the fault, and again without it."""
    before = (list(engine.words), engine.cwd, dict(engine.variables), dict(engine.streams))
    end = case.prepare(engine)
    try:
        outcome = engine.run()
    finally:
        end()
    faults = disturbed(outcome, killed=case.killed)
    if case.succeeds and outcome.exit_code != 0:
        faults.other.append(f"exit code {outcome.exit_code}; expected 0")
    if remaining := left(engine.place):
        faults.other.append(f"still at work: {remaining}")
    if outcome.exit_code == 0:
        faults.other += differences(engine, undisturbed)
        return outcome, faults
    if {"stderr", "stdout"} & engine.streams.keys():
        # Nobody could have heard a message.
        faults.silent = 0
    if case.repeated:
        engine.words, engine.cwd, engine.variables, engine.streams = before
        engine.constraints, engine.before = Constraints(), lambda: None
        faults.other += finishes(engine, undisturbed)
    return outcome, faults


# Variables --------------------------------------------------------------------------------------
def variables(**values: str | None) -> Callable[[Engine], End]:
    """Variables of the environment; None for none. ``@ROOT@`` is the place."""

    def prepare(engine: Engine) -> End:
        root = str(engine.place.root)
        new = {k: v.replace("@ROOT@", root) if v else v for k, v in values.items()}
        engine.variables.update(new)
        return nothing

    return prepare


def words(*more: str) -> Callable[[Engine], End]:
    """Further words on the command line."""
    return lambda engine: (engine.words.extend(more), nothing)[1]


def placed(change: Callable[[Path], object]) -> Callable[[Engine], End]:
    """A change of the current directory before the run."""
    return lambda engine: (change(engine.place.here), nothing)[1]


def under(**values: object) -> Callable[[Engine], End]:
    """Constraints of the engine and its steps."""

    def prepare(engine: Engine) -> End:
        engine.constraints = Constraints(**values)  # type: ignore[arg-type]
        return nothing

    return prepare


def limits(**values: int) -> Callable[[Engine], End]:
    """Limits by the names of ``resource``."""
    return under(limits=values)


# Streams ----------------------------------------------------------------------------------------
def full(stream: str) -> Callable[[Engine], End]:
    """A stream to a device that is full."""

    def prepare(engine: Engine) -> End:
        engine.streams[stream] = device = os.open("/dev/full", os.O_WRONLY)
        return lambda: os.close(device)

    return prepare


def closed(*descriptors: int) -> Callable[[Engine], End]:
    """Streams that are not there."""

    def before() -> None:
        for descriptor in descriptors:
            os.close(descriptor)

    def prepare(engine: Engine) -> End:
        engine.before = before
        if {1, 2} & set(descriptors):
            engine.streams["stdout"] = subprocess.DEVNULL
        return nothing

    return prepare


def broken(stream: str) -> Callable[[Engine], End]:
    """A pipe that nobody reads."""

    def prepare(engine: Engine) -> End:
        reader, writer = os.pipe()
        os.close(reader)
        engine.streams[stream] = writer
        return lambda: os.close(writer)

    return prepare


# Places -----------------------------------------------------------------------------------------
def needs_root() -> None:
    """Skip what an ordinary user cannot prepare."""
    if os.geteuid():
        pytest.skip("needs root")


def small_disk(size: str) -> Callable[[Engine], End]:
    """A work directory on a disk of this size, which is enlarged in the end."""

    def prepare(engine: Engine) -> End:
        needs_root()
        engine.workdir.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(engine.workdir)]
        if subprocess.run(mount, capture_output=True).returncode:
            pytest.skip("nothing can be mounted here")

        def end() -> None:
            inside = engine.place.root / "rescued"
            shutil.copytree(engine.workdir, inside, symlinks=True)
            subprocess.run(["umount", "-l", str(engine.workdir)], check=True)
            engine.workdir.rmdir()
            inside.rename(engine.workdir)

        return end

    return prepare


def read_only(engine: Engine) -> End:
    """A work directory on a disk that cannot be written to."""
    end = small_disk("1m")(engine)
    remount = ["mount", "-o", "remount,ro", str(engine.workdir)]
    subprocess.run(remount, check=True)
    return end


def as_nobody(engine: Engine) -> End:
    """A user who owns the place and nothing else."""
    needs_root()
    python = Path(sys.executable).resolve()
    if not all(parent.stat().st_mode & 0o001 for parent in (python, *python.parents)):
        pytest.skip(f"{python} is not for all users")
    root = engine.place.root
    for parent in (root, *root.parents):
        if Path(tempfile.gettempdir()) in parent.parents:
            parent.chmod(parent.stat().st_mode | 0o011)
    for path in (root, *root.rglob("*")):
        os.chown(path, NOBODY, NOBODY)
    engine.constraints = Constraints(user=NOBODY)
    return nothing


def without_rights(**modes: int) -> Callable[[Engine], End]:
    """Folders and files with other modes, for a process that must respect them, even as root."""

    def prepare(engine: Engine) -> End:
        engine.constraints = Constraints(unprivileged=True)
        paths = [engine.place.root / name.replace("__", "/", 3) for name in modes]
        for path in paths:
            path.mkdir(exist_ok=True, parents=True) if path.suffix == "" else None
        for path, mode in zip(paths, modes.values(), strict=True):
            path.chmod(mode)

        def end() -> None:
            for path in paths:
                path.chmod(0o755)

        return end

    return prepare


def inputs_of(when: int) -> Callable[[Engine], End]:
    """An analysis file of another time."""
    return placed(lambda here: os.utime(here / "input.yml", (when, when)))


def moved(folder: str) -> Callable[[Engine], End]:
    """The analysis in a folder of another name, and the work directory in it."""

    def prepare(engine: Engine) -> End:
        target = engine.place.here / folder
        target.mkdir(parents=True)
        shutil.copy(engine.place.here / "input.yml", target)
        engine.words = ["run", str(target), "--workdir", str(target / "w"), "--njobs", "2"]

        def end() -> None:
            if (target / "w").is_dir():
                shutil.move(target / "w", engine.workdir)

        return end

    return prepare


def workdir_is(make: Callable[[Path], object], remove: bool = False) -> Callable[[Engine], End]:
    """Something in the place of the work directory."""

    def prepare(engine: Engine) -> End:
        make(engine.workdir)

        def end() -> None:
            if remove:
                engine.workdir.unlink(missing_ok=True)

        return end

    return prepare


def inside(
    name: str, make: Callable[[Path], object], remove: bool = False
) -> Callable[[Engine], End]:
    """Something strange inside the work directory of an earlier run."""

    def prepare(engine: Engine) -> End:
        path = engine.workdir / name
        path.parent.mkdir(parents=True, exist_ok=True)
        make(path)

        def end() -> None:
            if remove and (path.is_symlink() or path.exists()):
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()

        return end

    return prepare


def other_words(*text: str) -> Callable[[Engine], End]:
    """Another command line."""
    return lambda engine: (engine.words.__setitem__(slice(None), text), nothing)[1]


# In the middle ----------------------------------------------------------------------------------
def during(act: Callable[[Engine], object], file: str) -> Callable[[Engine], End]:
    """Something happens as soon as a file is in the work directory."""

    def prepare(engine: Engine) -> End:
        over = threading.Event()

        def watch() -> None:
            while not over.wait(0.02):
                if (engine.workdir / file).exists():
                    act(engine)
                    return

        thread = threading.Thread(target=watch, daemon=True)
        thread.start()
        return lambda: (over.set(), thread.join())[1]

    return prepare


def two_at_once(engine: Engine) -> End:
    """Another run in the same work directory, which began earlier."""
    other = Engine(engine.place, engine.server)
    with (engine.place.here / "other").open("wb") as output:
        process = subprocess.Popen(
            other.command,
            cwd=engine.place.here,
            env=other.environment,
            stdout=output,
            stderr=output,
        )
    while not (engine.workdir / "_yadage").exists():
        time.sleep(0.05)

    def end() -> None:
        assert process.wait(300) == 0
        (engine.place.here / "other").unlink()

    return end


def stopped(engine: Engine) -> None:
    """Stop all processes for a while."""
    for process in _family(engine):
        kill(process, signal.SIGSTOP, tree=True)
    time.sleep(2.0)
    for process in _family(engine):
        kill(process, signal.SIGCONT, tree=True)


def _family(engine: Engine) -> list[int]:
    import psutil

    root = str(engine.place.here)
    return [p.pid for p in psutil.process_iter() if _cwd(p).startswith(root)]


def _cwd(process: object) -> str:
    import psutil

    try:
        return process.cwd()  # type: ignore[attr-defined]
    except (psutil.Error, OSError):
        return ""


def shuffle_times(engine: Engine) -> None:
    """Set the times of all files to the future or to long ago."""
    for i, path in enumerate(sorted(engine.workdir.rglob("*"))):
        if path.is_file():
            os.utime(path, (FUTURE if i % 2 else 1,) * 2)


def _garbage(path: Path) -> None:
    path.write_bytes(b"\x00garbage\xff")


def _strange(path: Path) -> None:
    """A cache with all that file systems leave about."""
    path.mkdir(parents=True)
    (path / ".nfs000000000000001").write_text("x")
    (path / "lost+found").mkdir()
    (path / "dangling").symlink_to("nowhere")
    (path / "loop").symlink_to("loop")
    (path / ("0" * 64)).write_text("a file in the place of a folder")
    (path / ("1" * 64)).mkdir()
    (path / ("1" * 64) / "manifest.json").write_text("[" * 10_000)
    os.mkfifo(path / "fifo")
    (path / "\udcff").write_text("x")


LOCALES = ("C", "tr_TR.UTF-8", "POSIX", "xx_YY.invalid", "en_US.ISO-8859-1")
FAULTS = [
    *(Case(f"locale-{name}", variables(LC_ALL=name, LANG=name, PYTHONUTF8="0"), i < 2, True)
      for i, name in enumerate(LOCALES)),
    *(Case(f"encoding-{name}", variables(PYTHONIOENCODING=name), name == "ascii", True)
      for name in ("latin-1", "ascii", "utf-16")),
    Case("home-none", variables(HOME=None), succeeds=True),
    Case("home-nowhere", variables(HOME="/nowhere", XDG_CACHE_HOME="/nowhere"), succeeds=True),
    Case("home-null", variables(HOME="/dev/null", MPLCONFIGDIR="/dev/null"), succeeds=True),
    Case("temporary-nowhere", variables(TMPDIR="/nowhere"), succeeds=True),
    Case("temporary-file", variables(TMPDIR="@ROOT@/here/input.yml"), succeeds=True),
    Case("path-empty", variables(PATH="")),
    Case("path-none", variables(PATH=None)),
    Case("path-elsewhere", variables(PATH="/nowhere:/dev/null")),
    Case("python-path-garbage", variables(PYTHONPATH="/nowhere:\t:@ROOT@"), True, True),
    Case("python-optimized", variables(PYTHONOPTIMIZE="1"), True, True),
    Case("python-without-docstrings", variables(PYTHONOPTIMIZE="2"), True),
    Case("python-unhashed", variables(PYTHONHASHSEED="123"), succeeds=True),
    Case("matplotlib-folder", variables(MPLCONFIGDIR="/proc/nowhere"), succeeds=True),
    Case("matplotlib-backend", variables(MPLBACKEND="TkAgg"), succeeds=True),
    Case("matplotlib-nonsense", variables(MPLBACKEND="nonsense"), succeeds=True),
    Case("matplotlibrc", placed(lambda here: (here / "matplotlibrc").write_text("font.size: 40\n")),
         succeeds=True),
    Case("threads-nonsense", variables(OMP_NUM_THREADS="many")),
    Case("terminal-dumb", variables(TERM="dumb", COLUMNS="1"), succeeds=True),
    Case("terminal-none", variables(TERM=None, COLUMNS="wide", FORCE_COLOR="1"), succeeds=True),
    Case("tracking-nowhere", variables(MLFLOW_TRACKING_URI="http://127.0.0.1:9"), succeeds=True),
    Case("tracking-nonsense", variables(MLFLOW_TRACKING_URI="what://?"), succeeds=True),
    Case("stdout-full", full("stdout")),
    Case("stderr-full", full("stderr")),
    Case("stdout-closed", closed(1), succeeds=True),
    Case("stderr-closed", closed(2), succeeds=True),
    Case("all-closed", closed(0, 1, 2), succeeds=True),
    Case("stdin-closed", closed(0), succeeds=True),
    Case("stdout-broken", broken("stdout")),
    Case("stderr-broken", broken("stderr")),
    *(Case(f"disk-of-{size}", small_disk(size)) for size in ("64k", "300k", "1m", "3m")),
    Case("disk-read-only", read_only),
    *(Case(f"file-size-{size}", limits(FSIZE=size)) for size in (1_000, 20_000, 300_000)),
    *(Case(f"memory-{mb}-MB", limits(AS=mb * 2**20)) for mb in (300, 900, 2500)),
    *(Case(f"files-{n}", limits(NOFILE=n)) for n in (16, 32, 64)),
    Case("processor-time", limits(CPU=2), killed=True),
    Case("umask-077", under(umask=0o077), succeeds=True),
    Case("umask-777", under(umask=0o777)),
    Case("nobody", as_nobody, succeeds=True),
    Case("no-privileges", without_rights(), succeeds=True),
    Case("home-unwritable", without_rights(home=0o555), succeeds=True),
    Case("home-unreadable", without_rights(home=0), succeeds=True),
    Case("temporary-unwritable", without_rights(tmp=0o555)),
    Case("here-unwritable", without_rights(here=0o555)),
    Case("input-unreadable", without_rights(**{"here__input.yml": 0})),
    Case("workdir-unwritable", without_rights(here__w=0o555)),
    Case("workdir-unreadable", without_rights(here__w=0)),
    Case("cache-unwritable", without_rights(here__w___cache=0o555)),
    Case("part-unwritable", without_rights(here__w__physics=0o555)),
    Case("step-unreadable", without_rights(here__w__physics__configure=0)),
    Case("input-of-the-future", inputs_of(FUTURE), succeeds=True),
    Case("input-of-long-ago", inputs_of(0), succeeds=True),
    Case("times-shuffled", during(shuffle_times, "physics/combine"), succeeds=True),
    *(Case(f"folder-{i}", moved(name)) for i, name in enumerate(
        ["with blanks", "quo'te", 'dou"ble', "größe", "a;b", "$(touch x)", "new\nline", "x" * 200]
    )),
    Case("workdir-link", workdir_is(lambda w: (w.with_name("real").mkdir(), w.symlink_to("real"))),
         succeeds=True),
    Case("workdir-dangling", workdir_is(lambda w: w.symlink_to("nowhere")), succeeds=True),
    Case("workdir-loop", workdir_is(lambda w: w.symlink_to("w"), remove=True)),
    Case("workdir-file", workdir_is(_garbage, remove=True)),
    Case("workdir-fifo", workdir_is(os.mkfifo, remove=True)),
    Case("lock-stale", inside(".lock", lambda p: p.write_text("12345\n")), succeeds=True),
    Case("lock-folder", inside(".lock", Path.mkdir, remove=True)),
    Case("lock-fifo", inside(".lock", os.mkfifo, remove=True)),
    Case("lock-link", inside(".lock", lambda p: p.symlink_to("nowhere"), remove=True)),
    Case("cache-file", inside("_cache", _garbage, remove=True)),
    Case("cache-strange", inside("_cache", _strange), succeeds=True),
    Case("cache-dangling", inside("_cache", lambda p: p.symlink_to("nowhere"), remove=True)),
    Case("notes-file", inside("_yadage", _garbage, remove=True)),
    Case("log-folder", inside("_yadage/engine.log", Path.mkdir, remove=True)),
    Case("part-file", inside("physics", _garbage, remove=True)),
    Case("step-file", inside("physics/configure", _garbage, remove=True)),
    Case("step-strange", inside("physics/configure", _strange), succeeds=True),
    Case("scratch-strange", inside("physics/.pythia_0." + "0" * 32, _strange), succeeds=True),
    Case("workdir-removed", during(lambda e: shutil.rmtree(e.workdir, ignore_errors=True),
                                   "physics/generate/Processes.tar.gz")),
    Case("cache-removed", during(lambda e: shutil.rmtree(e.workdir / "_cache", ignore_errors=True),
                                 "physics/generate/Processes.tar.gz")),
    Case("product-removed", during(lambda e: (e.workdir / "physics/configure/config.h5").unlink(),
                                   "physics/generate/Processes.tar.gz")),
    Case("product-damaged", during(lambda e: _garbage(e.workdir / "physics/configure/config.h5"),
                                   "physics/generate/Processes.tar.gz")),
    Case("input-removed", during(lambda e: (e.place.here / "input.yml").rename(
        e.place.here / "kept"), "physics/generate/Processes.tar.gz"), repeated=False),
    Case("stopped", during(stopped, "physics/generate"), succeeds=True),
    Case("two-at-once", two_at_once),
    *(Case(f"words{'-'.join(more)}", words(*more), repeated=False) for more in (
        *(["--njobs", "0"], ["--njobs", "-1"], ["--njobs", "1000000000"], ["--workers", "0"]),
        *(["--ntrainsamples", "0"], ["--ntrainsamples", "1000000000"], ["--workdir", "/proc/x"]),
        *(["--workdir", "/dev/null"], ["--workdir", ""], ["--data", "nowhere"], ["--part", "ml"]),
        *(["--observed", "nowhere.h5"], ["--observed", "/dev/zero"], ["--observed", "input.yml"]),
        *(["--set", "x"], ["--set", "sally.training.n_epochs=1e9999"], ["--tracking-uri", "\x01"]),
    )),
    Case("words-too-many-workers", words("--workers", "1000"), succeeds=True),
    Case("words-nowhere", other_words("run", "nowhere", "--workdir", "w"), repeated=False),
    Case("words-bytes", other_words("run", "\udcff", "--workdir", "w"), repeated=False),
    Case("words-surrogate", words("--observed", "\udcff"), repeated=False),
]  # fmt: skip


def cases() -> Iterator[Case]:
    """All faults."""
    yield from FAULTS
