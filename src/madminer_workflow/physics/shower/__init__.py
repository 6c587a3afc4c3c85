"""Parton shower and hadronisation: from an LHE file to HepMC, by Pythia 8.

Pythia's Python wheel takes the settings of the process' card and writes HepMC 2: the same events,
with the same version of Pythia and the same seed, as MadGraph's interface to Pythia.

Pythia may drop an event: an event's number is the place of the event in the LHE file that it was
showered from. Its weights are those of the LHE file; the HepMC file has none.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

from madminer_workflow.errors import StepError
from madminer_workflow.physics import programs
from madminer_workflow.physics.shower import partons, wheel
from madminer_workflow.physics.shower.card import Card

TOLERATED_LOSS = 0.01
"""Fraction of events that Pythia may drop; it may always drop one."""

_MEGABYTES = {True: 0.3, False: 0.1}
"""Disk space of an event's text [MB], with and without multiparton interactions, amply."""

_SEEDS = 900_000_000
"""Pythia's seeds are 1 to this number."""


def shower(lhe: Path, card: Card, seed: int, output: Path) -> wheel.Showered:
    """Shower the events of an LHE file into the HepMC file `output`.

    Raises StepError with the end of the program's log if it fails or drops too many events.
    """
    with tempfile.TemporaryDirectory(dir=output.parent) as scratch:
        directory = Path(scratch)
        scales = partons.prepare(lhe, directory / "partons.lhe")
        report = wheel.run(directory, card.lines, 1 + seed % _SEEDS, scales)
        lost = len(scales) - report.showered
        if not 0 <= lost <= max(1, TOLERATED_LOSS * len(scales)):
            raise StepError(
                f"{lhe.name}: {report.program} showered {report.showered} of "
                f"{len(scales)} generated events; the end of its log:\n"
                f"{programs.log_end(directory / 'pythia.log')}"
            )
        (directory / "showered.hepmc").rename(output)
    return report


def check_space(directories: Iterable[Path], events: Iterable[tuple[int, bool]]) -> None:
    """Raise StepError unless each of `directories` has room for the showered events.

    `events` are numbers of events, and whether these have multiparton interactions.
    """
    numbers = list(events)
    needed = sum(n * _MEGABYTES[interactions] for n, interactions in numbers)
    for directory in directories:
        existing = next(
            path for path in (directory, *directory.absolute().parents) if path.exists()
        )
        free = shutil.disk_usage(existing).free / 1e6
        if needed > free:
            raise StepError(
                f"not enough disk space: {sum((n for n, _ in numbers))} showered events take up "
                f"to {needed:.0f} MB, and {existing} has {free:.0f} MB left; free some space, "
                "set TMPDIR to another disk, or split the events into more jobs (njobs)"
            )
