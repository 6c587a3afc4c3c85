"""Worker processes: each runs one trial at a time, and none outlives the sweep."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from madminer_workflow.engines.commands import THREADS
from madminer_workflow.errors import InputError, StepError

Task = tuple[str, tuple[Any, ...]]
"""The name of a function of ``trials``, and its arguments."""


class Workers:
    """A number of processes that call functions of ``trials``; a context manager."""

    def __init__(self, number: int, log: Path) -> None:
        """Start ``number`` processes; what they have to say goes to the file ``log``."""
        self.log = log
        # Not forked: torch's threads do not survive it.
        context = get_context("spawn")
        self._workers = []
        for _ in range(number):
            ours, theirs = context.Pipe()
            process = context.Process(target=_work, args=(theirs, os.getpid(), log), daemon=True)
            process.start()
            # With the other end closed here, a worker that dies is noticed.
            theirs.close()
            self._workers.append((process, ours))

    def __enter__(self) -> Workers:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the processes, whatever they do."""
        for process, connection in self._workers:
            connection.close()
            process.kill()
            process.join()

    def run(self, tasks: Sequence[Task]) -> Iterator[Any]:
        """Do ``tasks``, at most as many as there are workers; yield results as they come.

        Raises the InputError or StepError that a task ends with, and StepError for a worker that
        ends in another way.
        """
        busy: dict[Connection, Task] = {}
        for task, (_, connection) in zip(tasks, self._workers, strict=False):
            _send(connection, task)
            busy[connection] = task
        while busy:
            for ready in wait(list(busy)):
                assert isinstance(ready, Connection)
                name, arguments = busy.pop(ready)
                yield self._result(ready, name, arguments)

    def _result(self, connection: Connection, name: str, arguments: tuple[Any, ...]) -> Any:
        try:
            result = connection.recv()
        except EOFError:
            raise StepError(
                f"the process of {name} {arguments[-2:]} ended unexpectedly (most often: the "
                f"machine ran out of memory); see {self.log}"
            ) from None
        if isinstance(result, InputError | StepError):
            raise result
        return result


def _send(connection: Connection, task: Task) -> None:
    # A worker that is gone is noticed when its result is asked for.
    with contextlib.suppress(BrokenPipeError):
        connection.send(task)


def _work(connection: Connection, parent: int, log: Path) -> None:
    """Do what ``connection`` asks for until it is closed."""
    # One thread a worker, as steps have: a fixed number keeps sums, and results, identical.
    os.environ |= dict.fromkeys(THREADS, "1")
    # Ctrl-C reaches the whole process group, but ending workers is their parent's affair.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    with log.open("ab") as file:
        os.dup2(file.fileno(), sys.stdout.fileno())
        os.dup2(file.fileno(), sys.stderr.fileno())
    from madminer_workflow.sweep import trials

    while True:
        try:
            name, arguments = connection.recv()
        except EOFError:
            return
        try:
            result = getattr(trials, name)(*arguments)
        except (InputError, StepError) as error:
            result = error
        connection.send(result)


def _end_with(parent: int) -> None:
    """End this process when its parent is gone, also when that was killed."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)
