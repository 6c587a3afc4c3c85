"""Event analysis against MadMiner's LHEReader: same file, observables and cuts, in one run.

    python benchmarks/reader.py [LHE file of the WBF process] [--copies N]

CPU time on one core, without imports. Ours also reads N copies of the events in one file, to show
the rate at the size of a real sample.
"""

from __future__ import annotations

import argparse
import gzip
import logging
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np
from costs import measured
from madminer.lhe import LHEReader
from wbf import CONFIG, DATA, EVENTS, perfect_detector

from madminer_workflow.analysis.types import Cut, Observable
from madminer_workflow.physics.readers.lhe import read_lhe
from madminer_workflow.physics.reconstruction import reconstruct

CUTS = ["(a[0] + a[1]).m > 122.0", "(a[0] + a[1]).m < 128.0", "pt_j1 > 20.0"]


def settings() -> tuple[list[Observable], list[str]]:
    """The oracle's observables and benchmarks."""
    with h5py.File(DATA / "madminer_lhereader_oracle.h5") as file:
        names, definitions, benchmarks = (
            [text.decode() for text in file[key][()]]
            for key in ("observables/names", "observables/definitions", "benchmarks/names")
        )
    observables = [
        Observable(name=name, definition=definition, required=True, default=None)
        for name, definition in zip(names, definitions, strict=True)
    ]
    return observables, benchmarks


def madminer(lhe: Path, observables: Sequence[Observable]) -> np.ndarray:
    """Observables (n_events, n_observables) by MadMiner."""
    reader = LHEReader(str(CONFIG))
    reader.add_sample(str(lhe), "sm")
    for observable in observables:
        reader.add_observable(observable.name, observable.definition, required=True)
    for text in CUTS:
        reader.add_cut(text)
    reader.analyse_samples()
    return np.stack([reader.observations[observable.name] for observable in observables], axis=1)


def ours(
    lhe: Path, observables: Sequence[Observable], benchmarks: list[str]
) -> tuple[np.ndarray, int]:
    """The same by ours, and how many events were read."""
    cuts = [Cut(definition=text, required=False) for text in CUTS]
    analysis = perfect_detector(observables, cuts)
    events = read_lhe(lhe, benchmarks, "sm")
    result = reconstruct(events.particles, analysis, np.random.default_rng(0))
    return result.observations[result.passed], len(events)


def main() -> None:
    """Run both, check that they agree, and print their rates."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("lhe", nargs="?", type=Path, default=EVENTS)
    parser.add_argument("--copies", type=int, default=90)
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    observables, benchmarks = settings()
    with tempfile.TemporaryDirectory() as scratch:
        # MadMiner unpacks beside the file it is given.
        lhe = Path(shutil.copy(options.lhe, scratch))
        ours(lhe, observables, benchmarks)  # first use of awkward, vector and the particle table
        (mine, n_events), cost = measured(ours, lhe, observables, benchmarks)
        theirs, madminer_cost = measured(madminer, lhe, observables)
        np.testing.assert_allclose(mine, theirs, rtol=1e-7, atol=1e-7)

        text = lhe.read_bytes()
        text = gzip.decompress(text) if lhe.suffix == ".gz" else text
        start, end = text.index(b"<event>"), text.index(b"</LesHouchesEvents>")
        large = Path(scratch) / "large.lhe"
        large.write_bytes(text[:start] + options.copies * text[start:end] + text[end:])
        (_, n_large), large_cost = measured(ours, large, observables, benchmarks)

    report("MadMiner LHEReader", n_events, madminer_cost.cpu)
    report("madminer-workflow", n_events, cost.cpu)
    report("madminer-workflow", n_large, large_cost.cpu)
    print(f"ratio {madminer_cost.cpu / cost.cpu:.0f} (same file), identical observables")


def report(who: str, n_events: int, seconds: float) -> None:
    """Print a rate."""
    print(f"{who:18s} {n_events:7d} events {seconds:8.2f} s {n_events / seconds:9.0f} events/s")


if __name__ == "__main__":
    main()
