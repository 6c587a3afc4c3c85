"""What to do about a check that fails, with numbers."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from madminer_workflow.report.results import MethodReport
from madminer_workflow.statistics.checks import deciding, failures
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
    # More events fill the bins, too.
    plots = [check.plot for check in failed if isinstance(check.plot, SizesPlot)]
    more = max((times(plot.needed, plot.size) for plot in plots), default=0.0)
    first = [f"simulate {more:g} times as many events"] if more else []
    steps = dict.fromkeys(
        [*first, *(step for check in failed for step in remedies(check, method, more))]
    )
    return f"To fix this, {'; '.join(steps)}." if steps else ""


def remedies(check: Check, method: MethodReport, more: float) -> Iterator[str]:
    """What to do about one check, besides simulating ``more`` times as many events."""
    match check.plot:
        case SizesPlot():
            return
        case BinsPlot(size=size, needed=needed):
            factor = times(needed, size)
            events = f"simulate {factor:g} times as many events"
            if not more:
                yield f"{events} or make bins {factor:g} times wider"
            elif factor > more:
                yield f"make bins {factor / more:.2g} times wider, or {events} instead"
            return
        case ExtrapolationPlot():
            yield "widen the priors in thetas until they contain the confidence region"
            return
    if check.name == AGREEMENT and check.value is not None:
        members = math.ceil(method.members * (check.value / LARGEST_SPREAD) ** 2)
        yield f"train {max(members, method.members + 1)} members (--ntrainsamples)"
    elif method.settings.trainable:
        yield (
            f"train on {MORE:g} times as many events (events and n_samples), and for twice as many "
            "epochs if the loss still decreases in the last one"
        )
    elif more < MORE:
        yield f"simulate {MORE:g} times as many events"


def times(needed: float, sizes: Sequence[float | None]) -> float:
    """By what factor the smallest size falls short, with some room and two digits."""
    smallest = min((size for size in sizes if size), default=needed / MORE)
    return float(f"{max(ENOUGH * needed / smallest, ENOUGH):.2g}")
