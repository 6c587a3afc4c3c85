"""One job as REANA starts it: ``bash -c`` as user 1000 of group 0, with limits, in a workspace."""

from __future__ import annotations

import functools
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from reana_commons.config import WORKFLOW_RUNTIME_USER_GID, WORKFLOW_RUNTIME_USER_UID
from reana_commons.job_utils import kubernetes_memory_to_bytes

DAY = 86400
PARENT_SECONDS = 0.5
DEFAULT_MEMORY = "4Gi"
TIME_FORMAT = "%Y-%m-%dT%H:%M:%S"
_running: set[int] = set()


def now() -> str:
    """The time as REANA writes it."""
    return datetime.now(UTC).strftime(TIME_FORMAT)


@functools.cache
def as_reana_user() -> tuple[str, ...]:
    """The command that turns root into REANA's user, empty if that user cannot run this Python.

    So it is where the interpreter lies in root's home, or where we are not root ourselves.
    """
    change = (
        "setpriv",
        *(f"--reuid={WORKFLOW_RUNTIME_USER_UID}", f"--regid={WORKFLOW_RUNTIME_USER_GID}"),
        *("--clear-groups", "--no-new-privs", "--inh-caps=-all", "--bounding-set=-all", "--"),
    )
    if os.getuid() != 0:
        return ()
    # By a shell, as jobs do: setpriv itself still has root's rights when it starts a program.
    interpreter = ["bash", "-c", '"$0" -c ""', sys.executable]
    tried = subprocess.run([*change, *interpreter], cwd="/", capture_output=True)
    return () if tried.returncode else change


def command_line(request: dict[str, Any]) -> list[str]:
    """``bash -c`` with the request's memory limit, as REANA's user where that is possible.

    The limit holds for the private memory of each process, where Kubernetes counts the container.
    """
    memory = int(kubernetes_memory_to_bytes(request.get("kubernetes_memory_limit", DEFAULT_MEMORY)))
    return [*as_reana_user(), "prlimit", f"--data={memory}", "bash", "-c", request["cmd"]]


def environment() -> dict[str, str]:
    """What an image would set, and nothing of the server's own; no home to write to."""
    # REANA's client has an environment of its own, beside that of this package.
    command = shutil.which("madminer-workflow") or sys.executable
    path = os.pathsep.join([str(Path(command).parent), "/usr/local/bin", "/usr/bin", "/bin"])
    return {"PATH": path, "HOME": "/", "LANG": "C.UTF-8", "OMP_NUM_THREADS": "1"}


def run(request: dict[str, Any], log: Path) -> dict[str, Any]:
    """Run the job and return how it ended and what it used; its output goes to ``log``."""
    started = time.monotonic()
    with log.open("wb") as output:
        process = subprocess.Popen(
            command_line(request),
            cwd="/",
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            umask=0o022,
            start_new_session=True,
        )
    _running.add(process.pid)
    timer = threading.Timer(request.get("kubernetes_job_timeout", DAY), _end_late, [process, log])
    timer.start()
    # Not Popen.wait: only wait4 says what this one child used.
    _, status, usage = os.wait4(process.pid, 0)
    timer.cancel()
    _running.discard(process.pid)
    exit_code = process.returncode = os.waitstatus_to_exitcode(status)
    return {
        "status": "failed" if exit_code else "finished",
        "finished_at": now(),
        "exit_code": exit_code,
        "wall_seconds": time.monotonic() - started,
        "cpu_seconds": usage.ru_utime + usage.ru_stime,
        "memory_bytes": usage.ru_maxrss * 1024,
    }


def end_all(*_: object) -> None:
    """End every job and this process (a signal handler)."""
    for group in list(_running):
        os.killpg(group, signal.SIGKILL)
    os._exit(1)


def end_with_parent() -> None:
    """End every job and this process when its parent has ended: nobody else would end them."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(PARENT_SECONDS)
        end_all()

    threading.Thread(target=watch, daemon=True).start()


def _end_late(process: subprocess.Popen[bytes], log: Path) -> None:
    os.killpg(process.pid, signal.SIGKILL)
    with log.open("a") as output:
        output.write("The job was active longer than kubernetes_job_timeout.\n")
