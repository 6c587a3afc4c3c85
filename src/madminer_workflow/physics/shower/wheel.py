"""The shower by Pythia's Python wheel.

In a process of its own, because Pythia writes its log to the standard output of the process that it
runs in, and may take that process with it when it crashes.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import awkward as ak
import msgspec
import numpy as np

from madminer_workflow.errors import StepError
from madminer_workflow.files import read_struct, write_json
from madminer_workflow.physics import programs
from madminer_workflow.physics.shower import hepmc

PROGRAM = "pythia8mc"
_BATCH = 100
_HARD_INCOMING = 3
"""Where the first incoming parton is in Pythia's record."""


class Showered(msgspec.Struct, frozen=True, kw_only=True):
    """What was done: by which program, in which version, the number of showered events."""

    program: str
    version: str
    showered: int


class _Settings(msgspec.Struct, frozen=True, kw_only=True):
    lines: list[str]
    seed: int
    scales: list[float]


def run(directory: Path, lines: Sequence[str], seed: int, scales: np.ndarray) -> Showered:
    """Shower ``partons.lhe`` of `directory` into ``showered.hepmc``, with settings `lines`.

    `scales` (n_events,) are those of the file's events [GeV]. Raises StepError if Pythia fails.
    """
    settings = _Settings(lines=list(lines), seed=seed, scales=scales.tolist())
    write_json(directory / "settings.json", msgspec.to_builtins(settings))
    command = [sys.executable, "-m", __name__, str(directory)]
    programs.run_program(command, directory, directory / "pythia.log", name="Pythia")
    return read_struct(directory / "report.json", "Pythia", Showered)


def _shower(directory: Path) -> None:
    settings = read_struct(directory / "settings.json", "the shower", _Settings)
    pythia = _start(settings.lines, settings.seed)
    showered = 0
    with (directory / "showered.hepmc").open("w") as file:
        file.write(hepmc.HEADER)
        for events, numbers in _batches(pythia, np.array(settings.scales)):
            file.write(hepmc.event_texts(events, numbers, pythia.particleData.isHadron))
            showered += len(numbers)
        file.write(hepmc.FOOTER)
    version = f"{pythia.parm('Pythia:versionNumber'):.3f}"
    report = Showered(program=PROGRAM, version=version, showered=showered)
    write_json(directory / "report.json", msgspec.to_builtins(report))


def _start(lines: Sequence[str], seed: int) -> Any:
    from pythia8mc import Pythia

    pythia = Pythia("", False)
    ours = ["Beams:frameType = 4", "Beams:LHEF = partons.lhe", "Next:numberCount = 0"]
    ours += ["Random:setSeed = on", f"Random:seed = {seed}"]
    ours += [f"Next:numberShow{what} = 0" for what in ("LHA", "Info", "Process", "Event")]
    for line in (*lines, *ours):
        if not pythia.readString(line):
            raise StepError(f"Pythia refuses the setting '{line}'")
    if not pythia.init():
        raise StepError("Pythia cannot be initialised")
    return pythia


def _batches(pythia: Any, scales: np.ndarray) -> Iterator[tuple[ak.Array, np.ndarray]]:
    """Pythia's event records, and the indices of the events that they were showered from.

    One attempt takes one event of the file, which the scales of the events confirm.
    """
    for first in range(0, len(scales), _BATCH):
        attempts = pythia.nextBatch(min(_BATCH, len(scales) - first), "none")
        done = np.flatnonzero(~np.asarray(ak.is_none(attempts)))
        if not len(done):
            continue
        records, numbers = ak.drop_none(attempts).prt, first + done
        if not np.allclose(records.scale[:, _HARD_INCOMING], scales[numbers]):
            raise StepError("Pythia does not shower the events one by one, in their order")
        yield records, numbers


if __name__ == "__main__":
    try:
        _shower(Path(sys.argv[1]))
    except StepError as failure:
        sys.exit(str(failure))
