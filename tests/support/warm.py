"""A ``madminer-workflow`` whose commands are copies of one process that has imported all already.

Most of what a step of a tiny analysis costs is the import of what it uses. Here a program of that
name only passes its command line to a server, which forks for every command. What the commands do
is the same, and so are their products, output and exit codes.
"""

from __future__ import annotations

import array
import atexit
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from madminer_workflow.engines.executors import local as processes
from tests.support.paths import REPOSITORY

MODULES = (
    *("madminer.core", "madminer.ml", "madminer.sampling", "scipy.optimize", "scipy.stats"),
    *("awkward", "vector", "vegas", "pythia8mc", "torch", "torch._dynamo"),
    *("matplotlib.pyplot", "matplotlib.backends.backend_agg", "matplotlib.backends.backend_pdf"),
    *("madminer_workflow.physics.combine", "madminer_workflow.physics.configure"),
    *("madminer_workflow.physics.delphes", "madminer_workflow.physics.generate"),
    *("madminer_workflow.physics.pythia", "madminer_workflow.ml.evaluating"),
    *("madminer_workflow.ml.networks", "madminer_workflow.ml.sampling"),
    *("madminer_workflow.ml.toys", "madminer_workflow.ml.training"),
    *("madminer_workflow.report.plotting",),
)
"""What steps import, at once or when they need it."""

PROGRAM = f"""#!{sys.executable} -IS
import array, json, os, signal, socket, sys
from pathlib import Path

with socket.socket(socket.AF_UNIX) as server:
    server.connect(str(Path(__file__).with_name("socket")))
    request = json.dumps([sys.argv[1:], os.getcwd(), dict(os.environ)]).encode()
    streams = array.array("i", [1, 2])
    server.sendmsg([b"s"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, streams)])
    server.sendall(request + b"\\n")
    # The copy ends in its own way, and this with it.
    signal.signal(signal.SIGTERM, lambda *_: server.shutdown(socket.SHUT_WR))
    sys.exit(int(server.recv(10) or 1))
"""


@contextmanager
def served(module: str) -> Iterator[Path]:
    """A folder with the program, and with the socket of a ``module`` that serves during the block.

    The module says "ready" when it does.
    """
    with TemporaryDirectory() as folder:
        program = Path(folder) / "madminer-workflow"
        program.write_text(PROGRAM)
        program.chmod(0o755)
        server = subprocess.Popen(
            [sys.executable, "-m", module, f"{folder}/socket"],
            cwd=REPOSITORY,
            env=os.environ | dict.fromkeys(processes.THREADS, "1"),
            stdout=subprocess.PIPE,
        )
        try:
            assert server.stdout and server.stdout.readline() == b"ready\n"
            yield Path(folder)
        finally:
            server.kill()
            server.communicate()


@cache
def _folder() -> Path:
    """Where the program is. Its server takes seconds to start and lives as long as this process."""
    stack = ExitStack()
    atexit.register(stack.close)
    return stack.enter_context(served("tests.support.warm"))


@contextmanager
def steps_are_warm() -> Iterator[None]:
    """Have engines in this process run the program as long as the block lasts."""
    with pytest.MonkeyPatch.context() as patch:
        original, path = processes.environment, f"{_folder()}{os.pathsep}{os.environ['PATH']}"
        patch.setattr(processes, "environment", lambda: original() | {"PATH": path})
        yield


def serve(path: Path, prepare: Callable[[], None] = lambda: None) -> None:
    """Answer commands at the socket ``path`` until whoever has started this is gone.

    ``prepare`` is called in the process of a command, in its environment, before the command is.
    """
    for name in MODULES:
        import_module(name)
    parent = os.getppid()
    # For the system to forget commands that ended, and to count their time.
    signal.signal(signal.SIGCHLD, lambda *_: _wait())
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(64)
        listener.settimeout(1.0)
        print("ready", flush=True)
        while os.getppid() == parent:
            try:
                client, _ = listener.accept()
            except TimeoutError:
                continue
            if os.fork() == 0:
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                listener.close()
                _answer(client, prepare)
            client.close()


def _wait() -> None:
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _answer(client: socket.socket, prepare: Callable[[], None]) -> None:
    """Do one command in this process, and end it."""
    client.settimeout(None)
    arguments, directory, environment = _request(client)
    os.chdir(directory)
    os.environ.clear()
    os.environ.update(environment)
    prepare()
    threading.Thread(target=_end_with, args=(client,), daemon=True).start()
    exit_code = _exit_code(arguments)
    sys.stdout.flush()
    sys.stderr.flush()
    with suppress(OSError):
        client.sendall(str(exit_code).encode())
    os._exit(exit_code)


def _request(client: socket.socket) -> Any:
    """Arguments, directory and environment of a command, whose output goes where it wants it."""
    streams = array.array("i", [0, 0])
    _, [(_, _, data)], _, _ = client.recvmsg(1, socket.CMSG_SPACE(2 * streams.itemsize))
    for stream, target in zip(array.array("i", data), (1, 2), strict=True):
        os.dup2(stream, target)
        os.close(stream)
    with client.makefile("rb") as request:
        return json.loads(request.readline())


def _exit_code(arguments: list[str]) -> int:
    from madminer_workflow.cli import main

    try:
        main(arguments, prog_name="madminer-workflow")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def _end_with(client: socket.socket) -> None:
    """End this process, in its own way at first, when nobody wants its command any more."""
    client.recv(1)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(processes.GRACE_SECONDS)
    os._exit(1)


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
