"""The numbers behind the figures of checks, as tables."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from madminer_workflow.report.figures.tables import Column, Table
from madminer_workflow.report.figures.tables import columns as columns_of
from madminer_workflow.report.results import Report
from madminer_workflow.statistics.results import (
    AnyPlot,
    BinsPlot,
    ClosurePlot,
    EnsemblePlot,
    ExtrapolationPlot,
    ReliabilityPlot,
    ReweightingPlot,
    SizesPlot,
)

Columns = tuple[list[Column], list[Column]]
"""Independent and dependent ones."""


def table(method: str, kind: str, plot: AnyPlot, report: Report) -> Table:
    """The table of a check of one method."""
    title, columns = KINDS[kind]
    independent, dependent = columns(plot, report)
    return Table(
        f"check_{kind}_{method}",
        f"{title} {method}.",
        independent,
        [replace(column, qualifiers={"Method": method}) for column in dependent],
    )


def points(values: Sequence[Sequence[float]], report: Report) -> list[Column]:
    """Parameter points as a column for each parameter."""
    return columns_of(report.parameters, values)


def closure(plot: ClosurePlot, report: Report) -> Columns:
    """The mean ratio at every point."""
    mean = Column("Mean likelihood ratio", plot.mean, errors={"statistics": plot.error})
    return points(plot.points, report), [mean]


def reliability(plot: ReliabilityPlot, report: Report) -> Columns:
    """Bins of all curves below each other."""
    rows = [
        (point, *values)
        for point, curve in zip(plot.points, plot.curves, strict=True)
        for values in zip(curve.predicted, curve.true, curve.error, strict=True)
    ]
    every, predicted, true, errors = map(list, zip(*rows, strict=True))
    return (
        [*points(every, report), Column("Predicted fraction", predicted)],
        [Column("True fraction", true, errors={"statistics": errors})],
    )


def reweighting(plot: ReweightingPlot, report: Report) -> Columns:
    """Every observable."""
    return [Column("Observable", plot.observables)], [
        Column("Largest difference", plot.difference, errors={"statistics": plot.error}),
        Column("Largest difference allowed", plot.allowed),
    ]


def sizes(plot: SizesPlot, report: Report) -> Columns:
    """Every parameter point, by its name."""
    return [Column("Point", plot.points)], [
        Column("Effective simulated events", plot.size),
        Column("Needed", [plot.needed] * len(plot.points)),
    ]


def ensemble(plot: EnsemblePlot, report: Report) -> Columns:
    """The intervals of the ensemble and of its members, 1, 2, ..., below each other."""
    rows = [
        (parameter, str(who), low, high)
        for parameter, interval, members in zip(
            plot.parameters, plot.intervals, plot.members, strict=True
        )
        for who, (low, high) in [("ensemble", interval), *enumerate(members, 1)]
    ]
    columns = columns_of(("Parameter", "Member", "Lower edge", "Upper edge"), rows)
    return columns[:2], columns[2:]


def extrapolation(plot: ExtrapolationPlot, report: Report) -> Columns:
    """Prior and confidence region along every parameter."""
    edges = [
        Column(f"{side} end of the {what}", [pair[i] for pair in pairs])
        for pairs, what in ((plot.prior, "prior"), (plot.region, "confidence region"))
        for i, side in enumerate(("Lower", "Upper"))
    ]
    return [Column("Parameter", report.parameters)], edges


def bins(plot: BinsPlot, report: Report) -> Columns:
    """Every bin that counts."""
    numbers = list(range(1, len(plot.size) + 1))
    return [Column("Bin", numbers)], [Column("Effective simulated events", plot.size)]


KINDS: dict[str, tuple[str, Callable[[Any, Report], Columns]]] = {
    "closure": ("Mean of the likelihood ratio over events of the denominator, from", closure),
    "reliability": ("True against predicted fraction of the denominator, from", reliability),
    "reweighting": ("Distributions of observables against reweighted ones, from", reweighting),
    "sizes": ("Effective numbers of simulated events for the limits of", sizes),
    "ensemble": ("Intervals of the members of", ensemble),
    "extrapolation": ("Where the prior and the confidence region lie, for", extrapolation),
    "bins": ("Effective numbers of simulated events in the bins of", bins),
}
"""By kind of plot: what is shown of whom, and its columns."""
