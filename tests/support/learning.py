"""Draw, train and evaluate a method on the toy events of ``conftest``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import msgspec
import numpy as np
import pytest

from madminer_workflow.analysis.types import Method
from madminer_workflow.files import unpack, write_json
from madminer_workflow.madminer_file import read_sample, read_setup, write_sample
from madminer_workflow.ml.evaluating import evaluating
from madminer_workflow.ml.member import Member, open_member
from madminer_workflow.ml.sampling import draw_member, write_member
from madminer_workflow.ml.training import fit, training
from madminer_workflow.products.evaluation import Evaluation
from madminer_workflow.products.model import ModelNote, note_in
from madminer_workflow.products.samples import samples_path
from madminer_workflow.statistics.events import Events, union
from madminer_workflow.statistics.sample import Sample, madminer_shares
from tests.support import chain
from tests.support.shared import shared
from tests.support.synthetic_analysis import write_setup_file

PRIORS = {
    "CWL2": {"prior": "gaussian", "mean": 0.0, "std": 0.5},
    "CPWL2": {"prior": "flat", "min": -1.0, "max": 1.0},
}
TRAINING = {
    "optimizer": "amsgrad",
    "n_epochs": 2,
    "batch_size": 100,
    "initial_lr": 0.002,
    "final_lr": 0.001,
    "validation_split": 0.25,
    "early_stopping": True,
    "scale_inputs": True,
    "early_stopping_patience": None,
    "limit_samplesize": None,
    "clip_gradient": None,
}
GRID = {"range": [-1.0, 1.0], "resolution": 5}
EVALUATION = {
    "analysis": "toy",
    "luminosity": 3e6,
    "theta_ref": "sm",
    "test_split": 0.2,
    "fisher_theta": "sm",
    "seed": 1,
    "limits": {
        "theta_true": "sm",
        "grid": {"CWL2": GRID, "CPWL2": GRID},
        "confidence_levels": [0.6827, 0.95],
        "toys": {"n_toys": 0, "points": [], "resolution": 3, "njobs": 1},
    },
}
SCORE = ["sally", "sallino"]
RATIO = ["alice", "alices", "carl", "rolr", "cascal", "rascal"]
DENSITY = ["scandal", "nde"]
METHODS = ["histogram", *SCORE, *RATIO, *DENSITY, "polynomial"]
ESTIMATORS = ["parameterized", "doubly_parameterized", "morphing_aware"]


def settings(method: str, **changes: Any) -> dict[str, Any]:
    """All settings of a method, as the analysis file with its defaults gives them."""
    result: dict[str, Any] = {"method": method, "name": method}
    if method == "histogram":
        result |= {"observables": ["x0", "x1"], "bins": {"x0": 4, "x1": [-1.0, 0.0, 1.0]}}
        return result | {"theta": "sm"} | changes
    if method == "polynomial":
        cycle = {"n_epochs": 2, "n_steps": 20, "batch_size": 100, "max_lr": 0.003}
        result |= {"n_estimators": None, "features": None, "theta": "sm"}
        result |= {"network": {"n_hidden": [8]} | changes.pop("network", {})}
        return result | {"training": cycle | changes.pop("training", {})} | changes
    result |= {"n_samples": 800, "n_estimators": None, "features": None}
    result["training"] = dict(TRAINING)
    result["network"] = {"n_hidden": [8], "activation": "tanh", "dropout_prob": 0.0}
    if method in SCORE:
        kind = {"kind": "fixed"} if method == "sally" else {}
        result |= {"theta": "sm", "binning": {**kind, "bins": None}}
    else:
        result["theta0"] = {"n_thetas": 40, "priors": PRIORS}
        result["training"]["scale_parameters"] = True
    if method in RATIO:
        result |= of_estimator(result, changes.pop("estimator", "parameterized"))
    if method in DENSITY:
        result["theta"] = "sm"
        del result["network"]["dropout_prob"]
        result["network"] |= {"n_mades": 2, "n_components": 1, "batch_norm": None}
    if method in ("alices", "cascal", "rascal", "scandal"):
        result["training"]["alpha"] = 0.5
    for section in ("network", "training"):
        result[section] |= changes.pop(section, {})
    return result | changes


def analytic_file(directory: Path, n: int, size: int) -> Path:
    """A MadMiner file of ``n`` parameters p0, p1, ... whose likelihood is known.

    Observables x are normal at sm, where all parameters are 0; the density at theta is that times
    (1 + theta x / 2)^2 / (1 + theta^2 / 4).
    """
    write_setup_file(directory / "setup.h5", n, [])
    if n == 1:
        # The third point is close to the first otherwise, and morphing a matter of cancellations.
        basis = np.array([[0.0], [1.0], [-1.0]])
        with h5py.File(directory / "setup.h5", "a") as file:
            file["benchmarks/values"][...] = basis
            monomials = basis ** file["morphing/components"][()].T
            file["morphing/morphing_matrix"][...] = np.linalg.inv(monomials)
    setup = read_setup(directory / "setup.h5")
    x = np.random.default_rng(5).normal(size=(size, n))
    ids = np.zeros(size, dtype=int)
    generated = np.bincount(ids, minlength=len(setup.benchmark_names))
    sample = Sample(
        observables=[f"x{i}" for i in range(n)],
        observations=x,
        weights=1e-3 / size * (1.0 + 0.5 * x @ setup.benchmarks.T) ** 2,
        nuisance_weights=np.empty((size, 0)),
        shares=madminer_shares(ids, generated),
        sampling_ids=ids,
        generated=generated,
        background=0,
    )
    definitions = {name: name for name in sample.observables}
    write_sample(directory / "data.h5", directory / "setup.h5", sample, definitions, {})
    return directory / "data.h5"


def analytic_log_ratio(x: np.ndarray, theta: np.ndarray) -> np.ndarray:
    """log p(x | theta) / p(x | 0) of ``analytic_file``, (n_events,)."""
    return 2.0 * np.log(np.abs(1.0 + 0.5 * x @ theta)) - np.log(1.0 + 0.25 * theta @ theta)


def analytic_settings(method: str, n: int, **changes: Any) -> dict[str, Any]:
    """As ``settings`` for the parameters of ``analytic_file``."""
    chosen = settings(method, **changes)
    flat = {f"p{i}": {"prior": "flat", "min": -1.0, "max": 1.0} for i in range(n)}
    for key in ("theta0", "theta1"):
        if isinstance(chosen.get(key), dict):
            chosen[key] = {**chosen[key], "priors": flat}
    return chosen


def of_estimator(chosen: dict[str, Any], estimator: str) -> dict[str, Any]:
    """What settings have more, or otherwise, for one of the estimators of the ratio."""
    if estimator == "doubly_parameterized":
        return {"estimator": estimator, "theta": "sm", "theta1": chosen["theta0"]}
    if "morphing_aware" in estimator:
        del chosen["training"]["scale_parameters"]
    return {"estimator": estimator, "theta1": "sm"}


def evaluation(**changes: Any) -> Evaluation:
    """``EVALUATION`` as steps have it, with other entries."""
    return msgspec.convert({**EVALUATION, **changes}, Evaluation)


def typed(chosen: dict[str, Any]) -> Any:
    """Settings as methods have them."""
    return msgspec.convert(chosen, Method)


def samples(data: Path, chosen: dict[str, Any], directory: Path, member: int = 0) -> Path:
    """The training set of one member, from the first 80 % of the events."""
    events = union(read_sample(data), read_setup(data)).part(0.0, 0.8)
    write_member(directory, events, typed(chosen), member, 1)
    return samples_path(directory, chosen["name"], member)


def trained(events: Events, chosen: dict[str, Any], directory: Path) -> Member:
    """A member of a method trained on ``events``."""
    samples = draw_member(events, typed(chosen), member=0, seed=1)
    return Member(fit(samples, samples.note.settings, directory), directory)


def opened(archive: Path, directory: Path) -> Member:
    """The member in a model's archive."""
    return open_member(archive, directory)


