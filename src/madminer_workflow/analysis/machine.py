"""Whether a machine can do what an analysis asks for, and which of its keys asks for too much."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import isqrt
from pathlib import Path
from typing import Any

import msgspec

from madminer_workflow.analysis.cost import Plan, Whole, estimate, size_words, time_words
from madminer_workflow.analysis.inheritance import DEFAULTS
from madminer_workflow.analysis.problems import AnalysisError, Finding, KeyPath
from madminer_workflow.analysis.reading import read
from madminer_workflow.analysis.types import Analysis
from madminer_workflow.errors import InputError

TB, YEAR = 1e12, 31_557_600.0

_LIMITS = (
    "/sys/fs/cgroup/memory.max",
    "/sys/fs/cgroup/memory/memory.limit_in_bytes",
)
"""Where control groups of version 2 and 1 write how much memory is theirs."""

DRIVING = (
    *("events", "n_samples", "n_hidden", "n_epochs", "n_steps", "batch_size", "n_thetas"),
    *("resolution", "n_toys", "bins", "n_estimators", "n_mades", "n_components"),
    *("n_trials", "n_test_thetas"),
)
"""The keys of numbers that cost something."""

HINT = "; lower it, or use --allow-large"


@dataclass(frozen=True)
class Machine:
    """What there is: ``memory`` and ``disk`` in bytes, ``years`` of patience; ``name`` in words."""

    name: str
    memory: float
    disk: float
    years: float


ANY = Machine("any machine", 2.0 * TB, 100.0 * TB, 1000.0)
"""Beyond it is what nobody means, wherever it is to run."""


def this_machine(workdir: Path) -> Machine:
    """This machine, as much of it as its container may use; products go to ``workdir``."""
    import psutil

    memory = float(psutil.virtual_memory().total)
    for file in _LIMITS:
        try:
            memory = min(memory, float(Path(file).read_text()))
        except (OSError, ValueError):
            # No control groups, or "max": no limit.
            continue
    place = next(
        path for path in (workdir.absolute(), *workdir.absolute().parents) if path.exists()
    )
    return Machine("this machine", memory, float(shutil.disk_usage(place).free), 0.25)


def affordable(file: Path, analysis: Analysis, plan: Plan, machine: Machine | None) -> Whole:
    """The estimate of an analysis ``file``; InputError if it is beyond ``machine``, if that counts.

    The message names the setting that lowers the cost most, with its line.
    """
    whole = estimate(analysis, plan)
    excess = next(beyond(whole, machine), None) if machine else None
    if excess is not None:
        quantity, words = excess
        raise _error(file, _driving(analysis, plan, quantity), words)
    return whole


def beyond(whole: Whole, machine: Machine, times: float = 1.0) -> Iterator[tuple[str, str]]:
    """The quantities, attributes of an estimate, that are too large, and what to say of them.

    It is done so many ``times``, one after another.
    """
    most = max(whole.steps, key=lambda step: step.memory)
    if whole.memory > machine.memory:
        yield (
            "memory",
            f"{most.step} would need about {size_words(whole.memory)} of memory, and "
            f"{machine.name} has {size_words(machine.memory)}",
        )
    if whole.disk > machine.disk:
        yield (
            "disk",
            f"the products would need about {size_words(whole.disk)} of disk space, and "
            f"{machine.name} has {size_words(machine.disk)} left",
        )
    if whole.wall * times > machine.years * YEAR:
        longest = max(whole.steps, key=lambda step: step.wall(whole.plan.workers))
        seconds = times * longest.wall(whole.plan.workers)
        yield (
            "wall",
            f"{longest.step} would take about {time_words(seconds)} with {whole.plan.workers} "
            "jobs in parallel",
        )


def _driving(analysis: Analysis, plan: Plan, quantity: str) -> KeyPath:
    """The place of the setting, or the option, that lowers a quantity most when it is smaller."""
    data = msgspec.json.decode(msgspec.json.encode(analysis))
    numbers = dict(_numbers(data, ()))
    # The same setting of several entries may cost as much in each of them.
    alike: dict[str, list[KeyPath]] = {}
    for path in numbers:
        alike.setdefault(next(key for key in reversed(path) if isinstance(key, str)), []).append(
            path
        )
    left: dict[KeyPath, float] = {}
    for path in numbers:
        left[path] = _cost_with(data, [path], plan, quantity)
    for paths in alike.values():
        largest = max(paths, key=numbers.__getitem__)
        # Where one is enough it is named, and not another like it.
        left[largest] = min(left[largest], 1.01 * _cost_with(data, paths, plan, quantity))
    fewer = {
        "--njobs": replace(plan, njobs=isqrt(plan.njobs)),
        "--ntrainsamples": replace(plan, ntrainsamples=isqrt(plan.ntrainsamples)),
    }
    for option, smaller in fewer.items():
        left[(option,)] = getattr(estimate(analysis, smaller), quantity)
    return min(left, key=left.__getitem__)


def _cost_with(data: Any, paths: Sequence[KeyPath], plan: Plan, quantity: str) -> float:
    """The cost with much smaller numbers in some places."""
    changed = copy.deepcopy(data)
    for path in paths:
        inner = changed
        for key in path[:-1]:
            inner = inner[key]
        inner[path[-1]] = isqrt(inner[path[-1]])
    return getattr(estimate(msgspec.convert(changed, Analysis), plan), quantity)


def _numbers(value: Any, path: KeyPath) -> Iterator[tuple[KeyPath, int]]:
    """The numbers that cost something, with their places."""
    if isinstance(value, dict | list):
        items: Sequence[tuple[str | int, Any]]
        items = list(value.items() if isinstance(value, dict) else enumerate(value))
        for key, inner in items:
            yield from _numbers(inner, (*path, key))
    elif isinstance(value, int) and value > 1 and any(key in DRIVING for key in path):
        yield path, value


def _error(file: Path, path: KeyPath, words: str) -> InputError:
    if str(path[0]).startswith("--"):
        return InputError(f"{path[0]}: {words}{HINT}")
    document = read(file)
    # What an entry does not say itself it may have from the defaults of all.
    inherited = (*DEFAULTS, *path[3:])
    if path[:2] == ("ml", "methods") and path not in document.lines:
        path = inherited if inherited in document.lines else path
    return AnalysisError([document.problem(Finding(path, words + HINT))])
