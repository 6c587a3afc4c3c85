"""Event generators behind one interface.

A generator is a module with two functions:

``integrate(process, parameters, benchmarks, output, seed) -> report``
    integrates a process once and writes what ``generate_events`` needs into the directory
    ``output``. ``process`` and ``parameters`` are those entries of the analysis file,
    ``benchmarks`` maps names to parameter values. The report is JSON-able and holds
    ``cross_sections``: benchmark -> [value, error] in pb.

``generate_events(directory, sampling_benchmark, n_events, seed, output) -> report``
    writes ``n_events`` events drawn from one benchmark into the LHE file ``output``. The report
    is JSON-able and holds at least ``n_events``, ``n_trials`` and ``fraction_above_maximum``.
"""

from __future__ import annotations

import importlib
from types import ModuleType

from madminer_workflow.errors import InputError

NAMES = ("builtin",)


def get(name: str) -> ModuleType:
    """Return the generator module of this name; InputError if there is none."""
    if name not in NAMES:
        raise InputError(f"generator: is '{name}'; expected one of {', '.join(NAMES)}")
    return importlib.import_module(f"{__name__}.{name}")
