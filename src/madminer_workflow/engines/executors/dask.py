"""Steps on the workers of a Dask scheduler, or of batch jobs that Dask submits.

The place is the address of a scheduler or its file, a name of ``CLUSTERS``, or the path of any
class of clusters; without one, it is the address that Dask's own configuration has.
"""

from __future__ import annotations

import logging
import os
import shutil
import signal
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

import dask.config
import distributed
from distributed import Adaptive, Client, Future
from distributed.scheduler import KilledWorker

from madminer_workflow.engines.executors import Conditions, Lost, NotStarted, Task, dask_worker
from madminer_workflow.engines.executors.dask_worker import Errand
from madminer_workflow.engines.executors.installed import installed
from madminer_workflow.engines.executors.local import THREADS
from madminer_workflow.engines.resources import Resources
from madminer_workflow.engines.surroundings import VARIABLES
from madminer_workflow.errors import InputError, StepError
from madminer_workflow.physics import programs

CLUSTERS = {
    "local": "distributed.LocalCluster",
    "gateway": "dask_gateway.GatewayCluster",
    "htcondor": "dask_jobqueue.HTCondorCluster",
    "lsf": "dask_jobqueue.LSFCluster",
    "oar": "dask_jobqueue.OARCluster",
    "pbs": "dask_jobqueue.PBSCluster",
    "sge": "dask_jobqueue.SGECluster",
    "slurm": "dask_jobqueue.SLURMCluster",
}
"""Clusters with a name, made as Dask's own configuration says."""
CONNECT_SECONDS = 30.0
STOP_SECONDS = 20.0
IDLE_SECONDS = 20
"""How long a worker that has nothing to do is kept."""
POLL_SECONDS = 2.0
MEMORY = "memory"
"""The resource by which workers of a scheduler that is not ours say how much memory they have."""


@dataclass(eq=False)
class Pool:
    """A scheduler with workers, which are ours or ``cluster`` is None.

    ``trouble`` is why no further worker can be had.
    """

    client: Any = None
    cluster: Any = None
    trouble: str = ""
    waiting: dict[str, tuple[Errand, Future]] = field(default_factory=dict)

    def stop(self, run: str) -> None:
        """End all steps of ``run``, wherever they are; return when that is done."""
        with suppress(Exception):
            self.client.cancel([future for _, future in self.waiting.values()], force=True)
        with suppress(Exception):
            self.client.run(dask_worker.stop, run, on_error="ignore")

    def close(self) -> None:
        """Leave the scheduler, and end it if it is ours."""
        with suppress(Exception):
            self.client.close(timeout=STOP_SECONDS)
        # Not every kind of clusters can be told a time: stop() waits for none of them longer.
        with suppress(Exception):
            self.cluster.close()
        # dask-jobqueue's copies of keys: each would say in the end that it is gone already.
        for name, file in vars(self.cluster).items() if self.cluster is not None else ():
            if name.startswith("_job_") and hasattr(file, "close"):
                file.close()


