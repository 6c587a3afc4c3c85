"""The shower by MadGraph's interface to Pythia, ``MG5aMC_PY8_interface``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from madminer_workflow.errors import StepError
from madminer_workflow.physics import programs
from madminer_workflow.physics.shower.partons import Partons, origin

PROGRAM = "MG5aMC_PY8_interface"
_VERSION = re.compile(r"PYTHIA version\s+([0-9.]+)", re.IGNORECASE)
_REFUSED = re.compile(r"PYTHIA \w+: (?:input string not found|variable recognized, but).*\n(.*)")
_START_SECONDS, _SECONDS_PER_EVENT = 300.0, 2.0
"""Ample: when Pythia cannot be initialised, the interface tries to make events forever."""

_BARCODE, _ENERGY, _STATUS = 1, 6, 8
_HARD_INCOMING = b"21"


def run(
    executable: Path, directory: Path, lines: Sequence[str], seed: int, generated: Partons
) -> dict[str, Any]:
    """Shower ``partons.lhe`` of `directory` into ``showered.hepmc``, with settings `lines`.

    Returns program, version and number of showered events. Raises StepError if the interface fails.
    """
    own = {
        # The number itself: some versions wait forever when they are told to take all.
        "Main:numberOfEvents": len(generated),
        "Beams:frameType": 4,
        "Beams:LHEF": "partons.lhe",
        "LHEFInputs:nSubruns": 1,
        "Main:subrun": 0,
        "HEPMCoutput:file": "raw.hepmc",
        "Random:setSeed": "on",
        "Random:seed": seed,
        "Next:numberCount": 0,
    }
    card = [*lines, *(f"{key} = {value}" for key, value in own.items())]
    (directory / "card.cmd").write_text("\n".join(card) + "\n")
    log = directory / "pythia.log"
    limit = _START_SECONDS + _SECONDS_PER_EVENT * len(generated)
    programs.run_program([executable, "card.cmd"], directory, log, limit=limit)
    said = log.read_text(errors="replace")
    if refused := _REFUSED.search(said):
        raise StepError(
            f"{PROGRAM} refuses the setting '{refused[1].strip()}', which Pythia's wheel accepts: "
            "it was built with another version of Pythia"
        )
    raw = directory / "raw.hepmc"
    if not raw.is_file():
        raise StepError(f"{PROGRAM} wrote no events; the end of its log:\n{programs.log_end(log)}")
    numbers = _numbers(raw, generated)
    _copy(raw, directory / "showered.hepmc", numbers)
    raw.unlink()
    version = _VERSION.search(said)
    return {
        "program": PROGRAM,
        "version": version[1] if version else "unknown",
        "showered": len(numbers),
    }


def _numbers(path: Path, generated: Partons) -> list[int]:
    """The index of the generated event that each showered one came from.

    If none is missing, their order says it; otherwise the energies of the incoming partons do,
    which Pythia keeps but for a few events whose partons it has to give a mass.
    """
    with path.open("rb") as file:
        showered = sum(line.startswith(b"E ") for line in file)
    if showered >= len(generated):
        return list(range(showered))
    numbers: list[int] = []
    for event in _events(path):
        start = numbers[-1] + 1 if numbers else 0
        numbers.append(origin(_incoming_energies(event), generated.incoming, start))
    return numbers


def _copy(source: Path, target: Path, numbers: Sequence[int]) -> None:
    """Copy a HepMC file with other event numbers."""
    with source.open("rb") as events, target.open("wb") as file:
        left = iter(numbers)
        for line in events:
            if line.startswith(b"E "):
                line = b"E %d %s" % (next(left), line.split(maxsplit=2)[2])
            file.write(line)


def _events(path: Path) -> Iterator[list[bytes]]:
    """The particles' lines of each event."""
    event: list[bytes] = []
    with path.open("rb") as file:
        for line in file:
            if line.startswith(b"E ") and event:
                yield event
                event = []
            elif line.startswith(b"P "):
                event.append(line)
    if event:
        yield event


def _incoming_energies(event: list[bytes]) -> np.ndarray:
    """The energies (2,) of the partons that collide, the one with the lower barcode first."""
    rows = [line.split() for line in event]
    hard = [row for row in rows if row[_STATUS] == _HARD_INCOMING]
    hard.sort(key=lambda row: int(row[_BARCODE]))
    return np.array([float(row[_ENERGY]) for row in hard[:2]])
