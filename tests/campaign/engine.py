"""Whole runs in processes of their own, which can be killed, starved and misled.

The engine is a process like that of a user. Its steps are quick copies of a warm process
(``sandbox``), or, where limits, users or encodings must reach them, genuine processes.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import psutil
import yaml

from tests.campaign.outcome import Faults, Outcome, sound
from tests.campaign.products import contents
from tests.campaign.sandbox import CONSTRAINTS, SKETCHES, Constraints, Place
from tests.support.chain import TINY1
from tests.support.paths import REPOSITORY

PROGRAM = str(Path(sys.executable).parent / "madminer-workflow")
SECONDS = 300.0
"""Longer than any run takes, on a machine with other things to do."""


def write_analysis(file: Path) -> Path:
    """A tiny analysis with a histogram and a network."""
    data = yaml.safe_load(TINY1.read_text())
    data["title"] = "Größe"
    data["processes"][0]["events"] = {"sm": 150, "w": 50, "neg_w": 50}
    histogram, sally, _ = data["ml"]["methods"]
    sally |= {"n_samples": 200, "training": {"n_epochs": 1, "batch_size": 64}}
    data["ml"]["methods"] = [histogram, sally]
    file.write_text(yaml.safe_dump(data, sort_keys=False, allow_unicode=True))
    return file


@dataclass
class Engine:
    """How ``madminer-workflow run`` is started: words, current directory, variables, streams."""

    place: Place
    server: Path | None
    words: list[str] = field(
        default_factory=lambda: ["run", "input.yml", "--workdir", "w", "--njobs", "2"]
    )
    cwd: Path | None = None
    variables: dict[str, str | None] = field(default_factory=dict)
    streams: dict[str, Any] = field(default_factory=dict)
    constraints: Constraints = field(default_factory=Constraints)
    before: Callable[[], None] = lambda: None
    seconds: float = SECONDS

    @property
    def command(self) -> list[str]:
        """The command line."""
        if self.server is None:
            return [PROGRAM, *self.words]
        return [sys.executable, "-m", "tests.campaign.launch", str(self.server.parent), *self.words]

    @property
    def environment(self) -> dict[str, str]:
        """The variables of its process."""
        variables: dict[str, str | None] = {
            **os.environ,
            **{"HOME": str(self.place.root / "home"), "TMPDIR": str(self.place.root / "tmp")},
            "PYTHONPATH": f"{REPOSITORY}/src:{REPOSITORY}",
            **({SKETCHES: "1"} if self.server else {}),
            CONSTRAINTS: json.dumps(asdict(self.constraints)),
            **self.variables,
        }
        return {name: value for name, value in variables.items() if value is not None}

    def start(self) -> subprocess.Popen[bytes]:
        """Start it, with its output in files of the place unless streams say otherwise."""
        with (
            (self.place.root / "out").open("wb") as out,
            (self.place.root / "err").open("wb") as err,
        ):
            streams = {"stdin": subprocess.DEVNULL, "stdout": out, "stderr": err, **self.streams}
            return subprocess.Popen(
                self.command,
                cwd=self.cwd or self.place.here,
                env=self.environment,
                start_new_session=True,
                preexec_fn=self.prepare,
                **streams,
            )

    def prepare(self) -> None:
        """What the process does before it becomes the program."""
        self.before()
        self.constraints.take()

    def end(self, process: subprocess.Popen[bytes], started: float) -> Outcome:
        """Wait for its end."""
        timed_out = False
        try:
            process.wait(max(1.0, started + self.seconds - time.monotonic()))
        except subprocess.TimeoutExpired:
            timed_out = True
            kill(process.pid, signal.SIGKILL, tree=True)
            process.wait()
        return Outcome(
            self.command,
            process.returncode,
            *((self.place.root / n).read_text(errors="replace") for n in ("out", "err")),
            seconds=time.monotonic() - started,
            timed_out=timed_out,
            strays=self.place.strays(),
        )

    def run(self) -> Outcome:
        """Start it and wait for its end."""
        started = time.monotonic()
        return self.end(self.start(), started)

    @property
    def workdir(self) -> Path:
        """Where its products are."""
        return self.place.here / "w"

    def products(self) -> Mapping[str, bytes]:
        """All of them."""
        return {
            f"{part}/{name}": data
            for part in ("physics", "ml")
            for name, data in contents(self.workdir / part).items()
        }


def kill(pid: int, number: int, tree: bool) -> None:
    """Send a signal to a process, or to it and all that came from it, nearly at once."""
    try:
        parent = psutil.Process(pid)
        family = [parent, *(parent.children(recursive=True) if tree else [])]
    except psutil.NoSuchProcess:
        return
    for process in family:
        try:
            process.send_signal(number)
        except psutil.NoSuchProcess:
            continue


def left(place: Place, patience: float = 20.0) -> list[str]:
    """The processes that are still at work in a place after a while."""
    end = time.monotonic() + patience
    while True:
        found = [text for p in psutil.process_iter() if (text := _at_work(p, str(place.root)))]
        if not found or time.monotonic() > end:
            return found
        time.sleep(0.2)


def _at_work(process: psutil.Process, root: str) -> str:
    try:
        if process.pid == os.getpid() or process.status() == psutil.STATUS_ZOMBIE:
            return ""
        words = " ".join(process.cmdline())
        return words if root in words or process.cwd().startswith(root) else ""
    except (psutil.NoSuchProcess, psutil.AccessDenied, OSError):
        return ""


def finishes(engine: Engine, undisturbed: Mapping[str, bytes]) -> list[str]:
    """What is wrong with the end of a run that nothing disturbs any more."""
    outcome = engine.run()
    if outcome.exit_code != 0:
        return [f"the rerun ended with {outcome.exit_code}: {outcome.stderr[-500:]}"]
    return differences(engine, undisturbed)


def differences(engine: Engine, undisturbed: Mapping[str, bytes]) -> list[str]:
    """The products that are not those of an undisturbed run, and what should not be there."""
    products = engine.products()
    names = sorted(products.keys() ^ undisturbed.keys())
    names += [n for n in products.keys() & undisturbed.keys() if products[n] != undisturbed[n]]
    scratch = [p.name for p in engine.workdir.rglob(".*") if p.is_dir()]
    return [f"another product: {name}" for name in names] + [f"left: {name}" for name in scratch]


def disturbed(outcome: Outcome, killed: bool) -> Faults:
    """What is wrong with the outcome of a run that something disturbs, before it is repeated."""
    faults = sound(outcome, disk=2**40)
    if killed:
        faults.other = [o for o in faults.other if not o.startswith(("exit", "the process died"))]
    return faults
