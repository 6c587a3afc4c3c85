"""Fisher information."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from madminer_workflow.report.figures import style
from madminer_workflow.report.figures.subjects import CEILING
from madminer_workflow.report.figures.tables import Column, Table

MARGIN = 1.15
PUBLISHED = (0, (2.2, 1.4))


def ellipses(content: dict[str, Any], i: int, j: int) -> Figure:
    """Ellipses of parameters ``i`` and ``j`` around the reference, the others fixed."""
    figure = style.figure(height=4.9, width=style.WIDTH)
    axes = figure.subplots()
    centre = np.array(content["setup"]["fisher_theta"]["theta"])[[i, j]]
    half_widths = []
    handles = []

    def draw(matrix: list[list[float]], label: str = "", **look: Any) -> None:
        own = np.array(matrix, dtype=float)[np.ix_([i, j], [i, j])]
        half_widths.append(_draw(axes, own, centre, **look))
        if label:
            handles.append(Line2D([], [], label=label, **look))

    for method in content["methods"]:
        information = method["fisher_information"]
        colour = {"color": style.colour(content, method["name"])}
        look: dict[str, Any] = {**colour, "alpha": style.opacity(method)}
        members = information.get("members", [])
        for member in members if len(members) > 1 else []:
            own = np.array(member, dtype=float)[np.ix_([i, j], [i, j])]
            _draw(axes, own, centre, linewidth=0.7, alpha=0.45, **colour)
        draw(information["matrix"], style.method_label(method), **look)
        if "published" in information:
            text = f"{method['name']}, published"
            draw(information["published"], text, linestyle=PUBLISHED, linewidth=1.2, **look)
    truth = content["baselines"]["truth"]["fisher_information"]["matrix"]
    ceiling: dict[str, Any] = {"linestyle": CEILING, "linewidth": 1.4, "color": style.INK}
    draw(truth, "parton-level ceiling", **ceiling)

    reach = MARGIN * scale_of(half_widths)
    axes.set_xlim(centre[0] - reach[0], centre[0] + reach[0])
    axes.set_ylim(centre[1] - reach[1], centre[1] + reach[1])
    axes.plot(*centre, "+", color=style.INK, markersize=9)
    labels = list(style.parameter_labels(content).values())
    axes.set_xlabel(labels[i])
    axes.set_ylabel(labels[j])
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(style.few_ticks())
    style.heading(axes, axes, r"$\sum\; I_{ij}\,\Delta\theta_i\,\Delta\theta_j = 1$", content)
    style.legend_below(figure, handles, 2)
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
    figure = style.figure(height=1.7 + 0.4 * (len(methods) + 1), width=style.WIDTH)
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
        members = [member[0][0] for member in information.get("members", [])]
        if len(members) > 1:
            axes.plot(members, [row + 0.25] * len(members), "|", markersize=5, **look)
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
    axes.axvline(truth, color=style.INK, linestyle=CEILING, linewidth=1.4)
    axes.set_yticks(range(len(methods) + 1), [*map(style.method_label, methods), "rate only"])
    style.categories(axes, "y")
    axes.set_ylim(len(methods) + 0.6, -0.6)
    axes.set_xlim(left=0.0)
    axes.xaxis.set_major_locator(style.few_ticks())
    [text] = style.parameter_labels(content).values()
    axes.set_xlabel(f"Fisher information on {text}")
    style.heading(axes, axes, "", content)
    ceiling: dict[str, Any] = {"linestyle": CEILING, "linewidth": 1.4, "color": style.INK}
    style.legend_below(figure, [Line2D([], [], label="parton-level ceiling", **ceiling)], 1)
    return figure


def tables(content: dict[str, Any]) -> list[Table]:
    """The matrices of all methods and baselines, one row per entry on or above the diagonal."""
    rows = list(_rows(content))
    columns = list(zip(*rows, strict=True))
    return [
        Table(
            "fisher_information",
            "Fisher information from rate and shape at the point "
            f"{content['setup']['fisher_theta']['benchmark']}.",
            [
                Column(name, column)
                for name, column in zip(("Method", "Row", "Column"), columns[:3], strict=True)
            ],
            [
                Column("Fisher information", columns[3], "", {"total": columns[4]}),
                Column("Lowest member", columns[5]),
                Column("Highest member", columns[6]),
                Column("Published", columns[7]),
            ],
            ["FISHER INFORMATION"],
        )
    ]


def _rows(content: dict[str, Any]) -> Iterator[tuple[Any, ...]]:
    names = content["parameters"]
    baselines = content["baselines"]
    everybody = [(method["name"], method["fisher_information"]) for method in content["methods"]]
    everybody += [
        (words, baselines[key]["fisher_information"])
        for key, words in (("truth", "parton-level ceiling"), ("rate", "rate only"))
    ]
    for who, own in everybody:
        for i in range(len(names)):
            for j in range(i, len(names)):
                members = [member[i][j] for member in own.get("members", [])]
                several = len(members) > 1
                yield (
                    who,
                    names[i],
                    names[j],
                    own["matrix"][i][j],
                    own["error"][i][j],
                    min(members) if several else None,
                    max(members) if several else None,
                    own["published"][i][j] if "published" in own else None,
                )
