"""What joining the samples as one mixture gains over MadMiner's constant fractions of events.

Prints, for every benchmark, the cross-section after cuts with its statistical error and the
effective number of events under both weightings. Needs the events of `make run`.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from madminer_workflow.madminer_file import read_sample, read_setup
from madminer_workflow.statistics.sample import madminer_shares
from madminer_workflow.statistics.weights import effective_size

DEFAULT = Path("runs/wbf/physics/combine/combined_delphes.h5")


def main() -> None:
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT
    if not path.exists():
        sys.exit(f"{path}: no such file; run `make run` first")
    setup, sample = read_setup(path), read_sample(path)
    weightings = {
        "fractions": madminer_shares(sample.sampling_ids, sample.generated),
        "mixture": sample.shares,
    }
    print(f"{len(sample.weights)} events")
    print(
        f"{'benchmark':24}{'weighting':>11}{'sigma [fb]':>12}{'error':>8}{'effective events':>18}"
    )
    for i, name in enumerate(setup.benchmark_names):
        for label, shares in weightings.items():
            weights = shares * sample.weights[:, i]
            error = np.sqrt(np.square(weights).sum()) / weights.sum()
            print(
                f"{name:24}{label:>11}{1000 * weights.sum():12.4f}{error:8.2%}"
                f"{effective_size(weights):18.0f}"
            )


if __name__ == "__main__":
    main()
