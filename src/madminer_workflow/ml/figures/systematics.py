"""What profiling systematic uncertainties costs."""

from __future__ import annotations

from typing import Any

from matplotlib.figure import Figure

from madminer_workflow.ml.figures import style


def widths(content: dict[str, Any]) -> Figure:
    """Standard deviations of every parameter with nuisance parameters fixed and profiled."""
    baselines = content["baselines"]
    rows: list[tuple[str, dict[str, Any], dict[str, Any], str]] = []
    for method in content["methods"]:
        look = {
            "color": style.colour(content, method["name"]),
            "alpha": style.opacity(method),
        }
        marker = style.marker(content, method["name"])
        rows.append((style.method_label(method), method, look, marker))
    rows.append(("rate only", baselines["rate"], {"color": style.MUTED}, "s"))
    rows.append(("parton-level ceiling", baselines["truth"], {"color": style.INK}, "*"))

    labels = list(style.parameter_labels(content).values())
    figure = style.figure(len(labels), height=1.4 + 0.4 * len(rows), width=4.6)
    panels = figure.subplots(1, len(labels), sharey=True, squeeze=False)[0]
    for i, (axes, label) in enumerate(zip(panels, labels, strict=True)):
        for row, (_, own, look, marker) in enumerate(rows):
            fixed = own["fisher_information"]["sigma"][i]
            profiled = own["fisher_information_profiled"]["sigma"][i]
            if fixed is None or profiled is None:
                continue
            axes.plot([fixed, profiled], [row, row], linewidth=1.2, **look)
            axes.plot(fixed, row, marker, markerfacecolor="none", markersize=8, **look)
            axes.plot(profiled, row, marker, markersize=8, **look)
        axes.set_xlabel(rf"$\sigma$({label})")
        axes.set_xlim(left=0.0)
        axes.tick_params(axis="y", which="both", left=False, right=False)
    panels[0].set_yticks(range(len(rows)), [name for name, *_ in rows])
    panels[0].set_ylim(len(rows) - 0.4, -0.6)
    return figure
