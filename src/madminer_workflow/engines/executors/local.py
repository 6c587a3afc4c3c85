"""Child processes: one shell command with its output in a log file, and a way to stop them all."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from madminer_workflow import cores

GRACE_SECONDS = 5.0
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
"""What decides how many threads numerical libraries start."""


class Executor:
    """Runs shell commands from any number of threads; ``stop`` ends all that are running."""

    def __init__(self, variables: Mapping[str, str] = MappingProxyType({})) -> None:
        """Begin with nothing running; add ``variables`` to the environment of every command."""
        self._variables = variables
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[bytes]] = set()
        self._stopped = False

    def run(self, command: str, directory: Path, log: Path) -> int:
        """Run ``command`` in ``directory``, append its output to ``log``, return its exit code.

        The exit code is negative if a signal ended the command, also when that was ``stop``.
        """
        with log.open("ab") as output:
            process = self._start(command, directory, output.fileno())
            if process is None:
                return -signal.SIGTERM
            try:
                return process.wait()
            except BaseException:
                _end(process)
                raise
            finally:
                with self._lock:
                    self._running.discard(process)

    def stop(self) -> None:
        """End all running commands with their children, and start no further ones."""
        with self._lock:
            self._stopped = True
            running = list(self._running)
        for process in running:
            _signal(process, signal.SIGTERM)
        for process in running:
            _end(process)

    def _start(self, command: str, directory: Path, output: int) -> subprocess.Popen[bytes] | None:
        with self._lock:
            if self._stopped:
                return None
            process = subprocess.Popen(
                ["sh", "-c", command],
                cwd=directory,
                env=environment() | dict(self._variables),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                # A group of its own: the terminal's Ctrl-C reaches the engine only, which then
                # ends the step and everything the step started.
                start_new_session=True,
            )
            self._running.add(process)
            return process


def environment() -> dict[str, str]:
    """The environment of a step.

    ``madminer-workflow`` comes from the engine's own installation. Steps run side by side, one a
    core, so that each gets one thread; a fixed number also keeps sums, and results, identical.
    A step that comes alone, after all others, may use more processes: ``cores.step_cores``.
    """
    variables = {cores.CORES: str(cores.step_cores()), **os.environ}
    variables["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    for name in THREADS:
        variables.setdefault(name, "1")
    variables["PYTHONUNBUFFERED"] = "1"
    return variables


def _end(process: subprocess.Popen[bytes]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        _signal(process, number)
        try:
            process.wait(GRACE_SECONDS)
            return
        except subprocess.TimeoutExpired:
            continue


def _signal(process: subprocess.Popen[bytes], number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)
