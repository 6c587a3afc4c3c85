"""Delphes simulates one event with two photons."""

import tempfile
from pathlib import Path

import uproot

from madminer_workflow.physics import programs

EVENT = """\

HepMC::Version 2.06.09
HepMC::IO_GenEvent-START_EVENT_LISTING
E 0 0 100.0 0.118 0.0078 0 -1 1 1 2 0 1 1.0
U GEV MM
V -1 0 0 0 0 0 2 2 0
P 1 2212 0 0 6500 6500 0.938 4 0 0 -1 0
P 2 2212 0 0 -6500 6500 0.938 4 0 0 -1 0
P 3 22 60 0 10 60.8276253 0 1 0 0 0 0
P 4 22 -60 0 -10 60.8276253 0 1 0 0 0 0
HepMC::IO_GenEvent-END_EVENT_LISTING
"""

program = programs.delphes()
with tempfile.TemporaryDirectory() as directory:
    (Path(directory) / "event.hepmc").write_text(EVENT)
    card = programs.delphes_card("delphes_card_CMS.tcl")
    command = [program, card, "event.root", "event.hepmc"]
    programs.run_program(command, Path(directory), Path(directory) / "delphes.log")
    with uproot.open(Path(directory) / "event.root") as file:
        [photons] = file["Delphes/Photon.PT"].array()
assert all(abs(photons - 60.0) < 20.0), photons
print(f"Delphes: {program}")