class Executor:
    """Runs steps on Dask's workers; each of a batch system's jobs is one worker for one class."""

    elsewhere = True
    places = 0

    def __init__(self, conditions: Conditions, place: str = "") -> None:
        """Connect to the scheduler, or see that there are clusters of the kind."""
        _quiet()
        self._conditions = conditions
        self._id = uuid.uuid4().hex
        logs = conditions.logs
        # With the name of a scratch directory: what a killed run leaves is removed.
        self._keys = logs and logs / f".keys.{self._id}"
        self._lock = threading.Lock()
        self._making = threading.Lock()
        self._pools: dict[str, Pool] = {}
        self._dropped: set[Path] = set()
        self._stopped, self._held = False, False
        self._ended = threading.Event()
        path = CLUSTERS.get(place) or (place if _is_class(place) else None)
        self._kind = _cluster_class(path) if path else None
        if self._kind is None:
            client = _connect(place)
            self._pools[""] = Pool(client)
            self.places = sum(client.nthreads().values())

    def run(self, task: Task) -> int:
        """Run the command of ``task`` on a worker, return its exit code."""
        pool = self._pool(task.resources)
        errand = self._errand(task)
        with self._lock:
            if self._stopped:
                return -signal.SIGTERM
            if self._held:
                raise NotStarted
            future = pool.client.submit(
                dask_worker.do, errand, key=errand.key, pure=False, resources=_request(pool, task)
            )
            pool.waiting[errand.key] = errand, future
        try:
            return self._result(pool, future)
        except (CancelledError, KilledWorker):
            if self._stopped:
                # What it writes may be removed only now.
                self._ended.wait(STOP_SECONDS)
                return -signal.SIGTERM
            if errand.claim in self._dropped:
                raise NotStarted from None
            _await_scheduler(pool.client)
            raise Lost("the Dask worker that it ran on was lost") from None
        finally:
            with self._lock:
                pool.waiting.pop(errand.key, None)
            if errand.claim not in self._dropped:
                _remove(errand.claim)

    def hold(self) -> None:
        """Start none of the commands that still wait for a worker, nor further ones."""
        with self._lock:
            self._held = True
            for pool in self._pools.values():
                for errand, future in pool.waiting.values():
                    # Whoever makes it first has the step: now no worker will begin it.
                    with suppress(FileExistsError, FileNotFoundError):
                        errand.claim.mkdir()
                        self._dropped.add(errand.claim)
                        future.cancel()

    def stop(self) -> None:
        """End all running commands with their children, and start no further ones."""
        with self._making, self._lock:
            self._stopped = True
            pools = list(self._pools.values())
        for do in (lambda pool: pool.stop(self._id), Pool.close):
            _side_by_side(do, pools)
            self._ended.set()
        for claim in self._dropped:
            _remove(claim)
        if self._keys:
            shutil.rmtree(self._keys, ignore_errors=True)

    def _errand(self, task: Task) -> Errand:
        # What decides about numbers, and where programs are; all else is the worker's own.
        told = dict.fromkeys(sorted({*VARIABLES, *programs.VARIABLES}))
        variables: dict[str, str | None] = {name: os.environ.get(name) for name in told}
        variables |= {name: os.environ.get(name, "1") for name in THREADS}
        key = f"{task.name.replace('/', '-')}-{uuid.uuid4().hex}"
        return Errand(
            run=self._id,
            key=key,
            task=task,
            variables=variables | dict(self._conditions.variables),
            limit=self._conditions.limit,
            installed=installed(),
        )

    def _result(self, pool: Pool, future: Future) -> int:
        while True:
            try:
                return future.result(timeout=POLL_SECONDS)
            except TimeoutError:
                if future.done():
                    continue
                if pool.trouble:
                    raise StepError(f"no worker is available: {pool.trouble}") from None
            except ModuleNotFoundError as error:
                raise InputError(
                    f"Dask's workers do not have {error.name}: start them in this environment"
                ) from None

    def _pool(self, resources: Resources | None) -> Pool:
        """The scheduler for steps of a class: one for all but on batch systems."""
        batch = self._kind is not None and _is_batch(self._kind)
        name = resources.name if resources and batch else ""
        with self._making:
            if name not in self._pools and not self._stopped:
                self._pools[name] = self._made(resources if batch else None)
            return self._pools.get(name) or Pool()

    def _made(self, resources: Resources | None) -> Pool:
        """A cluster of our own, with as many workers as steps that run or wait."""
        assert self._kind is not None
        pool, workers = Pool(), self._conditions.workers
        try:
            if _is_batch(self._kind):
                settings = _batch_settings(self._kind, resources, self._conditions.logs, self._keys)
                pool.cluster = self._kind(job_cls=_reporting(self._kind, pool), **settings)
            elif issubclass(self._kind, distributed.LocalCluster):
                pool.cluster = self._kind(
                    n_workers=0,
                    threads_per_worker=1,
                    dashboard_address=None,
                    memory_limit=0,
                    security=True,
                )
            else:
                pool.cluster = self._kind()
            if isinstance(pool.cluster, distributed.SpecCluster):
                idle = IDLE_SECONDS
                demand = _demand(lambda: len(pool.waiting))
                pool.cluster.adapt(demand, minimum=0, maximum=workers, interval=1, wait_count=idle)
            else:
                pool.cluster.scale(workers)
            pool.client = Client(pool.cluster, set_as_default=False)
        except Exception as error:
            pool.close()
            raise InputError(f"{self._kind.__name__}: {_one_line(error)}") from None
        return pool


def _connect(place: str) -> Client:
    """A client of a scheduler that is there; InputError if none is found in time."""
    address = place or dask.config.get("scheduler-address", None)
    if not address:
        raise InputError(
            "--on dask: no scheduler is configured; expected --on dask=ADDRESS, the file or the "
            f"class of a cluster, one of {', '.join(CLUSTERS)}, or DASK_SCHEDULER_ADDRESS"
        )
    where = {"scheduler_file": address} if os.path.isfile(address) else {"address": address}
    try:
        return Client(**where, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError, TypeError) as error:
        raise InputError(
            f"--on dask={address}: no scheduler answers ({_one_line(error)}); expected the address "
            f"or file of one, a class of clusters, or one of {', '.join(CLUSTERS)}"
        ) from None


def _await_scheduler(client: Client) -> None:
    """Return when the scheduler is there; StepError if it stays away."""
    end = time.monotonic() + CONNECT_SECONDS
    while client.status != "running":
        if client.status == "closed" or time.monotonic() > end:
            raise StepError("the connection to the Dask scheduler was lost")
        time.sleep(0.1)


def _is_class(place: str) -> bool:
    """Whether a place is the path of a class: package.Class."""
    names = place.split(".")
    named = len(names) > 1 and all(name.isidentifier() for name in names)
    return named and not place.endswith(".json") and not os.path.exists(place)


