"""A node on which happens to pods what a test says: one thing after another."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.kube_server.jobs import Pod, environment

Happening = Callable[[Pod], None]


@dataclass
class ScriptedNode:
    """What happens to the first pods; all others end well at once."""

    happenings: list[Happening] = field(default_factory=list)

    def __call__(self, pod: Pod) -> None:
        happening = self.happenings.pop(0) if self.happenings else ends(0)
        happening(pod)


def ends(code: int, log: str = "done\n") -> Happening:
    """The container says something and ends."""

    def happen(pod: Pod) -> None:
        pod.start()
        pod.log = log
        pod.end(code)

    return happen


def runs(seconds: float = 60, log: str = "working\n") -> Happening:
    """The container works for some time."""

    def happen(pod: Pod) -> None:
        pod.log = log
        pod.run_for(seconds)
        if not pod.killed.is_set():
            pod.end(0)

    return happen


def is_drained(pod: Pod) -> None:
    """The container runs, and its node is drained."""
    pod.start()
    pod.log = "half done\n"
    pod.drain()


def waits(reason: str, message: str) -> Happening:
    """The container never starts."""

    def happen(pod: Pod) -> None:
        pod.tell("Warning", reason, message)
        pod.killed.wait()

    return happen


@dataclass
class ProcessNode:
    """A container is a process of this machine, which mounts volumes where it has them.

    Whatever signal 9 ends, the kernel has ended for want of memory. As in ``ScriptedNode``, a test
    may say what happens to the first pods instead.
    """

    happenings: list[Happening] = field(default_factory=list)

    def __call__(self, pod: Pod) -> None:
        happening = self.happenings.pop(0) if self.happenings else computes()
        happening(pod)


def computes(drained_after: float = float("inf")) -> Happening:
    """The container runs its command; its node may be drained after some seconds."""

    def happen(pod: Pod) -> None:
        [container] = pod.spec["containers"]
        here = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        pod.start()
        process = subprocess.Popen(
            container["command"],
            env={"PATH": here, "PYTHONPATH": os.pathsep.join(sys.path), **environment(pod)},
            cwd="/",
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        begun, reason = time.monotonic(), ""
        while process.poll() is None and not reason and not pod.killed.wait(0.02):
            seconds = time.monotonic() - begun
            if seconds > min(drained_after, pod.spec.get("activeDeadlineSeconds", float("inf"))):
                reason = "drained" if seconds > drained_after else "DeadlineExceeded"
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        pod.log, _ = process.communicate()
        if reason == "drained":
            pod.drain()
        elif reason or pod.killed.is_set():
            pod.end(137, reason)
        elif process.returncode == -signal.SIGKILL:
            pod.end(137, "OOMKilled")
        else:
            pod.end(process.returncode)

    return happen
