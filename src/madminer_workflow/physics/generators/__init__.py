"""Event generators behind one interface.

A generator is a module of this package with the functions of ``Generator``, and a row of
``tasks.SECONDS_PER_EVENT``.
"""

from __future__ import annotations

import importlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast

from madminer_workflow.analysis.types import Columns, Parameter, Process, Systematic
from madminer_workflow.errors import InputError
from madminer_workflow.physics.tasks import BLOCK
from madminer_workflow.products.events import Draw
from madminer_workflow.products.processes import Integration, Points


@dataclass(frozen=True)
class Request:
    """What a generator is asked to integrate.

    ``process``, ``parameters`` and ``systematics`` (those that affect the process) are parts of
    the analysis file, cards as text. ``benchmarks`` maps names to parameter values: the points
    that events are drawn from and weighted for; ``check_points`` are integrated only.
    ``reference`` is the benchmark at which uncertainties are evaluated. ``models`` is the folder
    of the analysis' own UFO models. ``columns`` are those of tables that the analysis uses.
    Events that exist are cut into blocks of ``block_size``.
    """

    process: Process
    parameters: Sequence[Parameter]
    benchmarks: Points
    check_points: Points
    reference: str
    systematics: Sequence[Systematic]
    models: Path
    seed: int
    columns: Columns | None = None
    block_size: int = BLOCK


class Generator(Protocol):
    """What the module of a generator has."""

    def integrate(self, request: Request, output: Path) -> Integration:
        """Integrate a process once; write what drawing events needs into ``output``.

        Cross-sections are those of every benchmark that events are drawn from and of every check
        point.
        """

    def generate_events(
        self,
        directory: Path,
        sampling_benchmark: str,
        n_events: int,
        seed: int,
        output: Path,
        block: int = 0,
    ) -> Draw:
        """Write exactly ``n_events`` events drawn from one benchmark into the file ``output``.

        That is an LHE file, or of events in tables one of ``products.columns``.

        Events at random follow from ``seed``, events that exist are those of a ``block`` of them.

        Their weights add up to the integrated cross-section; ``<rwgt>`` holds one weight for each
        benchmark of the request, under its name, and for each nuisance benchmark of its scale and
        PDF uncertainties (see ``madminer_workflow.analysis.systematics``).
        """


def check_draw(n_events: int, sampling_benchmark: str, known: Collection[str]) -> None:
    """InputError unless there are events to draw, from one of the ``known`` benchmarks."""
    if n_events < 1:
        raise InputError(f"n_events: is {n_events}; expected at least 1")
    if sampling_benchmark not in known:
        raise InputError(
            f"sampling benchmark '{sampling_benchmark}': is not a sampling benchmark of this "
            f"process, {', '.join(known)}"
        )


def get(name: str) -> Generator:
    """The generator of this name."""
    return cast(Generator, importlib.import_module(f"{__name__}.{name}"))
