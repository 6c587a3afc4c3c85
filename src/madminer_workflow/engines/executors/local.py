"""Child processes: one shell command with its output in a log file, and a way to stop them all."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from madminer_workflow import cores
from madminer_workflow.engines.executors import Conditions, OutOfTime, Task
from madminer_workflow.errors import InputError

GRACE_SECONDS = 5.0
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
"""What decides how many threads numerical libraries start."""


_GUARD = """
trap '' HUP INT TERM QUIT
groups=' '
while read -r sign group; do
  case $sign in
    +) groups="$groups$group " ;;
    -) groups="${groups%% $group *} ${groups#* $group }" ;;
  esac
done
for group in $groups; do kill -TERM -"$group"; done
for group in $groups; do
  tries=50
  while [ $tries -gt 0 ] && kill -0 -"$group"; do sleep 0.1; tries=$((tries - 1)); done
  kill -KILL -"$group"
done
"""
"""Ends, as soon as nobody holds the other end of its input, the process groups that it was told of:
what an engine that was killed has left behind. They have five seconds to remove what is theirs."""


class Executor:
    """Runs shell commands from any number of threads; ``stop`` ends all that are running.

    They end, too, if this process is killed.
    """

    elsewhere = False
    places = 0

    def __init__(self, conditions: Conditions | None = None, place: str = "") -> None:
        """Begin with nothing running."""
        if place:
            raise InputError(
                f"--on local={place}: expected local without a place, which is this machine"
            )
        self._conditions = conditions or Conditions()
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[bytes]] = set()
        self._guard: subprocess.Popen[bytes] | None = None
        self._stopped = False

    def run(self, task: Task) -> int:
        """Run the command of ``task``, return its exit code.

        The exit code is negative if a signal ended the command, also when that was ``stop``. Raises
        OutOfTime if it was ended because of the limit.
        """
        with task.log.open("ab") as output:
            process = self._start(task.command, task.directory, output.fileno())
            if process is None:
                return -signal.SIGTERM
            try:
                code = process.wait(self._conditions.limit)
                # Asked to end, a step may do so in its own way.
                return -signal.SIGTERM if code > 0 and self._stopped else code
            except subprocess.TimeoutExpired:
                raise OutOfTime from None
            finally:
                # Also what it has left in the background.
                _end(process, asked=self._stopped)
                with self._lock:
                    self._running.discard(process)
                    self._tell("-", process)

    def hold(self) -> None:
        """Do nothing: no command waits here."""

    def stop(self) -> None:
        """End all running commands with their children, and start no further ones."""
        with self._lock:
            self._stopped = True
            running = list(self._running)
        for process in running:
            _signal(process, signal.SIGTERM)
        for process in running:
            _end(process, asked=True)
        with self._lock:
            guard, self._guard = self._guard, None
        if guard and guard.stdin:
            with contextlib.suppress(OSError):
                guard.stdin.close()
            guard.wait()

    def _start(self, command: str, directory: Path, output: int) -> subprocess.Popen[bytes] | None:
        with self._lock:
            if self._stopped:
                return None
            self._guard = self._guard or _start_guard()
            process = subprocess.Popen(
                ["sh", "-c", command],
                cwd=directory,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                pass_fds=self._conditions.held,
                # A group of its own: the terminal's Ctrl-C reaches the engine only, which then
                # ends the step and everything the step started.
                start_new_session=True,
            )
            self._running.add(process)
            self._tell("+", process)
            return process

    def _environment(self) -> dict[str, str]:
        variables = environment() | dict(self._conditions.variables)
        return {name: value for name, value in variables.items() if value is not None}

    def _tell(self, sign: str, process: subprocess.Popen[bytes]) -> None:
        """Tell the guard of a process group that is there or, with a minus, no longer is."""
        if self._guard and self._guard.stdin:
            # Nothing depends on it as long as this process lives.
            with contextlib.suppress(OSError):
                self._guard.stdin.write(f"{sign} {process.pid}\n".encode())
                self._guard.stdin.flush()


def _start_guard() -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        ["sh", "-c", _GUARD],
        cwd="/",
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


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
    # Logs and text files of steps are the same whatever the terminal can show.
    variables |= {"PYTHONUTF8": "1", "PYTHONIOENCODING": "utf-8"}
    return variables


def _end(process: subprocess.Popen[bytes], asked: bool) -> None:
    """End all that is left of the process group of a command, unless it was ``asked`` to already.

    The shell ends at once; what it has started has a while to remove what is its own.
    """
    if not asked:
        _signal(process, signal.SIGTERM)
    end = time.monotonic() + GRACE_SECONDS
    while _signal(process, 0) and time.monotonic() < end:
        # A process that has ended is of the group until its parent asks how: this one, also for
        # what the shell has left if nothing else adopts it, as in a container.
        if process.poll() is not None:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(-process.pid, os.WNOHANG)
        time.sleep(0.01)
    _signal(process, signal.SIGKILL)
    process.wait()


def _signal(process: subprocess.Popen[bytes], number: int) -> bool:
    """Whether there is anybody to get it."""
    try:
        os.killpg(process.pid, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True
