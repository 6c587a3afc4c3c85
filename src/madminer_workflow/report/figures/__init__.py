"""Figures of the report, drawn from ``results.json`` alone.

The rows that a figure shows are found once; its tables and its drawing both follow from them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations

from matplotlib.figure import Figure

from madminer_workflow.report.figures import (
    checks,
    closure,
    comparison,
    contours,
    corner,
    errors,
    fisher,
    goodness,
    intervals,
    observables,
    profiles,
    ranking,
    systematics,
    toys,
    training,
)
from madminer_workflow.report.figures.series import methods_of
from madminer_workflow.report.figures.tables import Table
from madminer_workflow.report.results import Report
from madminer_workflow.report.verdict import percent

KINDS = {"rate_and_shape": "rate and shape", "shape": "shape only"}


@dataclass(frozen=True)
class Plot:
    """A figure to be: its file name, the section of the report, a caption, how to draw it.

    ``tables`` are the numbers that it shows; figures of the same numbers have the same tables.
    """

    name: str
    section: str
    caption: str
    tables: Sequence[Table]
    draw: Callable[[], Figure]


@dataclass(frozen=True)
class Drawn:
    """A figure that was written, with the names of the files of its data."""

    plot: Plot
    data: Sequence[str]


def plots(report: Report) -> Iterator[Plot]:
    """All figures of an analysis, in the order of the report."""
    for kind, words in KINDS.items():
        yield from limit_plots(report, kind, words)
    compared = comparison.rows_of(report)
    if compared:
        yield Plot(
            "comparison",
            "headline",
            f"Lengths of expected {percent(report.verdict.confidence_level)} intervals from rate "
            f"and shape relative to those of {report.verdict.recommended}, with standard errors "
            "of the ratio: methods share the simulated events, but not the training. For a "
            "single training, the error is unknown and not drawn.",
            [comparison.table(compared, report)],
            partial(comparison.draw, report, compared),
        )
    yield from goodness_plots(report)
    made_of = errors.rows_of(report)
    if made_of:
        yield Plot(
            "errors",
            "headline",
            "Contributions to one standard deviation of each parameter, with the others "
            "profiled, from rate and shape: data, finite simulation, training. They add in "
            "quadrature.",
            [errors.table(made_of, report)],
            partial(errors.draw, report, made_of),
        )
    yield from observable_plots(report)
    if any(method.toys for method in report.methods):
        for kind, words in KINDS.items():
            yield from toy_plots(report, kind, words)
    yield from training_plots(report)
    yield from check_plots(report)
    yield from fisher_plots(report)
    if report.systematics:
        widths = systematics.widths_of(report)
        yield Plot(
            "systematics",
            "systematics",
            "Expected standard deviation of each parameter, all others free, from the Fisher "
            "information: hollow with the nuisance parameters fixed, filled with them profiled.",
            [systematics.table(widths)],
            partial(systematics.draw, report, widths),
        )
    for found in ranking.rankings_of(report):
        yield Plot(
            found.name,
            "systematics",
            ranking.caption(found),
            [ranking.table(found)],
            partial(ranking.draw, report, found),
        )


def limit_plots(report: Report, kind: str, words: str) -> Iterator[Plot]:
    """Intervals, contours and profiles from rate and shape, or the shape alone."""
    n = len(report.parameters)
    best = report.verdict.recommended
    several = any(method.members > 1 for method in report.methods)
    both = "Expected and observed" if report.observed else "Expected"
    lines = " Dashed: expected, solid: observed." if report.observed else ""
    filled = f" {best}, which is recommended, is filled." if best and n > 1 else ""
    section = "headline" if kind == "rate_and_shape" else "limits"
    rows = intervals.rows_of(report, kind)
    yield Plot(
        f"intervals_{kind}",
        section,
        f"{both} intervals from {words}{', the other parameters profiled' * (n > 1)}, most "
        "sensitive method on top."
        + " Boxes: expected; lines with caps and best fit: observed." * bool(report.observed)
        + " Ticks at the ends: intervals of the ensemble members." * several,
        [intervals.table(rows, kind, report.levels)],
        partial(intervals.draw, report, rows),
    )
    yield corner_plot(
        report,
        kind,
        "profiles",
        section,
        f"{both} limits from {words}: the test statistic q along each parameter"
        + (", and joint contours of each pair, all others profiled" if n > 1 else "")
        + f".{filled} Thin lines: the other methods at the highest confidence level."
        + (" Bands: spread of the ensemble members." if several else "")
        + lines,
    )
    if n > 1:
        yield corner_plot(
            report,
            kind,
            "slices",
            "limits",
            f"{both} limits from {words} with all other parameters fixed at the assumed truth: "
            f"q along each parameter and joint contours of each pair.{filled}{lines}",
        )
    profiled = ", all other parameters profiled" if n > 2 else ""
    for pair, planes in contours.planes_of(report, kind).items():
        yield Plot(
            f"limits_{'_'.join(pair)}_{kind}",
            "limits",
            f"{both} limit contours from {words}{profiled}. The cross marks the assumed truth."
            f"{lines}",
            [contours.table(report, pair, planes, kind)],
            partial(contours.draw, report, pair, planes, kind),
        )


def corner_plot(report: Report, kind: str, part: str, section: str, caption: str) -> Plot:
    """All parameters and pairs; ``part`` is "profiles" or "slices"."""
    along = profiles.profiles_of(report, kind, part)
    planes = contours.planes_of(report, kind, corner.PAIRS[part])
    return Plot(
        f"{'corner' if part == 'profiles' else part}_{kind}",
        section,
        caption,
        [
            *profiles.tables(report, along, kind, part),
            *(
                contours.table(report, pair, rows, kind, corner.PAIRS[part])
                for pair, rows in planes.items()
            ),
        ],
        partial(corner.draw, report, along, planes, kind),
    )


def goodness_plots(report: Report) -> Iterator[Plot]:
    """Whether observed data look like the simulation, if there are any."""
    rows = goodness.rows_of(report)
    if not rows:
        return
    found = goodness.shown(report)
    yield Plot(
        "goodness_of_fit",
        "goodness",
        goodness.caption(found),
        goodness.tables(report, rows, found),
        partial(goodness.draw, report, rows, found),
    )


def observable_plots(report: Report) -> Iterator[Plot]:
    """Observables, and the closure of cross-sections."""
    for observable in report.observables:
        yield Plot(
            f"observable_{observable.name}",
            "observables",
            f"{observable.name}, normalised: the reference point and, along each parameter, "
            "where its limits end. Bands: statistical errors of the simulation. Below: "
            "ratio to the reference.",
            [observables.table(report, observable)],
            partial(observables.draw, report, observable),
        )
    if report.closure.checks:
        yield Plot(
            "closure",
            "closure",
            "Pull of every closure check: predicted minus direct cross-section in standard errors.",
            [closure.closure_table(report.closure.checks)],
            partial(closure.closure, report.closure.checks),
        )


def toy_plots(report: Report, kind: str, words: str) -> Iterator[Plot]:
    """What toys say about the limits."""
    covered = toys.coverage_of(report, kind)
    yield Plot(
        f"coverage_{kind}",
        "toys",
        f"Coverage of the asymptotic limits from {words} in toys, jointly and for each parameter "
        "with the others profiled. Lines: the confidence levels.",
        [toys.coverage_table(report, covered, kind)],
        partial(toys.coverage, report, covered, kind),
    )
    histograms = toys.histograms_of(report, kind)
    yield Plot(
        f"toys_{kind}",
        "toys",
        f"Distribution of the test statistic q from {words} at the point where the toys are "
        "drawn, and its asymptotic form. Vertical lines: critical values. The last bin contains "
        "all larger values.",
        toys.distribution_tables(report, histograms, kind),
        partial(toys.distributions, report, histograms, kind),
    )
    constructed = toys.constructed_of(report, kind)
    yield Plot(
        f"neyman_{kind}",
        "toys",
        f"Expected intervals from {words}: filled bars with asymptotic critical values, frames "
        "with those from toys.",
        [toys.constructed_table(constructed, kind, report.levels)],
        partial(toys.constructed, report, constructed, kind),
    )


def training_plots(report: Report) -> Iterator[Plot]:
    """Losses of every method that was trained."""
    for series in methods_of(report):
        method = series.subject
        if any(losses.get("training") for losses in method.losses):
            rising = (
                " A validation loss that rises while the training loss falls means overfitting."
            )
            yield Plot(
                f"training_{method.name}",
                "training",
                f"{method.name}: loss by epoch, one shade per ensemble member."
                + rising * ("validation" in training.kinds(method)),
                [training.table(method)],
                partial(training.losses, series),
            )


def check_plots(report: Report) -> Iterator[Plot]:
    """Calibration of scores, and what the checks of models measured."""
    calibrated = closure.calibrated(report)
    if calibrated:
        yield Plot(
            "score_calibration",
            "diagnostics",
            "Mean parton-level score against the estimated score (of the ensemble, test events "
            "in bins of equal size). A calibrated method lies on the diagonal.",
            closure.calibration_tables(calibrated),
            partial(closure.calibration, report, calibrated),
        )
    for kind, rows in checks.shown(report).items():
        yield Plot(
            f"check_{kind}",
            "diagnostics",
            checks.KINDS[kind].caption,
            [checks.table(series.name, kind, plot, report) for series, plot in rows],
            partial(checks.KINDS[kind].draw, report, rows),
        )


def fisher_plots(report: Report) -> Iterator[Plot]:
    """An ellipse per pair of parameters, or bars for a single one."""
    names = report.parameters
    table = fisher.table(report)
    published = any(method.fisher_information.published for method in report.methods)
    if len(names) == 1:
        yield Plot(
            f"fisher_{names[0]}",
            "fisher",
            "Fisher information; the dashed line is the parton-level ceiling"
            + ", hollow markers are published values." * published
            + "." * (not published),
            [table],
            partial(fisher.values, report),
        )
    fixed = ", all other parameters fixed" if len(names) > 2 else ""
    for i, j in combinations(range(len(names)), 2):
        yield Plot(
            f"fisher_{names[i]}_{names[j]}",
            "fisher",
            "Fisher information as the ellipse Σ Iᵢⱼ Δθᵢ Δθⱼ = 1"
            f"{fixed}: its projections on the axes are the 1σ errors of the parameters. "
            "Dashed: parton-level ceiling" + " and published values" * published + ".",
            [table],
            partial(fisher.ellipses, report, i, j),
        )
