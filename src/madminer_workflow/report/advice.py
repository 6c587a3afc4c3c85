"""What to do about a check that fails, with numbers."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from madminer_workflow.report.results import MethodReport
from madminer_workflow.statistics.checks import deciding, failures, listing
from madminer_workflow.statistics.checks.ensemble import LARGEST_SPREAD
from madminer_workflow.statistics.checks.ensemble import NAME as AGREEMENT
from madminer_workflow.statistics.results import BinsPlot, Check, ExtrapolationPlot, SizesPlot

MORE = 10.0
"""Times as many events where it is not known how many are needed: errors shrink to a third."""

ENOUGH = 1.2
"""Room for what an estimate of the events needed does not know."""

TELLS_ITSELF = frozenset({"coverage of toys"})
"""Checks whose sentence has what to do."""


def advice(method: MethodReport) -> str:
    """What would most likely make a method pass its checks, as sentences; "" if it passes."""
    failed = [
        check for check in failures(deciding(method.checks)) if check.name not in TELLS_ITSELF
    ]
    steps = list(dict.fromkeys(step for check in failed for step in remedies(check, method)))
    return f"To fix this, {listing(steps)}." if steps else ""


def remedies(check: Check, method: MethodReport) -> Iterator[str]:
    """What to do about one check."""
    match check.plot:
        case SizesPlot(size=size, needed=needed):
            yield f"simulate {times(needed, size)} times as many events"
            return
        case BinsPlot(size=size, needed=needed):
            factor = times(needed, size)
            yield f"simulate {factor} times as many events or make bins {factor} times wider"
            return
        case ExtrapolationPlot():
            yield "widen the priors in thetas until they contain the confidence region"
            return
    if check.name == AGREEMENT and check.value is not None:
        members = math.ceil(method.members * (check.value / LARGEST_SPREAD) ** 2)
        yield f"train {max(members, method.members + 1)} members (--ntrainsamples)"
    elif method.settings.trainable:
        yield (
            f"train on {MORE:g} times as many simulated events (events and n_samples), and for "
            "twice as many epochs if the loss still decreases in the last one"
        )
    else:
        yield f"simulate {MORE:g} times as many events"


def times(needed: float, sizes: Sequence[float | None]) -> str:
    """By what factor the smallest size falls short, with some room and two digits."""
    smallest = min((size for size in sizes if size), default=needed / MORE)
    return f"{max(ENOUGH * needed / smallest, ENOUGH):.2g}"
