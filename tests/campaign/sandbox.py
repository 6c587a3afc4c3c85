"""Runs commands of the program in processes that are watched, confined and quick to start.

A process is a copy of one that has imported everything (``tests.support.warm``), in a place of its
own: the folder of the case, its home and its temporary files are there. It may take so much memory,
time and disk; what it writes outside of its place, and what programs it starts, is noted.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import socket
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from madminer_workflow.cores import CORES
from madminer_workflow.engines.executors import local as processes
from tests.campaign.outcome import MiB, Outcome
from tests.support import warm
from tests.support.chain import rough_integration

GUARD = "MADMINER_CAMPAIGN_GUARD"
CONSTRAINTS = "MADMINER_CAMPAIGN_CONSTRAINTS"
"""What an engine's steps are under, as it is itself."""
SKETCHES = "MADMINER_CAMPAIGN_SKETCHES"
"""Says that figures are only files of their names, where they do not matter."""
CANARY = "@CANARY@"
TEMPORARY = "left in its temporary folder"
"""Stands in payloads for the file that they would make."""


@dataclass(frozen=True)
class Place:
    """Where a case happens: ``here`` is its current directory, with its files."""

    root: Path

    @classmethod
    def make(cls, root: Path) -> Place:
        """Make the folders."""
        for name in ("here", "home", "tmp"):
            (root / name).mkdir(parents=True)
        return cls(root)

    @property
    def here(self) -> Path:
        """The current directory."""
        return self.root / "here"

    @property
    def canary(self) -> Path:
        """What exists if a payload was executed."""
        return self.root / "canary"

    def armed(self, text: str) -> str:
        """A payload that makes the canary, if it is executed."""
        return text.replace(CANARY, str(self.canary))

    def strays(self) -> list[str]:
        """What lies outside of the folders for it."""
        known = ("here", "home", "tmp", "out", "err", "strays")
        noted = self.root / "strays"
        notes = noted.read_text().splitlines() if noted.exists() else []
        left = [f"{p.name} {TEMPORARY}" for p in (self.root / "tmp").iterdir()]
        return [path.name for path in self.root.iterdir() if path.name not in known] + notes + left


@dataclass(frozen=True)
class Limits:
    """What a command may use; ``programs`` is whether it may start others."""

    seconds: float = 60.0
    memory: int = 2048 * MiB
    programs: bool = False


class Sandbox:
    """A server of watched processes."""

    def __init__(self, server: Path) -> None:
        """Talk to the server at a socket."""
        self.server = server

    def run(
        self,
        words: Sequence[str | Path],
        place: Place,
        limits: Limits = Limits(),
        environment: Mapping[str, str] = {},
    ) -> Outcome:
        """Run ``madminer-workflow WORDS`` in a place."""
        arguments = list(map(str, words))
        guard = {
            "root": str(place.root),
            "memory": limits.memory,
            "seconds": int(limits.seconds),
            "programs": limits.programs,
        }
        variables = {
            **os.environ,
            **{"HOME": str(place.root / "home"), "TMPDIR": str(place.root / "tmp")},
            **{"MPLCONFIGDIR": str(place.root / "home"), GUARD: json.dumps(guard)},
            **environment,
        }
        started = time.monotonic()
        with (
            (place.root / "out").open("wb") as out,
            (place.root / "err").open("wb") as err,
            socket.socket(socket.AF_UNIX) as client,
        ):
            client.connect(str(self.server))
            socket.send_fds(client, [b"s"], [out.fileno(), err.fileno()])
            request = json.dumps([arguments, str(place.here), variables])
            client.sendall(request.encode() + b"\n")
            answer, peak = _answer(client, started + limits.seconds, place.root)
        return Outcome(
            arguments,
            int(answer) if answer else None,
            *((place.root / name).read_text(errors="replace") for name in ("out", "err")),
            seconds=time.monotonic() - started,
            timed_out=answer is None,
            strays=place.strays(),
            peak_disk=peak,
        )


def _answer(client: socket.socket, end: float, root: Path) -> tuple[bytes | None, int]:
    """What the server says in the end, None if it does not, and the most disk space in use."""
    peak, before = 0, _size(root)
    client.settimeout(0.25)
    while time.monotonic() < end:
        try:
            return client.recv(10), max(peak, _size(root) - before)
        except TimeoutError:
            peak = max(peak, _size(root) - before)
    return None, peak


