"""A small analysis with any number of parameters and made-up results, for plots and report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import h5py
import msgspec
import numpy as np

from madminer_workflow.analysis import types
from madminer_workflow.analysis.systematics import nuisance_parameters
from madminer_workflow.files import pack, read_json, unpack, write_json
from madminer_workflow.madminer_file import read_setup, write_sample
from madminer_workflow.products.evaluation import evaluation_of
from madminer_workflow.products.problem import pose_problem
from madminer_workflow.products.results import (
    LENGTH_DIRECTIONS,
    LENGTH_REPLICAS,
    PROVEN_REPLICAS,
)
from madminer_workflow.statistics.efficiency import summarise_proven
from madminer_workflow.statistics.information import profile
from madminer_workflow.statistics.limits import (
    likelihood_ratio_statistic,
    make_grid,
    summarise_ensemble,
)
from madminer_workflow.statistics.plain import plain
from madminer_workflow.statistics.sample import Sample, madminer_shares
from madminer_workflow.statistics.setup import Setup

N_EVENTS = 400
LEVELS = [0.6827, 0.95]
PASSED = {
    "check": "mean of the score",
    "value": 0.01,
    "error": 0.02,
    "expected": "0 within 0.05 and 3 standard errors",
    "passed": True,
    "meaning": "it is 0 for any true score",
    "reason": "more would show",
    "sentence": "The mean is 0.01.",
    "proves": "its score has no bias",
}
FAILED = {**PASSED, "value": 0.75, "passed": False, "sentence": "The mean is 0.75."}


@dataclass(frozen=True)
class Analysis:
    """Paths of the inputs of plotting."""

    analysis: Path
    data: Path
    results: list[Path]


SYSTEMATICS = [
    {"systematic_name": "lumi", "effect": "norm", "norm_variation": 1.05},
    {
        "systematic_name": "scale",
        "effect": "scale",
        "scale": "muf",
        "scale_variations": [0.5, 1.0, 2.0],
    },
]


def write_setup_file(path: Path, n: int, systematics: Sequence[dict[str, Any]]) -> None:
    """A set-up with quadratic morphing in ``n`` parameters: p0, p1, ..."""
    components = [[0] * n]
    for i in range(n):
        for powers in ({i: 1}, {i: 2}, *({i: 1, j: 1} for j in range(i))):
            components.append([powers.get(k, 0) for k in range(n)])
    components = np.array(components)
    rng = np.random.default_rng(n)
    benchmarks = np.concatenate([np.zeros((1, n)), np.eye(n)])
    extra = rng.uniform(-2.0, 2.0, (len(components) - len(benchmarks), n))
    benchmarks = np.concatenate([benchmarks, extra])
    monomials = np.prod(benchmarks[:, None, :] ** components, axis=-1)
    names = ["sm", *(f"b{i}" for i in range(n)), *(f"extra{i}" for i in range(len(extra)))]
    with h5py.File(path, "w") as file:
        file["parameters/names"] = [f"p{i}".encode() for i in range(n)]
        file["benchmarks/names"] = [name.encode() for name in names]
        file["benchmarks/values"] = benchmarks
        file["morphing/components"] = components
        file["morphing/morphing_matrix"] = np.linalg.inv(monomials)
    if systematics:
        write_nuisance_parameters(path, systematics)


def write_nuisance_parameters(path: Path, systematics: Sequence[dict[str, Any]]) -> None:
    """Add what MadMiner's files hold for systematic uncertainties."""
    nuisance = nuisance_parameters(msgspec.convert(systematics, list[types.Systematic]))
    added = sorted(name for each in nuisance for name in each.benchmarks)

    def texts(values: list[str | None]) -> list[bytes]:
        return [str(value).encode() for value in values]

    with h5py.File(path, "a") as file:
        names, values = file["benchmarks/names"][()].tolist(), file["benchmarks/values"][()]
        del file["benchmarks"]
        file["benchmarks/names"] = [*names, *texts(added)]
        file["benchmarks/values"] = np.pad(values, ((0, len(added)), (0, 0)))
        file["benchmarks/is_nuisance"] = [0] * len(names) + [1] * len(added)
        file["benchmarks/is_reference"] = [1] + [0] * (len(names) + len(added) - 1)
        for key in ("name", "effect"):
            column = "systematic_name" if key == "name" else key
            file[f"systematics/{'types' if key == 'effect' else 'names'}"] = texts(
                [each[column] for each in systematics]
            )
        columns = {"names": "name", "systematics": "systematic"}
        columns |= {"benchmark_positive": "positive", "benchmark_negative": "negative"}
        for key, attribute in columns.items():
            values = texts([getattr(each, attribute) for each in nuisance])
            file[f"nuisance_parameters/{key}"] = values


