"""What running a command costs: seconds on the clock, CPU seconds of all its processes, memory."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

POLL_SECONDS = 0.1
MB = 1e6


@dataclass(frozen=True)
class Cost:
    """``wall`` and ``cpu`` in seconds; ``memory``, the largest of any one process, in MB."""

    wall: float
    cpu: float
    memory: float

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
    peaks: list[float] = []
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
    return Cost(wall, cpu, max(peaks, default=0.0))


def _watch(pid: int, peaks: list[float]) -> None:
    """Note the largest resident memory of ``pid`` and the processes that it started [MB]."""
    try:
        root = psutil.Process(pid)
        while root.is_running() and root.status() != psutil.STATUS_ZOMBIE:
            for process in [root, *root.children(recursive=True)]:
                try:
                    peaks.append(process.memory_info().rss / MB)
                except psutil.NoSuchProcess:
                    continue
            time.sleep(POLL_SECONDS)
    except psutil.NoSuchProcess:
        return
