"""Limits on the page: intervals, and all parameters and pairs of parameters in one triangle."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise, product

import numpy as np
from contourpy import FillType, contour_generator

from madminer_workflow.report.charts.marks import Axis, Chart, Mark, Panel, When, digits, symmetric
from madminer_workflow.report.comparison import KIND
from madminer_workflow.report.figures import (
    comparison,
    contours,
    corner,
    errors,
    intervals,
    profiles,
)
from madminer_workflow.report.figures.contours import Pair, Surface
from madminer_workflow.report.figures.series import TestStatistic, level_words
from madminer_workflow.report.results import Report
from madminer_workflow.report.verdict import percent
from madminer_workflow.statistics.likelihood import KINDS
from madminer_workflow.statistics.quantiles import chi2_quantile

POINTS = 12000
"""Of all contours of one method and state."""

FEWEST, MOST = 30, 150
"""Of one contour."""

HIGHEST = 1.4
"""Of curves, over the height of the panel."""


def charts(report: Report) -> Iterator[Chart]:
    """All about limits."""
    yield interval_chart(report)
    yield triangle(report)
    yield from compared(report)


def interval_chart(report: Report) -> Chart:
    """Intervals, a row for each method and baseline."""
    marks: dict[str, list[Mark]] = {name: [] for name in report.parameters}
    labels = {series.name: series.label for series in intervals.ordered(report, KIND)}
    names = list(labels)
    for kind in KINDS:
        for row in intervals.rows_of(report, kind):
            height = names.index(row.series.name)
            for level in report.levels:
                when = {"kind": kind, "level": level, "data": row.data}
                marks[row.parameter] += interval_marks(row, height, level, when)
    both = "Bars: expected; lines with the best fit: observed." if report.observed else ""
    several = any(method.members > 1 for method in report.methods)
    ticks = "Thin lines above a bar: intervals of the members of an ensemble." if several else ""
    others = ", with the other parameters profiled" if len(report.parameters) > 1 else ""
    return Chart(
        name="intervals",
        section="limits",
        caption=f"Intervals{others}, most sensitive method on top. {both} {ticks}".strip(),
        figures=["intervals_"],
        panels=[
            Panel(
                x=Axis(label=name, name=name),
                y=Axis(rows=list(labels.values())),
                marks=[truth_rule(report, name), *marks[name]],
            )
            for name in report.parameters
        ],
    )


def interval_marks(row: intervals.Row, height: int, level: str, when: When) -> Iterator[Mark]:
    """The intervals of one method, those of its members, and the best fit to observed data."""
    found = row.intervals[level]
    low, high = [digits(ends) for ends in zip(*found, strict=True)] if found else ([], [])
    who, aside = row.series.name, row.series.name == "rate"
    observed = row.data == "observed"
    yield Mark(
        kind="spans",
        who=who,
        when=when,
        y=[height] * len(found),
        low=low,
        high=high,
        look="observed" if observed else "",
        words=f"{row.data}, {percent(level)}",
        aside=aside,
    )
    if observed:
        best = digits([row.best_fit])
        yield Mark(
            kind="points", who=who, when=when, x=best, y=[height], words="best fit", look="ink"
        )
    members = [one for one in row.members.get(level, []) if one]
    if len(members) > 1 and not observed:
        yield Mark(
            kind="spans",
            who=who,
            when=when,
            y=[round(height - 0.36 - 0.12 * k / len(members), 3) for k in range(len(members))],
            low=digits([one[0][0] for one in members]),
            high=digits([one[-1][1] for one in members]),
            look="thin",
            words="a member",
        )


def truth_rule(report: Report, name: str) -> Mark:
    """A line at the assumed truth of a parameter."""
    return Mark(kind="rule", x=digits([report.truth[name]]), look="faint", words="assumed truth")


def triangle(report: Report) -> Chart:
    """Diagonal: q along each parameter; below: joint contours of each pair."""
    names = report.parameters
    panels = [
        *(
            Panel(
                x=Axis(label=name, name=name, linked=True),
                y=Axis(label="q", name="q", low=0.0, high=profiles.top(report)),
                marks=[*frame(report, name), *curves(report, name)],
                place=(i, i),
                height=0.75,
            )
            for i, name in enumerate(names)
        ),
        *(
            Panel(
                x=Axis(label=names[i], name=names[i], linked=True),
                y=Axis(label=names[j], name=names[j], linked=True),
                marks=[*joint(report, (names[i], names[j])), cross(report, names[i], names[j])],
                place=(i, j),
                height=0.75,
            )
            for j in range(len(names))
            for i in range(j)
        ),
    ]
    best = report.verdict.recommended
    several = any(method.members > 1 for method in report.methods)
    words = [
        "The test statistic q along each parameter",
        " and joint contours of each pair" if len(names) > 1 else "",
        "; the cross marks the assumed truth" if len(names) > 1 else "",
        f", and {best}, which is recommended, is filled" if best and len(names) > 1 else "",
        ". Bands: spread of the members of an ensemble" if several else "",
        ". Dashed: expected, solid: observed" if report.observed else "",
        ".",
    ]
    return Chart(
        name="triangle",
        section="limits",
        caption="".join(words),
        figures=["corner_", "slices_", "limits_"],
        panels=panels,
        columns=len(names),
    )


def frame(report: Report, name: str) -> Iterator[Mark]:
    """The critical values of q and the assumed truth."""
    for level, threshold in profiles.thresholds(report).items():
        when = {"level": level}
        yield Mark(
            kind="rule", y=digits([threshold]), when=when, look="dashed", words=level_words(level)
        )
    yield truth_rule(report, name)


def cross(report: Report, x: str, y: str) -> Mark:
    """The assumed truth of two parameters."""
    return Mark(
        kind="points",
        x=digits([report.truth[x]]),
        y=digits([report.truth[y]]),
        look="cross ink",
        words="assumed truth",
    )


def curves(report: Report, name: str) -> Iterator[Mark]:
    """q of everybody along a parameter, the others profiled or at the assumed truth."""
    axis = np.array(report.grid[name])
    highest = HIGHEST * profiles.top(report)
    for kind, part in product(KINDS, corner.PAIRS):
        for row in profiles.profiles_of(report, kind, part)[name]:
            x, q = profiles.smooth(axis, row.q)
            low = np.flatnonzero(q < highest)
            if not len(low):
                continue
            seen = slice(max(low[0] - 1, 0), low[-1] + 2)
            when = {"kind": kind, "part": part, "data": row.data}
            aside = row.series.name == "rate"
            if len(row.members) > 1:
                band = np.array([profiles.smooth(axis, member)[1] for member in row.members])
                yield Mark(
                    kind="band",
                    who=row.series.name,
                    when=when,
                    x=digits(x[seen]),
                    low=digits(band.min(axis=0)[seen]),
                    high=digits(band.max(axis=0)[seen]),
                    aside=True,
                )
            yield Mark(
                kind="line",
                who=row.series.name,
                when=when,
                x=digits(x[seen]),
                y=digits(q[seen]),
                look=look_of(report, row),
                words=row.data,
                aside=aside,
            )


def look_of(report: Report, row: TestStatistic) -> str:
    """Dashed where it is expected and there are observed ones."""
    return "dashed" if report.observed and row.data == "expected" else ""


def joint(report: Report, pair: Pair) -> Iterator[Mark]:
    """Contours of a pair of parameters at every level."""
    n_pairs = len(report.parameters) * (len(report.parameters) - 1) // 2
    most = int(np.clip(POINTS / (n_pairs * 4 * len(report.levels)), FEWEST, MOST))
    best = report.verdict.recommended
    for kind, part in product(KINDS, corner.PAIRS):
        rows = contours.planes_of(report, kind, corner.PAIRS[part])[pair]
        for row, surface in contours.surfaces_of(report, pair, rows):
            for level in report.levels:
                when = {"kind": kind, "part": part, "level": level, "data": row.data}
                threshold = chi2_quantile(float(level), 2)
                who, aside = row.series.name, row.series.name == "rate"
                if row.series.name == best and row.data == "expected":
                    for ring in rings(surface, threshold, most):
                        x, y = ring
                        yield Mark(kind="area", who=who, when=when, x=x, y=y, aside=True)
                for x, y in lines(surface, threshold, most):
                    yield Mark(
                        kind="line",
                        who=who,
                        when=when,
                        x=x,
                        y=y,
                        look=look_of(report, row),
                        words=f"{row.data}, {percent(level)}",
                        aside=aside,
                    )
        for row in rows:
            observed = (row.series.subject.observed or {}).get(kind)
            if row.data == "observed" and observed and row.series.name != "rate":
                places = [observed.best_fit[report.parameters.index(name)] for name in pair]
                yield Mark(
                    kind="points",
                    who=row.series.name,
                    when={"kind": kind, "part": part, "data": "observed"},
                    x=digits(places[:1]),
                    y=digits(places[1:]),
                    words="best fit",
                )


def lines(surface: Surface, threshold: float, most: int) -> Iterator[tuple[list, list]]:
    """Contour lines of a surface, with at most about ``most`` points each."""
    x, y, q = surface
    for found in contour_generator(x, y, q.T).lines(threshold):
        yield fewer(np.asarray(found), most)


def rings(surface: Surface, threshold: float, most: int) -> Iterator[tuple[list, list]]:
    """What of a surface is below a threshold, as closed lines."""
    x, y, q = surface
    generator = contour_generator(x, y, q.T, fill_type=FillType.OuterOffset)
    for points, offsets in zip(*generator.filled(-1e300, threshold), strict=True):
        for first, last in pairwise(offsets):
            yield fewer(np.asarray(points)[first:last], most)


def fewer(points: np.ndarray, most: int) -> tuple[list, list]:
    """Some of the points of a line (n, 2), both ends among them, as x and y."""
    if len(points) > most:
        points = points[np.linspace(0, len(points) - 1, most).round().astype(int)]
    return digits(points[:, 0]), digits(points[:, 1])


def compared(report: Report) -> Iterator[Chart]:
    """Lengths of intervals beside those of the best, and what intervals are made of."""
    rows = comparison.rows_of(report)
    if rows:
        yield Chart(
            name="comparison",
            section="limits",
            caption=f"Lengths of expected {percent(report.verdict.confidence_level)} intervals "
            f"from rate and shape relative to those of {report.verdict.recommended}, "
            "with standard errors of the ratio: methods share the simulated events, but "
            "not the training. For a method that was trained only once, the error is "
            "unknown.",
            figures=["comparison"],
            panels=[relative_lengths(name, rows) for name in report.parameters],
        )
    made_of = errors.rows_of(report)
    if made_of:
        yield Chart(
            name="errors",
            section="limits",
            caption="Contributions to one standard deviation of each parameter, with the others "
            "profiled, from rate and shape: data, finite simulation, training. They add "
            "in quadrature.",
            figures=["errors"],
            legend=True,
            panels=[parts_of_errors(name, made_of) for name in report.parameters],
        )


def relative_lengths(name: str, rows: Sequence[comparison.Row]) -> Panel:
    """Ratios of lengths for one parameter."""
    marks = [Mark(kind="rule", x=[1.0], look="faint", words="as long")]
    for height, row in enumerate(rows):
        ratio = row.comparison.parameters[name]
        low, high = symmetric([ratio.value], [ratio.error])
        marks.append(
            Mark(
                kind="points",
                who=row.series.name,
                x=digits([ratio.value]),
                y=[height],
                low=low,
                high=high,
                words="relative length",
            )
        )
    return Panel(
        x=Axis(label=name, name="ratio"),
        y=Axis(rows=[row.series.label for row in rows]),
        marks=marks,
    )


def parts_of_errors(name: str, rows: Sequence[errors.Row]) -> Panel:
    """Statistical, simulation's and training's error of one parameter."""
    marks = [
        Mark(
            kind="points",
            who=row.series.name,
            x=digits([value]),
            y=[height],
            words=source,
            look=source,
        )
        for height, row in enumerate(rows)
        for source in errors.MARKERS
        if (value := getattr(row.errors[name], source))
    ]
    return Panel(
        x=Axis(label=name, name="σ", log=True),
        y=Axis(rows=[row.series.label for row in rows]),
        marks=marks,
    )
