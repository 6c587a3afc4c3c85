"""Event analysis against MadMiner's LHEReader: same file, observables and cuts, in one run.

    python benchmarks/reader.py [LHE file of the WBF process] [--copies N]

CPU time on one core, without imports. Ours also reads N copies of the events in one file, to show
the rate at the size of a real sample.
"""

import argparse
import gzip
import logging
import shutil
import tempfile
import time
from pathlib import Path

import h5py
import msgspec
import numpy as np
from madminer.lhe import LHEReader

from madminer_workflow.analysis.types import Reconstruction
from madminer_workflow.physics.readers.lhe import read_lhe
from madminer_workflow.physics.reconstruction import reconstruct

DATA = Path(__file__).parents[1] / "tests" / "data"
CUTS = ["(a[0] + a[1]).m > 122.0", "(a[0] + a[1]).m < 128.0", "pt_j1 > 20.0"]


def settings():
    """The oracle's observables and benchmarks."""
    with h5py.File(DATA / "madminer_lhereader_oracle.h5") as file:
        names, definitions, benchmarks = (
            [text.decode() for text in file[key][()]]
            for key in ("observables/names", "observables/definitions", "benchmarks/names")
        )
    observables = [
        {"name": name, "definition": definition, "required": True, "default": None}
        for name, definition in zip(names, definitions, strict=True)
    ]
    return observables, benchmarks


def madminer(lhe, observables):
    reader = LHEReader(str(DATA / "madminer_config.h5"))
    reader.add_sample(str(lhe), "sm")
    for entry in observables:
        reader.add_observable(entry["name"], entry["definition"], required=True)
    for text in CUTS:
        reader.add_cut(text)
    reader.analyse_samples()
    return np.stack([reader.observations[entry["name"]] for entry in observables], axis=1)


def ours(lhe, observables, benchmarks):
    limits = [
        f"{limit}_{name}" for limit in ("pt_min", "eta_max") for name in ("e", "mu", "a", "j")
    ]
    settings = {
        "seed": 1,
        "detector": {
            "delphes_card": None,
            "use_generator_truth": False,
            "acceptance": dict.fromkeys(limits),
            "smearing": [],
            "met_noise": {"abs_": 0.0, "rel": 0.0},
        },
        "observables": observables,
        "cuts": [{"definition": text, "required": False} for text in CUTS],
        "efficiencies": [],
    }
    analysis = msgspec.convert(settings, Reconstruction)
    events = read_lhe(lhe, benchmarks, "sm")
    result = reconstruct(events.particles, analysis, np.random.default_rng(0))
    return result.observations[result.passed], len(events)


def timed(function, *arguments):
    start = time.process_time()
    result = function(*arguments)
    return result, time.process_time() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("lhe", nargs="?", type=Path, default=DATA / "wbf_madgraph_1000.lhe.gz")
    parser.add_argument("--copies", type=int, default=90)
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    observables, benchmarks = settings()
    with tempfile.TemporaryDirectory() as scratch:
        # MadMiner unpacks beside the file it is given.
        lhe = Path(shutil.copy(options.lhe, scratch))
        ours(lhe, observables, benchmarks)  # first use of awkward, vector and the particle table
        (mine, n_events), seconds = timed(ours, lhe, observables, benchmarks)
        theirs, madminer_seconds = timed(madminer, lhe, observables)
        np.testing.assert_allclose(mine, theirs, rtol=1e-7, atol=1e-7)

        text = lhe.read_bytes()
        text = gzip.decompress(text) if lhe.suffix == ".gz" else text
        start, end = text.index(b"<event>"), text.index(b"</LesHouchesEvents>")
        large = Path(scratch) / "large.lhe"
        large.write_bytes(text[:start] + options.copies * text[start:end] + text[end:])
        (_, n_large), large_seconds = timed(ours, large, observables, benchmarks)

    report("MadMiner LHEReader", n_events, madminer_seconds)
    report("madminer-workflow", n_events, seconds)
    report("madminer-workflow", n_large, large_seconds)
    print(f"ratio {madminer_seconds / seconds:.0f} (same file), identical observables")


def report(who, n_events, seconds):
    print(f"{who:18s} {n_events:7d} events {seconds:8.2f} s {n_events / seconds:9.0f} events/s")


if __name__ == "__main__":
    main()
