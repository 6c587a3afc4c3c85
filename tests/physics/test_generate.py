from __future__ import annotations

from collections import Counter

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from madminer_workflow.analysis.types import Generation
from madminer_workflow.physics.points import held_out_point
from madminer_workflow.physics.tasks import (
    BLOCK,
    MOST_BLOCKS,
    all_tasks,
    block_size,
    split_into_jobs,
)
from tests.support import parts

sizes = st.dictionaries(st.sampled_from(["sm", "w", "ww"]), st.integers(1, 4 * BLOCK), min_size=1)


def generation(events: list[dict[str, int]]) -> Generation:
    processes = [parts.process(name=f"p{i}", events=numbers) for i, numbers in enumerate(events)]
    return parts.generation(seed=3, processes=processes)


def test_blocks_grow_where_there_would_be_too_many() -> None:
    most = BLOCK * MOST_BLOCKS
    assert block_size(generation([{"sm": most - 5, "w": 5}])) == BLOCK
    large = generation([{"sm": 3 * most + 1}, {"sm": 17}])
    assert block_size(large) == 4 * BLOCK
    tasks = all_tasks(large)
    assert sum(task.n_events for task in tasks) == 3 * most + 18
    assert len(tasks) < MOST_BLOCKS


@given(events=st.lists(sizes, min_size=1, max_size=3), njobs=st.integers(1, 40))
def test_jobs_share_all_events_whatever_their_number(
    events: list[dict[str, int]], njobs: int
) -> None:
    tasks = all_tasks(generation(events))
    jobs = split_into_jobs(tasks, njobs)
    assert len(jobs) == njobs
    assert [task for job in jobs for task in job] == tasks
    totals: Counter[tuple[str, str]] = Counter()
    for task in tasks:
        totals[task.process, task.sampling_benchmark] += task.n_events
    assert totals == {
        (f"p{i}", b): n for i, numbers in enumerate(events) for b, n in numbers.items()
    }


@given(njobs=st.integers(1, 12))
def test_jobs_are_balanced(njobs: int) -> None:
    tasks = all_tasks(generation([{"sm": 50 * BLOCK, "w": 10 * BLOCK}]))
    counts = [sum(task.n_events for task in job) for job in split_into_jobs(tasks, njobs)]
    assert max(counts) - min(counts) <= 2 * BLOCK


def test_jobs_are_balanced_by_what_they_cost() -> None:
    asked = generation([{"sm": 20 * BLOCK}, {"sm": 20 * BLOCK}])
    events = asked.processes[1].events
    card = "PartonLevel:MPI = on"
    slow = parts.process("madgraph", proc_card="", name="p1", events=events, pythia8_card=card)
    asked = msgspec.structs.replace(asked, processes=(asked.processes[0], slow))
    jobs = split_into_jobs(all_tasks(asked), 5)
    costs = [sum(task.cost for task in job) for job in jobs]
    assert max(costs) < 1.3 * min(costs)
    # Drawing built-in events takes no time beside showering others.
    assert [len(job) for job in jobs] == [24, 4, 4, 4, 4]


def test_every_block_has_its_own_seed() -> None:
    tasks = all_tasks(generation([{"sm": 5000, "w": 2500}, {"sm": 3000}]))
    assert len({task.seed for task in tasks}) == len(tasks) == 5 + 3 + 3


def test_held_out_point_lies_in_the_inner_half_of_the_ranges() -> None:
    parameters = [
        parts.parameter(parameter_name="a", parameter_range=[-20.0, 20.0]),
        parts.parameter(parameter_name="b", parameter_range=[2.0, 4.0]),
    ]
    for seed in range(50):
        point = held_out_point(parts.generation(seed=seed, parameters=parameters))
        assert -10.0 <= point["a"] <= 10.0
        assert 2.5 <= point["b"] <= 3.5
