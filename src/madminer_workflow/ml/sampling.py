"""Sampling: training sets for every method and ensemble member."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from madminer_workflow.analysis import load_analysis
from madminer_workflow.errors import InputError
from madminer_workflow.files import atomic_path, write_json
from madminer_workflow.madminer_file import read_sample, read_setup
from madminer_workflow.ml import methods
from madminer_workflow.ml.events import union
from madminer_workflow.ml.problem import check_same_analysis, evaluation_settings
from madminer_workflow.seeds import derive_seed


def sampling(input_file: Path, data: Path, ntrainsamples: int, output: Path) -> None:
    """Write ``methods/<method>/Samples_<method>_<i>.npz`` for every method of the analysis.

    Each holds the arrays of one ensemble member and the method's settings. Beside them lies
    ``evaluation.json``, what evaluating needs to know, and above ``analysis.json`` for plotting.
    Raises InputError if the data belong to another analysis.
    """
    if ntrainsamples < 1:
        raise InputError(f"ntrainsamples: is {ntrainsamples}; expected at least 1 ensemble member")
    analysis = load_analysis(input_file)
    setup, sample = read_setup(data), read_sample(data)
    check_same_analysis(analysis, setup, sample, data)
    ml = analysis["ml"]
    training_events = union(sample, setup).part(0.0, 1.0 - ml["test_split"])
    evaluation = evaluation_settings(analysis)

    for settings in ml["methods"]:
        name = settings["name"]
        method = methods.get(settings["method"])
        write_json(output / "methods" / name / "evaluation.json", evaluation)
        # A histogram is the same for every member: nothing in it is random.
        members = 1 if settings["method"] == "histogram" else ntrainsamples
        for member in range(members):
            rng = np.random.default_rng(derive_seed(analysis["seed"], "sampling", name, member))
            arrays = method.draw(training_events, settings, rng)
            content = {
                "settings": settings,
                "member": member,
                "seed": derive_seed(analysis["seed"], "training", name, member),
                "observables": training_events.observables,
            }
            folder = output / "methods" / name
            with atomic_path(folder / f"Samples_{name}_{member}.npz") as product:
                np.savez(product, content=np.array(json.dumps(content, sort_keys=True)), **arrays)

    write_json(output / "analysis.json", analysis)
