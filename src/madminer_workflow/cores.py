"""How many cores a process may use."""

from __future__ import annotations

import os
import sys
from pathlib import Path

CORES = "MADMINER_WORKFLOW_CORES"
"""The variable with which an engine tells a step how many cores it may use."""

_QUOTAS = (
    ("/sys/fs/cgroup/cpu.max",),
    ("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "/sys/fs/cgroup/cpu/cpu.cfs_period_us"),
)
"""Where control groups of version 2 and 1 write how long of which time the processor is theirs."""


def available_cores() -> int:
    """The cores that this process may run on, no more than its container's share of them.

    A container on a large node sees all of its cores.
    """
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    for files in _QUOTAS:
        try:
            quota, period = " ".join(Path(file).read_text() for file in files).split()
            if int(quota) > 0:
                cores = min(cores, max(1, int(quota) // int(period)))
        except (OSError, ValueError):
            # No control groups, or "max": no limit.
            continue
    return cores


def step_cores() -> int:
    """The cores that a step may use: what the engine says, or OMP_NUM_THREADS, or all it can."""
    cores = available_cores()
    said = os.environ.get(CORES) or os.environ.get("OMP_NUM_THREADS", "")
    return min(cores, max(1, int(said))) if said.isdigit() else cores