def write_data(path: Path, setup_file: Path, report: dict[str, Any]) -> None:
    """Events drawn at sm whose densities are (1 + 0.5 theta . z)^2, and an integer observable."""
    setup = read_setup(setup_file)
    n = len(setup.parameters)
    rng = np.random.default_rng(0)
    z = rng.normal(size=(N_EVENTS, n))
    weights = 1e-6 * (1.0 + 0.5 * z @ setup.benchmarks.T) ** 2
    ids = np.zeros(N_EVENTS, dtype=int)
    generated = np.bincount(ids, minlength=len(setup.benchmark_names))
    sample = Sample(
        observables=["x", "count"],
        observations=np.stack([z[:, 0], rng.integers(0, 4, N_EVENTS)], axis=1),
        weights=weights,
        nuisance_weights=nuisance_weights(weights[:, 0], z[:, 0], setup),
        shares=madminer_shares(ids, generated),
        sampling_ids=ids,
        generated=generated,
        background=0,
    )
    write_sample(path, setup_file, sample, {"x": "x", "count": "c"}, report)


def nuisance_weights(nominal: np.ndarray, z: np.ndarray, setup: Setup) -> np.ndarray:
    """5 % on the rate from lumi; scale changes the distribution of ``z`` by as much."""
    ratios = {}
    for each in setup.nuisance:
        if each.effect == "norm":
            ratios[each.positive] = np.full(len(z), 1.05)
        else:
            ratios |= {each.positive: np.exp(0.05 * z), each.negative: np.exp(-0.05 * z)}
    columns = [nominal * ratios[name] for name in setup.nuisance_benchmarks]
    return np.reshape(columns, (len(columns), len(z))).T


REPORT = {
    "cut_flow": [
        {
            "process": "signal",
            "sampling_benchmark": "sm",
            "is_background": False,
            "generated": 500,
            "steps": [{"cut": "x < 3 & x > -3", "passed": N_EVENTS}],
        }
    ],
    "closure": {
        "max_pull": 5.0,
        "checks": [
            {
                "what": "b0, reweighted from the other samples",
                "theta": [1.0],
                "predicted": [1e-3, 1e-5],
                "direct": [1.01e-3, 1e-5],
                "pull": -0.7,
                "closes": True,
            }
        ],
    },
    "cross_sections": {"signal": {"sm": [1e-3, 1e-6]}},
}


SALLY = {
    "method": "sally",
    "theta": "sm",
    "n_samples": 100,
    "n_estimators": None,
    "features": None,
    "network": {"n_hidden": [5], "activation": "tanh", "dropout_prob": 0.0},
    "training": {
        "optimizer": "amsgrad",
        "n_epochs": 3,
        "batch_size": 10,
        "initial_lr": 0.002,
        "final_lr": 0.0001,
        "validation_split": 0.25,
        "early_stopping": False,
        "early_stopping_patience": None,
        "scale_inputs": True,
        "limit_samplesize": None,
        "clip_gradient": None,
    },
    "binning": {"kind": "fixed", "bins": None},
}

RUN = {
    **{"ebeam1": 6500.0, "ebeam2": 6500.0, "ptj": 20.0, "etaj": 5.0, "drjj": 0.4, "mmjj": 0.0},
    **{"deltaeta": 0.0, "fixed_fac_scale": False, "scale": 91.188},
}


