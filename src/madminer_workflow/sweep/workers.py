"""Worker processes: each runs one trial at a time, and none outlives the sweep."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from importlib import import_module
from multiprocessing import active_children, get_context
from pathlib import Path
from typing import Any

from madminer_workflow.engines.executors.local import THREADS
from madminer_workflow.errors import InputError, StepError

TRIALS = "madminer_workflow.sweep.trials"


class Workers:
    """A number of processes that call functions of ``trials``; a context manager."""

    def __init__(self, number: int, log: Path) -> None:
        """Have ``number`` processes at most; what they have to say goes to the file ``log``."""
        self._log = log
        self._strangers = active_children()
        # Not forked: torch's threads do not survive it.
        self._pool = ProcessPoolExecutor(
            number, get_context("spawn"), initializer=_begin, initargs=(os.getpid(), log)
        )
        # The pool starts a process when something is to be done: they take seconds, all at once.
        for _ in range(number):
            self._pool.submit(_import_trials)

    def __enter__(self) -> Workers:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the processes, whatever they do."""
        for process in active_children():
            if process not in self._strangers:
                process.kill()
        self._pool.shutdown(cancel_futures=True)

    def run(self, function: str, calls: Sequence[tuple[Any, ...]]) -> Iterator[Any]:
        """Call the ``function`` with each tuple of arguments; yield results as they come.

        Raises the InputError or StepError that a call ends with, and StepError for one that ends
        in another way.
        """
        try:
            futures = [self._pool.submit(_call, function, arguments) for arguments in calls]
            for future in as_completed(futures):
                yield future.result()
        except BrokenProcessPool:
            raise StepError(
                f"a process of the sweep ({function}) ended unexpectedly (most often: the machine "
                f"ran out of memory); see {self._log}"
            ) from None


def _begin(parent: int, log: Path) -> None:
    """Prepare a worker process."""
    # One thread a worker, as steps have: a fixed number keeps sums, and results, identical.
    os.environ |= dict.fromkeys(THREADS, "1")
    # Ctrl-C reaches the whole process group, but ending workers is their parent's affair.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    with log.open("ab") as file:
        os.dup2(file.fileno(), sys.stdout.fileno())
        os.dup2(file.fileno(), sys.stderr.fileno())


def _import_trials() -> None:
    """Import what takes long, torch, which only workers do."""
    import_module(TRIALS)


def _call(function: str, arguments: tuple[Any, ...]) -> Any:
    try:
        return getattr(import_module(TRIALS), function)(*arguments)
    except (InputError, StepError):
        raise
    except Exception as error:
        traceback.print_exc()
        sys.stderr.flush()
        raise StepError(f"{function} ended unexpectedly ({error!r}); see workers.log") from None


def _end_with(parent: int) -> None:
    """End this process when its parent is gone, also when that was killed."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)
