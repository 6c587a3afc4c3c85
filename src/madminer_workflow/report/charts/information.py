"""Fisher information on the page, and what systematic uncertainties do to it and to fits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations

import numpy as np

from madminer_workflow.report.charts.marks import Axis, Chart, Mark, Panel, digits, symmetric
from madminer_workflow.report.figures import fisher, ranking, systematics
from madminer_workflow.report.figures.series import Series, ceiling_of, methods_of, rate_of
from madminer_workflow.report.results import MethodInformation, Report
from madminer_workflow.statistics.results import Matrix

POINTS = 120
"""Of an ellipse."""


def charts(report: Report) -> Iterator[Chart]:
    """All about information and uncertainties."""
    yield ellipses(report) if len(report.parameters) > 1 else values(report)
    if report.systematics:
        yield widths(report)
    yield from rankings(report)


def ellipses(report: Report) -> Chart:
    """Ellipses of every pair of parameters around the reference, the others fixed."""
    pairs = list(combinations(range(len(report.parameters)), 2))
    published = any(method.fisher_information.published for method in report.methods)
    fixed = ", all other parameters fixed" if len(report.parameters) > 2 else ""
    return Chart(
        name="fisher",
        section="fisher",
        caption="Fisher information as the ellipse Σ Iᵢⱼ Δθᵢ Δθⱼ = 1"
        f"{fixed}: its projections on the axes are the 1σ errors of the parameters."
        + " Dashed: published values." * published
        + " Thin: members of an ensemble."
        * any(len(method.fisher_information.members) > 1 for method in report.methods),
        figures=["fisher_"],
        panels=[
            Panel(
                x=Axis(label=report.parameters[i], name=report.parameters[i], linked=True),
                y=Axis(label=report.parameters[j], name=report.parameters[j], linked=True),
                marks=list(of_pair(report, i, j)),
            )
            for i, j in pairs
        ],
    )


def of_pair(report: Report, i: int, j: int) -> Iterator[Mark]:
    """The ellipses of one pair of parameters; axes need not show nearly flat ones."""
    centre = np.array(report.setup.fisher_theta.theta)[[i, j]]
    matrices: list[tuple[Series, str, str, Matrix]] = []
    for series in methods_of(report):
        found = series.subject.fisher_information
        members = found.members if len(found.members) > 1 else []
        matrices += [(series, "thin soft", "a member", member) for member in members]
        if found.published is not None:
            matrices.append((series, "dashed", "published", [list(row) for row in found.published]))
        matrices.append((series, "", "information", found.matrix))
    ceiling = report.baselines.truth.fisher_information.matrix
    matrices.append((ceiling_of(report), "", "information", ceiling))
    shapes = [
        ellipse(np.array(matrix, dtype=float)[np.ix_([i, j], [i, j])])
        for _, _, _, matrix in matrices
    ]
    reach = fisher.scale_of([np.abs(shape).max(axis=1) for shape in shapes])
    for (subject, look, words, _), shape in zip(matrices, shapes, strict=True):
        x, y = centre[:, None] + shape
        aside = bool(np.any(np.abs(shape).max(axis=1) > 1.01 * reach))
        yield Mark(
            kind="line",
            who=subject.name,
            x=digits(x),
            y=digits(y),
            look=look,
            words=words,
            aside=aside,
        )
    point = f"the point {report.setup.fisher_theta.benchmark}"
    yield Mark(
        kind="points", x=digits(centre[:1]), y=digits(centre[1:]), look="cross ink", words=point
    )


def ellipse(matrix: np.ndarray) -> np.ndarray:
    """The points x with x^T matrix x = 1, (2, POINTS)."""
    eigenvalues, vectors = np.linalg.eigh(matrix)
    # A direction without information gets a finite, very long axis.
    radii = 1.0 / np.sqrt(np.maximum(eigenvalues, 1e-6 * max(eigenvalues.max(), 1e-300)))
    angles = np.linspace(0.0, 2.0 * np.pi, POINTS)
    return vectors @ (radii[:, None] * np.stack([np.cos(angles), np.sin(angles)]))


def values(report: Report) -> Chart:
    """The information on a single parameter, by method."""
    marks = []
    everybody = [ceiling_of(report), *methods_of(report), rate_of(report)]
    for height, series in enumerate(everybody):
        found = series.subject.fisher_information
        low, high = symmetric([found.matrix[0][0]], [found.error[0][0]])
        marks.append(
            Mark(
                kind="points",
                who=series.name,
                x=digits([found.matrix[0][0]]),
                y=[height],
                low=low,
                high=high,
                words="information",
            )
        )
        if isinstance(found, MethodInformation) and found.published is not None:
            published = digits([found.published[0][0]])
            marks.append(
                Mark(
                    kind="points",
                    who=series.name,
                    x=published,
                    y=[height],
                    look="hollow",
                    words="published",
                )
            )
    [name] = report.parameters
    return Chart(
        name="fisher",
        section="fisher",
        caption="Fisher information"
        + "; hollow: published values" * any(mark.look == "hollow" for mark in marks)
        + ".",
        figures=["fisher_"],
        panels=[
            Panel(
                x=Axis(label=f"Fisher information on {name}", name="information", low=0.0),
                y=Axis(rows=[series.label for series in everybody]),
                marks=marks,
            )
        ],
    )


def widths(report: Report) -> Chart:
    """Standard deviations of every parameter with nuisance parameters fixed and profiled."""
    rows = systematics.widths_of(report)
    labels = {row.series.name: row.series.label for row in rows}
    panels = []
    for name in report.parameters:
        shown = [row for row in rows if row.parameter == name]
        marks = [
            Mark(
                kind="points",
                who=row.series.name,
                x=digits([value]),
                y=[list(labels).index(row.series.name)],
                look=look,
                words=words,
            )
            for row in shown
            for value, look, words in (
                (row.fixed, "hollow", "fixed"),
                (row.profiled, "", "profiled"),
            )
            if value is not None
        ]
        known = [value for row in shown for value in (row.fixed, row.profiled) if value]
        # A method that is blind to a parameter must not hide what the others know of it.
        wide = bool(known) and max(known) > systematics.LARGEST_RATIO * min(known)
        panels.append(
            Panel(
                x=Axis(label=name, name="σ", log=wide, low=None if wide else 0.0),
                y=Axis(rows=list(labels.values())),
                marks=marks,
            )
        )
    return Chart(
        name="systematics",
        section="systematics",
        caption="Expected standard deviation of each parameter, all others free, from the Fisher "
        "information: hollow with the nuisance parameters fixed, filled with them profiled.",
        figures=["systematics"],
        panels=panels,
    )


def rankings(report: Report) -> Iterator[Chart]:
    """Pulls and impacts of nuisance parameters, of one method at a time."""
    found = list(ranking.rankings_of(report))
    if not found:
        return
    best = report.verdict.recommended
    names = sorted(dict.fromkeys(one.series.name for one in found), key=lambda name: name != best)
    several = any(len(one.rows) > 1 for one in found)
    yield Chart(
        name="ranking",
        section="systematics",
        caption="Nuisance parameters with the largest impact on a parameter, from rate and shape. "
        "Left: pull, the best fit in units of the prior's width, with post-fit errors"
        + (", hollow for expected data" if several else "")
        + ". Right: impact, the shift of the parameter's best fit when a nuisance parameter is "
        "fixed at its best fit plus (dark) or minus (light) its post-fit error, and all others "
        "are fitted again.",
        figures=["ranking_"],
        panels=[panel for one in found for panel in (pull_panel(one), impact_panel(one))],
        choices={"ranked": {name: name for name in names}},
    )


def pull_panel(found: ranking.Ranking) -> Panel:
    """Pulls with post-fit errors."""
    rows = found.titles[: ranking.SHOWN]
    marks = [
        Mark(kind="shade", low=[-1.0], high=[1.0], words="width of the prior"),
        Mark(kind="rule", x=[0.0], look="faint"),
    ]
    for data, fits in found.rows.items():
        shown = fits[: ranking.SHOWN]
        pulls = [fit.pull for fit in shown]
        ends = [_ends(fit.pull, fit.profile_error) for fit in shown]
        hollow = data == "expected" and len(found.rows) > 1
        marks.append(
            Mark(
                kind="points",
                x=digits(pulls),
                y=[height - 0.2 if hollow else height for height in range(len(shown))],
                low=digits([low for low, _ in ends]),
                high=digits([high for _, high in ends]),
                look="hollow ink" if hollow else "ink",
                words=data,
            )
        )
    return Panel(
        title=f"{found.series.label}, {found.parameter}",
        x=Axis(label="pull", name="pull", even=True),
        y=Axis(rows=rows),
        marks=marks,
        when={"ranked": found.series.name},
    )


def _ends(pull: float | None, errors: Sequence[float | None]) -> tuple[float, float]:
    low, high = (abs(error) if error is not None else 0.0 for error in errors)
    middle = np.nan if pull is None else pull
    return middle - low, middle + high


def impact_panel(found: ranking.Ranking) -> Panel:
    """Shifts of the best fit of a parameter."""
    shown = found.rows[found.data][: ranking.SHOWN]
    shifts = [fit.impact[found.parameter] for fit in shown]
    marks = [Mark(kind="rule", x=[0.0], look="faint")]
    for side, look, words in ((ranking.DOWN, "light", "ν̂ − σ"), (ranking.UP, "", "ν̂ + σ")):
        after = np.clip(ranking.numbers([one.postfit[side] for one in shifts]), -1e30, 1e30)
        marks.append(
            Mark(
                kind="spans",
                who=found.series.name,
                y=list(range(len(shown))),
                low=digits(np.minimum(after, 0.0)),
                high=digits(np.maximum(after, 0.0)),
                look=look,
                words=f"fixed at {words}",
            )
        )
    return Panel(
        title=f"{found.data} data",
        x=Axis(label=f"impact on {found.parameter}", name="impact", even=True),
        y=Axis(rows=found.titles[: ranking.SHOWN]),
        marks=marks,
        when={"ranked": found.series.name},
    )