def _size(root: Path) -> int:
    """The space that files below ``root`` take."""
    total = 0
    for directory, _, names in os.walk(root):
        for name in names:
            try:
                total += os.lstat(os.path.join(directory, name)).st_blocks * 512
            except OSError:
                continue
    return total


@contextmanager
def sandbox() -> Iterator[Sandbox]:
    """A server as long as the block lasts."""
    with warm.served("tests.campaign.sandbox") as folder:
        yield Sandbox(folder / "socket")


DROP_CAPABILITY, CAPABILITIES = 24, (1, 2, 3)
"""PR_CAPBSET_DROP, and what lets root ignore modes: CAP_DAC_OVERRIDE, DAC_READ_SEARCH, FOWNER."""


@dataclass(frozen=True)
class Constraints:
    """Limits by the names of ``resource``, a mask, a user, no privileges: for a process to take."""

    limits: Mapping[str, int] = field(default_factory=dict)
    umask: int | None = None
    user: int | None = None
    unprivileged: bool = False

    def take(self, in_use: int = 0) -> None:
        """Be under them; ``in_use`` is the memory that does not count."""
        for name, value in self.limits.items():
            limit = value + in_use if name == "AS" else value
            resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (limit, limit))
        if self.umask is not None:
            os.umask(self.umask)
        if self.user is not None:
            os.setgroups([])
            os.setgid(self.user)
            os.setuid(self.user)
        if self.unprivileged and os.geteuid() == 0:
            # Root without these is the owner of its files, whose modes it must respect.
            library = ctypes.CDLL(None)
            for capability in CAPABILITIES:
                library.prctl(DROP_CAPABILITY, capability, 0, 0, 0)
            header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION, 0)
            sets = (ctypes.c_uint32 * 6)()
            library.capget(header, sets)
            for i in (0, 1, 2):
                sets[i] &= ~sum(1 << capability for capability in CAPABILITIES)
            library.capset(header, sets)


CAPABILITY_VERSION = 0x20080522


def sketch(plot: Any, directory: Path) -> None:
    """Write what stands for a figure."""
    for suffix in (".png", ".pdf"):
        (directory / f"{plot.name}{suffix}").write_text(plot.name)


def confine() -> None:
    """Limit and watch this process as its environment says."""
    if SKETCHES in os.environ:
        from madminer_workflow.report import drawing

        drawing.draw = sketch
        os.environ[CORES] = "1"
    if constraints := os.environ.get(CONSTRAINTS):
        Constraints(**json.loads(constraints)).take(_memory_in_use())
    guard = json.loads(os.environ.pop(GUARD, "null"))
    if guard is None:
        return
    root, notes = guard["root"], os.path.join(guard["root"], "strays")
    for what, limit in (
        (resource.RLIMIT_AS, _memory_in_use() + guard["memory"]),
        (resource.RLIMIT_CPU, guard["seconds"] + 5),
    ):
        resource.setrlimit(what, (limit, limit))
    if guard["programs"]:
        return

    def note(text: str) -> None:
        descriptor = os.open(notes, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(descriptor, text.encode(errors="replace") + b"\n")
        os.close(descriptor)

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        if event in PROGRAMS:
            note(f"{event} {arguments[:2]}")
        elif event == "open":
            path, _, flags = arguments
            if isinstance(path, (str, bytes)) and flags & WRITING and not _is_inside(path, root):
                note(f"opened for writing: {os.fsdecode(path)}")
        elif event in CHANGES and not all(
            _is_inside(path, root) for path in arguments if isinstance(path, (str, bytes))
        ):
            note(f"{event} {arguments}")

    sys.addaudithook(watch)


def _memory_in_use() -> int:
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
PROGRAMS = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "socket.connect")
CHANGES = ("os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.symlink", "os.chmod")


def _is_inside(path: str | bytes, root: str) -> bool:
    full = os.path.realpath(os.path.join(os.getcwd(), os.fsdecode(path)))
    return full.startswith((root + os.sep, "/dev/"))


def main(path: Path) -> None:
    """Serve at the socket ``path``; engines find the quick program there, too."""
    original = processes.environment
    folder = f"{path.parent}{os.pathsep}"
    processes.environment = lambda: original() | {"PATH": folder + os.environ["PATH"]}
    with rough_integration():
        warm.serve(path, confine)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
