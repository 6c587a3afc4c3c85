"""Shower and detector: seconds and megabytes per 1000 events.

    python benchmarks/shower.py [--events N] [--card delphes_card_CMS.tcl]

The events are those of tests/data (WBF Higgs to two photons). Needs Delphes (DELPHES_DIR). CPU
seconds include those of the programs that are run.
"""

import argparse
import gzip
import resource
import tempfile
import time
from pathlib import Path

from madminer_workflow.analysis.types import (
    Acceptance,
    DelphesCard,
    DetectorWithCard,
    METNoise,
    Observable,
    Reconstruction,
)
from madminer_workflow.files import pack
from madminer_workflow.physics import shower
from madminer_workflow.physics.detector import detect
from madminer_workflow.physics.reconstruction import reconstruct_delphes
from madminer_workflow.physics.shower.card import read_card

DATA = Path(__file__).parents[1] / "tests" / "data"
OBSERVABLES = ("j[0].pt", "j[0].deltaphi(j[1])", "(a[0] + a[1]).m", "met.pt", "float(j[0].b_tag)")


def lhe_file(path, n_events):
    events = gzip.decompress((DATA / "wbf_madgraph_1000.lhe.gz").read_bytes()).decode()
    start, *events = events.split("<event>")
    path.write_text("<event>".join([start, *events[:n_events]]) + "</LesHouchesEvents>\n")
    return path


def cpu():
    own, children = (
        resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def timed(function, *arguments):
    wall, used = time.perf_counter(), cpu()
    result = function(*arguments)
    return result, time.perf_counter() - wall, cpu() - used


def analyse(root, n_events):
    limits = [
        f"{limit}_{name}" for limit in ("pt_min", "eta_max") for name in ("e", "mu", "a", "j")
    ]
    settings = Reconstruction(
        seed=1,
        detector=DetectorWithCard(
            delphes_card=None,
            use_generator_truth=False,
            acceptance=Acceptance(**dict.fromkeys(limits)),
            smearing=(),
            met_noise=METNoise(abs_=0.0, rel=0.0),
        ),
        observables=tuple(
            Observable(name=f"x{i}", definition=text, required=False, default=0.0)
            for i, text in enumerate(OBSERVABLES)
        ),
        cuts=(),
        efficiencies=(),
    )
    return reconstruct_delphes(root, settings, n_events, {})


def measure(lhe, n_events, interactions, delphes_card, directory):
    scale = 1000.0 / n_events
    card = read_card(f"PartonLevel:MPI = {'on' if interactions else 'off'}")
    (directory / "events").mkdir(parents=True)
    (directory / "delphes").mkdir()
    hepmc = directory / "events/events.hepmc"
    report, wall, used = timed(shower.shower, lhe, card, 1, hepmc)
    rows = [(f"shower by {report.program}", wall, used, hepmc)]
    archive = directory / "Events.tar.gz"
    _, wall, used = timed(pack, directory / "events", archive)
    rows.append(("archive", wall, used, archive))
    detected, wall, used = timed(
        detect, hepmc, DelphesCard(name=delphes_card, text=None), 1, directory / "delphes"
    )
    rows.append(("Delphes", wall, used, detected.root))
    _, wall, used = timed(analyse, detected.root, n_events)
    rows.append(("analysis", wall, used, None))
    for what, wall, used, file in rows:
        size = f"{scale * file.stat().st_size / 1e6:.1f}" if file else ""
        mpi = "on" if interactions else "off"
        print(f"| {what} | {mpi} | {scale * wall:.1f} | {scale * used:.1f} | {size} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
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
