"""A node on which happens to pods what a test says: one thing after another."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from tests.support.kube_server.jobs import Pod

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
