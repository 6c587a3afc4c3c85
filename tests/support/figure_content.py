"""Made-up content of results.json for figures: any number of parameters, data, toys, members."""

from __future__ import annotations

from functools import partial
from itertools import combinations
from typing import Any

import msgspec
import numpy as np
from msgspec.structs import replace
from scipy.stats import chi2

from madminer_workflow.report import verdict
from madminer_workflow.report.results import (
    SCHEMA_VERSION,
    IntervalComparison,
    MethodReport,
    Report,
    report_of,
)
from madminer_workflow.report.summary import projections
from madminer_workflow.statistics.coverage import joint_thresholds
from madminer_workflow.statistics.limits import Grid, summarise_ensemble
from madminer_workflow.statistics.plain import plain
from madminer_workflow.statistics.results import Estimate, JointFit
from tests.support.synthetic_analysis import PASSED, SALLY, analysis_content

LEVELS = ["0.6827", "0.95"]
KINDS = ("rate_and_shape", "shape")
LABELS = [r"$c_{HW}$", r"$c_{H\Box}$", r"$c_{Hq}^{(3)}$", r"$c_{H\tilde{W}}$"]
METHODS = {"histogram": 1.0, "sally": 1.6, "alices": 1.8, "scandal": 2.2}
"""How much each knows, relative to the histogram."""

TRUTH = 2.6
NO_VERDICT = {"kind": "rate_and_shape", "order": [], "recommended": None, "sentence": ""}


