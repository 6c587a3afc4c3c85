"""The LHE file that a shower reads, and which of its events a showered event came from."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from madminer_workflow.errors import InputError, StepError

_INIT = re.compile(r"(<init>\s*\n\s*)([^\n]*)")
_EVENT = re.compile(r"<event[^>]*>\n(.*?)</event>", re.DOTALL)
_WEIGHTS = re.compile(r"<initrwgt>.*?</initrwgt>", re.DOTALL)
_STRATEGY, _STATUS, _ENERGY, _INCOMING = 8, 1, 9, -1
_TOLERANCE = 1e-6


def prepare(source: Path, target: Path) -> np.ndarray:
    """Copy an LHE file without weights; return its incoming energies (n, 2) [GeV].

    Every event has weight 1 and the file says so (IDWTUP = 3): otherwise Pythia would pick events
    by their weights, and drop the others. Raises InputError for what is not an LHE file.
    """
    text = source.read_text()
    head, start, events = text.partition("<event>")
    if not _INIT.search(head):
        raise InputError(f"{source}: is not an LHE file: there is no <init>")
    head = _INIT.sub(_weight_one, _WEIGHTS.sub("", head), count=1)
    copies, energies = [], []
    for event in _EVENT.finditer(start + events):
        lines = [line for line in event[1].splitlines() if line.strip()]
        numbers = lines[0].split()
        particles = lines[1 : 1 + int(numbers[0])]
        numbers[2] = "1.0"
        copies.append("\n".join(["<event>", " ".join(numbers), *particles, "</event>\n"]))
        energies.append(_incoming(particles))
    target.write_text(f"{head}{''.join(copies)}</LesHouchesEvents>\n")
    return np.reshape(energies, (len(energies), 2))


def _weight_one(init: re.Match[str]) -> str:
    numbers = init[2].split()
    numbers[_STRATEGY] = "3"
    return init[1] + " ".join(numbers)


def _incoming(particles: list[str]) -> list[float]:
    rows = [line.split() for line in particles]
    return [float(row[_ENERGY]) for row in rows if int(row[_STATUS]) == _INCOMING]


def origins(showered: np.ndarray, generated: np.ndarray, start: int = 0) -> list[int]:
    """The indices of events among the `generated` ones, by their incoming energies (n, 2) [GeV].

    Events keep their order; the first of `showered` is at `start` or later. Raises StepError for an
    event that was not generated.
    """
    indices = []
    for number, energies in enumerate(showered):
        same = np.isclose(generated[start:], energies, rtol=_TOLERANCE, atol=0.0).all(axis=1)
        if not same.any():
            raise StepError(
                f"showered event {number + 1} of this batch, from partons of {energies[0]:g} and "
                f"{energies[1]:g} GeV, is none of the {len(generated) - start} generated events "
                f"that are left"
            )
        indices.append(start + int(np.argmax(same)))
        start = indices[-1] + 1
    return indices
