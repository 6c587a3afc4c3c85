"""Distributions of the observables at benchmarks, for ``results.json``."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from madminer_workflow.analysis.types import Analysis
from madminer_workflow.report.results import DensityCurve, Distribution
from madminer_workflow.statistics.problem import Problem

HISTOGRAM_BINS = 30


def summarise_observables(analysis: Analysis, problem: Problem) -> list[Distribution]:
    """Normalised distributions at the reference point and at benchmarks that differ from it."""
    points = [analysis.ml.theta_ref, *contrasting_benchmarks(analysis)]
    events = problem.everything
    reference = events.weights_at(problem.theta_ref)
    result = []
    for observable in analysis.observables:
        values = events.columns([observable.name])[:, 0]
        edges = histogram_edges(values, reference, observable.range)
        curves = []
        for name in points:
            weights = events.weights_at(problem.setup.theta(name))
            density, error = normalised_histogram(values, weights, edges)
            curves.append(
                DensityCurve(benchmark=name, density=density.tolist(), error=error.tolist())
            )
        result.append(
            Distribution(
                name=observable.name,
                latex=observable.latex,
                unit=observable.unit,
                edges=edges.tolist(),
                curves=curves,
            )
        )
    return result


def contrasting_benchmarks(analysis: Analysis) -> list[str]:
    """For each parameter the benchmark that is farthest from the reference along it alone."""
    benchmarks = analysis.benchmarks
    reference = benchmarks[analysis.ml.theta_ref]
    spans = {p.parameter_name: np.ptp(p.parameter_range) for p in analysis.parameters}
    chosen: list[str] = []
    for parameter in spans:

        def purity(name: str, parameter: str = parameter) -> float:
            steps = {p: abs(benchmarks[name][p] - reference[p]) / spans[p] for p in spans}
            return 2.0 * steps[parameter] - sum(steps.values())

        best = max(benchmarks, key=purity)
        if best not in chosen and benchmarks[best] != reference:
            chosen.append(best)
    return chosen


def histogram_edges(
    values: np.ndarray, weights: np.ndarray, wanted: Sequence[float] | None
) -> np.ndarray:
    """Edges over the range ``wanted``, or over the central 99 %; integers get a bin each."""
    finite = np.isfinite(values)
    values, weights = values[finite], weights[finite]
    if len(values) == 0:
        return np.array([0.0, 1.0])
    distinct = np.unique(values)
    if len(distinct) <= HISTOGRAM_BINS and np.all(distinct == np.round(distinct)):
        return np.arange(distinct[0] - 0.5, distinct[-1] + 1.0)
    if wanted is None:
        order = np.argsort(values)
        share = np.cumsum(np.maximum(weights[order], 0.0))
        low, high = values[order][np.searchsorted(share, share[-1] * np.array([0.005, 0.995]))]
        wanted = [low, high] if high > low else [low - 0.5, low + 0.5]
    return np.linspace(wanted[0], wanted[1], HISTOGRAM_BINS + 1)


def normalised_histogram(
    values: np.ndarray, weights: np.ndarray, edges: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Fraction of all events per unit of the observable, and its statistical error, (n_bins,)."""
    scale = weights.sum() * np.diff(edges)
    sums, _ = np.histogram(values, edges, weights=weights)
    squares, _ = np.histogram(values, edges, weights=weights**2)
    return sums / scale, np.sqrt(squares) / np.abs(scale)
