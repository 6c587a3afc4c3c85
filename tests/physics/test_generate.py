from __future__ import annotations

from collections import Counter
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from madminer_workflow.physics.generate import BLOCK, all_tasks, held_out_point, split_into_jobs

sizes = st.dictionaries(st.sampled_from(["sm", "w", "ww"]), st.integers(1, 4 * BLOCK), min_size=1)


def generation(events: list[dict[str, int]]) -> dict[str, Any]:
    processes = [
        {"name": f"p{i}", "events": each, "k_factor": 1.0, "is_background": False}
        | {"generator": "builtin", "pythia8_card": None}
        for i, each in enumerate(events)
    ]
    return {"seed": 3, "processes": processes}


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
        totals[task["process"], task["sampling_benchmark"]] += task["n_events"]
    assert totals == {(f"p{i}", b): n for i, each in enumerate(events) for b, n in each.items()}


@given(njobs=st.integers(1, 12))
def test_jobs_are_balanced(njobs: int) -> None:
    tasks = all_tasks(generation([{"sm": 50 * BLOCK, "w": 10 * BLOCK}]))
    counts = [sum(task["n_events"] for task in job) for job in split_into_jobs(tasks, njobs)]
    assert max(counts) - min(counts) <= 2 * BLOCK


def test_jobs_are_balanced_by_what_they_cost() -> None:
    asked = generation([{"sm": 20 * BLOCK}, {"sm": 20 * BLOCK}])
    asked["processes"][1] |= {"generator": "madgraph", "pythia8_card": "PartonLevel:MPI = on"}
    jobs = split_into_jobs(all_tasks(asked), 5)
    costs = [sum(task["cost"] for task in job) for job in jobs]
    assert max(costs) < 1.3 * min(costs)
    # Drawing built-in events takes no time beside showering others.
    assert [len(job) for job in jobs] == [24, 4, 4, 4, 4]


def test_every_block_has_its_own_seed() -> None:
    tasks = all_tasks(generation([{"sm": 5000, "w": 2500}, {"sm": 3000}]))
    assert len({task["seed"] for task in tasks}) == len(tasks) == 5 + 3 + 3


def test_held_out_point_lies_in_the_inner_half_of_the_ranges() -> None:
    parameters = [
        {"parameter_name": "a", "parameter_range": [-20.0, 20.0]},
        {"parameter_name": "b", "parameter_range": [2.0, 4.0]},
    ]
    for seed in range(50):
        point = held_out_point({"seed": seed, "parameters": parameters})
        assert -10.0 <= point["a"] <= 10.0
        assert 2.5 <= point["b"] <= 3.5
