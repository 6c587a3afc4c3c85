"""Shower and detector: seconds and megabytes per 1000 events.

    python benchmarks/shower.py [--events N] [--card delphes_card_CMS.tcl]

The events are those of tests/data (WBF Higgs to two photons). Needs Delphes (DELPHES_DIR). CPU
seconds include those of the programs that are run.
"""

from __future__ import annotations

import argparse
import gzip
import tempfile
from pathlib import Path

import numpy as np
from costs import Seconds, measured
from wbf import EVENTS, perfect_detector

from madminer_workflow.analysis.types import DelphesCard, Observable
from madminer_workflow.files import pack
from madminer_workflow.physics import shower
from madminer_workflow.physics.detector import detect
from madminer_workflow.physics.reconstruction import Reconstructed, reconstruct_delphes
from madminer_workflow.physics.shower.card import read_card

OBSERVABLES = ("j[0].pt", "j[0].deltaphi(j[1])", "(a[0] + a[1]).m", "met.pt", "float(j[0].b_tag)")


def lhe_file(path: Path, n_events: int) -> Path:
    """The first events of the test data as a file."""
    text = gzip.decompress(EVENTS.read_bytes()).decode()
    start, *blocks = text.split("<event>")
    path.write_text("<event>".join([start, *blocks[:n_events]]) + "</LesHouchesEvents>\n")
    return path


def analyse(root: Path, n_events: int) -> tuple[Reconstructed, np.ndarray]:
    """The analysis of what Delphes writes: observables, and which events they are of."""
    observables = [
        Observable(name=f"x{i}", definition=text, required=False, default=0.0)
        for i, text in enumerate(OBSERVABLES)
    ]
    return reconstruct_delphes(root, perfect_detector(observables), n_events, {})


def measure(
    lhe: Path, n_events: int, interactions: bool, delphes_card: str, directory: Path
) -> None:
    """Run the chain on a file of events, and print a row of the table for each part."""
    card = read_card(f"PartonLevel:MPI = {'on' if interactions else 'off'}")
    (directory / "events").mkdir(parents=True)
    (directory / "delphes").mkdir()
    hepmc = directory / "events/events.hepmc"
    archive = directory / "Events.tar.gz"
    report, cost = measured(shower.shower, lhe, card, 1, hepmc)
    rows: list[tuple[str, Seconds, Path | None]] = [(f"shower by {report.program}", cost, hepmc)]
    _, cost = measured(pack, directory / "events", archive)
    rows.append(("archive", cost, archive))
    wanted = DelphesCard(name=delphes_card, text=None)
    (root, _), cost = measured(detect, hepmc, wanted, 1, directory / "delphes")
    rows.append(("Delphes", cost, root))
    _, cost = measured(analyse, root, n_events)
    rows.append(("analysis", cost, None))
    scale = 1000.0 / n_events
    for what, cost, file in rows:
        size = f"{scale * file.stat().st_size / 1e6:.1f}" if file else ""
        mpi = "on" if interactions else "off"
        print(f"| {what} | {mpi} | {scale * cost.wall:.1f} | {scale * cost.cpu:.1f} | {size} |")


def main() -> None:
    """Run with and without multiple interactions."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--events", type=int, default=1000)
    parser.add_argument("--card", default="delphes_card_CMS.tcl")
    options = parser.parse_args()
    print("| what | interactions | wall [s] | CPU [s] | product [MB] |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as scratch:
        lhe = lhe_file(Path(scratch) / "events.lhe", options.events)
        for interactions in (True, False):
            directory = Path(scratch) / f"interactions_{interactions}"
            measure(lhe, options.events, interactions, options.card, directory)


if __name__ == "__main__":
    main()
