"""Everything the report shows, summarised for ``results.json``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations

import msgspec
import numpy as np

from madminer_workflow import __version__
from madminer_workflow.analysis.types import TRAINING, Analysis, Method
from madminer_workflow.products.results import PREFIXES, Results
from madminer_workflow.report import uncertainties, verdict
from madminer_workflow.report.comparison import with_comparison
from madminer_workflow.report.distributions import summarise_observables
from madminer_workflow.report.efficiency import with_efficiency
from madminer_workflow.report.results import (
    SCHEMA_VERSION,
    Baseline,
    BaselineInformation,
    Baselines,
    Benchmark,
    BenchmarkPoint,
    Calibration,
    Curves,
    EventNumbers,
    MethodInformation,
    MethodReport,
    NamedPoint,
    PhysicsNotes,
    Plane,
    ProfiledBaselineInformation,
    ProfiledMethodInformation,
    Report,
    Setup,
    Title,
    as_read,
)
from madminer_workflow.statistics import closed_form, information
from madminer_workflow.statistics.baselines import (
    rate_log_likelihood,
    truth,
    truth_log_likelihoods,
)
from madminer_workflow.statistics.checks import believed, reason
from madminer_workflow.statistics.checks.coverage import coverage_check
from madminer_workflow.statistics.coverage import summarise_toys
from madminer_workflow.statistics.information import Information, standard_deviations
from madminer_workflow.statistics.likelihood import expected_data, observed_data
from madminer_workflow.statistics.limits import Grid, likelihood_ratio_statistic, summarise
from madminer_workflow.statistics.plain import plain
from madminer_workflow.statistics.problem import Problem
from madminer_workflow.statistics.results import Check, FisherInformation, Limits, ToySummary
from madminer_workflow.statistics.toys import Toys
from madminer_workflow.statistics.weights import effective_size
from madminer_workflow.versions import REPORTING, joined, versions

FB_PER_PB = 1000.0
CALIBRATION_BINS = 10

Statistics = dict[str, dict[str, np.ndarray]]
"""Test statistics on the grid, (n_points,), by what they are of and by kind."""


def summarise_all(
    analysis: Analysis,
    problem: Problem,
    grid: Grid,
    results: Sequence[Results],
    toys: Mapping[str, Toys],
    notes: PhysicsNotes,
) -> Report:
    """The content of ``results.json``; ``toys`` are by method."""
    ml = analysis.ml
    levels = [str(level) for level in ml.limits.confidence_levels]
    widest = max(levels, key=float)
    axes = {name: axis.tolist() for name, axis in zip(grid.parameters, grid.axes, strict=True)}
    baselines = summarise_baselines(problem, grid, ml.limits.confidence_levels)
    alone = [
        summarise_method(result, toys.get(result.summary.name), analysis, problem, grid)
        for result in results
    ]
    methods = [
        msgspec.structs.replace(
            method,
            remarks=[
                *trained_otherwise(method.settings, ml.by_name[method.name]),
                *verdict.remarks(method, baselines.truth, axes, widest),
            ],
        )
        for method in with_comparison(with_efficiency(alone, results, problem), results, widest)
    ]
    given = {method.name for method in methods}
    found = verdict.verdict(methods, widest)
    shown = next((one for one in methods if one.name == found.recommended), baselines.truth)
    report = Report(
        schema_version=SCHEMA_VERSION,
        version=__version__,
        versions=joined([*(r.summary.versions for r in results), versions(REPORTING)]),
        analysis=Title(name=analysis.name, title=analysis.title, seed=analysis.seed),
        setup=summarise_setup(analysis, problem),
        parameters=grid.parameters,
        grid=axes,
        confidence_levels=levels,
        benchmarks=summarise_benchmarks(analysis, problem),
        expected_events=float(problem.expected_events(problem.theta_true)),
        observed=None if problem.observed is None else problem.observed.summary(),
        cut_flow=notes.cut_flow,
        closure=notes.closure,
        cross_sections=notes.cross_sections,
        observables=summarise_observables(analysis, problem, shown, widest),
        systematics=uncertainties.summarise_systematics(analysis, problem),
        baselines=baselines,
        methods=methods,
        missing=[name for name in ml.by_name if name not in given],
        verdict=found,
    )
    return as_read(report)


def summarise_setup(analysis: Analysis, problem: Problem) -> Setup:
    """The analysis as far as it defines the problem, with parameter points resolved."""
    ml = analysis.ml
    return Setup(
        parameters=list(analysis.parameters),
        morphing=analysis.morphing,
        processes=list(analysis.processes),
        detector=analysis.detector,
        observables=list(analysis.observables),
        cuts=list(analysis.cuts),
        efficiencies=list(analysis.efficiencies),
        luminosity_fb=problem.luminosity / FB_PER_PB,
        events=EventNumbers(
            all=len(problem.everything), train=len(problem.train), test=len(problem.test)
        ),
        theta_ref=BenchmarkPoint(benchmark=ml.theta_ref, theta=problem.theta_ref.tolist()),
        theta_true=NamedPoint(point=ml.limits.theta_true, theta=problem.theta_true.tolist()),
        fisher_theta=BenchmarkPoint(benchmark=ml.fisher.theta, theta=problem.fisher_theta.tolist()),
        published_source=ml.fisher.published_source,
    )


def summarise_benchmarks(analysis: Analysis, problem: Problem) -> list[Benchmark]:
    """Every benchmark with its cross-section after cuts and the events it means."""
    benchmarks = []
    for name, theta in zip(problem.setup.benchmark_names, problem.setup.benchmarks, strict=True):
        weights = FB_PER_PB * problem.everything.weights_at(theta)
        value, error = float(weights.sum()), float(np.sqrt(np.square(weights).sum()))
        benchmarks.append(
            Benchmark(
                name=name,
                theta=theta.tolist(),
                added_by_morphing=name not in analysis.benchmarks,
                cross_section_fb=(value, error),
                expected_events=value * problem.luminosity / FB_PER_PB,
            )
        )
    return benchmarks


def summarise_baselines(problem: Problem, grid: Grid, levels: Sequence[float]) -> Baselines:
    """The rate alone, and the parton-level truth of the test events, which nothing can beat."""
    # The assumed truth need not lie on the grid.
    points = np.concatenate([grid.thetas(), problem.theta_true[None, :]])
    data = {"limits": expected_data(problem)}

    def rate(
        what: str, axes: list[np.ndarray] | None, profiled: bool = True
    ) -> dict[str, np.ndarray]:
        rows = rate_log_likelihood(problem, points, data[what], profiled)
        at_truth = rows[:, -1] if axes is None else None
        return {"rate_and_shape": likelihood_ratio_statistic(rows[:, :-1], axes, at_truth)[0]}

    rates: Statistics = {"limits": rate("limits", None)}
    if problem.observed is not None:
        data["observed"] = observed_data(problem)
        rates["observed"] = rate("observed", grid.axes)
    if problem.setup.nuisance:
        rates["limits_fixed"] = rate("limits", None, profiled=False)
    limits_of_rate = {
        what: {kind: summarise(row, grid, levels) for kind, row in kinds.items()}
        for what, kinds in rates.items()
    }
    truths, limits_of_truth = truth_limits(problem, grid, levels)
    events, theta, luminosity = problem.everything, problem.fisher_theta, problem.luminosity
    of_rate = information.information([problem.rate_information], len(theta))
    of_truth = information.truth(events, theta, luminosity)
    return Baselines(
        rate=baseline("rate", rates, limits_of_rate, of_rate, problem, grid),
        truth=baseline("truth", truths, limits_of_truth, of_truth, problem, grid),
    )


def truth_limits(
    problem: Problem, grid: Grid, levels: Sequence[float]
) -> tuple[Statistics, dict[str, dict[str, Limits]]]:
    """Test statistic of expected data on the grid, and limits, of the parton-level truth."""
    known, data = truth(problem), expected_data(problem)
    q: Statistics = {}
    limits: dict[str, dict[str, Limits]] = {}
    for what, profiled in {"limits": True, "limits_fixed": False}.items():
        if not (profiled or problem.setup.nuisance):
            continue
        q[what], limits[what] = {}, {}
        scanned = truth_log_likelihoods(known, problem, grid.thetas(), data, profiled)
        for kind, rows in scanned.items():
            model = closed_form.Model(known, problem, kind, profiled)
            highest = [closed_form.maximum(model, data, levels, grid)]
            q[what][kind] = closed_form.likelihood_ratio_statistic(rows, highest)[0]
            on_grid = summarise(q[what][kind], grid, levels)
            limits[what][kind] = closed_form.sharpened(on_grid, highest)
    return q, limits


def baseline(
    name: str,
    q: Statistics,
    limits: Mapping[str, dict[str, Limits]],
    fisher: Information,
    problem: Problem,
    grid: Grid,
) -> Baseline:
    """A baseline in the form that methods have."""
    fixed, profiled = fisher.matrix, None
    if fisher.profiled is not None:
        matrix, full = fisher.profiled.matrix, fisher.profiled.full
        profiled = ProfiledBaselineInformation(
            matrix=matrix.tolist(),
            error=fisher.profiled.error.tolist(),
            sigma=standard_deviations(matrix),
            full=full.tolist(),
            full_parameters=uncertainties.all_parameters(problem.setup),
            impact=uncertainties.profiling_impact(fixed, matrix, full, problem.setup),
        )
    return Baseline(
        name=name,
        limits=limits["limits"],
        limits_fixed=limits.get("limits_fixed"),
        observed=limits.get("observed"),
        curves=curves_of(q["limits"], grid, problem.theta_true),
        observed_curves=curves_of(q.get("observed", {}), grid, problem.theta_true) or None,
        fisher_information=BaselineInformation(
            matrix=fixed.tolist(), error=fisher.error.tolist(), sigma=standard_deviations(fixed)
        ),
        fisher_information_profiled=profiled,
    )


def curves_of(q: Mapping[str, np.ndarray], grid: Grid, theta_true: np.ndarray) -> dict[str, Curves]:
    """The curves of test statistics by kind."""
    return {kind: projections(row, grid, theta_true) for kind, row in q.items()}


def projections(q: np.ndarray, grid: Grid, theta_true: np.ndarray) -> Curves:
    """``q`` (n_points,) along each parameter and in the plane of each pair of parameters.

    Slices are at the nodes nearest to ``theta_true``. All values are differences to the global
    minimum.
    """
    cube = q.reshape(grid.shape)
    names = grid.parameters
    nodes = grid.nearest(theta_true)
    every = range(len(names))

    def lowest(kept: tuple[int, ...]) -> list:
        return digits(cube.min(axis=tuple(k for k in every if k not in kept)))

    def slice_of(kept: tuple[int, ...]) -> list:
        index = tuple(slice(None) if k in kept else nodes[k] for k in every)
        return digits(cube[index])

    def planes(project: Callable[[tuple[int, ...]], list]) -> list[Plane]:
        return [
            Plane(parameters=(names[i], names[j]), q=project((i, j)))
            for i, j in combinations(every, 2)
        ]

    return Curves(
        profiles={names[i]: lowest((i,)) for i in every},
        slices={names[i]: slice_of((i,)) for i in every},
        pairs=planes(lowest),
        slice_pairs=planes(slice_of),
    )


def digits(values: np.ndarray) -> list:
    """Values with six significant digits, enough for figures, as nested lists."""
    rounded = [float(f"{value:.6g}") for value in np.asarray(values, dtype=float).ravel()]
    return np.reshape(rounded, np.shape(values)).tolist()


def summarise_method(
    result: Results, toys: Toys | None, analysis: Analysis, problem: Problem, grid: Grid
) -> MethodReport:
    """One method: its results, whether they may be believed, and the curves of its figures."""
    summary = result.summary
    expected = test_statistics(result, "limits", summary.limits)
    observed = test_statistics(result, "observed", summary.observed)
    curves = {}
    for kind, row in curves_of(expected, grid, problem.theta_true).items():
        members = [
            projections(q, grid, problem.theta_true).profiles
            for q in result.arrays[f"{PREFIXES['limits']}_{kind}_members"]
        ]
        curves[kind] = msgspec.structs.replace(
            row,
            member_profiles={
                parameter: [profiles[parameter] for profiles in members]
                for parameter in grid.parameters
            },
        )
    fisher, profiled = summary.fisher_information, summary.fisher_information_profiled
    levels = analysis.ml.limits.confidence_levels
    of_toys = None
    checks = summary.checks
    if toys is not None:
        of_toys = summarise_toys(toys, expected, observed or None, grid, levels)
        checks = [*checks, check_of_toys(of_toys, summary.limits, problem)]
    return MethodReport(
        name=summary.name,
        settings=summary.settings,
        members=summary.members,
        losses=summary.losses,
        believed=believed(checks),
        checks=checks,
        diagnostics=summary.diagnostics,
        reason=reason(checks),
        remarks=[],
        limits=summary.limits,
        limits_statistical=summary.limits_statistical,
        limits_fixed=summary.limits_fixed,
        observed=summary.observed,
        observed_statistical=summary.observed_statistical,
        joint_fits=summary.joint_fits,
        goodness=summary.goodness,
        curves=curves,
        observed_curves=curves_of(observed, grid, problem.theta_true) or None,
        fisher_information=method_information(
            fisher, analysis.ml.fisher.published.get(summary.name)
        ),
        fisher_information_profiled=None
        if profiled is None
        else profiled_information(profiled, fisher, summary.settings, problem),
        proven_information=summary.proven_information,
        shapes_left_out=uncertainties.shapes_left_out(summary.settings, problem),
        calibration=score_calibration(result, problem),
        toys=of_toys,
    )


def check_of_toys(toys: ToySummary, limits: Mapping[str, Limits], problem: Problem) -> Check:
    """Whether intervals cover in toys of the test events."""
    noise = {}
    for point in toys.points:
        theta = np.array(point.theta)
        size = effective_size(problem.test.weights_at(theta))
        noise[point.name] = float(problem.expected_events(theta)) / size
    return coverage_check(toys, limits, noise, len(problem.everything))


def test_statistics(
    result: Results, what: str, limits: Mapping[str, Limits] | None
) -> dict[str, np.ndarray]:
    """q behind ``limits`` on the grid, (n_points,), by kind; empty without any."""
    return {kind: result.arrays[f"{PREFIXES[what]}_{kind}"] for kind in limits or {}}


def trained_otherwise(settings: Method, declared: Method) -> list[str]:
    """How a method was trained, where that is not what the analysis file says."""
    ours, theirs = plain(settings), plain(declared)
    return [
        f"Trained with {section}.{key} = {value}; the analysis file says {theirs[section][key]}."
        for section in TRAINING
        for key, value in ours.get(section, {}).items()
        if value != theirs[section][key]
    ]


def method_information(
    fisher: FisherInformation, published: Sequence[Sequence[float]] | None = None
) -> MethodInformation:
    """A method's information with its total error, compared with the ``published`` one."""
    matrix = np.array(fisher.matrix)
    # The mean over members fluctuates less than each of them.
    of_mean = np.array(fisher.ensemble_spread) / np.sqrt(max(len(fisher.members), 1))
    ratio = None
    if published is not None:
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = (matrix / np.array(published)).tolist()
    return MethodInformation(
        **msgspec.structs.asdict(fisher),
        error=np.hypot(np.array(fisher.statistical_error), of_mean).tolist(),
        sigma=standard_deviations(matrix),
        ratio=ratio,
        published=None if published is None else [list(row) for row in published],
    )


