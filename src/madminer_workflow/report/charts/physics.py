"""Events on the page: observables, whether data look like them, and closure of cross-sections."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from madminer_workflow.report.charts.marks import Axis, Chart, Mark, Panel, digits, symmetric
from madminer_workflow.report.comparison import KIND
from madminer_workflow.report.figures import goodness, observables
from madminer_workflow.report.goodness import DOUBTFUL
from madminer_workflow.report.results import Distribution, Report
from madminer_workflow.statistics.results import Goodness

LEAST = 0.02
"""Of the highest density: where the reference has less, ratios say nothing."""


def charts(report: Report) -> Iterator[Chart]:
    """All about events."""
    yield from goodness_chart(report)
    for observable in report.observables:
        yield distribution(report, observable)
    yield from closure_chart(report)


def distribution(report: Report, observable: Distribution) -> Chart:
    """An observable at all points that are shown, and the ratio to the first of them."""
    edges = digits(observable.edges)
    reference = np.array(observable.curves[0].density, dtype=float)
    densities: list[Mark] = []
    ratios: list[Mark] = []
    with np.errstate(divide="ignore", invalid="ignore"):
        known = reference > LEAST * np.nanmax(reference, initial=0.0)
        for i, curve in enumerate(observable.curves):
            density = np.array(curve.density, dtype=float)
            error = np.nan_to_num(np.array(curve.error, dtype=float))
            words = observables.point_label(report, curve, names=True)
            for marks, values, errors in (
                (densities, density, error),
                (ratios, np.where(known, density / reference, np.nan), error / reference),
            ):
                low, high = symmetric(values.tolist(), errors.tolist())
                marks.append(
                    Mark(
                        kind="steps",
                        x=edges,
                        y=digits(values),
                        low=low,
                        high=high,
                        colour=i - 1 if i else None,
                        look="" if i else "reference",
                        words=words,
                    )
                )
    unit = observable.unit
    return Chart(
        name=f"observable_{observable.name}",
        section="observables",
        caption=f"Normalised distribution of {observable.name} at the reference point and at the "
        "ends of the limits; bands: statistical errors of the simulation. The second "
        "panel shows the ratio to the reference.",
        figures=[f"observable_{observable.name}"],
        legend=True,
        panels=[
            Panel(
                x=Axis(label=observable.name, name=observable.name, linked=True),
                y=Axis(
                    label=f"fraction of events / {unit}" if unit else "density of events",
                    name="density",
                    low=0.0,
                ),
                marks=densities,
            ),
            Panel(
                x=Axis(label=observable.name, name=observable.name, linked=True),
                y=Axis(label="ratio to the reference", name="ratio"),
                marks=ratios,
            ),
        ],
    )


def goodness_chart(report: Report) -> Iterator[Chart]:
    """p-values, and what differs most."""
    rows = goodness.rows_of(report)
    if not rows:
        return
    found = goodness.shown(report)
    names = list(dict.fromkeys(name for row in rows for name in row.p))
    marks = [Mark(kind="rule", x=[DOUBTFUL], look="dashed", words=f"doubtful below {DOUBTFUL:g}")]
    for k, row in enumerate(rows):
        p = {name: value for name, value in row.p.items() if value > 0.0}
        shift = 0.5 * (k + 0.5) / len(rows) - 0.25
        marks.append(
            Mark(
                kind="points",
                who=row.series.name,
                x=digits(list(p.values())),
                y=[round(names.index(name) + shift, 3) for name in p],
            )
        )
    yield Chart(
        name="goodness_of_fit",
        section="goodness",
        caption="p-values of the observed data at the best fits, from toys.",
        figures=["goodness_of_fit"],
        panels=[
            Panel(
                title=f"p-values from {KIND.replace('_', ' ')}",
                x=Axis(label="p-value", name="p", log=True),
                y=Axis(rows=names),
                marks=marks,
            )
        ],
    )
    if found[1].plot is not None:
        yield Chart(
            name="goodness_worst",
            section="goodness",
            caption=f"What differs most at the best fit of {found[0]}: events per unit, with the "
            "simulation scaled to the observed number of events, and pulls. Shaded: the least "
            "likely interval.",
            figures=["goodness_of_fit"],
            columns=1,
            panels=worst(report, found[1]),
        )


def worst(report: Report, found: Goodness) -> list[Panel]:
    """Data and simulation in what differs most, and pulls below."""
    plot, place = found.plot, found.place
    assert plot is not None and place is not None, "the largest discrepancy is drawn"
    edges = goodness.clipped(plot)
    observed, expected = np.array(plot.observed), np.array(plot.expected, dtype=float)
    widths, middle = np.diff(edges), 0.5 * (edges[1:] + edges[:-1])
    low, high = place.interval or (None, None)
    ends = [edges[0] if low is None else low, edges[-1] if high is None else high]
    data_low, data_high = symmetric(
        (observed / widths).tolist(), (np.sqrt(observed) / widths).tolist()
    )
    unit, _ = goodness.labels(report, plot)
    name = goodness.plot_words(plot)
    x = Axis(
        label=name if plot.about == "score" else plot.name,
        name=name,
        low=float(edges[0]),
        high=float(edges[-1]),
        linked=True,
    )
    shade = Mark(kind="shade", low=digits(ends[:1]), high=digits(ends[1:]), words="least likely")
    pulls = goodness.pulls(observed, expected)
    reach = goodness.reach(pulls)
    data = Panel(
        title=name,
        x=x,
        y=Axis(
            label=f"events / {unit}" if unit else "events per unit",
            name="events per unit",
            low=0.0,
        ),
        place=(0, 0),
        marks=[
            shade,
            Mark(
                kind="steps",
                x=digits(edges),
                y=digits(expected / widths),
                look="reference",
                words="best fit",
            ),
            Mark(
                kind="points",
                x=digits(middle),
                y=digits(observed / widths),
                low=data_low,
                high=data_high,
                along="y",
                colour=1,
                words="data",
            ),
        ],
    )
    below = Panel(
        x=x,
        y=Axis(label="pull", name="pull", low=-reach, high=reach),
        place=(0, 1),
        height=0.28,
        marks=[
            shade,
            Mark(kind="steps", x=digits(edges), y=digits(pulls), look="filled", colour=1),
            Mark(kind="rule", y=[0.0], look="faint"),
        ],
    )
    return [data, below]


def closure_chart(report: Report) -> Iterator[Chart]:
    """Pulls of all closure checks of cross-sections."""
    checks = report.closure.checks
    if not checks:
        return
    pulls = [check.pull for check in checks]
    low, high = symmetric(pulls, [1.0] * len(checks))
    yield Chart(
        name="closure",
        section="closure",
        caption="Pull of every closure check: predicted minus direct cross-section in standard "
        "errors.",
        figures=["closure"],
        panels=[
            Panel(
                x=Axis(label="pull", name="pull", even=True),
                y=Axis(rows=[check.what for check in checks]),
                marks=[
                    Mark(kind="shade", low=[-2.0], high=[2.0], words="±2"),
                    Mark(kind="rule", x=[0.0], look="faint"),
                    Mark(
                        kind="points",
                        x=digits(pulls),
                        y=list(range(len(checks))),
                        low=low,
                        high=high,
                        colour=0,
                    ),
                ],
            )
        ],
    )