def analysis_content(
    n: int, methods: list[str], title: str, systematics: Sequence[dict[str, Any]] = ()
) -> dict[str, Any]:
    """A resolved analysis with ``n`` parameters; methods named histogram... have no network."""
    names = [f"p{i}" for i in range(n)]
    declared = [
        {"name": name, "method": "histogram", "observables": ["x"], "bins": {"x": 5}, "theta": "sm"}
        if name.startswith("histogram")
        else {"name": name, **SALLY}
        for name in methods
    ]
    return {
        "version": 1,
        "name": "synthetic",
        "title": title,
        "seed": 5,
        "parameters": [
            {
                "parameter_name": name,
                "lha_block": "dim6",
                "lha_id": i,
                "morphing_max_power": 2,
                "param_card_transform": "2*theta",
                "parameter_range": [-2.0, 2.0],
                "latex": rf"$\theta_{i}$",
            }
            for i, name in enumerate(names)
        ],
        "benchmarks": {
            "sm": dict.fromkeys(names, 0.0),
            **{f"b{i}": {name: float(name == f"p{i}") for name in names} for i in range(n)},
        },
        "morphing": {"max_overall_power": 2, "n_trials": 1, "n_test_thetas": 1},
        "systematics": list(systematics),
        "processes": [
            {
                "name": "signal",
                "generator": "builtin",
                "process": "toy",
                "pythia8_card": None,
                "systematics": [each["systematic_name"] for each in systematics],
                "is_background": False,
                "k_factor": 1.0,
                "events": {"sm": N_EVENTS},
                "run": RUN,
            }
        ],
        "detector": {
            "delphes_card": None,
            "use_generator_truth": False,
            "acceptance": {
                f"{key}_{p}": None for key in ("pt_min", "eta_max") for p in ("e", "mu", "a", "j")
            },
            "smearing": [],
            "met_noise": {"abs_": 0.0, "rel": 0.0},
        },
        "observables": [
            {"name": "x", "definition": "x", "required": False, "default": 0.0}
            | {"latex": "$x_1$", "unit": "GeV", "range": [-3.0, 3.0]},
            {"name": "count", "definition": "c", "required": True, "default": None}
            | {"latex": "count", "unit": "", "range": None},
        ],
        "cuts": [{"definition": "x < 3 & x > -3", "required": False}],
        "efficiencies": [],
        "ml": {
            "luminosity": 1e5,
            "theta_ref": "sm",
            "test_split": 0.5,
            "methods": declared,
            "limits": {
                "theta_true": "sm",
                "grid": {name: {"range": [-1.0, 1.0], "resolution": 9} for name in names},
                "confidence_levels": LEVELS,
                "toys": {"n_toys": 0, "points": [], "resolution": 3, "njobs": 1},
            },
            "fisher": {
                "theta": "sm",
                "published": {methods[0]: np.eye(n).tolist()},
                "published_source": "nobody",
            },
        },
    }


