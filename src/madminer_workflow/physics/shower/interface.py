"""The shower by MadGraph's interface to Pythia, ``MG5aMC_PY8_interface``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from madminer_workflow.errors import StepError
from madminer_workflow.physics import programs
from madminer_workflow.physics.shower import hepmc
from madminer_workflow.physics.shower.partons import origins

PROGRAM = "MG5aMC_PY8_interface"
_VERSION = re.compile(r"PYTHIA version\s+([0-9.]+)", re.IGNORECASE)
_HARD_INCOMING, _STATUS, _ENERGY = b"21", 8, 6


def run(
    executable: Path, directory: Path, lines: Sequence[str], seed: int, energies: np.ndarray
) -> dict[str, Any]:
    """Shower ``partons.lhe`` of `directory` into ``showered.hepmc``, with settings `lines`.

    `energies` (n_events, 2) are those of the incoming partons. Returns program, version and number
    of showered events. Raises StepError if the interface fails.
    """
    own = {
        # The number itself: some versions wait forever when they are told to take all.
        "Main:numberOfEvents": len(energies),
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
    programs.run_program([executable, "card.cmd"], directory, log)
    raw = directory / "raw.hepmc"
    if not raw.is_file():
        raise StepError(f"{PROGRAM} wrote no events; the end of its log:\n{programs.log_end(log)}")
    showered = _number(raw, directory / "showered.hepmc", energies)
    raw.unlink()
    version = _VERSION.search(log.read_text(errors="replace"))
    return {
        "program": PROGRAM,
        "version": version[1] if version else "unknown",
        "showered": showered,
    }


def _number(source: Path, target: Path, energies: np.ndarray) -> int:
    """Copy a HepMC file with each event's origin for its number; return how many there are."""
    start = showered = 0
    with target.open("wb") as file:
        file.write(hepmc.HEADER.encode())
        for event in _events(source):
            (origin,) = origins(np.reshape(_hard_energies(event), (1, -1)), energies, start)
            start, showered = origin + 1, showered + 1
            head = event[0].split(maxsplit=2)
            event[0] = b"E %d %s" % (origin, head[2])
            file.writelines(event)
        file.write(hepmc.FOOTER.encode())
    return showered


def _events(path: Path) -> Iterator[list[bytes]]:
    """The lines of each event, without those of the file itself."""
    event: list[bytes] = []
    with path.open("rb") as file:
        for line in file:
            if line.startswith(b"E ") and event:
                yield event
                event = []
            if not line.startswith((b"HepMC::", b"\n")):
                event.append(line)
    if event:
        yield event


def _hard_energies(event: list[bytes]) -> list[float]:
    """The energies of the partons that collide, the one with the lower barcode first."""
    rows = [line.split() for line in event if line.startswith(b"P ") and b" 21 0 0 " in line]
    hard = [row for row in rows if row[_STATUS] == _HARD_INCOMING]
    hard.sort(key=lambda row: int(row[1]))
    return [float(row[_ENERGY]) for row in hard]
