"""What Dask's workers do: a step as a process of theirs, as long as somebody wants it."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from madminer_workflow.engines.executors import Conditions, Lost, Task, local
from madminer_workflow.engines.executors.installed import installed
from madminer_workflow.errors import InputError

POLL_SECONDS = 0.5
_running: dict[str, tuple[str, local.Executor]] = {}
"""The steps of this process by their keys: the run that each belongs to, and what runs it."""
_lock = threading.Lock()


@dataclass(frozen=True)
class Errand:
    """A step for whichever worker: its ``key`` in Dask is that of no other, nor of another try.

    ``variables`` and ``limit`` are those of ``Conditions``. ``installed`` is what
    the engine's own environment consists of.
    """

    run: str
    key: str
    task: Task
    variables: Mapping[str, str | None]
    limit: float | None
    installed: Mapping[str, str]

    @property
    def claim(self) -> Path:
        """The directory that whoever begins makes: nobody else will.

        Its name is that of a scratch directory, so that what a killed run leaves is removed.
        """
        return self.task.directory.with_name(f".begun{self.task.directory.name}")


def do(errand: Errand) -> int:
    """Run a step on this worker and return its exit code, as executors do."""
    from distributed import get_worker

    worker = get_worker()
    _check(errand, str(worker.address))
    try:
        errand.claim.mkdir()
    except FileExistsError:
        # Dask gives a task to another worker when one is lost, and this one was begun there.
        raise Lost("the Dask worker that it ran on was lost") from None
    executor = local.Executor(Conditions(errand.variables, errand.limit))
    done = threading.Event()
    with _lock:
        _running[errand.key] = errand.run, executor
    threading.Thread(
        target=_watch, args=(done, executor, lambda: _wanted(worker, errand.key)), daemon=True
    ).start()
    try:
        return executor.run(errand.task)
    finally:
        done.set()
        executor.stop()
        with _lock:
            _running.pop(errand.key, None)


async def stop(run: str) -> None:
    """End all steps of a run on this worker; return when nothing is left of them."""
    with _lock:
        executors = [executor for owner, executor in _running.values() if owner == run]
    await asyncio.gather(*(asyncio.to_thread(executor.stop) for executor in executors))


def _check(errand: Errand, worker: str) -> None:
    """Raise InputError if this worker would compute something else, or does not see the files."""
    expected, here = errand.installed, installed()
    for name in sorted({*expected, *here}):
        if expected.get(name) != here.get(name):
            raise InputError(
                f"the Dask worker {worker} has {name} {here.get(name, '(none)')}, but this machine "
                f"has {expected.get(name, '(none)')}: start workers in this environment"
            )
    if not os.path.isdir(errand.task.directory):
        raise InputError(
            f"the Dask worker {worker} cannot access {errand.task.directory}: choose a --workdir "
            "that all workers share"
        )


def _watch(done: threading.Event, executor: local.Executor, wanted: Callable[[], bool]) -> None:
    """End a step that nobody wants any more: its run was stopped, killed, or believes it lost."""
    while not done.wait(POLL_SECONDS):
        if not wanted():
            executor.stop()
            return


def _wanted(worker: object, key: str) -> bool:
    """Whether Dask still wants the result of the task ``key`` of ``worker``.

    A worker that has lost its scheduler closes, but waits half a minute for what it runs.
    """
    if worker.status.name in ("closing", "closed", "failed"):  # type: ignore[attr-defined]
        return False
    task = worker.state.tasks.get(key)  # type: ignore[attr-defined]
    return task is not None and task.state in ("executing", "long-running")
