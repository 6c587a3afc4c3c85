"""Weights at other benchmarks: ratios of MadGraph's own squared matrix elements."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from madminer_workflow.analysis.madgraph_cards import Place
from madminer_workflow.errors import StepError
from madminer_workflow.physics.generators.madgraph.events import DrawnEvents
from madminer_workflow.physics.generators.madgraph.workplace import Workplace

_REPRODUCED = 1e-7
"""Largest relative difference between two evaluations at the same point."""


def ratios(
    workplace: Workplace,
    code: Path,
    events: DrawnEvents,
    points: Mapping[str, Mapping[Place, float]],
    sampling: str,
) -> np.ndarray:
    """Squared matrix elements (n_events, n_points) relative to those of the point ``sampling``.

    They are summed over helicities, so that events whose helicities the sampled point hardly
    produces carry no exceptional weights. Raises StepError if a ratio is not finite or negative,
    if an event cannot come from the sampled point, or if the code, at the end of all points, does
    not reproduce what it computed for the sampled one at the beginning.
    """
    names = [sampling, *(name for name in points if name != sampling)]
    known = _known_parameters(code / "ident_card.dat")
    cards = [_parameters(points[name], known) for name in names]
    archive, result = workplace.directory / "to_weigh.npz", workplace.directory / "weighed.npy"
    np.savez(
        archive,
        pdgid=events.pdgid,
        incoming=events.incoming,
        momenta=events.momenta,
        sizes=events.sizes,
        process=events.headers[:, 1].astype(int),
        alpha_s=events.headers[:, 5],
    )
    instructions = {
        "directory": str(code),
        "cards": cards,
        "events": str(archive),
        "output": str(result),
    }
    workplace.run_inside("weigh", instructions, code)
    try:
        elements = np.load(result)
    except (OSError, ValueError):
        raise workplace.failure("did not evaluate the matrix elements") from None
    sampled, again = elements[:, :1], elements[:, -1]
    if elements.shape != (len(events), len(names) + 1) or not np.isfinite(elements).all():
        raise workplace.failure("returned matrix elements that are missing, NaN or infinite")
    if not (sampled > 0.0).all():
        bad = int(np.sum(sampled <= 0.0))
        raise StepError(
            f"{bad} of {len(events)} events have no positive matrix element at {sampling}, at "
            "which they were drawn: generator and reweighting disagree"
        )
    difference = float(np.abs(again / sampled[:, 0] - 1.0).max())
    if difference > _REPRODUCED:
        raise StepError(
            f"the matrix elements at {sampling} change by {difference:.1e} after those at other "
            "benchmarks: the reweighting depends on the order of its points"
        )
    columns = [names.index(name) for name in points]
    return elements[:, columns] / sampled


def _known_parameters(ident_card: Path) -> set[Place]:
    """The places in the parameter card that the code knows."""
    entry = re.compile(r"^\s*(\S+)((?:\s+-?\d+)+)\s+\S+\s*$", re.MULTILINE)
    return {
        (block.lower(), tuple(map(int, ids.split())))
        for block, ids in entry.findall(ident_card.read_text())
    }


def _parameters(values: Mapping[Place, float], known: set[Place]) -> Sequence[tuple[str, float]]:
    """Names as MadGraph's code has them, e.g. DIM6_2, and values."""
    return [
        ("_".join([place[0].upper(), *map(str, place[1])]), value)
        for place, value in values.items()
        if place in known
    ]
