"""Distributions of observables."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from madminer_workflow.report.figures import style
from madminer_workflow.report.figures.series import parameter_labels
from madminer_workflow.report.figures.tables import Column, Table
from madminer_workflow.report.results import DensityCurve, Distribution, Report
from madminer_workflow.statistics.results import Number


def draw(report: Report, observable: Distribution) -> Figure:
    """One observable at the reference point and where limits end, with their ratio."""
    figure = style.figure(height=5.2)
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    edges = np.array(observable.edges)
    reference, *others = observable.curves
    density = style.numbers(reference.density)
    top.stairs(density, edges, color=style.MUTED, alpha=0.25, fill=True)
    colours = [style.INK, *style.METHOD_COLOURS]
    for i, curve in enumerate([reference, *others]):
        colour = colours[i % len(colours)]
        values, errors = style.numbers(curve.density), style.numbers(curve.error)
        _with_band(top, edges, values, errors, colour, point_label(report, curve))
        with np.errstate(divide="ignore", invalid="ignore"):
            _with_band(bottom, edges, values / density, errors / density, colour, None)
    top.set_ylim(bottom=0.0)
    top.set_xlim(edges[0], edges[-1])
    unit = observable.unit
    top.set_ylabel(f"fraction of events / {unit}" if unit else "density of events")
    bottom.set_ylabel("ratio")
    bottom.set_ylim(*_ratio_range([curve.density for curve in others], density))
    bottom.set_xlabel(style.label(observable.latex, observable.name, unit))
    figure.align_ylabels()
    handles, _ = top.get_legend_handles_labels()
    style.legend_below(figure, handles, 1)
    energy = report.setup.energy_tev
    top.set_title("Simulation", loc="left")
    if energy is not None:
        top.set_title(rf"$\sqrt{{s}}$ = {energy:.4g} TeV", loc="right")
    return figure


def table(report: Report, observable: Distribution) -> Table:
    """The distribution at every point that is drawn."""
    unit = observable.unit
    label = style.label(observable.latex, observable.name)
    return Table(
        f"observable_{observable.name}",
        f"Normalised distribution of {observable.name} after all cuts; statistical errors "
        "of the simulation.",
        [Column(label, list(pairwise(observable.edges)), unit)],
        [
            Column(
                "Fraction of events per unit",
                curve.density,
                f"1/{unit}" if unit else "",
                {"statistics of the simulation": curve.error},
                {
                    "Point": point_label(report, curve, names=True),
                    **dict(zip(report.parameters, curve.theta, strict=True)),
                },
            )
            for curve in observable.curves
        ],
    )


def _with_band(
    axes: Axes, edges: np.ndarray, values: np.ndarray, errors: np.ndarray, colour: str, name: Any
) -> None:
    axes.stairs(values, edges, color=colour, linewidth=1.6, label=name, baseline=None)
    axes.stairs(
        values + errors,
        edges,
        baseline=values - errors,
        fill=True,
        color=colour,
        alpha=0.25,
        linewidth=0,
    )


def _ratio_range(
    densities: Sequence[Sequence[Number]], reference: np.ndarray
) -> tuple[float, float]:
    filled = reference > 0.02 * reference.max()
    ratios = [style.numbers(density)[filled] / reference[filled] for density in densities]
    top = max((float(ratio.max()) for ratio in ratios if len(ratio)), default=1.5)
    return 0.0, min(max(1.15 * top, 2.0), 6.0)


def point_label(report: Report, curve: DensityCurve, names: bool = False) -> str:
    """A point by the values of its parameters that are not zero, with its name if it has one.

    Parameters have their labels, or ``names``.
    """
    texts = report.parameters if names else parameter_labels(report).values()
    values = [
        f"{text} = {value:.3g}".replace("-", "−")
        for text, value in zip(texts, curve.theta, strict=True)
        if value
    ]
    words = ", ".join(values) or "all parameters 0"
    return f"{curve.benchmark}: {words}" if curve.benchmark else words
