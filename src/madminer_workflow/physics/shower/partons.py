"""The LHE file that a shower reads, and which of its events a showered event came from."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from madminer_workflow.errors import InputError, StepError

_INIT = re.compile(r"(<init>\s*\n\s*)([^\n]*)")
_EVENT = re.compile(r"<event[^>]*>\s*\n(.*?)</event>", re.DOTALL)
_WEIGHTS = re.compile(r"<initrwgt>.*?</initrwgt>", re.DOTALL)
_STRATEGY = 8
_WEIGHT, _SCALE = 2, 3
_STATUS, _ENERGY = 1, 9
_INCOMING, _N_INCOMING = -1, 2
_TOLERANCE = 1e-6


@dataclass(frozen=True)
class Partons:
    """What tells the n events of a file apart.

    `scales` (n,) are those of the hard processes, `incoming` (n, 2) the energies of the partons
    that collide, all in GeV.
    """

    scales: np.ndarray
    incoming: np.ndarray

    def __len__(self) -> int:
        """Return the number of events."""
        return len(self.scales)


def prepare(source: Path, target: Path) -> Partons:
    """Copy an LHE file without weights.

    Every event has weight 1 and the file says so (IDWTUP = 3): otherwise Pythia would pick events
    by their weights, and drop the others. Raises InputError for what is not an LHE file.
    """
    text = source.read_text()
    events = list(_EVENT.finditer(text))
    head = text[: events[0].start()] if events else text
    if not _INIT.search(head):
        raise InputError(f"{source}: is not an LHE file: there is no <init>")
    copies, scales, incoming = [], [], []
    for event in events:
        lines = [line for line in event[1].splitlines() if line.strip()]
        numbers = lines[0].split()
        particles = lines[1 : 1 + int(numbers[0])]
        numbers[_WEIGHT] = "1.0"
        copies.append("\n".join(["<event>", " ".join(numbers), *particles, "</event>\n"]))
        scales.append(float(numbers[_SCALE]))
        incoming.append(_incoming(particles))
    head = _INIT.sub(_weight_one, _WEIGHTS.sub("", head), count=1)
    target.write_text(f"{head}{''.join(copies)}</LesHouchesEvents>\n")
    return Partons(np.array(scales), np.reshape(incoming, (len(incoming), _N_INCOMING)))


def _weight_one(init: re.Match[str]) -> str:
    numbers = init[2].split()
    numbers[_STRATEGY] = "3"
    return init[1] + " ".join(numbers)


def _incoming(particles: list[str]) -> list[float]:
    rows = [line.split() for line in particles]
    return [float(row[_ENERGY]) for row in rows if int(row[_STATUS]) == _INCOMING][:_N_INCOMING]


def origin(energies: np.ndarray, generated: np.ndarray, start: int) -> int:
    """The index of the event that one was showered from, `start` or later.

    `energies` (2,) [GeV] are those of its incoming partons, `generated` (n_events, 2) those of all
    events. Raises StepError for an event that was not generated.
    """
    left = generated[start:]
    same = np.isclose(left, energies, rtol=_TOLERANCE, atol=0.0).all(axis=1)
    if not same.any():
        raise StepError(
            f"a showered event, from partons of {energies[0]:g} and {energies[1]:g} GeV, is none "
            f"of the {len(left)} generated events that are left of {len(generated)}"
        )
    return start + int(np.argmax(same))
