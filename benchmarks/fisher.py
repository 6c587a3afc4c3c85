"""The Fisher information of `make run` beside the tutorial's, with the error that one has.

The tutorial gives no errors. Its numbers come from one sample of the size of ours, joined with
MadMiner's constant fractions of events; the last columns are our own events joined in that way,
whose bootstrap errors are those that the published numbers must have. Needs `make run`.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from madminer_workflow.files import read_json, unpack
from madminer_workflow.madminer_file import madminer_shares, read_sample, read_setup
from madminer_workflow.ml import methods
from madminer_workflow.ml.events import union
from madminer_workflow.ml.model import model_settings
from madminer_workflow.ml.problem import evaluation_settings, pose_problem


def main() -> None:
    workdir = Path(sys.argv[1]) if len(sys.argv) > 1 else Path("runs/wbf")
    data = workdir / "physics" / "combine" / "combined_delphes.h5"
    if not data.exists():
        sys.exit(f"{data}: no such file; run `make run` first")
    analysis = read_json(workdir / "ml" / "sampling" / "analysis.json")
    mixture = pose_problem(evaluation_settings(analysis), data)
    sample = read_sample(data)
    fractions = madminer_shares(sample.sampling_ids, sample.generated)
    everything = union(replace(sample, shares=fractions), read_setup(data))
    boundary = 1.0 - analysis["ml"]["test_split"]
    constant = replace(mixture, everything=everything, test=everything.part(boundary, 1.0))

    print(f"{'method':16}{'entry':>6}{'published':>11}{'ours':>16}{'constant fractions':>22}")
    for model in sorted(workdir.glob("ml/method_*/training_0/Model.tar.gz")):
        with tempfile.TemporaryDirectory() as scratch:
            directory = unpack(model, scratch)
            settings = model_settings(directory)
            information = methods.get(settings["method"]).information
            ours, theirs = information(directory, mixture), information(directory, constant)
        published = np.array(analysis["ml"]["fisher"]["published"][settings["name"]])
        for i in range(len(published)):
            print(
                f"{settings['name']:16}{f'{i + 1}{i + 1}':>6}{published[i, i]:11.2f}"
                f"{ours.matrix[i, i]:10.2f} ±{ours.error[i, i]:5.2f}"
                f"{theirs.matrix[i, i]:15.2f} ±{theirs.error[i, i]:5.2f}"
            )


if __name__ == "__main__":
    main()
