"""Everything the report shows, as the JSON content of ``results.json``.

Figures and report draw from this content alone, so that each number they show is in the file.
Cross-sections of the benchmarks are in fb, those that the physics steps noted in pb; arrays that
only figures need carry six significant digits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from madminer_workflow import __version__
from madminer_workflow.analysis.types import TRAINING
from madminer_workflow.ml.evaluating import PREFIXES
from madminer_workflow.ml.model import reference
from madminer_workflow.ml.toys import MethodToys
from madminer_workflow.report import uncertainties, verdict
from madminer_workflow.report.distributions import summarise_observables
from madminer_workflow.statistics import information
from madminer_workflow.statistics.baselines import rate_log_likelihood, truth_log_likelihoods
from madminer_workflow.statistics.coverage import summarise_toys
from madminer_workflow.statistics.information import Information, standard_deviations
from madminer_workflow.statistics.likelihood import DataSets, expected_data, observed_data
from madminer_workflow.statistics.limits import Grid, likelihood_ratio_statistic, summarise
from madminer_workflow.statistics.plain import plain
from madminer_workflow.statistics.problem import Problem
from madminer_workflow.versions import versions

FB_PER_PB = 1000.0
CALIBRATION_BINS = 10
CURVES = {"limits": "curves", "observed": "observed_curves"}
"""What the test statistics of limits are called, as far as figures show them."""

Result = tuple[dict[str, Any], dict[str, np.ndarray]]
"""The content of one ``Results.tar.gz``: results.json and the arrays."""


def summarise_all(
    analysis: dict[str, Any],
    problem: Problem,
    grid: Grid,
    results: Sequence[Result],
    toys: dict[str, MethodToys],
    notes: dict[str, Any],
) -> dict[str, Any]:
    """The content of ``results.json``.

    ``toys`` by method are those of ``toys.read_toys``; ``notes`` is what the physics steps noted
    in the data.
    """
    confidence_levels = analysis["ml"]["limits"]["confidence_levels"]
    levels = [str(level) for level in confidence_levels]
    axes = {name: axis.tolist() for name, axis in zip(grid.parameters, grid.axes, strict=True)}
    widest = max(levels, key=float)
    baselines = summarise_baselines(problem, grid, confidence_levels)
    declared = {settings["name"]: settings for settings in analysis["ml"]["methods"]}
    methods = []
    for summary, arrays in results:
        method = summarise_method(summary, arrays, analysis, problem, grid)
        if method["name"] in toys:
            limits, observed = (
                {kind: arrays[f"{PREFIXES[what]}_{kind}"] for kind in summary[what]}
                if what in summary
                else None
                for what in CURVES
            )
            assert limits is not None
            method["toys"] = summarise_toys(
                toys[method["name"]].toys, limits, observed, grid, confidence_levels
            )
        method["remarks"] = [
            *trained_otherwise(method["settings"], declared[method["name"]]),
            *verdict.remarks(method, baselines["truth"], axes, widest),
        ]
        methods.append(method)
    given = {method["name"] for method in methods}
    content = {
        "version": __version__,
        "versions": versions(),
        "analysis": {key: analysis[key] for key in ("name", "title", "seed")},
        "setup": summarise_setup(analysis, problem),
        "parameters": grid.parameters,
        "grid": axes,
        "confidence_levels": levels,
        "benchmarks": summarise_benchmarks(analysis, problem),
        "expected_events": float(problem.expected_events(problem.theta_true)),
        "observed": None if problem.observed is None else problem.observed.summary(),
        "cut_flow": notes.get("cut_flow", []),
        "closure": notes.get("closure", {"checks": []}),
        "cross_sections": notes.get("cross_sections", {}),
        "observables": summarise_observables(analysis, problem),
        "systematics": uncertainties.summarise_systematics(analysis, problem),
        "baselines": baselines,
        "methods": methods,
        "missing": [m["name"] for m in analysis["ml"]["methods"] if m["name"] not in given],
        "verdict": verdict.verdict(methods, widest),
    }
    return plain(content)


def summarise_setup(analysis: dict[str, Any], problem: Problem) -> dict[str, Any]:
    """The analysis as far as it defines the problem, with parameter points resolved."""
    ml = analysis["ml"]
    sections = ("parameters", "morphing", "processes", "detector", "observables", "cuts")
    return {
        **{key: analysis[key] for key in (*sections, "efficiencies")},
        "luminosity_fb": problem.luminosity / FB_PER_PB,
        "events": {
            "all": len(problem.everything),
            "train": len(problem.train),
            "test": len(problem.test),
        },
        "theta_ref": {"benchmark": ml["theta_ref"], "theta": problem.theta_ref},
        "theta_true": {"point": ml["limits"]["theta_true"], "theta": problem.theta_true},
        "fisher_theta": {"benchmark": ml["fisher"]["theta"], "theta": problem.fisher_theta},
        "published_source": ml["fisher"]["published_source"],
    }


def summarise_benchmarks(analysis: dict[str, Any], problem: Problem) -> list[dict[str, Any]]:
    """Every benchmark with its cross-section after cuts and the events it means."""
    rows = []
    for name, theta in zip(problem.setup.benchmark_names, problem.setup.benchmarks, strict=True):
        weights = FB_PER_PB * problem.everything.weights_at(theta)
        value, error = float(weights.sum()), float(np.sqrt(np.square(weights).sum()))
        rows.append(
            {
                "name": name,
                "theta": theta,
                "added_by_morphing": name not in analysis["benchmarks"],
                "cross_section_fb": [value, error],
                "expected_events": value * problem.luminosity / FB_PER_PB,
            }
        )
    return rows


def summarise_baselines(problem: Problem, grid: Grid, levels: Sequence[float]) -> dict[str, Any]:
    """The rate alone, and the parton-level truth of the test events, which nothing can beat."""
    thetas = grid.thetas()
    expected = expected_data(problem)
    theta, luminosity = problem.fisher_theta, problem.luminosity
    matrices = {
        "rate": information.rate(problem.everything, theta, luminosity),
        "truth": information.truth(problem.everything, theta, luminosity),
    }

    def rate(data: DataSets, profiled: bool = True) -> dict[str, np.ndarray]:
        return {"rate_and_shape": rate_log_likelihood(problem, thetas, data, profiled)}

    likelihoods = {
        "rate": {"limits": rate(expected)},
        "truth": {"limits": truth_log_likelihoods(problem, thetas, expected)},
    }
    if problem.observed is not None:
        likelihoods["rate"]["observed"] = rate(observed_data(problem))
    if problem.setup.nuisance:
        likelihoods["rate"]["limits_fixed"] = rate(expected, profiled=False)
        likelihoods["truth"]["limits_fixed"] = truth_log_likelihoods(
            problem, thetas, expected, profiled=False
        )
    baselines: dict[str, Any] = {}
    for name, kinds_of in likelihoods.items():
        baselines[name] = {"name": name}
        for what, kinds in kinds_of.items():
            axes = grid.axes if what == "observed" else None
            q = {kind: likelihood_ratio_statistic(rows[0], axes) for kind, rows in kinds.items()}
            baselines[name][what] = {kind: summarise(row, grid, levels) for kind, row in q.items()}
            if what in CURVES:
                baselines[name][CURVES[what]] = {
                    kind: projections(row, grid, problem.theta_true) for kind, row in q.items()
                }
        baselines[name]["fisher_information"] = fisher_of_baseline(matrices[name])
        profiled = matrices[name].profiled
        if profiled is not None:
            baselines[name]["fisher_information_profiled"] = uncertainties.summarise_profiled(
                uncertainties.of_baseline(profiled), matrices[name].matrix, problem.setup
            )
    return baselines


def fisher_of_baseline(own: Information) -> dict[str, Any]:
    """A baseline's information in the form that methods have."""
    return {"matrix": own.matrix, "error": own.error, "sigma": standard_deviations(own.matrix)}


