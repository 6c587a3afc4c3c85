"""Fisher information."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from madminer_workflow.ml.figures import style

MARGIN = 1.15


def ellipses(content: dict[str, Any], i: int, j: int) -> Figure:
    """Ellipses of parameters ``i`` and ``j`` around the reference, the others fixed."""
    figure = style.figure(height=4.4, width=6.6)
    axes = figure.subplots()
    centre = np.array(content["setup"]["fisher_theta"]["theta"])[[i, j]]
    half_widths = []

    def draw(matrix: list[list[float]], **kwargs: Any) -> None:
        own = np.array(matrix, dtype=float)[np.ix_([i, j], [i, j])]
        half_widths.append(_draw(axes, own, centre, **kwargs))

    for method in content["methods"]:
        information = method["fisher_information"]
        look: dict[str, Any] = {
            "color": style.colour(content, method["name"]),
            "alpha": style.opacity(method),
        }
        draw(information["matrix"], label=style.method_label(method), **look)
        if "published" in information:
            text = f"{method['name']}, published"
            draw(information["published"], label=text, linestyle="--", linewidth=1.1, **look)
    truth = content["baselines"]["truth"]["fisher_information"]["matrix"]
    draw(truth, label="parton-level ceiling", linestyle=(0, (5, 2)), color=style.INK)

    reach = MARGIN * scale_of(half_widths)
    axes.set_xlim(centre[0] - reach[0], centre[0] + reach[0])
    axes.set_ylim(centre[1] - reach[1], centre[1] + reach[1])
    axes.plot(*centre, "+", color=style.INK, markersize=9)
    labels = list(style.parameter_labels(content).values())
    axes.set_xlabel(labels[i])
    axes.set_ylabel(labels[j])
    axes.set_title(r"$\sum\; I_{ij}\,\Delta\theta_i\,\Delta\theta_j = 1$", fontsize=11)
    style.legend_beside(figure, axes)
    return figure


def scale_of(half_widths: list[np.ndarray]) -> np.ndarray:
    """Half widths of the axes: those of the largest ellipse, without the nearly flat ones."""
    widths = np.array(half_widths)
    return np.array([column[column <= 4.0 * column.min()].max() for column in widths.T])


def _draw(axes: Axes, matrix: np.ndarray, centre: np.ndarray, **kwargs: Any) -> np.ndarray:
    """Draw x^T matrix x = 1 around ``centre`` and return its half widths along the axes."""
    eigenvalues, vectors = np.linalg.eigh(matrix)
    # A direction without information gets a finite, very long axis.
    radii = 1.0 / np.sqrt(np.maximum(eigenvalues, 1e-6 * max(eigenvalues.max(), 1e-300)))
    angles = np.linspace(0.0, 2.0 * np.pi, 721)
    curve = vectors @ (radii[:, None] * np.stack([np.cos(angles), np.sin(angles)]))
    axes.plot(centre[0] + curve[0], centre[1] + curve[1], **kwargs)
    return np.abs(curve).max(axis=1)


def values(content: dict[str, Any]) -> Figure:
    """The information on a single parameter, by method."""
    methods = content["methods"]
    figure = style.figure(height=1.4 + 0.4 * (len(methods) + 1), width=6.0)
    axes = figure.subplots()
    rate = content["baselines"]["rate"]["fisher_information"]
    axes.errorbar(
        rate["matrix"][0][0], len(methods), xerr=rate["error"][0][0], fmt="s", color=style.MUTED
    )
    for row, method in enumerate(methods):
        information = method["fisher_information"]
        look: dict[str, Any] = {
            "color": style.colour(content, method["name"]),
            "alpha": style.opacity(method),
        }
        fmt = style.marker(content, method["name"])
        value, error = information["matrix"][0][0], information["error"][0][0]
        axes.errorbar(value, row, xerr=error, fmt=fmt, **look)
        if "published" in information:
            axes.plot(
                information["published"][0][0],
                row,
                fmt,
                markerfacecolor="none",
                markersize=9,
                **look,
            )
    truth = content["baselines"]["truth"]["fisher_information"]["matrix"][0][0]
    axes.axvline(truth, color=style.INK, linestyle=(0, (5, 2)), label="parton-level ceiling")
    axes.set_yticks(range(len(methods) + 1), [*map(style.method_label, methods), "rate only"])
    axes.tick_params(axis="y", which="both", left=False, right=False)
    axes.minorticks_off()
    axes.set_ylim(len(methods) + 0.6, -0.6)
    axes.set_xlim(left=0.0)
    [text] = style.parameter_labels(content).values()
    axes.set_xlabel(f"Fisher information on {text}")
    figure.legend(loc="outside upper right")
    return figure
