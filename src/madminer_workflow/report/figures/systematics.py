"""What profiling systematic uncertainties costs."""

from __future__ import annotations

from typing import Any

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from madminer_workflow.report.figures import style
from madminer_workflow.report.figures.tables import Column, Table


def widths(content: dict[str, Any]) -> Figure:
    """Standard deviations of every parameter with nuisance parameters fixed and profiled."""
    baselines = content["baselines"]
    rows: list[tuple[str, dict[str, Any], dict[str, Any], str]] = []
    for method in content["methods"]:
        look: dict[str, Any] = {
            "color": style.colour(content, method["name"]),
            "alpha": style.opacity(method),
        }
        symbol = style.marker(content, method["name"])
        rows.append((style.method_label(method), method, look, symbol))
    rows.append(("rate only", baselines["rate"], {"color": style.MUTED}, "s"))
    rows.append(("parton-level ceiling", baselines["truth"], {"color": style.INK}, "*"))

    labels = list(style.parameter_labels(content).values())
    figure, panels = style.panels(len(labels), height=1.4 + 0.4 * len(rows), sharey=len(labels) > 1)
    for i, (axes, label) in enumerate(zip(panels, labels, strict=True)):
        for row, (_, own, look, symbol) in enumerate(rows):
            fixed = own["fisher_information"]["sigma"][i]
            profiled = own["fisher_information_profiled"]["sigma"][i]
            if fixed is None or profiled is None:
                continue
            axes.plot([fixed, profiled], [row, row], linewidth=1.2, **look)
            axes.plot(fixed, row, symbol, markerfacecolor="none", markersize=8, **look)
            axes.plot(profiled, row, symbol, markersize=8, **look)
        axes.set_xlabel(rf"$\sigma$({label})")
        axes.set_xlim(left=0.0)
        axes.xaxis.set_major_locator(style.few_ticks())
        style.categories(axes, "y")
    panels[0].set_yticks(range(len(rows)), [name for name, *_ in rows])
    panels[0].set_ylim(len(rows) - 0.4, -0.6)
    style.heading(panels[0], panels[min(1, len(panels) - 1)], "Expected", content)
    marker: dict[str, Any] = {"color": style.MUTED, "linestyle": "", "marker": "o", "markersize": 8}
    handles = [
        Line2D([], [], markerfacecolor="none", label="nuisance parameters fixed", **marker),
        Line2D([], [], label="profiled", **marker),
    ]
    style.legend_below(figure, handles, 2)
    return figure


def tables(content: dict[str, Any]) -> list[Table]:
    """Both standard deviations of every method and parameter."""
    baselines = content["baselines"]
    everybody = [(method["name"], method) for method in content["methods"]]
    everybody += [("rate only", baselines["rate"]), ("parton-level ceiling", baselines["truth"])]
    rows = [
        (
            who,
            name,
            own["fisher_information"]["sigma"][i],
            own["fisher_information_profiled"]["sigma"][i],
        )
        for who, own in everybody
        for i, name in enumerate(content["parameters"])
    ]
    columns = list(zip(*rows, strict=True))
    return [
        Table(
            "systematics",
            "Expected standard deviation of each parameter, all others free, from the Fisher "
            "information.",
            [Column("Method", columns[0]), Column("Parameter", columns[1])],
            [
                Column("Standard deviation", columns[i], "", {}, {"Nuisance parameters": words})
                for i, words in ((2, "fixed"), (3, "profiled"))
            ],
        )
    ]
