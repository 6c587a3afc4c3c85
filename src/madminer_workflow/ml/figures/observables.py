"""Distributions of observables."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from madminer_workflow.ml.figures import style


def distribution(content: dict[str, Any], observable: dict[str, Any]) -> Figure:
    """One observable at the reference point and at contrasting benchmarks, with their ratio."""
    figure = style.figure(height=5.0, width=6.0)
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    edges = np.array(observable["edges"])
    reference, *others = observable["curves"]
    density = np.array(reference["density"])
    top.stairs(density, edges, color=style.MUTED, alpha=0.25, fill=True)
    colours = [style.INK, *style.METHOD_COLOURS]
    for i, curve in enumerate([reference, *others]):
        colour = colours[i % len(colours)]
        values, errors = np.array(curve["density"]), np.array(curve["error"])
        _with_band(top, edges, values, errors, colour, point_label(content, curve["benchmark"]))
        with np.errstate(divide="ignore", invalid="ignore"):
            _with_band(bottom, edges, values / density, errors / density, colour, None)
    top.set_ylim(bottom=0.0)
    top.set_xlim(edges[0], edges[-1])
    unit = observable["unit"]
    top.set_ylabel(f"fraction of events / {unit}" if unit else "density of events")
    bottom.set_ylabel("ratio")
    bottom.set_ylim(*_ratio_range([curve["density"] for curve in others], density))
    bottom.set_xlabel(style.label(observable["latex"], observable["name"], unit))
    figure.align_ylabels()
    figure.legend(loc="outside upper left")
    return figure


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


def _ratio_range(densities: list[list[float]], reference: np.ndarray) -> tuple[float, float]:
    filled = reference > 0.02 * reference.max()
    ratios = [np.array(density)[filled] / reference[filled] for density in densities]
    top = max((float(ratio.max()) for ratio in ratios if len(ratio)), default=1.5)
    return 0.0, min(max(1.15 * top, 2.0), 6.0)


def point_label(content: dict[str, Any], benchmark: str) -> str:
    """A benchmark with the values of its parameters that are not zero."""
    labels = style.parameter_labels(content)
    theta = next(row["theta"] for row in content["benchmarks"] if row["name"] == benchmark)
    values = [
        f"{text} = {value:g}".replace("-", "−")
        for text, value in zip(labels.values(), theta, strict=True)
        if value
    ]
    return f"{benchmark}: {', '.join(values) or 'all parameters 0'}"
