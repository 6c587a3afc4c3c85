"""Evaluating: limits, Fisher information and diagnostics of one method's ensemble."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np

from madminer_workflow.analysis.types import Parameterized
from madminer_workflow.ml import methods
from madminer_workflow.ml.goodness import goodness_of_data
from madminer_workflow.ml.member import Member, open_members
from madminer_workflow.ml.scan import closed_forms, densities, scan
from madminer_workflow.products.evaluation import read_evaluation
from madminer_workflow.products.problem import pose_problem
from madminer_workflow.products.results import (
    LENGTH_DIRECTIONS,
    LENGTH_REPLICAS,
    PREFIXES,
    PROVEN_REPLICAS,
    Results,
    Summary,
    write_results,
)
from madminer_workflow.statistics import closed_form
from madminer_workflow.statistics.checks import believed
from madminer_workflow.statistics.checks.limits import limit_checks
from madminer_workflow.statistics.checks.simulation import truth_check
from madminer_workflow.statistics.efficiency import summarise_proven
from madminer_workflow.statistics.fluctuations import SIMULATION, Fluctuations
from madminer_workflow.statistics.information import summarise_information
from madminer_workflow.statistics.interval_lengths import (
    edges_of,
    log_length_directions,
    log_length_replicas,
)
from madminer_workflow.statistics.likelihood import (
    DataSets,
    expected_data,
    observed_data,
    parts,
)
from madminer_workflow.statistics.limits import (
    Grid,
    likelihood_ratio_statistic,
    make_grid,
    summarise,
    summarise_ensemble,
)
from madminer_workflow.statistics.polynomial import PolynomialDensity
from madminer_workflow.statistics.problem import Problem
from madminer_workflow.statistics.pulls import joint_fit, joint_fit_on_grid
from madminer_workflow.statistics.results import Check, JointFit, Limits
from madminer_workflow.statistics.simulation import q_total
from madminer_workflow.versions import LEARNING, joined, versions

Answer = TypeVar("Answer")


def evaluating(
    evaluation_file: Path,
    data: Path,
    models: Sequence[Path],
    output: Path,
    observed: str | None = None,
) -> None:
    """Evaluate the members in ``models`` and write ``Results.tar.gz``: ``products.results``.

    The order of ``models`` does not matter; ``observed`` is what ``observed.observe`` takes. Raises
    InputError if the models are not all members of one method or do not fit the data.
    """
    evaluation = read_evaluation(evaluation_file)
    problem = pose_problem(evaluation, data, observed)
    grid = make_grid(evaluation.limits.grid, problem.setup.parameters)
    with tempfile.TemporaryDirectory() as scratch:
        members = open_members(models, Path(scratch), problem.everything)
        results = evaluate(members, problem, grid, evaluation.limits.confidence_levels)
        write_results(output, results)


def evaluate(
    members: Sequence[Member], problem: Problem, grid: Grid, levels: Sequence[float]
) -> Results:
    """Results of an ensemble.

    The ensemble's output is the mean of its members'; limits, information and checks are those of
    the ensemble, those of the members show how far training decides them.
    """
    settings = members[0].note.settings
    family = methods.family_of(settings)
    known = Known(closed_forms(members, problem, each=True), family.fluctuations(members, problem))
    limits, arrays, truth_checks, joint_fits = set_limits(members, problem, grid, levels, known)
    answers = of_ensemble_and_members(partial(family.diagnostics, problem=problem), members)
    checks, *diagnostics = [
        [*answer, check] for answer, check in zip(answers, truth_checks, strict=True)
    ]
    of_ensemble, *of_members = of_ensemble_and_members(
        partial(family.information, problem=problem), members
    )
    information, profiled = summarise_information(of_ensemble, of_members)
    proven, of_proven = summarise_proven(family.fisher_scores(members, problem), problem)
    expected, q = limits["limits"]["rate_and_shape"], arrays["q_rate_and_shape"]
    checks += limit_checks(
        expected,
        q,
        grid,
        problem,
        max(levels),
        trained=settings.trainable,
        priors=[settings.theta0.priors[name] for name in grid.parameters]
        if isinstance(settings, Parameterized)
        else None,
    )
    summary = Summary(
        name=settings.name,
        settings=settings,
        members=len(members),
        parameters=grid.parameters,
        expected_events=float(problem.expected_events(problem.theta_true)),
        limits=limits["limits"],
        limits_statistical=limits.get("limits_statistical"),
        observed=limits.get("observed"),
        observed_statistical=limits.get("observed_statistical"),
        limits_fixed=limits.get("limits_fixed"),
        joint_fits=joint_fits or None,
        goodness=goodness_of_data(members, problem, grid),
        fisher_information=information,
        fisher_information_profiled=profiled,
        proven_information=proven,
        checks=checks,
        diagnostics=diagnostics,
        believed=believed(checks),
        losses=[member.note.losses for member in members],
        observation=None if problem.observed is None else problem.observed.summary(),
        versions=joined([*(member.note.versions for member in members), versions(LEARNING)]),
    )
    per_event = family.per_event(members, problem)
    arrays |= {
        "thetas": grid.thetas(),
        PROVEN_REPLICAS: of_proven.replicas,
        **length_changes(members, problem, grid, known, (expected, q), max(levels)),
    }
    return Results(summary, {**arrays, **per_event})


@dataclass(frozen=True)
class Known:
    """What is known of an ensemble in closed form, nothing of most networks.

    ``densities`` of the ensemble and each member, and how far that of the ensemble may be off by
    ``fluctuations``, by their source.
    """

    densities: Sequence[PolynomialDensity]
    fluctuations: Mapping[str, Fluctuations]


def length_changes(
    members: Sequence[Member],
    problem: Problem,
    grid: Grid,
    known: Known,
    expected: tuple[Limits, np.ndarray],
    level: float,
) -> dict[str, np.ndarray]:
    """How lengths of the ensemble's expected intervals fluctuate with test and training events.

    ``expected`` are the limits from rate and shape, and q on the grid.
    """
    limits, q = expected
    intervals = limits.intervals
    # Expected data that a grid has seen have their maximum at the truth: see ``set_limits``.
    best = np.array(limits.best_fit) if known.densities else problem.theta_true
    edges = edges_of(intervals, q, grid, level)
    points = edges.points(best)
    at_points = (
        density
        for some in parts(points, len(problem.test))
        for density in densities(members, problem, known.densities[:1], some)
    )
    changes = {
        LENGTH_REPLICAS: log_length_replicas(at_points, edges, problem, intervals, level),
        LENGTH_DIRECTIONS: np.empty((len(intervals), 0)),
    }
    if SIMULATION in known.fluctuations:
        only = {SIMULATION: known.fluctuations[SIMULATION]}
        model = closed_form.Model(
            known.densities[0], problem, "rate_and_shape", profiled=False, fluctuations=only
        )
        [simulated] = model.simulated(expected_data(problem))
        changes[LENGTH_DIRECTIONS] = log_length_directions(simulated, best, edges, intervals, level)
    return changes


def of_ensemble_and_members(
    ask: Callable[[Sequence[Member]], Answer], members: Sequence[Member]
) -> list[Answer]:
    """The answer of an ensemble, then of each member; a lone member is its ensemble."""
    answers = [ask([member]) for member in members]
    return [answers[0] if len(answers) == 1 else ask(members), *answers]


def set_limits(
    members: Sequence[Member], problem: Problem, grid: Grid, levels: Sequence[float], known: Known
) -> tuple[dict[str, dict[str, Limits]], dict[str, np.ndarray], list[Check], dict[str, JointFit]]:
    """Limits by kind, test statistics behind them, for ensemble and members a check, and fits.

    ``limits`` are expected ones, ``observed`` those of observed data, ``limits_fixed`` expected
    ones with nuisance parameters fixed, where there are any; ``limits_statistical`` and
    ``observed_statistical`` are without the simulation's error, where that is known. The fits are
    the ensemble's to rate and shape: see ``fit_jointly``.
    """
    # The truth need not lie on the grid.
    points = np.concatenate([grid.thetas(), problem.theta_true[None, :]])
    data = {"limits": expected_data(problem)}
    if problem.observed is not None:
        data["observed"] = observed_data(problem)
    log_likelihoods = scan(members, problem, points, list(data.values()), each=True)
    scanned = dict(zip(data, log_likelihoods, strict=True))
    if problem.setup.nuisance:
        [scanned["limits_fixed"]] = scan(members, problem, points, [data["limits"]], profiled=False)
    fluctuations = known.fluctuations
    summary: dict[str, dict[str, Limits]] = {}
    arrays: dict[str, np.ndarray] = {}
    best: dict[str, tuple[closed_form.Model, closed_form.Maximum]] = {}
    for name, kinds in scanned.items():
        summary[name] = {}
        sets = data.get(name, data["limits"])
        for kind, rows in kinds.items():
            values, at_truth = rows[:, 0, :-1], rows[:, 0, -1]
            profiled = name != "limits_fixed"
            models = [
                closed_form.Model(density, problem, kind, profiled, fluctuations if i == 0 else {})
                for i, density in enumerate(known.densities)
            ]
            highest = [closed_form.maximum(model, sets, levels, grid) for model in models]
            if highest:
                q = closed_form.likelihood_ratio_statistic(values, highest)
            else:
                expected = None if name == "observed" else at_truth
                q = likelihood_ratio_statistic(values, grid.axes, expected)
            if fluctuations:
                if profiled:
                    statistical = f"{name}_statistical"
                    exact = summarise(q[0], grid, levels)
                    exact = closed_form.without_simulation(exact, highest[0])
                    summary.setdefault(statistical, {})[kind] = exact
                    arrays[f"{PREFIXES[statistical]}_{kind}"] = q[0].copy()
                variance = closed_form.variance_at(models[0], sets, highest[0], grid.thetas())
                q[0] = q_total(q[0], variance)
            scanned_limits = summarise_ensemble(q, grid, levels)
            summary[name][kind] = closed_form.sharpened(scanned_limits, highest)
            arrays[f"{PREFIXES[name]}_{kind}"] = q[0]
            arrays[f"{PREFIXES[name]}_{kind}_members"] = q[1:]
            if highest and kind == "rate_and_shape":
                best[name] = models[0], highest[0]
    fits = fit_jointly(members, problem, grid, data, scanned, best)
    truth_checks = [truth_check(row) for row in scanned["limits"]["shape"][:, 0, :]]
    return summary, arrays, truth_checks, fits


def fit_jointly(
    members: Sequence[Member],
    problem: Problem,
    grid: Grid,
    data: Mapping[str, DataSets],
    scanned: Mapping[str, Mapping[str, np.ndarray]],
    best: Mapping[str, tuple[closed_form.Model, closed_form.Maximum]],
) -> dict[str, JointFit]:
    """Fits of parameters and nuisance parameters to "expected" and, if there are any, "observed".

    From the ``best`` fits, or from what was ``scanned`` where the rate alone knows nuisance
    parameters; without those that a grid does not tell.
    """
    fits = {}
    for name, sets in data.items():
        found = None
        if name in best:
            found = joint_fit(*best[name], sets)
        elif not members[0].note.settings.profiles_shapes:
            shape, whole = (scanned[name][kind][0, 0, :-1] for kind in ("shape", "rate_and_shape"))
            found = joint_fit_on_grid(problem, sets, grid, shape, whole)
        if found is not None:
            fits["expected" if name == "limits" else name] = found
    return fits
