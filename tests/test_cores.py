"""How many cores a process may use: affinity, control groups, what the engine says."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from madminer_workflow import cores
from madminer_workflow.engines.executors import local


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """A machine of 64 cores, and the files of its control groups."""
    files: dict[str, str] = {}

    def read_text(path: Path) -> str:
        if str(path) in files:
            return files[str(path)]
        raise FileNotFoundError(path)

    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)), raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    monkeypatch.setattr(Path, "read_text", read_text)
    for name in (cores.CORES, "OMP_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    return files


@pytest.mark.parametrize(
    ("text", "expected"), [("max 100000", 64), ("250000 100000", 2), ("50000 100000", 1)]
)
def test_quota_of_version_2(machine: dict[str, str], text: str, expected: int) -> None:
    machine["/sys/fs/cgroup/cpu.max"] = text
    assert cores.available_cores() == expected


@pytest.mark.parametrize(("quota", "expected"), [("-1\n", 64), ("300000\n", 3)])
def test_quota_of_version_1(machine: dict[str, str], quota: str, expected: int) -> None:
    machine["/sys/fs/cgroup/cpu/cpu.cfs_quota_us"] = quota
    machine["/sys/fs/cgroup/cpu/cpu.cfs_period_us"] = "100000\n"
    assert cores.available_cores() == expected


def test_engine_and_threads_limit_a_step(
    machine: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cores.available_cores() == cores.step_cores() == 64
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert cores.step_cores() == 3
    # Steps get one thread from the engine, which says by another variable what it was given.
    assert local.environment()[cores.CORES] == "3"
    monkeypatch.setenv(cores.CORES, "5")
    assert cores.step_cores() == 5
    machine["/sys/fs/cgroup/cpu.max"] = "100000 100000"
    assert cores.step_cores() == 1
