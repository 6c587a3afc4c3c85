"""Models on the page: their checks, their training, and what toys say of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from madminer_workflow.report.charts.marks import Axis, Chart, Mark, Panel, digits, symmetric
from madminer_workflow.report.figures import checks, closure, toys, training
from madminer_workflow.report.figures.series import MethodSeries, Series, methods_of
from madminer_workflow.report.results import Report
from madminer_workflow.report.verdict import percent
from madminer_workflow.statistics.likelihood import KINDS
from madminer_workflow.statistics.quantiles import chi2_density, chi2_quantile
from madminer_workflow.statistics.results import (
    BinsPlot,
    ClosurePlot,
    EnsemblePlot,
    ExtrapolationPlot,
    ReliabilityPlot,
    ReweightingPlot,
    SizesPlot,
)

Rows = Sequence[tuple[MethodSeries, Any]]


def charts(report: Report) -> Iterator[Chart]:
    """All about models."""
    yield from calibration(report)
    for kind, rows in checks.shown(report).items():
        yield Chart(
            name=f"check_{kind}",
            section="diagnostics",
            caption=checks.KINDS[kind].caption,
            figures=[f"check_{kind}"],
            panels=PANELS[kind](report, rows),
        )
    yield from toy_charts(report)
    yield from losses(report)


def calibration(report: Report) -> Iterator[Chart]:
    """Mean parton-level score against the estimated one."""
    shown = closure.calibrated(report)
    if not shown:
        return
    panels = []
    for i, name in enumerate(report.parameters):
        marks = []
        ends = []
        for series, calibrations in shown:
            found = calibrations[i]
            low, high = symmetric(found.true, found.error)
            ends += [value for value in found.estimated if value is not None]
            marks.append(
                Mark(
                    kind="points",
                    who=series.name,
                    x=digits(found.estimated),
                    y=digits(found.true),
                    low=low,
                    high=high,
                    along="y",
                )
            )
        diagonal = digits([min(ends), max(ends)])
        line = Mark(kind="line", x=diagonal, y=diagonal, look="faint", words="calibrated")
        panels.append(
            Panel(
                title=name,
                x=Axis(label="estimated score", name="estimated"),
                y=Axis(label="parton-level score, mean", name="parton level"),
                marks=[line, *marks],
            )
        )
    yield Chart(
        name="score_calibration",
        section="diagnostics",
        caption="Mean parton-level score against the estimated score, of test events in bins of "
        "equal size. A calibrated method lies on the diagonal.",
        figures=["score_calibration"],
        panels=panels,
    )


def reliability(report: Report, rows: Rows) -> list[Panel]:
    """True minus predicted class fraction, a panel for each method."""
    return [_reliability(series, plot) for series, plot in rows]


def _reliability(series: Series, plot: ReliabilityPlot) -> Panel:
    bold, cautious = plot.tolerance.overconfident, plot.tolerance.cautious
    marks = [
        Mark(kind="band", x=[0.0, 0.5], low=[-cautious] * 2, high=[bold] * 2, aside=True),
        Mark(kind="band", x=[0.5, 1.0], low=[-bold] * 2, high=[cautious] * 2, aside=True),
        Mark(kind="rule", y=[0.0], look="faint"),
    ]
    for curve in plot.curves:
        predicted = np.array(curve.predicted, dtype=float)
        difference = np.array(curve.true, dtype=float) - predicted
        low, high = symmetric(difference.tolist(), curve.error)
        x, y = digits(predicted), digits(difference)
        marks.append(Mark(kind="line", who=series.name, x=x, y=y, look="thin"))
        marks.append(Mark(kind="points", who=series.name, x=x, y=y, low=low, high=high, along="y"))
    return Panel(
        title=series.label,
        x=Axis(label="predicted fraction of the denominator", name="predicted"),
        y=Axis(label="true − predicted fraction", name="true − predicted"),
        marks=marks,
    )


def in_rows(
    rows: Sequence[str], label: str, shown: Sequence[tuple[Series, Any, Any, Any]], *band: Mark
) -> Panel:
    """Points of all methods side by side in rows: positions, values and errors of each."""
    marks = list(band)
    n = len(shown)
    for k, (series, places, values, errors) in enumerate(shown):
        low, high = symmetric(values, errors) if errors else ([], [])
        shift = 0.5 * (k + 0.5) / n - 0.25 if n > 1 else 0.0
        marks.append(
            Mark(
                kind="points",
                who=series.name,
                x=digits(values),
                y=[round(place + shift, 3) for place in places],
                low=low,
                high=high,
            )
        )
    return Panel(x=Axis(label=label, name=label), y=Axis(rows=list(rows)), marks=marks)


def tolerated(low: float, high: float) -> Mark:
    """What is passed, whatever the statistics."""
    return Mark(kind="shade", low=[low], high=[high], words="tolerated")


def reweighting(report: Report, rows: Rows) -> list[Panel]:
    """The largest difference of the distributions of each observable."""
    first: ReweightingPlot = rows[0][1]
    shown = [(s, range(len(plot.error)), plot.difference, plot.error) for s, plot in rows]
    label = "largest difference of the cumulative distributions"
    return [in_rows(first.observables, label, shown, tolerated(0.0, first.tolerance))]


def ratio_closure(report: Report, rows: Rows) -> list[Panel]:
    """Mean likelihood ratio at every point of the check."""
    first: ClosurePlot = rows[0][1]
    points = list(dict.fromkeys(tuple(point) for _, plot in rows for point in plot.points))
    shown = [
        (s, [points.index(tuple(point)) for point in plot.points], plot.mean, plot.error)
        for s, plot in rows
    ]
    labels = [checks.point_label(report, point) for point in points]
    band = tolerated(1.0 - first.tolerance, 1.0 + first.tolerance)
    return [in_rows(labels, "mean likelihood ratio", shown, band)]


def sizes(report: Report, rows: Rows) -> list[Panel]:
    """Effective simulated events at the truth and at the edges of intervals."""
    needed = max(plot.needed for _, plot in rows)
    largest = max(size for _, plot in rows for size in plot.size if size is not None)
    marks = [Mark(kind="shade", low=digits([needed]), high=digits([1.1 * max(needed, largest)]))]
    for height, (series, plot) in enumerate(rows):
        found: SizesPlot = plot
        for point, size in zip(found.points, found.size, strict=True):
            mark = Mark(kind="points", who=series.name, x=digits([size]), y=[height], words=point)
            marks.append(mark)
    return [
        Panel(
            x=Axis(label="effective simulated events", name="events", low=0.0),
            y=Axis(rows=[series.label for series, _ in rows]),
            marks=marks,
        )
    ]


def bins(report: Report, rows: Rows) -> list[Panel]:
    """Effective simulated events of every bin that counts, fewest first."""
    first: BinsPlot = rows[0][1]
    largest = max(size for _, plot in rows for size in plot.size if size is not None)
    ends = digits([first.needed]) * 2, digits([1.5 * max(first.needed, largest)]) * 2
    marks = [Mark(kind="band", x=[0.0, 1.0], low=ends[0], high=ends[1], words="enough")]
    for series, plot in rows:
        size = np.sort(np.array(plot.size, dtype=float))
        share = (np.arange(len(size)) + 0.5) / len(size)
        marks.append(Mark(kind="line", who=series.name, x=digits(share), y=digits(size)))
    return [
        Panel(
            x=Axis(label="fraction of bins", name="share", low=0.0, high=1.0),
            y=Axis(label="effective simulated events", name="events", log=True),
            marks=marks,
        )
    ]


def ensemble(report: Report, rows: Rows) -> list[Panel]:
    """Intervals of the ensemble, thick, and of its members, thin."""

    def marks(i: int) -> Iterator[Mark]:
        for height, (series, plot) in enumerate(rows):
            found: EnsemblePlot = plot
            for shift, look, spans in (
                (0.12, "", [found.intervals[i]]),
                (-0.12, "thin", found.members[i]),
            ):
                n = max(len(spans), 1)
                yield Mark(
                    kind="spans",
                    who=series.name,
                    y=[round(height + shift - 0.3 * k / n, 3) for k in range(len(spans))],
                    low=digits([span[0] for span in spans]),
                    high=digits([span[1] for span in spans]),
                    look=look,
                    words="a member" if look else "ensemble",
                )

    return spans_of(report, rows, marks)


def extrapolation(report: Report, rows: Rows) -> list[Panel]:
    """The confidence region along every parameter within the prior."""

    def marks(i: int) -> Iterator[Mark]:
        for height, (series, plot) in enumerate(rows):
            found: ExtrapolationPlot = plot
            for look, span in (("thin", found.prior[i]), ("", found.region[i])):
                yield Mark(
                    kind="spans",
                    who=series.name,
                    y=[height],
                    low=digits(span[:1]),
                    high=digits(span[1:]),
                    look=look,
                    words="prior" if look else "region",
                )

    return spans_of(report, rows, marks)


def spans_of(report: Report, rows: Rows, marks: Callable[[int], Iterator[Mark]]) -> list[Panel]:
    """A panel for each parameter, a row for each method."""
    return [
        Panel(
            x=Axis(label=name, name=name),
            y=Axis(rows=[series.label for series, _ in rows]),
            marks=list(marks(i)),
        )
        for i, name in enumerate(report.parameters)
    ]


PANELS: Mapping[str, Callable[[Report, Rows], list[Panel]]] = {
    "closure": ratio_closure,
    "reliability": reliability,
    "reweighting": reweighting,
    "ensemble": ensemble,
    "extrapolation": extrapolation,
    "sizes": sizes,
    "bins": bins,
}
"""By kind of plot of a check."""


def losses(report: Report) -> Iterator[Chart]:
    """Training and validation loss of every method that was trained, a panel each."""
    panels = []
    for series in methods_of(report):
        marks = [
            Mark(
                kind="points" if len(values) == 1 else "line",
                who=series.name,
                x=list(range(1, len(values) + 1)),
                y=digits(values),
                look="dashed thin" if kind == "validation" else "thin",
                words=f"{kind}, member {i}" if len(series.subject.losses) > 1 else kind,
            )
            for i, member in enumerate(series.subject.losses, 1)
            for kind in training.LINES
            if (values := member.get(kind))
        ]
        if marks:
            panels.append(
                Panel(
                    title=series.label,
                    x=Axis(label="epoch", name="epoch"),
                    y=Axis(label="loss", name="loss"),
                    marks=marks,
                )
            )
    if panels:
        yield Chart(
            name="losses",
            section="training",
            caption="Loss by epoch, one line per member of an ensemble. Solid: training; "
            "dashed: validation.",
            figures=["training_"],
            panels=panels,
        )


def toy_charts(report: Report) -> Iterator[Chart]:
    """Coverage, critical values and distributions in toys."""
    every = list(toys.with_toys(report))
    if not every:
        return
    points = every[0][1].points
    yield Chart(
        name="coverage",
        section="toys",
        caption="Coverage of the asymptotic limits in toys, jointly and for each parameter with "
        "the others profiled. Dashed: the confidence level.",
        figures=["coverage_"],
        panels=[coverage(report, i) for i in range(len(points))],
    )
    yield Chart(
        name="toys",
        section="toys",
        caption="Distribution of the test statistic q, all parameters fixed, at the point where "
        "toys are drawn; in grey its asymptotic form. Dashed: critical value. The last "
        "bin contains all larger values.",
        figures=["toys_"],
        panels=[distribution(report, i) for i in range(len(points))],
    )
    yield Chart(
        name="neyman",
        section="toys",
        caption="Expected intervals: filled bars with asymptotic critical values, frames with "
        "those from toys (Neyman's construction).",
        figures=["neyman_"],
        panels=[constructed(report, name) for name in report.parameters],
    )


def coverage(report: Report, number: int) -> Panel:
    """Coverage at one point where toys are drawn."""
    marks = [
        Mark(
            kind="rule",
            x=digits([float(level)]),
            when={"level": level},
            look="dashed",
            words=percent(level),
        )
        for level in report.levels
    ]
    rows: list[str] = []
    for kind in KINDS:
        found = [row for row in toys.coverage_of(report, kind) if row.number == number]
        rows = list(dict.fromkeys(row.parameter for row in found))
        who = list(dict.fromkeys(row.series.name for row in found))
        for row in found:
            place = who.index(row.series.name)
            low, high = symmetric([row.coverage.value], [row.coverage.error])
            marks.append(
                Mark(
                    kind="points",
                    who=row.series.name,
                    when={"kind": kind, "level": row.level},
                    x=digits([row.coverage.value]),
                    y=[round(rows.index(row.parameter) + 0.6 * (place + 0.5) / len(who) - 0.3, 3)],
                    low=low,
                    high=high,
                )
            )
    return Panel(
        title=point_title(report, number),
        x=Axis(label="coverage", name="coverage"),
        y=Axis(rows=rows),
        marks=marks,
    )


def point_title(report: Report, number: int) -> str:
    """Where toys are drawn."""
    point = next(toys.with_toys(report))[1].points[number]
    values = zip(report.parameters, point.theta, strict=True)
    words = ", ".join(f"{name} = {value:.3g}".replace("-", "−") for name, value in values)
    return f"toys at {point.name or words}"


def constructed(report: Report, name: str) -> Panel:
    """Intervals of a parameter with asymptotic critical values and those of toys."""
    marks = []
    names = [series.name for series, _ in toys.with_toys(report)]
    labels = [series.label for series, _ in toys.with_toys(report)]
    for kind in KINDS:
        for row in toys.constructed_of(report, kind):
            if row.parameter != name or row.data == "observed":
                continue
            height = names.index(row.series.name)
            asymptotic = row.series.subject.limits[kind].intervals[name]
            for level in report.levels:
                for look, found in (("", asymptotic[level]), ("frame", row.intervals[level])):
                    marks.append(
                        Mark(
                            kind="spans",
                            who=row.series.name,
                            when={"kind": kind, "level": level},
                            y=[height] * len(found),
                            low=digits([low for low, _ in found]),
                            high=digits([high for _, high in found]),
                            look=look,
                            words="with toys" if look else "asymptotic",
                        )
                    )
    return Panel(x=Axis(label=name, name=name), y=Axis(rows=labels), marks=marks)


def distribution(report: Report, number: int) -> Panel:
    """Density of q among the toys of a point, and its asymptotic form."""
    dof = len(report.parameters)
    marks = [
        Mark(
            kind="rule",
            x=digits([chi2_quantile(float(level), dof)]),
            when={"level": level},
            look="dashed",
            words=f"asymptotic, {percent(level)}",
        )
        for level in report.levels
    ]
    end = 0.0
    for kind in KINDS:
        for row in toys.histograms_of(report, kind):
            if row.number != number:
                continue
            edges, counts = np.array(row.q.edges), np.array(row.q.q, dtype=float)
            scale = max(counts.sum(), 1.0) * np.diff(edges)
            density, error = counts / scale, np.sqrt(counts) / scale
            filled = np.where(counts > 0.0, density, np.nan)
            low, high = symmetric(filled.tolist(), error.tolist())
            end = max(end, float(edges[-1]))
            marks.append(
                Mark(
                    kind="steps",
                    who=row.series.name,
                    when={"kind": kind},
                    x=digits(edges),
                    y=digits(filled),
                    low=low,
                    high=high,
                )
            )
    x = np.linspace(0.0, end, 121)[1:]
    density = chi2_density(x, dof)
    seen = density > 1e-4
    words = f"χ² with {dof} degrees of freedom"
    line = Mark(kind="line", x=digits(x[seen]), y=digits(density[seen]), words=words, aside=True)
    return Panel(
        title=point_title(report, number),
        x=Axis(label="q", name="q"),
        y=Axis(label="density of toys", name="density", log=True),
        marks=[line, *marks],
    )
