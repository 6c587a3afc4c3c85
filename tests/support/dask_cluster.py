"""A real Dask scheduler with workers, each a process of its own that can be killed."""

from __future__ import annotations

import contextlib
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil


class DaskCluster:
    """A scheduler and workers of one thread each; what is killed is started again by its nanny."""

    def __init__(self, directory: Path, workers: int, *options: str) -> None:
        self.directory, self.file = directory, directory / "scheduler.json"
        self._processes: list[subprocess.Popen[bytes]] = []
        self.scheduler = self._start(
            *("scheduler", "--host", "127.0.0.1", "--port", "0", "--scheduler-file", str(self.file))
        )
        self._options = options
        self.workers = [self.add_worker() for _ in range(workers)]
        self._wait()

    @property
    def on(self) -> str:
        """What ``--on`` takes."""
        return f"dask={self.file}"

    @property
    def address(self) -> str:
        return json.loads(self.file.read_text())["address"]

    def add_worker(self) -> subprocess.Popen[bytes]:
        return self._start(
            *("worker", "--scheduler-file", str(self.file), "--nthreads", "1"),
            *("--local-directory", str(self.directory), *self._options),
        )

    def kill_a_worker(self, chance: random.Random) -> bool:
        """Kill the process of a worker that nannies look after, or nanny and all of it."""
        nanny = chance.choice(self.workers)
        whole = chance.random() < 0.3
        with contextlib.suppress(psutil.Error):
            children = psutil.Process(nanny.pid).children()
            workers = [child for child in children if "multiprocessing" in str(child.cmdline())]
            for process in [psutil.Process(nanny.pid), *workers] if whole else workers[-1:]:
                process.kill()
            if whole:
                nanny.wait()
                self.workers[self.workers.index(nanny)] = self.add_worker()
            return whole or bool(workers)
        return False

    def stop(self) -> None:
        for process in self._processes:
            with contextlib.suppress(psutil.Error):
                for child in psutil.Process(process.pid).children(recursive=True):
                    child.kill()
            process.kill()
        for process in self._processes:
            process.wait()

    def _start(self, *words: str) -> subprocess.Popen[bytes]:
        log = (self.directory / f"{words[0]}_{len(self._processes)}.log").open("wb")
        process = subprocess.Popen(
            [sys.executable, "-m", "dask", *words, "--no-dashboard"],
            env=os.environ | {"DASK_DISTRIBUTED__WORKER__DAEMON": "False"},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        log.close()
        self._processes.append(process)
        return process

    def _wait(self) -> None:
        from distributed import Client

        end = time.monotonic() + 60
        while not self.file.is_file():
            assert time.monotonic() < end, "no scheduler"
            time.sleep(0.05)
        with Client(self.address, set_as_default=False) as client:
            client.wait_for_workers(len(self.workers), timeout=60)


@contextlib.contextmanager
def dask_cluster(directory: Path, workers: int, *options: str) -> Iterator[DaskCluster]:
    directory.mkdir(parents=True, exist_ok=True)
    cluster = DaskCluster(directory, workers, *options)
    try:
        yield cluster
    finally:
        cluster.stop()