def likelihood(
    grid: Grid, strength: float, best: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """q of correlated parameters with a cubic term, and the matrix of the quadratic one."""
    n = len(grid.parameters)
    half = rng.normal(size=(n, n))
    matrix = 12.0 * strength * (np.eye(n) + 0.25 * (half + half.T) / np.sqrt(n))
    shift = grid.thetas() - best
    q = np.einsum("ki,ij,kj->k", shift, matrix, shift) * (1.0 + 0.25 * np.tanh(shift.sum(axis=1)))
    return q - q.min(), matrix


def joint_fit(parameters: list[str], systematics: dict[str, int], seed: int) -> JointFit:
    """A made-up fit of ``systematics`` with so many nuisance parameters each."""
    rng = np.random.default_rng(seed)
    nuisance = []
    for systematic, number in systematics.items():
        for i in range(number):
            error = rng.uniform(0.3, 1.0)
            sizes = rng.normal(0.0, 0.03 / np.sqrt(number), len(parameters))
            shifts = {
                name: {
                    "postfit": [-error * size, 0.9 * error * size],
                    "prefit": [-size, 0.9 * size],
                }
                for name, size in zip(parameters, sizes, strict=True)
            }
            nuisance.append(
                {
                    "name": f"{systematic}_nuisance_param_{i}",
                    "systematic": systematic,
                    "pull": rng.normal(0.0, 0.7),
                    "error": error,
                    "profile_error": [0.95 * error, 1.05 * error],
                    "impact": shifts,
                }
            )

    def size(name: str, one: dict[str, Any]) -> float:
        return -abs(one["impact"][name]["postfit"][0])

    content = {
        "best_fit": np.zeros(len(parameters)),
        "error": np.ones(len(parameters)),
        "nuisance": nuisance,
        "correlation": np.eye(len(parameters) + len(nuisance)),
        "ranking": {
            name: [one["name"] for one in sorted(nuisance, key=partial(size, name))]
            for name in parameters
        },
    }
    return msgspec.convert(plain(content), JointFit)


def goodness(n: int, rng: np.random.Generator, unlike: bool) -> dict[str, Any]:
    """Made-up tests of observed data, which may be ``unlike`` the simulation."""
    expected = rng.uniform(8.0, 12.0, 8)
    data = rng.poisson(expected).astype(float)
    data[5:7] += 15.0 * unlike
    count = {"name": "number of events", "about": "count", "observed": 300, "expected": 290.0}
    tests = [
        {**count, "p_value": 0.5},
        *(
            {
                "name": name,
                "about": about,
                "p_value": 0.001 if unlike and name == "pt" else 0.3,
                "interval": (250.0, 350.0),
                "observed": data[5:7].sum(),
                "expected": expected[5:7].sum(),
            }
            for name, about in (("pt", "observable"), ("c0", "score"))
        ),
        {"name": "all observables (wide)", "about": "events", "p_value": 0.6},
    ]
    return {
        "p_value": 0.001 if unlike else 0.4,
        "n_toys": 999,
        "best_fit": [0.0] * n,
        "nuisance_parameters": [],
        "observed_events": 300,
        "expected_events": 290.0,
        "tests": tests,
        "plot": {
            "name": "pt",
            "about": "observable",
            "edges": np.arange(9) * 50.0,
            "observed": data,
            "expected": expected,
        },
    }


def make(
    n: int,
    methods: tuple[str, ...] = ("histogram", "sally", "alices"),
    members: int = 3,
    observed: bool = False,
    toys: int = 0,
    failing: tuple[str, ...] = (),
    resolution: int = 15,
    seed: int = 1,
    unlike: bool = False,
) -> Report:
    """Everything that figures read, for ``n`` parameters.

    Observed data may be ``unlike`` the simulation.
    """
    rng = np.random.default_rng(seed)
    names = [f"c{i}" for i in range(n)]
    grid = Grid(names, [np.linspace(-1.2, 1.2, resolution)] * n)
    truth, far = np.zeros(n), rng.normal(0.0, 0.15, n)

    def limits(strength: float, best: np.ndarray, several: int) -> tuple[Any, Any, Any]:
        state = np.random.default_rng(seed)
        own, matrix = likelihood(grid, strength, best, state)
        each = [
            likelihood(
                grid,
                strength * rng.uniform(0.85, 1.15),
                best + rng.normal(0.0, 0.01, n),
                np.random.default_rng(seed),
            )
            for _ in range(several)
        ]
        levels = [float(level) for level in LEVELS]
        summary = plain(summarise_ensemble(np.array([own, *(q for q, _ in each)]), grid, levels))
        curves = plain(projections(own, grid, truth))
        profiles = [projections(q, grid, truth).profiles for q, _ in each]
        curves["member_profiles"] = {name: [p[name] for p in profiles] for name in names}
        return summary, curves, [matrix, *(m for _, m in each)]

    def subject(name: str, strength: float, several: int, seen: bool) -> dict[str, Any]:
        own: dict[str, Any] = {"name": name, "limits": {}, "curves": {}}
        for kind in KINDS:
            factor = strength * (1.0 if kind == "rate_and_shape" else 0.7)
            own["limits"][kind], own["curves"][kind], matrices = limits(factor, truth, several)
            if seen:
                data = limits(factor, far, several)
                own.setdefault("observed", {})[kind] = data[0]
                own.setdefault("observed_curves", {})[kind] = data[1]
        matrix, *each = matrices
        own["fisher_information"] = {
            "matrix": matrix,
            "error": 0.06 * np.abs(matrix),
            "sigma": np.sqrt(np.diag(np.linalg.inv(matrix))),
            "statistical_error": 0.06 * np.abs(matrix),
            "ensemble_spread": np.zeros_like(matrix),
            "members": each,
        }
        return own

    def toy(own: dict[str, Any]) -> dict[str, Any]:
        points = []
        for name, theta in (("sm", truth), ("", truth + 0.3)):
            kinds = {}
            for kind in KINDS:
                joint = chi2.rvs(n, size=toys, random_state=rng) * 1.1
                each = chi2.rvs(1, size=(n, toys), random_state=rng) * 1.1
                levels = [float(level) for level in LEVELS]
                kinds[kind] = joint_thresholds(joint, each, names, levels)
            points.append({"name": name, "theta": theta, "kinds": kinds})

        def wider(part: str) -> dict[str, Any]:
            return {
                kind: {
                    p: {
                        level: [[1.06 * low, 1.04 * high] for low, high in ranges]
                        for level, ranges in each.items()
                    }
                    for p, each in own[part][kind]["intervals"].items()
                }
                for kind in KINDS
            }

        found = {"n_toys": toys, "points": points, "intervals": wider("limits")}
        return found | ({"observed_intervals": wider("observed")} if observed else {})

    found = []
    for name in methods:
        several = 1 if name == "histogram" else members
        own = subject(name, METHODS[name], several, observed)
        training = 0.002 if several > 1 else None
        error = {"statistical": 0.1, "simulation": 0.02, "training": training}
        for kind in KINDS if name != "alices" else ():
            own["limits"][kind]["errors"] = dict.fromkeys(names, error)
        passed = name not in failing
        check = {**PASSED, "passed": passed}
        own |= {
            "members": several,
            "believed": passed,
            "settings": {"name": name, **SALLY},
            "checks": [check],
            "diagnostics": [[check]] * several,
            "losses": [{}] * several,
            "calibration": None,
            "reason": "",
            "remarks": [],
        }
        if observed:
            own["goodness"] = {kind: goodness(n, rng, unlike) for kind in KINDS}
        if toys:
            own["toys"] = toy(own)
        found.append(own)
    rate = subject("rate", 0.05, 0, observed)
    rate["limits"] = {"rate_and_shape": rate["limits"]["rate_and_shape"]}
    rate["curves"] = {"rate_and_shape": rate["curves"]["rate_and_shape"]}
    analysis = analysis_content(n, list(methods), "Made-up results")
    parameters = [
        {**entry, "parameter_name": name, "latex": LABELS[i % len(LABELS)]}
        for i, (name, entry) in enumerate(zip(names, analysis["parameters"], strict=True))
    ]
    sections = ("morphing", "processes", "detector", "observables", "cuts", "efficiencies")
    content = {
        "schema_version": SCHEMA_VERSION,
        "version": "1.0",
        "versions": {},
        "analysis": {"name": "made-up", "title": "Made-up results", "seed": 1},
        "setup": {
            **{key: analysis[key] for key in sections},
            "parameters": parameters,
            "luminosity_fb": 300.0,
            "events": {"all": 3, "train": 2, "test": 1},
            "theta_ref": {"benchmark": "sm", "theta": truth},
            "theta_true": {"point": "sm", "theta": truth},
            "fisher_theta": {"benchmark": "sm", "theta": truth},
            "published_source": "",
        },
        "parameters": names,
        "grid": dict(zip(names, grid.axes, strict=True)),
        "confidence_levels": LEVELS,
        "benchmarks": [],
        "expected_events": 300.0,
        "observables": [],
        "cut_flow": [],
        "closure": {"checks": []},
        "cross_sections": {},
        "systematics": [],
        "observed": {"source": "sm", "events": 300, "theta": None} if observed else None,
        "baselines": {"rate": rate, "truth": subject("truth", TRUTH, 0, False)},
        "methods": found,
        "missing": [],
        "verdict": {**NO_VERDICT, "confidence_level": LEVELS[-1]},
    }
    report = report_of(plain(content))
    assert len(list(combinations(names, 2))) == len(report.methods[0].curves["shape"].pairs)
    best = verdict.verdict(report.methods, LEVELS[-1])
    methods = [with_comparison(method, best.recommended) for method in report.methods]
    return replace(report, methods=methods, verdict=verdict.verdict(methods, LEVELS[-1]))


def with_comparison(method: MethodReport, best: str | None) -> MethodReport:
    """The method, 7 % less sensitive than ``best``."""
    ratio = Estimate(value=1.07, error=0.02)
    parameters = dict.fromkeys(method.limits["shape"].intervals, ratio)
    found = IntervalComparison(best=best or "", parameters=parameters, together=ratio)
    return replace(method, comparison=found if best else None)
