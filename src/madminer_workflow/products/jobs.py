"""``jobs/job_*.json``: which events each job draws."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from madminer_workflow.files import atomic_path, read_struct, write_json
from madminer_workflow.products.fields import AtLeastOne, Index, NotNegative, Positive, Seed


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """A block of events drawn from one benchmark.

    ``n_total`` is the number of all events of the process from this benchmark, ``cost`` the time
    that the block takes [s], roughly: it balances the jobs.
    """

    process: str
    sampling_benchmark: str
    block: Index
    n_events: int
    n_total: AtLeastOne
    cost: NotNegative
    k_factor: Positive
    is_background: bool
    seed: Seed

    @property
    def key(self) -> tuple[str, str, int]:
        """What identifies a block of events."""
        return self.process, self.sampling_benchmark, self.block

    @property
    def name(self) -> str:
        """The stem of the names of its files."""
        return f"{self.process}.{self.sampling_benchmark}.{self.block:05d}"


class Job(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The tasks of one job; none if there are more jobs than tasks."""

    index: Index
    tasks: tuple[Task, ...]


def write_jobs(output: Path, jobs: Sequence[Sequence[Task]]) -> None:
    """Write a file for each job into the folder ``jobs`` of ``output``."""
    with atomic_path(output / "jobs") as directory:
        for index, tasks in enumerate(jobs):
            job = Job(index=index, tasks=tuple(tasks))
            write_json(directory / f"job_{index:04d}.json", job)


def read_job(path: Path) -> Job:
    """Read one of the files; InputError if it is another one."""
    return read_struct(path, "generate", Job)
