"""Which steps a run would do, and why: yadage interprets the workflow in a scratch directory.

Products of earlier runs are there as links into the store of the work directory, in which nothing
is changed. A step without one would run; what comes after it is not known, because equal products
count as unchanged. The first step is cheap and most others depend on parts of its product only: it
is done, in the scratch directory, where that is not more than the analysis file and its cards.
"""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from madminer_workflow.analysis.types import Analysis, FilesProcess
from madminer_workflow.engines.backend import Job, Queue, interpreting
from madminer_workflow.engines.cache import NOTES, Cache
from madminer_workflow.engines.executors import Conditions, Task
from madminer_workflow.engines.executors.local import Executor
from madminer_workflow.engines.made_from import changes, read_made_from
from madminer_workflow.system_errors import explain

FIRST = "configure"
POLL_SECONDS = 0.01


@dataclass
class Foreseen:
    """What is known of the jobs of one step: how many are reused, and why the others run."""

    reused: int = 0
    reasons: list[str] = field(default_factory=list)


class DryQueue(Queue):
    """A queue that links products that are there, and notes of all others why they are not."""

    def __init__(self, scratch: Path, workdir: Path, analysis: Analysis, cache: Cache) -> None:
        """Look into ``workdir`` for what was done there, from ``scratch``."""
        super().__init__(scratch, 1, cache, Executor(Conditions()))
        self.steps: dict[str, Foreseen] = {}
        self._really = workdir
        self._first = not any(isinstance(p, FilesProcess) for p in analysis.processes)

    def _run(self, job: Job) -> None:
        foreseen = self.steps.setdefault(job.stage, Foreseen())
        try:
            key = self._cache.key(job.command, job.target)
            if self._cache.link_into(key, job.target):
                foreseen.reused += 1
                job.status = "reused"
                return
            foreseen.reasons.append(self._reason(job, key))
            job.status = "failed"
            if job.stage == FIRST and self._first:
                job.log.parent.mkdir(parents=True, exist_ok=True)
                task = Task(job.name, job.command, job.target, job.log)
                job.status = "failed" if self._executor.run(task) else "done"
        except Exception as error:
            # This thread works for itself, and the run will say the same.
            foreseen.reasons.append(explain(error) or f"{type(error).__name__}: {error}")
            job.status = "failed"
        finally:
            job.ended = time.monotonic()

    def _reason(self, job: Job, key: str) -> str:
        folder = self._really / job.target.relative_to(self.workdir)
        if not (folder / NOTES / "key").is_file():
            return "not run before"
        then, now = read_made_from(folder / NOTES), self._cache.made_from[key]
        if then is None:
            return "one of its inputs has changed"
        if then.key == key:
            return "its product is missing from the cache, or damaged"
        return changes(then, now, [self.workdir, self._really]) or "its command has changed"


def foresee(
    workflow: str,
    toplevel: Path,
    parameters: dict[str, Any],
    workdir: Path,
    analysis: Analysis,
) -> dict[str, Foreseen]:
    """What a run would do of each step that it is known of, by step."""
    with tempfile.TemporaryDirectory(prefix="madminer-dry-run-") as temporary:
        scratch = Path(temporary).resolve() / "run"
        scratch.mkdir()
        queue = DryQueue(scratch, workdir, analysis, Cache(workdir / "_cache"))
        try:
            with interpreting(queue, workflow, toplevel, parameters, POLL_SECONDS):
                pass
        except RuntimeError:
            # yadage says that not everything was done, which nobody expects.
            if not queue.steps:
                raise
        finally:
            queue.stop()
        return queue.steps
