"""Draw unweighted events from an integrated point."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np

from madminer_workflow.errors import InputError
from madminer_workflow.files import unpack
from madminer_workflow.physics.generators.madgraph.events import (
    DrawnEvents,
    joined,
    read_drawn,
)
from madminer_workflow.physics.generators.madgraph.workplace import Workplace
from madminer_workflow.seeds import derive_seed

_ROUNDS = 20

_SEEDS = 30081**2
"""As many as MadGraph's random numbers can tell apart."""


def madgraph_seed(seed: int, *names: str | int) -> int:
    """A seed that MadGraph accepts; zero would let it choose."""
    return 1 + derive_seed(seed, *names) % (_SEEDS - 1)


def prepare(workplace: Workplace, archives: list[Path], target: Path) -> None:
    """Unpack an integrated point and make it run here; InputError if it is damaged."""
    for archive in archives:
        try:
            unpack(archive, target)
        except InputError as error:
            raise InputError(f"{error}; run the generate step again") from None
    for folder in ("Events", "HTML"):
        (target / folder).mkdir(exist_ok=True)
    for grid in target.glob("SubProcesses/P*/G*/ftn26"):
        # What the program reads first, and writes in the end.
        shutil.copyfile(grid, grid.with_name("ftn25"))
    workplace.configure(target)


def draw(
    workplace: Workplace,
    process: Path,
    n_events: int,
    seed: int,
    vary: Callable[[Path], np.ndarray] | None,
) -> DrawnEvents:
    """Exactly ``n_events`` from ``process``, in as many rounds as it takes.

    How many events a channel gives is random; MadGraph often delivers a few less than asked for.
    ``vary``, where there is one, makes the events' variations from MadGraph's file.
    """
    parts: list[DrawnEvents] = []
    missing = n_events
    for number in range(_ROUNDS):
        part = _round(workplace, process, missing, madgraph_seed(seed, number), vary)
        parts.append(part)
        missing -= len(part)
        if missing <= 0:
            return joined(parts, n_events)
    raise workplace.failure(f"drew {n_events - missing} of {n_events} events in {_ROUNDS} rounds")


def _round(
    workplace: Workplace,
    process: Path,
    n_events: int,
    seed: int,
    vary: Callable[[Path], np.ndarray] | None,
) -> DrawnEvents:
    instructions = {
        "madgraph": str(workplace.program.directory),
        "directory": str(process),
        "n_events": n_events,
        "seed": seed,
    }
    workplace.run_inside("draw", instructions, process)
    products = list((process / "Events").glob("GridRun_*/unweighted_events.lhe.gz"))
    if len(products) != 1:
        raise workplace.failure("drew no events")
    try:
        events = read_drawn(products[0])
        if vary is None:
            return events
        return dataclasses.replace(events, variations=vary(products[0]))
    finally:
        shutil.rmtree(products[0].parent)