def profiled_information(
    profiled: FisherInformation, fixed: FisherInformation, settings: Method, problem: Problem
) -> ProfiledMethodInformation:
    """A method's information with the nuisance parameters profiled."""
    matrix, full = np.array(profiled.matrix), np.array(profiled.full)
    return ProfiledMethodInformation(
        **msgspec.structs.asdict(method_information(profiled)),
        full_parameters=uncertainties.all_parameters(problem.setup),
        impact=uncertainties.profiling_impact(np.array(fixed.matrix), matrix, full, problem.setup),
        nuisance_parameters_in="rate and shape" if settings.knows_nuisance else "rate",
    )


def score_calibration(result: Results, problem: Problem) -> list[Calibration] | None:
    """Mean parton-level score in bins of the estimated one, per parameter; None without scores.

    Bins hold equal numbers of test events; the means are weighted to the reference point.
    """
    if "score" not in result.arrays:
        return None
    theta = problem.setup.theta(result.summary.settings.reference)
    events = problem.test
    weights = events.weights_at(theta)
    filled = np.flatnonzero(weights > 0.0)
    weights = weights[filled]
    true_scores = events.scores_at(theta, filled)
    calibrations = []
    for name, estimated, true in zip(
        problem.setup.parameters, result.arrays["score"][filled].T, true_scores.T, strict=True
    ):
        chunks = np.array_split(np.argsort(estimated, kind="stable"), CALIBRATION_BINS)
        points = [
            mean_and_error(estimated[chunk], true[chunk], weights[chunk])
            for chunk in chunks
            if len(chunk)
        ]
        of_estimated, of_true, error = map(digits, np.array(points).T)
        calibrations.append(
            Calibration(parameter=name, estimated=of_estimated, true=of_true, error=error)
        )
    return calibrations


def mean_and_error(
    estimated: np.ndarray, true: np.ndarray, weights: np.ndarray
) -> tuple[float, float, float]:
    """Weighted means of two scores and the standard error of the second."""
    p = weights / weights.sum()
    mean = p @ true
    return float(p @ estimated), float(mean), float(np.sqrt(p**2 @ (true - mean) ** 2))
