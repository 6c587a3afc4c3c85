"""The event sample cut into tasks, and tasks shared out to jobs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from madminer_workflow.analysis.types import Generation, Process
from madminer_workflow.products.jobs import Task
from madminer_workflow.seeds import derive_seed

BLOCK = 1000
"""Events with one seed. Blocks, not jobs, carry the seeds: results do not depend on njobs."""

MOST_BLOCKS = 50_000
"""Of an analysis: with more than 50 million events, blocks are larger. Of events that exist each
block is a file, and archives hold 100,000 of them."""

SECONDS_PER_EVENT = {"builtin": 5e-5, "madgraph": 4e-3, "files": 5e-5}
"""All generators, and the time each takes to draw an event and its weights, on one core."""

SECONDS_PER_SHOWERED_EVENT = 1.5e-2
"""To shower an event and to pass it through Delphes, on one core."""


def block_size(generation: Generation) -> int:
    """The number of events of every block but the last ones."""
    n_events = sum(sum(process.events.values()) for process in generation.processes)
    return BLOCK * max(1, -(-n_events // (BLOCK * MOST_BLOCKS)))


def all_tasks(generation: Generation) -> list[Task]:
    """Every block of events of every process and sampling benchmark, in a fixed order."""
    size = block_size(generation)
    return [
        Task(
            process=process.name,
            sampling_benchmark=benchmark,
            block=block,
            n_events=min(size, n_total - start),
            n_total=n_total,
            cost=min(size, n_total - start) * seconds_per_event(process),
            k_factor=process.k_factor,
            is_background=process.is_background,
            seed=derive_seed(generation.seed, process.name, benchmark, block),
        )
        for process in generation.processes
        for benchmark, n_total in process.events.items()
        for block, start in enumerate(range(0, n_total, size))
    ]


def seconds_per_event(process: Process) -> float:
    """The expected time to generate, shower and reconstruct an event of a process."""
    showered = process.pythia8_card is not None
    drawn = SECONDS_PER_EVENT[process.generator]
    return drawn + (SECONDS_PER_SHOWERED_EVENT if showered else 0.0)


def split_into_jobs(tasks: Sequence[Task], njobs: int) -> list[list[Task]]:
    """Contiguous runs of tasks of nearly equal cost; some empty if njobs is large.

    A task goes to the job in whose share of all costs its middle lies.
    """
    costs = np.array([task.cost for task in tasks])
    middles = (np.cumsum(costs) - 0.5 * costs) / costs.sum()
    owners = np.minimum((middles * njobs).astype(int), njobs - 1)
    return [
        [task for task, owner in zip(tasks, owners, strict=True) if owner == job]
        for job in range(njobs)
    ]
