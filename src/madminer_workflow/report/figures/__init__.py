"""Figures of the report, one function each, drawn from the content of ``results.json`` alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from matplotlib.figure import Figure

from madminer_workflow.report.figures import (
    check_tables,
    checks,
    closure,
    contours,
    corner,
    fisher,
    intervals,
    observables,
    profiles,
    systematics,
    toys,
    training,
)
from madminer_workflow.report.figures.tables import Table

KINDS = {"rate_and_shape": "rate and shape", "shape": "shape only"}


@dataclass(frozen=True)
class Plot:
    """A figure to be: its file name, the section of the report, a caption, how to draw it.

    ``tables`` gives the numbers that it shows; figures of the same numbers give the same tables.
    """

    name: str
    section: str
    caption: str
    draw: Callable[[], Figure]
    tables: Callable[[], list[Table]]


def plots(content: dict[str, Any]) -> Iterator[Plot]:
    """All figures of an analysis, in the order of the report."""
    yield from limit_plots(content)
    for observable in content["observables"]:
        yield Plot(
            f"observable_{observable['name']}",
            "observables",
            f"{observable['name']}, normalised: the reference point and the benchmarks farthest "
            "from it along each parameter. Bands: statistical errors of the simulation. Below: "
            "ratio to the reference.",
            partial(observables.distribution, content, observable),
            partial(observables.tables, content, observable),
        )
    if content["closure"]["checks"]:
        yield Plot(
            "closure",
            "closure",
            "Pull of every closure check: predicted minus direct cross-section in standard errors.",
            partial(closure.closure, content),
            partial(closure.closure_tables, content),
        )
    if any("toys" in method for method in content["methods"]):
        yield from toy_plots(content)
    for method in content["methods"]:
        if any(losses.get("training") for losses in method["losses"]):
            yield Plot(
                f"training_{method['name']}",
                "training",
                f"{method['name']}: loss by epoch, one colour shade per ensemble member. A "
                "validation loss that rises while the training loss falls means overfitting.",
                partial(training.losses, content, method),
                partial(training.tables, method),
            )
    if any(method["calibration"] for method in content["methods"]):
        yield Plot(
            "score_calibration",
            "diagnostics",
            "Mean parton-level score against the estimated score (of the ensemble, test events "
            "in bins of equal size). A calibrated method lies on the diagonal.",
            partial(closure.calibration, content),
            partial(closure.calibration_tables, content),
        )
    for kind in checks.kinds(content):
        draw, caption = checks.KINDS[kind]
        yield Plot(
            f"check_{kind}",
            "diagnostics",
            caption,
            partial(draw, content),
            partial(check_tables.tables, content, kind),
        )
    yield from fisher_plots(content)
    if content["systematics"]:
        yield Plot(
            "systematics",
            "systematics",
            "Expected standard deviation of each parameter, all others free, from the Fisher "
            "information: hollow with the nuisance parameters fixed, filled with them profiled.",
            partial(systematics.widths, content),
            partial(systematics.tables, content),
        )


def limit_plots(content: dict[str, Any]) -> Iterator[Plot]:
    """Intervals, contours and profiles, with and without the rate."""
    pairs = content["baselines"]["rate"]["curves"]["rate_and_shape"]["pairs"]
    n = len(content["parameters"])
    best = content["verdict"]["recommended"]
    several = any(method["members"] > 1 for method in content["methods"])
    both = "Expected and observed" if content["observed"] else "Expected"
    lines = " Dashed: expected, solid: observed." if content["observed"] else ""
    filled = f" {best}, which is recommended, is filled." if best and n > 1 else ""
    for kind, words in KINDS.items():
        section = "headline" if kind == "rate_and_shape" else "limits"
        yield Plot(
            f"intervals_{kind}",
            section,
            f"{both} intervals from {words}{', the other parameters profiled' * (n > 1)}, most "
            "sensitive method on top."
            + " Boxes: expected; lines with caps and best fit: observed."
            * bool(content["observed"])
            + " Ticks at the ends: intervals of the ensemble members." * several,
            partial(intervals.draw, content, kind),
            partial(intervals.tables, content, kind),
        )
        yield Plot(
            f"corner_{kind}",
            section,
            f"{both} limits from {words}: the test statistic q along each parameter"
            + (", and joint contours of each pair, all others profiled" if n > 1 else "")
            + f".{filled} Thin lines: the other methods at the highest confidence level.{lines}",
            partial(corner.draw, content, kind, "profiles"),
            partial(corner.tables, content, kind, "profiles"),
        )
        if n > 1:
            yield Plot(
                f"slices_{kind}",
                "limits",
                f"{both} limits from {words} with all other parameters fixed at the assumed truth: "
                f"q along each parameter and joint contours of each pair.{filled}{lines}",
                partial(corner.draw, content, kind, "slices"),
                partial(corner.tables, content, kind, "slices"),
            )
        for i, pair in enumerate(pairs):
            profiled = ", all other parameters profiled" if n > 2 else ""
            yield Plot(
                f"limits_{'_'.join(pair['parameters'])}_{kind}",
                "limits",
                f"{both} limit contours from {words}{profiled}. The cross marks the assumed truth."
                f"{lines}",
                partial(contours.draw, content, i, kind),
                partial(contours.tables, content, i, kind),
            )
        yield Plot(
            f"profiles_{kind}",
            "limits",
            f"Test statistic q from {words}"
            + (", the other parameters profiled" if n > 1 else "")
            + ". An interval is where a curve lies below the line of its confidence level"
            + ("; bands: spread of the ensemble members." if several else ".")
            + lines,
            partial(profiles.draw, content, kind),
            partial(profiles.tables, content, kind),
        )


def toy_plots(content: dict[str, Any]) -> Iterator[Plot]:
    """What toys say about the limits."""
    for kind, words in KINDS.items():
        yield Plot(
            f"coverage_{kind}",
            "toys",
            f"How often the asymptotic limits from {words} contain the truth in toys, jointly and "
            "for each parameter with the others profiled. Lines: the confidence levels.",
            partial(toys.coverage, content, kind),
            partial(toys.coverage_tables, content, kind),
        )
        yield Plot(
            f"toys_{kind}",
            "toys",
            f"Distribution of the test statistic q from {words} at the point where the toys are "
            "drawn, and its asymptotic form. Vertical lines: critical values. The last bin holds "
            "all larger values.",
            partial(toys.distributions, content, kind),
            partial(toys.distribution_tables, content, kind),
        )
        yield Plot(
            f"neyman_{kind}",
            "toys",
            f"Expected intervals from {words}: filled with asymptotic critical values, framed with "
            "those of toys.",
            partial(toys.constructed, content, kind),
            partial(toys.constructed_tables, content, kind),
        )


def fisher_plots(content: dict[str, Any]) -> Iterator[Plot]:
    """An ellipse per pair of parameters, or bars for a single one."""
    names = content["parameters"]
    if len(names) == 1:
        yield Plot(
            f"fisher_{names[0]}",
            "fisher",
            "Fisher information; the dashed line is the parton-level ceiling, hollow markers are "
            "published values.",
            partial(fisher.values, content),
            partial(fisher.tables, content),
        )
    for i in range(len(names)):
        for j in range(i + 1, len(names)):
            fixed = ", all other parameters fixed" if len(names) > 2 else ""
            yield Plot(
                f"fisher_{names[i]}_{names[j]}",
                "fisher",
                "Fisher information as the ellipse Σ Iᵢⱼ Δθᵢ Δθⱼ = 1"
                f"{fixed}: its projections on the axes are the 1σ errors of the parameters. "
                "Dashed: parton-level ceiling and published values.",
                partial(fisher.ellipses, content, i, j),
                partial(fisher.tables, content),
            )