def projections(q: np.ndarray, grid: Grid, theta_true: np.ndarray) -> dict[str, Any]:
    """``q`` (n_points,) along each parameter and in the plane of each pair of parameters.

    ``profiles`` and ``pairs`` are minimised over the other parameters; ``slices`` and
    ``slice_pairs`` have these at the nodes nearest to ``theta_true``. The former of each map a
    parameter to values on its axis; the latter list matrices with the first parameter along the
    rows. All values are differences to the global minimum.
    """
    cube = q.reshape(grid.shape)
    names = grid.parameters
    nodes = grid.nearest(theta_true)
    every = range(len(names))

    def lowest(kept: tuple[int, ...]) -> np.ndarray:
        return digits(cube.min(axis=tuple(k for k in every if k not in kept)))

    def slice_of(kept: tuple[int, ...]) -> np.ndarray:
        index = tuple(slice(None) if k in kept else nodes[k] for k in every)
        return digits(cube[index])

    pairs = list(combinations(every, 2))

    def planes(project: Callable[[tuple[int, ...]], np.ndarray]) -> list[dict[str, Any]]:
        return [{"parameters": [names[i], names[j]], "q": project((i, j))} for i, j in pairs]

    return {
        "profiles": {names[i]: lowest((i,)) for i in every},
        "slices": {names[i]: slice_of((i,)) for i in every},
        "pairs": planes(lowest),
        "slice_pairs": planes(slice_of),
    }