def _cluster_class(path: str) -> type:
    """The class of clusters that is called ``path``; InputError if there is none."""
    module, _, name = path.rpartition(".")
    try:
        with _own_interrupts():
            kind = getattr(import_module(module), name)
    except ModuleNotFoundError as error:
        if error.name == "dask_jobqueue":
            raise
        raise InputError(f"--on dask: {path} needs {error.name}, which is not installed") from None
    except AttributeError:
        raise InputError(f"--on dask={path}: {module} has no {name}") from None
    command = getattr(getattr(kind, "job_cls", None), "submit_command", None)
    if command and not shutil.which(command.split()[0]):
        raise InputError(
            f"--on dask: {command} not found; start from a machine on which jobs can be submitted"
        )
    return kind


@contextmanager
def _own_interrupts() -> Iterator[None]:
    """Keep what Ctrl-C does: dask-jobqueue, when imported, has it end the process, with success."""
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, handler)


def _is_batch(kind: type) -> bool:
    return hasattr(kind, "job_cls")


def _batch_settings(
    kind: Any, resources: Resources | None, logs: Path | None, keys: Path | None
) -> dict[str, Any]:
    """How the scheduler is made that batch jobs report to; only they can, with ``keys``."""
    name = kind.job_cls.default_config_name()
    configured = {
        key: dask.config.get(f"jobqueue.{name}.{key}", None)
        for key in ("scheduler-options", "log-directory", "shared-temp-directory")
    }
    settings: dict[str, Any] = {
        "security": True,
        "scheduler_options": {
            **(configured["scheduler-options"] or {}),
            "dashboard_address": ":0",
        },
        **(_job_settings(kind, resources) if resources else {}),
    }
    if logs and keys:
        keys.mkdir(parents=True, exist_ok=True)
        settings["log_directory"] = configured["log-directory"] or str(logs / "dask")
        settings["shared_temp_directory"] = configured["shared-temp-directory"] or str(keys)
    return settings


def _job_settings(kind: Any, resources: Resources) -> dict[str, Any]:
    """What a batch job asks for: a core, the memory and the time of a class.

    All else, such as queues and accounts, is for Dask's own configuration to say.
    """
    name = kind.job_cls.default_config_name()
    settings = {"cores": 1, "processes": 1, "memory": f"{resources.memory} B"}
    if kind.job_cls.submit_command == "condor_submit":
        # As CERN's pool has it; elsewhere it means nothing.
        flavour = {"MY.JobFlavour": f'"{resources.htcondor_max_runtime}"'}
        extra = dask.config.get(f"jobqueue.{name}.job-extra-directives", None) or {}
        return {**settings, "job_extra_directives": {**flavour, **extra}}
    minutes = resources.kubernetes_job_timeout // 60
    walltime = f"{minutes // 60:02}:{minutes % 60:02}"
    return {**settings, "walltime": walltime if name == "lsf" else f"{walltime}:00"}


def _reporting(kind: Any, pool: Pool) -> type:
    """The jobs of a batch system; that one was refused is told to the ``pool``."""

    class Job(kind.job_cls):
        async def start(self) -> None:
            try:
                await super().start()
            except Exception as error:
                pool.trouble = _one_line(error)
                raise

    return Job


def _demand(steps: Callable[[], int]) -> type[Adaptive]:
    """As many workers as steps: Dask's own guess is made from how long they took before."""

    class Demand(Adaptive):
        async def target(self) -> int:
            return steps()

    return Demand


def _request(pool: Pool, task: Task) -> dict[str, float]:
    """What a step asks of the workers of somebody else, if they say what they have."""
    if pool.cluster is not None or task.resources is None:
        return {}
    workers = pool.client.scheduler_info(n_workers=-1)["workers"].values()
    known = any(MEMORY in worker["resources"] for worker in workers)
    return {MEMORY: float(task.resources.memory)} if known else {}


def _side_by_side(do: Callable[[Pool], None], pools: list[Pool]) -> None:
    """Do something with all pools, for a while: one whose scheduler hangs keeps nobody."""
    threads = [threading.Thread(target=do, args=(pool,), daemon=True) for pool in pools]
    for thread in threads:
        thread.start()
    end = time.monotonic() + STOP_SECONDS
    for thread in threads:
        thread.join(max(0.0, end - time.monotonic()))


def _remove(claim: Path) -> None:
    with suppress(OSError):
        claim.rmdir()


def _quiet() -> None:
    """Leave what Dask has to say to the log of the engine."""
    for name in list(logging.root.manager.loggerDict):
        if name.partition(".")[0] in ("distributed", "tornado"):
            logger = logging.getLogger(name)
            logger.handlers.clear()
            logger.propagate = name != "distributed"
    for name in ("distributed", "tornado", "asyncio"):
        logging.getLogger(name).addHandler(logging.NullHandler())


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
