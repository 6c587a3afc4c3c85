"""What commands and functions cost: seconds on the clock, CPU seconds of all processes, memory."""

from __future__ import annotations

import os
import resource
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ParamSpec, TypeVar

import psutil

P = ParamSpec("P")
R = TypeVar("R")

POLL_SECONDS = 0.1
MB = 1e6


@dataclass(frozen=True)
class Cost:
    """``wall`` and ``cpu`` in seconds; ``memory``, the largest of any one process, in MB.

    ``anonymous`` is the largest without the pages of files, which the kernel takes back when memory
    is short.
    """

    wall: float
    cpu: float
    memory: float
    anonymous: float

    def row(self, name: str) -> str:
        """A line of a table."""
        return f"{name:<58}{self.wall:8.1f}{self.cpu:8.1f}{self.memory:8.0f}"


HEADER = f"{'':<58}{'wall s':>8}{'CPU s':>8}{'MB':>8}"


def cost_of(
    command: Sequence[str], directory: Path, variables: Mapping[str, str] | None = None
) -> Cost:
    """Run ``command`` quietly in ``directory``; print its output and raise if it fails."""
    before, start = os.times(), time.perf_counter()
    process = subprocess.Popen(
        command,
        cwd=directory,
        env={**os.environ, **(variables or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    peaks: list[tuple[float, float]] = [(0.0, 0.0)]
    watcher = threading.Thread(target=_watch, args=(process.pid, peaks))
    watcher.start()
    output, _ = process.communicate()
    wall, after = time.perf_counter() - start, os.times()
    watcher.join()
    if process.returncode:
        print(output.decode(errors="replace"))
        raise subprocess.CalledProcessError(process.returncode, command)
    cpu = (after.children_user - before.children_user) + (
        after.children_system - before.children_system
    )
    memory, anonymous = (max(values) for values in zip(*peaks, strict=True))
    return Cost(wall, cpu, memory, anonymous)


@dataclass(frozen=True)
class Seconds:
    """Time on the clock, and CPU time of this process and all that it waited for."""

    wall: float
    cpu: float

    def __add__(self, other: Seconds) -> Seconds:
        """Both one after the other."""
        return Seconds(self.wall + other.wall, self.cpu + other.cpu)

    def __mul__(self, number: float) -> Seconds:
        """The same ``number`` times."""
        return Seconds(self.wall * number, self.cpu * number)


def measured(
    function: Callable[P, R], *arguments: P.args, **options: P.kwargs
) -> tuple[R, Seconds]:
    """Call ``function``; return its result, and what that cost."""
    start, before = time.perf_counter(), _cpu_seconds()
    result = function(*arguments, **options)
    return result, Seconds(time.perf_counter() - start, _cpu_seconds() - before)


def _cpu_seconds() -> float:
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def _watch(pid: int, peaks: list[tuple[float, float]]) -> None:
    """Note resident and anonymous memory of ``pid`` and the processes that it started [MB]."""
    try:
        root = psutil.Process(pid)
        while root.is_running() and root.status() != psutil.STATUS_ZOMBIE:
            for process in [root, *root.children(recursive=True)]:
                try:
                    memory = process.memory_info()
                except psutil.NoSuchProcess:
                    continue
                peaks.append((memory.rss / MB, (memory.rss - memory.shared) / MB))
            time.sleep(POLL_SECONDS)
    except psutil.NoSuchProcess:
        return
