"""Integration at all points, and the cross-sections that MadGraph's channels report."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from madminer_workflow.errors import StepError
from madminer_workflow.physics.generators.madgraph.drawing import madgraph_seed
from madminer_workflow.physics.generators.madgraph.workplace import Workplace
from madminer_workflow.products.processes import Estimate

ACCURACY = 0.005
"""Relative error of the integrated cross-sections, and so of every sample's normalisation."""

LARGEST_ERROR = 0.05
"""Relative error of a cross-section above which the integration has failed."""


def survey(
    workplace: Workplace,
    generator: Path,
    seed: int,
    names: Sequence[str],
    cards: Mapping[str, Path],
) -> dict[str, Estimate]:
    """Compile and integrate at all points ``names``; their cross-sections and errors [pb]."""
    states = {name: workplace.directory / "points" / name for name in names}
    points = [
        {
            "name": f"point_{number}",
            "card": str(cards[name]),
            "seed": madgraph_seed(seed, "survey", name),
            "output": str(states[name]),
        }
        for number, name in enumerate(names)
    ]
    instructions = {
        "directory": str(generator),
        "cores": workplace.cores,
        "accuracy": ACCURACY,
        "points": points,
    }
    workplace.run_inside("survey", instructions, generator)
    cross_sections = {}
    for name, state in states.items():
        if not state.is_dir():
            raise workplace.failure(f"did not integrate {name}")
        cross_sections[name] = read_cross_section(state, name)
        (state / "Cards").mkdir()
        (state / "Cards" / "param_card.dat").write_bytes(cards[name].read_bytes())
    return cross_sections


def read_cross_section(point: Path, name: str) -> Estimate:
    """Sum the channels of an integrated point: cross-section and its error [pb].

    Raises StepError if there is no result, or one that is not positive and finite, or an error
    that is too large.
    """
    channels = sorted(point.glob("SubProcesses/P*/G*/results.dat"))
    if not channels:
        raise StepError(f"{name}: MadGraph's integration left no results")
    values, errors = [], []
    for channel in channels:
        try:
            words = channel.read_text().split()
            value, error = (float(word.lower().replace("d", "e")) for word in words[:2])
        except (ValueError, IndexError):
            raise StepError(
                f"{name}: unreadable result of the integration channel {channel.parent.name} of "
                f"{channel.parent.parent.name}"
            ) from None
        values.append(value)
        errors.append(error)
    total, error = math.fsum(values), math.sqrt(math.fsum(e * e for e in errors))
    if not (math.isfinite(total) and math.isfinite(error)) or total <= 0.0:
        raise StepError(
            f"{name}: MadGraph's cross-section is {total:.4g} +- {error:.2g} pb. It vanishes if "
            "cuts remove all events, if an s-channel particle has zero width, or if the parton "
            "densities do not include an incoming parton"
        )
    if error > LARGEST_ERROR * total:
        raise StepError(
            f"{name}: MadGraph's cross-section is uncertain, {total:.4g} +- {error:.2g} pb; "
            "expected a relative error below "
            f"{100 * LARGEST_ERROR:.0f} %. Are there cuts against all divergences?"
        )
    return total, error
