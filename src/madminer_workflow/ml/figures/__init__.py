"""Figures of the report, one function each, drawn from the content of ``results.json`` alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from matplotlib.figure import Figure

from madminer_workflow.ml.figures import (
    checks,
    contours,
    fisher,
    intervals,
    observables,
    profiles,
    systematics,
    training,
    verdict,
    verdict_tables,
)
from madminer_workflow.ml.figures.tables import Table

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
            partial(checks.closure, content),
            partial(checks.closure_tables, content),
        )
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
            partial(checks.calibration, content),
            partial(checks.calibration_tables, content),
        )
    for kind in verdict.kinds(content):
        draw, caption = verdict.KINDS[kind]
        yield Plot(
            f"check_{kind}",
            "diagnostics",
            caption,
            partial(draw, content),
            partial(verdict_tables.tables, content, kind),
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
    n_parameters = len(content["parameters"])
    for kind, words in KINDS.items():
        yield Plot(
            f"intervals_{kind}",
            "headline" if kind == "rate_and_shape" else "limits",
            f"Expected intervals from {words}, most sensitive method on top. Thick: "
            "lowest, thin: highest confidence level.",
            partial(intervals.draw, content, kind),
            partial(intervals.tables, content, kind),
        )
        for i, pair in enumerate(pairs):
            profiled = ", all other parameters profiled" if n_parameters > 2 else ""
            yield Plot(
                f"limits_{'_'.join(pair['parameters'])}_{kind}",
                "limits",
                f"Expected limit contours from {words}{profiled}. The cross marks the assumed "
                "truth.",
                partial(contours.draw, content, i, kind),
                partial(contours.tables, content, i, kind),
            )
        yield Plot(
            f"profiles_{kind}",
            "limits",
            f"Test statistic q from {words}"
            + (", the other parameters profiled" if n_parameters > 1 else "")
            + ". An interval is where a curve lies below the line of its confidence level"
            + (
                "; bands: spread of the ensemble members."
                if any(method["members"] > 1 for method in content["methods"])
                else "."
            ),
            partial(profiles.draw, content, kind),
            partial(profiles.tables, content, kind),
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
