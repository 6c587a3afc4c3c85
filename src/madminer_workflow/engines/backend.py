"""yadage's backend: a queue of steps worked off by threads, each of which waits for an executor."""

from __future__ import annotations

import time
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from packtivity.asyncbackends import ExternalAsyncBackend, ExternalAsyncProxy
from yadage.backends.packtivitybackend import PacktivityBackend
from yadage.steering_api import steering_ctx

from madminer_workflow import graph
from madminer_workflow.engines.cache import NOTES, Cache
from madminer_workflow.engines.executors import Executor, NotStarted, Task
from madminer_workflow.engines.local import Outcome, describe_failure, run_step
from madminer_workflow.engines.resources import Resources, resources_of
from madminer_workflow.errors import InputError, StepError
from madminer_workflow.system_errors import explain


@dataclass(eq=False)
class Job:
    """One step: ``stage`` is its name in the workflow, ``name`` that of no other step.

    ``status`` goes from waiting through running to done, reused, failed or skipped; times are
    those of ``time.monotonic``.
    """

    stage: str
    name: str
    command: str
    target: Path
    log: Path
    image: str = ""
    resources: Resources | None = None
    status: str = "waiting"
    started: float = 0.0
    ended: float = 0.0
    exit_code: int = 0
    problem: str = ""
    future: Future[None] = field(default_factory=Future)

    @property
    def failed(self) -> bool:
        """Whether the step ran and did not do its work."""
        return self.status == "failed"


class Queue:
    """Runs jobs on threads; after the first failure, jobs that wait are skipped."""

    def __init__(
        self,
        workdir: Path,
        workers: int,
        cache: Cache,
        executor: Executor,
        limit_minutes: float | None = None,
    ) -> None:
        """Run ``workers`` jobs at a time, all below ``workdir``, through ``executor``.

        ``limit_minutes`` is what the executor allows each.
        """
        self.workdir = workdir
        self.unkept: list[str] = []
        self._limit_minutes = limit_minutes
        self.jobs: list[Job] = []
        self.failures: list[Job] = []
        self._cache = cache
        self._executor = executor
        self._pool = ThreadPoolExecutor(workers)

    def submit(self, job: dict[str, Any]) -> Job:
        """Queue a step as packtivity describes it."""
        state, metadata, environment = job["state"], job["metadata"], job["env"]
        target = Path(state.readwrite[0])
        entry = Job(
            stage=metadata["wflow_stage"],
            name=_name(job["job"]["command"], target.relative_to(self.workdir).as_posix()),
            command=job["job"]["command"],
            target=target,
            log=Path(state.metadir) / f"{metadata['name']}.run.log",
            image=f"{environment['image']}:{environment.get('imagetag', 'latest')}",
            resources=resources_of(environment),
        )
        self.jobs.append(entry)
        entry.future = self._pool.submit(self._run, entry)
        return entry

    def ready(self, job: Job) -> bool:
        """Whether the job has ended, in whatever way."""
        return job.future.done()

    def successful(self, job: Job) -> bool:
        """Whether the job has ended well."""
        return job.status in ("done", "reused")

    def fail_info(self, job: Job) -> str:
        """Why the job failed."""
        return job.problem

    def fail(self, job: Job, problem: str, exit_code: int = 1) -> None:
        """Mark a job as failed; those that wait will not start."""
        job.status, job.problem, job.exit_code = "failed", problem, exit_code
        self.failures.append(job)
        self._executor.hold()

    def stop(self) -> None:
        """End everything that runs and drop everything that waits; return when it is quiet."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._executor.stop()
        self._pool.shutdown(wait=True)

    def _run(self, job: Job) -> None:
        if self.failures:
            job.status = "skipped"
            return
        job.started = time.monotonic()

        def starting() -> None:
            job.status = "running"

        try:
            task = Task(job.name, job.command, job.target, job.log, job.image, job.resources)
            self._note(job, run_step(task, self._executor, self._cache, starting))
        except NotStarted:
            job.status = "skipped"
        except (InputError, StepError) as error:
            code = 2 if isinstance(error, InputError) else 1
            self.fail(job, f"step {job.name} could not be run: {error}", code)
        except Exception as error:
            # Nobody else would hear of it: this thread works for itself.
            reason = explain(error) or f"{type(error).__name__}: {error}"
            self.fail(job, f"step {job.name} could not be run: {reason}")
        finally:
            job.ended = time.monotonic()

    def _note(self, job: Job, outcome: Outcome) -> None:
        if outcome.exit_code:
            problem = describe_failure(job.name, outcome, job.log, self._limit_minutes)
            self.fail(job, problem, outcome.exit_code)
            return
        if outcome.changed:
            self.fail(
                job,
                f"step {job.name}: its inputs or its code changed while it ran, so its product "
                "cannot be used",
            )
            return
        if outcome.unkept:
            self.unkept.append(outcome.unkept)
        (job.target / NOTES).mkdir(exist_ok=True)
        (job.target / NOTES / "key").write_text(f"{outcome.key}\n")
        if outcome.key in self._cache.made_from:
            self._cache.made_from[outcome.key].write(job.target / NOTES)
        job.status = "reused" if outcome.reused else "done"


def _name(command: str, folder: str) -> str:
    """The name of a step: that of its folder, but with its method, which yadage only numbers."""
    _, name, *words = [*command.split(), ""]
    step = graph.STEPS.get(name)
    title = graph.title(step, words) if step and "method" in step.each else None
    return f"{step.part}/{title}" if step and title else folder


class LocalBackend(ExternalAsyncBackend):
    """packtivity's asynchronous backend over a ``Queue``, which also checks what steps publish."""

    def __init__(self, queue: Queue) -> None:
        """Run every step through ``queue``."""
        super().__init__(job_backend=queue)
        self.queue = queue

    def successful(self, resultproxy: ExternalAsyncProxy) -> bool:
        """Whether the step ended well and everything that it promises to publish is there."""
        job = resultproxy.jobproxy
        if not self.queue.successful(job):
            return False
        if resultproxy.resultdata is not None:
            return True
        published = [value for _, value in self.result(resultproxy).leafs()]
        missing = [value for value in published if not Path(job.target, str(value)).exists()]
        if missing:
            names = ", ".join(str(value).removeprefix(f"{job.target}/") for value in missing)
            self.queue.fail(job, f"step {job.name} succeeded but did not publish {names}")
        return not missing


def interpreting(
    queue: Queue,
    workflow: str,
    toplevel: Path,
    parameters: Mapping[str, Any],
    poll_seconds: float,
) -> AbstractContextManager[Any]:
    """yadage's steering of a workflow whose steps ``queue`` runs, when the block is left.

    ``workflow`` is relative to ``toplevel``; yadage asks every ``poll_seconds`` what is done, and
    raises RuntimeError then if not everything was.
    """
    return steering_ctx(
        dataarg=str(queue.workdir),
        workflow=workflow,
        toplevel=str(toplevel),
        initdata=dict(parameters),
        backend=PacktivityBackend(
            packtivity_backend=LocalBackend(queue),
            backendopts={"purepubopts": {"exec": {"logging": False}}},
        ),
        accept_metadir=True,
        visualize=False,
        updateinterval=poll_seconds,
    )