def write_result(
    path: Path,
    settings: dict[str, Any],
    analysis: dict[str, Any],
    data: Path,
    curvature: float,
    diagnostics: list[list[dict[str, Any]]],
) -> None:
    """A ``Results.tar.gz`` whose log likelihood is a parabola of ``curvature``."""
    evaluation = evaluation_of(msgspec.convert(analysis, types.Analysis))
    problem = pose_problem(evaluation, data)
    grid = make_grid(evaluation.limits.grid, problem.setup.parameters)
    thetas = grid.thetas()
    n = thetas.shape[1]
    members = len(diagnostics)
    bends = curvature * (1.0 + 0.1 * np.arange(members))
    q_members = np.array([likelihood_ratio_statistic(-0.5 * b * (thetas**2).sum(1)) for b in bends])
    q = q_members.mean(axis=0)
    limits = plain(summarise_ensemble(np.array([q, *q_members]), grid, LEVELS))
    trained = settings["method"] != "histogram"
    losses = {"training": [3.0, 2.0, 1.5], "validation": [3.1, 2.2, 1.6]} if trained else {}
    summary = {
        "name": settings["name"],
        "settings": settings,
        "members": members,
        "parameters": grid.parameters,
        "expected_events": float(
            problem.luminosity * problem.everything.cross_section(problem.theta_true)
        ),
        "limits": {"shape": limits, "rate_and_shape": limits},
        "fisher_information": {
            "matrix": (curvature * np.eye(n)).tolist(),
            "statistical_error": np.full((n, n), 0.5).tolist(),
            "ensemble_spread": np.full((n, n), 0.1 * (members > 1)).tolist(),
            "members": [(bend * np.eye(n)).tolist() for bend in bends],
        },
        "checks": diagnostics[0],
        "diagnostics": diagnostics,
        "believed": all(check["passed"] for checks in diagnostics for check in checks),
        "losses": [losses] * members,
    }
    if problem.setup.nuisance:
        summary["limits_fixed"] = {kind: dict(limits) for kind in ("shape", "rate_and_shape")}
        full = np.diag([curvature] * n + [1.0] * len(problem.setup.nuisance))
        # One nuisance parameter acts like half the first parameter.
        full[0, n] = full[n, 0] = 0.5 * curvature
        full[n, n] += 0.25 * curvature
        summary["fisher_information_profiled"] = {
            **summary["fisher_information"],
            "matrix": profile(full, n).tolist(),
            "full": full.tolist(),
        }
    true = problem.test.scores_at(problem.theta_true)
    noise = np.random.default_rng(1).normal(size=true.shape) * true.std(axis=0)
    proven, replicated = summarise_proven(true if trained else true + noise, problem)
    summary["proven_information"] = plain(proven)
    lengths = 0.01 * np.random.default_rng(2).normal(size=(n, len(replicated.replicas)))
    arrays = {
        "thetas": thetas,
        PROVEN_REPLICAS: replicated.replicas,
        LENGTH_REPLICAS: lengths if trained else 2.0 * lengths,
        LENGTH_DIRECTIONS: np.empty((n, 0)),
    }
    for kind in ("shape", "rate_and_shape"):
        arrays |= {f"q_{kind}": q, f"q_{kind}_members": q_members}
        if problem.setup.nuisance:
            arrays[f"q_fixed_{kind}"] = q
    if trained:
        arrays["score"] = true
    content = path.parent / f"{path.name}.content"
    fitted = sorted(summary.get("joint_fits") or {})
    notes = {"arrays": sorted(arrays), "fitted": fitted}
    write_json(content / "results.json", summary | notes)
    np.savez(content / "arrays.npz", **arrays)
    pack(content, path)


def write_analysis(
    directory: Path,
    n: int = 2,
    curvatures: dict[str, float] | None = None,
    failing: tuple[str, ...] = (),
    members: int = 2,
    title: str = "Synthetic analysis",
    report: dict[str, Any] = REPORT,
    systematics: Sequence[dict[str, Any]] = (),
) -> Analysis:
    """All inputs of plotting. ``curvatures`` by method: large is sensitive."""
    curvatures = curvatures or {"histogram": 8.0, "sally": 20.0}
    directory.mkdir(parents=True, exist_ok=True)
    write_setup_file(directory / "setup.h5", n, systematics)
    data = directory / "data.h5"
    write_data(data, directory / "setup.h5", report)
    analysis = analysis_content(n, list(curvatures), title, systematics)
    write_json(directory / "analysis.json", analysis)
    results = []
    for settings in analysis["ml"]["methods"]:
        name = settings["name"]
        check = FAILED if name in failing else PASSED
        one = 1 if settings["method"] == "histogram" else members
        results.append(directory / f"{name}.tar.gz")
        write_result(results[-1], settings, analysis, data, curvatures[name], [[check]] * one)
    return Analysis(directory / "analysis.json", data, results)


def edited_analysis(inputs: Analysis, directory: Path, **changes: Any) -> Analysis:
    """``inputs`` with other top-level entries in the analysis file, which is in ``directory``."""
    path = directory / "edited.json"
    write_json(path, {**read_json(inputs.analysis), **changes})
    return replace(inputs, analysis=path)


def edited_result(path: Path, directory: Path, **changes: Any) -> Path:
    """A copy of a result, in ``directory``, with other entries in its results.json."""
    content = unpack(path, directory / "edit")
    write_json(content / "results.json", {**read_json(content / "results.json"), **changes})
    pack(content, directory / f"edited_{path.name}")
    return directory / f"edited_{path.name}"
