"""The LHE file that a shower reads."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from madminer_workflow.errors import InputError

_INIT = re.compile(r"(<init>\s*\n\s*)([^\n]*)")
_EVENT = re.compile(r"<event[^>]*>\s*\n(.*?)</event>", re.DOTALL)
_WEIGHTS = re.compile(r"<initrwgt>.*?</initrwgt>", re.DOTALL)
_STRATEGY = 8
_WEIGHT, _SCALE = 2, 3


def prepare(source: Path, target: Path) -> np.ndarray:
    """Copy an LHE file without weights; return the scales (n_events,) of its events [GeV].

    Every event has weight 1 and the file says so (IDWTUP = 3): otherwise Pythia would pick events
    by their weights, and drop the others. Raises InputError for what is not an LHE file.
    """
    text = source.read_text()
    events = list(_EVENT.finditer(text))
    head = text[: events[0].start()] if events else text
    if not _INIT.search(head):
        raise InputError(f"{source}: is not an LHE file: there is no <init>")
    copies, scales = [], []
    for event in events:
        lines = [line for line in event[1].splitlines() if line.strip()]
        numbers = lines[0].split()
        particles = lines[1 : 1 + int(numbers[0])]
        numbers[_WEIGHT] = "1.0"
        copies.append("\n".join(["<event>", " ".join(numbers), *particles, "</event>\n"]))
        scales.append(float(numbers[_SCALE]))
    head = _INIT.sub(_weight_one, _WEIGHTS.sub("", head), count=1)
    target.write_text(f"{head}{''.join(copies)}</LesHouchesEvents>\n")
    return np.array(scales)


def _weight_one(init: re.Match[str]) -> str:
    numbers = init[2].split()
    numbers[_STRATEGY] = "3"
    return init[1] + " ".join(numbers)
