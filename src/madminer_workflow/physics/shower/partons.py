"""The LHE file that a shower reads."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from madminer_workflow.errors import InputError
from madminer_workflow.physics.readers.lhe_text import EVENT_LINE, split_events

_INIT = re.compile(rb"(<init>\s*\n\s*)([^\n]*)")
_WEIGHTS = re.compile(rb"<initrwgt>.*?</initrwgt>", re.DOTALL)
_STRATEGY = 8
_WEIGHT, _SCALE = EVENT_LINE.index("weight"), EVENT_LINE.index("scale")


def prepare(source: Path, target: Path) -> np.ndarray:
    """Copy an LHE file without weights; return the scales (n_events,) of its events [GeV].

    Every event has weight 1 and the file says so (IDWTUP = 3): otherwise Pythia would pick events
    by their weights, and drop the others. Raises InputError for what is not an LHE file.
    """
    text = split_events(source.read_bytes())
    if not _INIT.search(text.before):
        raise InputError(f"{source}: is not an LHE file: there is no <init>")
    pieces, scales = [_INIT.sub(_weight_one, _WEIGHTS.sub(b"", text.before), count=1)], []
    for event in text.events:
        lines = [line for line in event.splitlines() if line.strip()]
        numbers = lines[0].split()
        particles = lines[1 : 1 + int(numbers[0])]
        numbers[_WEIGHT] = b"1.0"
        pieces.append(b"\n".join([b"<event>", b" ".join(numbers), *particles, b"</event>\n"]))
        scales.append(float(numbers[_SCALE]))
    target.write_bytes(b"".join([*pieces, b"</LesHouchesEvents>\n"]))
    return np.array(scales)


def _weight_one(init: re.Match[bytes]) -> bytes:
    numbers = init[2].split()
    numbers[_STRATEGY] = b"3"
    return init[1] + b" ".join(numbers)