def digits(values: np.ndarray) -> np.ndarray:
    """Values with six significant digits, enough for figures."""
    rounded = [float(f"{value:.6g}") for value in np.asarray(values, dtype=float).ravel()]
    return np.reshape(rounded, np.shape(values))


def summarise_method(
    summary: dict[str, Any],
    arrays: dict[str, np.ndarray],
    analysis: dict[str, Any],
    problem: Problem,
    grid: Grid,
) -> dict[str, Any]:
    """One method: its results, whether they may be believed, and the curves of its figures."""
    curves: dict[str, Any] = {
        CURVES[what]: {
            kind: projections(arrays[f"{PREFIXES[what]}_{kind}"], grid, problem.theta_true)
            for kind in summary[what]
        }
        for what in CURVES
        if what in summary
    }
    for kind, own in curves["curves"].items():
        members = [
            projections(q, grid, problem.theta_true)["profiles"]
            for q in arrays[f"q_{kind}_members"]
        ]
        own["member_profiles"] = {
            parameter: [each[parameter] for each in members] for parameter in grid.parameters
        }
    published = analysis["ml"]["fisher"]["published"].get(summary["name"])
    fisher = {"fisher_information": fisher_of_method(summary["fisher_information"], published)}
    if "fisher_information_profiled" in summary:
        profiled = fisher_of_method(summary["fisher_information_profiled"], None)
        fixed = np.array(summary["fisher_information"]["matrix"])
        fisher["fisher_information_profiled"] = {
            **uncertainties.summarise_profiled(profiled, fixed, problem.setup),
            "nuisance_parameters_in": uncertainties.enters(summary["settings"]),
        }
    copied = ("name", "settings", "members", "losses", "believed", "checks", "diagnostics")
    return {
        **{key: summary[key] for key in copied},
        **{what: summary[what] for what in PREFIXES if what in summary},
        "reason": verdict.reason(summary["checks"]),
        **fisher,
        **curves,
        "calibration": score_calibration(summary["settings"], arrays, problem),
    }


def trained_otherwise(own: dict[str, Any], declared: dict[str, Any]) -> list[str]:
    """How a method was trained, where that is not what the analysis file says."""
    return [
        f"Trained with {section}.{key} = {value}; the analysis file says {declared[section][key]}."
        for section in TRAINING
        for key, value in own.get(section, {}).items()
        if value != declared[section][key]
    ]


def fisher_of_method(
    own: dict[str, Any], published: Sequence[Sequence[float]] | None
) -> dict[str, Any]:
    """A method's information; ``error`` joins statistics and spread between members.

    ``ratio`` compares it with the published one, whose errors are not known.
    """
    matrix = np.array(own["matrix"])
    # The mean over members fluctuates less than each of them.
    of_mean = np.array(own["ensemble_spread"]) / np.sqrt(max(len(own["members"]), 1))
    error = np.hypot(own["statistical_error"], of_mean)
    result = {**own, "error": error, "sigma": standard_deviations(matrix)}
    if published is not None:
        with np.errstate(divide="ignore", invalid="ignore"):
            result["ratio"] = matrix / np.array(published)
        result["published"] = published
    return result


def score_calibration(
    settings: dict[str, Any], arrays: dict[str, np.ndarray], problem: Problem
) -> list[dict[str, Any]] | None:
    """Mean parton-level score in bins of the estimated one, per parameter; None without scores.

    Bins hold equal numbers of test events; the means are weighted to the reference point.
    """
    if "score" not in arrays:
        return None
    theta = problem.setup.theta(reference(settings))
    weights = problem.test.weights_at(theta)
    filled = weights > 0.0
    true_scores = problem.test.scores_at(theta, np.flatnonzero(filled))
    result = []
    for name, estimated, true in zip(
        problem.setup.parameters, arrays["score"][filled].T, true_scores.T, strict=True
    ):
        chunks = np.array_split(np.argsort(estimated, kind="stable"), CALIBRATION_BINS)
        points = [
            mean_and_error(estimated[chunk], true[chunk], weights[filled][chunk])
            for chunk in chunks
            if len(chunk)
        ]
        columns = zip(("estimated", "true", "error"), np.array(points).T, strict=True)
        result.append({"parameter": name, **{key: digits(column) for key, column in columns}})
    return result


def mean_and_error(
    estimated: np.ndarray, true: np.ndarray, weights: np.ndarray
) -> tuple[float, float, float]:
    """Weighted means of two scores and the standard error of the second."""
    p = weights / weights.sum()
    mean = p @ true
    return float(p @ estimated), float(mean), float(np.sqrt(p**2 @ (true - mean) ** 2))