def model(data: Path, chosen: dict[str, Any], directory: Path, member: int = 0) -> Path:
    """A trained member."""
    output = directory / f"{chosen['name']}_{member}"
    training(samples(data, chosen, directory, member), output)
    return output / "Model.tar.gz"


def members(data: Path, factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Path]]:
    """Two hardly trained members of every method, made once for all modules."""

    def make(directory: Path) -> dict[str, tuple[Path, Path]]:
        return {
            method: tuple(  # type: ignore[misc]
                model(data, settings(method), directory, i) for i in range(2)
            )
            for method in METHODS
        }

    return shared(factory, "members", make)


def note(archive: Path) -> ModelNote:
    """What a model says about itself."""
    return note_in(archive)


def results(
    data: Path, models: list[Path], directory: Path, observed: str | None = None, **changes: Any
) -> Any:
    """Summary and arrays of an evaluation."""
    write_json(directory / "evaluation.json", {**EVALUATION, **changes})
    evaluating(directory / "evaluation.json", data, models, directory, observed)
    unpacked = unpack(directory / "Results.tar.gz", directory / "unpacked")
    with np.load(unpacked / "arrays.npz") as arrays:
        return json.loads((unpacked / "results.json").read_text()), dict(arrays)


def analysis(path: Path, chosen: list[dict[str, Any]], luminosity: float = 3e5) -> Path:
    """An analysis file with methods for the toy events."""
    return chain.analysis_file(
        path,
        name="toy",
        benchmarks={"sm": {"CWL2": 0.0, "CPWL2": 0.0}, "w": {"CWL2": 10.0, "CPWL2": 0.0}},
        processes=[{**chain.tiny("processes")[0], "events": {"sm": 8000, "w": 2000}}],
        observables=[{"name": f"x{i}", "definition": f"j[{i}].pt"} for i in range(2)],
        cuts=[],
        ml={
            "luminosity": luminosity,
            "test_split": 0.2,
            "methods": chosen,
            "limits": {"grid": {"CWL2": GRID, "CPWL2": GRID}},
        },
    )
