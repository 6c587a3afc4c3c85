"""Distributions of the observables at the reference and near the limits, for ``results.json``."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from madminer_workflow.analysis.types import Analysis
from madminer_workflow.large_arrays import by_rows, pieces, release
from madminer_workflow.report.comparison import KIND
from madminer_workflow.report.results import DensityCurve, Distribution, Subject
from madminer_workflow.statistics.problem import Problem

HISTOGRAM_BINS = 30


def summarise_observables(
    analysis: Analysis, problem: Problem, subject: Subject, level: str
) -> list[Distribution]:
    """Normalised distributions at the reference point and where the limits of ``subject`` end."""
    points = [problem.theta_ref, *ends_of_limits(problem, subject, level)]
    events = problem.everything

    def some(rows: slice) -> np.ndarray:
        return np.stack([events.weights_at(theta, rows) for theta in points]).T

    weights = by_rows(len(events), len(points), some)
    result = []
    for observable in analysis.observables:
        values = events.columns([observable.name])[:, 0]
        edges = histogram_edges(values, weights[:, 0], observable.range)
        curves = []
        for i, theta in enumerate(points):
            density, error = normalised_histogram(values, weights[:, i], edges)
            curves.append(
                DensityCurve(
                    benchmark="" if i else analysis.ml.theta_ref,
                    theta=theta.tolist(),
                    density=density.tolist(),
                    error=error.tolist(),
                )
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


def ends_of_limits(problem: Problem, subject: Subject, level: str) -> list[np.ndarray]:
    """For each parameter the end of its expected interval that is farther from the reference.

    All other parameters are at the reference, which is the point itself without an interval.
    """
    points = []
    for i, name in enumerate(problem.setup.parameters):
        ranges = subject.limits[KIND].intervals[name][level]
        theta = problem.theta_ref.copy()
        ends = [ranges[0][0], ranges[-1][1]] if ranges else [theta[i]]
        theta[i] = max(ends, key=lambda end: abs(end - problem.theta_ref[i]))
        points.append(theta)
    return points


def histogram_edges(
    values: np.ndarray, weights: np.ndarray, wanted: Sequence[float] | None
) -> np.ndarray:
    """Edges over the range ``wanted``, or over the central 99 %; integers get a bin each."""
    finite = np.isfinite(values)
    if not finite.all():
        values, weights = values[finite], weights[finite]
    if len(values) == 0:
        return np.array([0.0, 1.0])
    distinct = few_integers(values)
    if distinct is not None:
        return np.arange(distinct[0] - 0.5, distinct[-1] + 1.0)
    if wanted is None:
        order = np.argsort(values)
        # One array after another in the same place: there are as many numbers as events.
        share = weights[order]
        np.maximum(share, 0.0, out=share)
        np.cumsum(share, out=share)
        low, high = values[order[np.searchsorted(share, share[-1] * np.array([0.005, 0.995]))]]
        wanted = [low, high] if high > low else [low - 0.5, low + 0.5]
    return np.linspace(wanted[0], wanted[1], HISTOGRAM_BINS + 1)


def few_integers(values: np.ndarray) -> np.ndarray | None:
    """The distinct ``values`` in ascending order, None if they are too many, or no integers."""
    distinct = values[:0]
    for rows in pieces(len(values)):
        distinct = np.union1d(distinct, values[rows])
        if len(distinct) > HISTOGRAM_BINS or np.any(distinct != np.round(distinct)):
            return None
    return distinct


def normalised_histogram(
    values: np.ndarray, weights: np.ndarray, edges: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Fraction of all events per unit of the observable, and its statistical error, (n_bins,)."""
    scale = weights.sum() * np.diff(edges)
    sums, squares = np.zeros((2, len(edges) - 1))
    for rows in pieces(len(values)):
        some = weights[rows]
        sums += np.histogram(values[rows], edges, weights=some)[0]
        squares += np.histogram(values[rows], edges, weights=some**2)[0]
    release(weights)
    return sums / scale, np.sqrt(squares) / np.abs(scale)
