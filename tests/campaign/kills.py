"""Signals at random times: to the engine alone, and to it and all its steps."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from random import Random

from tests.campaign.engine import Engine, disturbed, finishes, kill, left
from tests.campaign.outcome import Faults, Outcome
from tests.campaign.sandbox import TEMPORARY

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
INTERRUPTED = {signal.SIGTERM: 143, signal.SIGINT: 130, signal.SIGHUP: 129}


@dataclass(frozen=True)
class Case:
    """A signal, after a share of the time that a whole run takes; steps may be ``genuine``."""

    number: signal.Signals
    tree: bool
    share: float
    genuine: bool

    @property
    def name(self) -> str:
        """What tells it from the others."""
        to = "tree" if self.tree else "engine"
        kind = "-genuine" if self.genuine else ""
        return f"{self.number.name}-{to}-{self.share:.3f}{kind}"


def cases() -> Iterator[Case]:
    """Each signal to each victim at five random times, one of them with genuine steps."""
    rng = Random(21)
    for i in range(5):
        for number in SIGNALS:
            for tree in (False, True):
                yield Case(number, tree, round(rng.random(), 3), i == 4)


def run(
    case: Case, engine: Engine, usual: float, undisturbed: Mapping[str, bytes]
) -> tuple[Outcome, Faults]:
    """Kill a run, see that nothing goes on, and let the same command finish."""
    started = time.monotonic()
    process = engine.start()
    time.sleep(case.share * usual)
    ended = process.poll() is not None
    kill(process.pid, case.number, case.tree)
    outcome = engine.end(process, started)
    # Steps of an engine that was killed end a little later.
    remaining = left(engine.place)
    strays = engine.place.strays()
    if case.number is signal.SIGKILL and case.tree:
        # Nothing can remove temporary files when everything is killed.
        strays = [stray for stray in strays if not stray.endswith(TEMPORARY)]
    outcome = replace(outcome, strays=strays)
    faults = disturbed(outcome, killed=True)
    if remaining:
        faults.other.append(f"still at work: {remaining}")
    if not ended and case.number in INTERRUPTED and outcome.exit_code not in (0, 1, 2, *CODES):
        faults.other.append(f"exit code {outcome.exit_code}")
    faults.other += finishes(engine, undisturbed)
    return outcome, faults


CODES = {*INTERRUPTED.values(), *(-number for number in SIGNALS)}
"""How an interrupted run may end."""
