"""Event generators behind one interface.

A generator is a module with two functions:

``integrate(request, output) -> report``
    integrates a process once and writes what ``generate_events`` needs into the directory
    ``output``. The report is JSON-able and holds ``cross_sections``: name -> [value, error] in
    pb, for every benchmark that events are drawn from and every check point.

``generate_events(directory, sampling_benchmark, n_events, seed, output) -> report``
    writes exactly ``n_events`` events drawn from one benchmark into the LHE file ``output``. Their
    weights add up to the integrated cross-section; ``<rwgt>`` holds one weight for each benchmark
    of the request, under its name, and for each nuisance benchmark of its scale and PDF
    uncertainties (see ``analysis.systematics``). The report is JSON-able and holds at
    least ``n_events``.
"""

from __future__ import annotations

import importlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from madminer_workflow.errors import InputError

NAMES = ("builtin", "madgraph")

Points = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class Request:
    """What a generator is asked to integrate.

    ``process``, ``parameters`` and ``systematics`` (those that affect the process) are entries of
    the analysis file, cards as text. ``benchmarks`` maps names to parameter values: the points
    that events are drawn from and weighted for; ``check_points`` are integrated only.
    ``reference`` is the benchmark at which uncertainties are evaluated. ``models`` is the folder
    of the analysis' own UFO models.
    """

    process: Mapping[str, Any]
    parameters: Sequence[Mapping[str, Any]]
    benchmarks: Points
    check_points: Points
    reference: str
    systematics: Sequence[Mapping[str, Any]]
    models: Path
    seed: int


def check_draw(n_events: int, sampling_benchmark: str, known: Collection[str]) -> None:
    """InputError unless there are events to draw, from one of the ``known`` benchmarks."""
    if n_events < 1:
        raise InputError(f"n_events: is {n_events}; expected at least 1")
    if sampling_benchmark not in known:
        raise InputError(
            f"sampling benchmark '{sampling_benchmark}': is not among those of this process, "
            f"{', '.join(known)}"
        )


def get(name: str) -> ModuleType:
    """Return the generator module of this name; InputError if there is none."""
    if name not in NAMES:
        raise InputError(f"generator: is '{name}'; expected one of {', '.join(NAMES)}")
    return importlib.import_module(f"{__name__}.{name}")
