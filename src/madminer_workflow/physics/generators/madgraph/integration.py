"""Integrated cross-sections, as MadGraph's channels report them."""

from __future__ import annotations

import math
from pathlib import Path

from madminer_workflow.errors import StepError

LARGEST_ERROR = 0.05
"""Relative error of a cross-section above which the integration has failed."""


def read_cross_section(point: Path, name: str) -> tuple[float, float]:
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
            f"{name}: MadGraph's cross-section is {total:.4g} +- {error:.2g} pb. A vanishing one "
            "comes from cuts that leave nothing, from an s-channel particle of width zero, or "
            "from parton densities that do not know an incoming parton"
        )
    if error > LARGEST_ERROR * total:
        raise StepError(
            f"{name}: MadGraph's cross-section is uncertain, {total:.4g} +- {error:.2g} pb; "
            "expected a relative error below "
            f"{100 * LARGEST_ERROR:.0f} %. Are there cuts against all divergences?"
        )
    return total, error
