"""What pseudo-experiments say about the limits: distribution of q, coverage, intervals."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from scipy.stats import chi2

from madminer_workflow.report.figures import intervals, style
from madminer_workflow.report.figures.subjects import (
    Subject,
    level_words,
    levels_of,
    subjects,
)
from madminer_workflow.report.figures.tables import Column, Table, bins

HEADROOM = 0.85
"""Part of the height that curves use; words above."""


def with_toys(content: dict[str, Any], kind: str) -> list[Subject]:
    """The methods that have toys."""
    return [subject for subject in subjects(content, kind) if "toys" in subject.own]


def point_words(content: dict[str, Any], point: dict[str, Any]) -> str:
    """A point by its name, or by its values."""
    labels = style.parameter_labels(content).values()
    values = [f"{text} = {value:.3g}" for text, value in zip(labels, point["theta"], strict=True)]
    return point["name"] or textwrap.fill(", ".join(values), 60).replace("-", "−")


def distributions(content: dict[str, Any], kind: str) -> Figure:
    """Density of q among the toys of each point, all parameters fixed, and χ²."""
    drawn = with_toys(content, kind)
    points = drawn[0].own["toys"]["points"]
    dof = len(content["parameters"])
    levels = levels_of(content)
    figure, panels = style.panels(len(points), height=3.9, sharey=True)
    for i, (point, axes) in enumerate(zip(points, panels, strict=True)):
        edges = np.array(point["kinds"][kind]["edges"])
        x = np.linspace(edges[0], edges[-1], 400)[1:]
        axes.plot(x, chi2.pdf(x, dof), color=style.INK, linewidth=1.2, linestyle=(0, (5, 2)))
        for level in levels:
            axes.axvline(
                chi2.ppf(float(level), dof),
                ymax=HEADROOM,
                color=style.INK,
                linewidth=0.8,
                linestyle=(0, (5, 2)),
            )
        for subject in drawn:
            own = subject.own["toys"]["points"][i]["kinds"][kind]
            edges = np.array(own["edges"])
            counts = np.array(own["q"], dtype=float)
            width = np.diff(edges)
            n = max(counts.sum(), 1.0)
            density, error = counts / (n * width), np.sqrt(counts) / (n * width)
            look: dict[str, Any] = {"color": subject.colour, "alpha": subject.alpha}
            axes.stairs(density, edges, baseline=None, linewidth=1.6, **look)
            axes.errorbar(
                0.5 * (edges[1:] + edges[:-1]),
                density,
                yerr=error,
                fmt="none",
                elinewidth=1,
                **look,
            )
            for level in levels:
                axes.axvline(own["critical"][level]["value"], ymax=HEADROOM, linewidth=1.0, **look)
        axes.set_yscale("log")
        axes.set_xlim(edges[0], edges[-1])
        axes.set_xlabel(r"$q$")
        axes.annotate(
            f"toys at {point_words(content, point)}",
            (0.96, 0.95),
            xycoords="axes fraction",
            ha="right",
            va="top",
            fontsize=11,
        )
    bottom = 0.3 / max(subject.own["toys"]["n_toys"] for subject in drawn)
    bottom, top = bottom / np.diff(edges).max(), panels[0].get_ylim()[1]
    panels[0].set_ylim(bottom, bottom * (top / bottom) ** (1.0 / HEADROOM))
    for axes in panels[::2]:
        axes.set_ylabel("density of toys")
    words = f"{len(content['parameters'])} d.o.f."
    handles = [
        *(Line2D([], [], color=s.colour, alpha=s.alpha, label=s.label) for s in drawn),
        Line2D(
            [],
            [],
            color=style.INK,
            linewidth=1.2,
            linestyle=(0, (5, 2)),
            label=rf"$\chi^2$, {words}",
        ),
        Line2D(
            [],
            [],
            color=style.MUTED,
            linestyle="",
            marker="|",
            markersize=13,
            label=f"critical values, {' and '.join(map(level_words, levels))}",
        ),
    ]
    return labelled(figure, panels, handles, content, kind)


def labelled(
    figure: Figure,
    panels: Sequence[Axes],
    handles: Sequence[Artist],
    content: dict[str, Any],
    kind: str,
) -> Figure:
    """The figure with its heading above at most two panels side by side, and a legend below."""
    style.heading(
        panels[0], panels[min(1, len(panels) - 1)], kind.replace("_", " ").capitalize(), content
    )
    style.legend_below(figure, handles, 2 * min(2, len(panels)))
    return figure


def coverage(content: dict[str, Any], kind: str) -> Figure:
    """Coverage of the asymptotic limits, jointly and of each parameter, by point and method."""
    drawn = with_toys(content, kind)
    points = drawn[0].own["toys"]["points"]
    labels = style.parameter_labels(content)
    groups = ["jointly", *labels.values()] if len(labels) > 1 else list(labels.values())
    levels = levels_of(content)
    figure, panels = style.panels(len(points), height=3.9, sharey=True)
    offsets = np.linspace(-0.28, 0.28, len(drawn)) if len(drawn) > 1 else [0.0]
    lowest = 1.0
    for i, (point, axes) in enumerate(zip(points, panels, strict=True)):
        for level in levels:
            axes.axhline(float(level), color=style.MUTED, linewidth=1.0, zorder=0)
        for subject, offset in zip(drawn, offsets, strict=True):
            own = subject.own["toys"]["points"][i]["kinds"][kind]
            every = [own["parameters"][name] for name in content["parameters"]]
            every = [own, *every] if len(labels) > 1 else every
            for level in levels:
                found = [each["coverage"][level] for each in every]
                low = min(each["value"] - each["error"] for each in found)
                lowest = min(lowest, low, float(level))
                axes.errorbar(
                    np.arange(len(every)) + offset,
                    [each["value"] for each in found],
                    yerr=[each["error"] for each in found],
                    fmt=style.marker(content, subject.name),
                    markersize=5,
                    linewidth=1.3,
                    color=subject.colour,
                    alpha=subject.alpha,
                )
        axes.set_xticks(range(len(groups)), groups)
        axes.set_xlim(-0.6, len(groups) - 0.4)
        style.categories(axes, "x")
        axes.annotate(
            f"toys at {point_words(content, point)}",
            (0.04, 0.05),
            xycoords="axes fraction",
            fontsize=11,
        )
    panels[0].set_ylim(lowest - 0.12, 1.02)
    for axes in {*panels[1::2], panels[-1]}:
        for level in levels:
            axes.annotate(
                level_words(level),
                (1.02, float(level)),
                xycoords=("axes fraction", "data"),
                va="center",
                fontsize=9,
                annotation_clip=False,
            )
    for axes in panels[::2]:
        axes.set_ylabel("coverage")
    handles = [
        Line2D(
            [],
            [],
            linestyle="",
            marker=style.marker(content, subject.name),
            color=subject.colour,
            alpha=subject.alpha,
            label=subject.label,
        )
        for subject in drawn
    ]
    return labelled(figure, panels, handles, content, kind)


def constructed(content: dict[str, Any], kind: str) -> Figure:
    """Expected intervals: filled with asymptotic thresholds, framed with those from toys."""
    drawn = with_toys(content, kind)
    levels = levels_of(content)
    labels = style.parameter_labels(content)
    figure, panels = style.panels(
        len(labels), height=1.3 + 0.42 * len(drawn), sharey=len(labels) > 1
    )
    for i, ((name, text), axes) in enumerate(zip(labels.items(), panels, strict=True)):
        edges = []
        for row, subject in enumerate(drawn):
            own = subject.own["limits"][kind]["intervals"][name]
            framed = subject.own["toys"]["intervals"][kind][name]
            intervals.boxes(axes, row, own, levels, subject)
            for level, height in zip(levels, np.linspace(0.5, 0.76, len(levels)), strict=True):
                axes.broken_barh(
                    [(low, high - low) for low, high in framed[level]],
                    (row - height / 2, height),
                    facecolor="none",
                    edgecolor=style.INK,
                    linewidth=1.1,
                )
            both = [*own[levels[-1]], *framed[levels[-1]]]
            edges += [edge for interval in both for edge in interval]
        axis = content["grid"][name]
        low, high = (min(edges), max(edges)) if edges else (axis[0], axis[-1])
        pad = intervals.MARGIN * (high - low)
        axes.set_xlim(low - pad, high + pad)
        axes.axvline(
            content["setup"]["theta_true"]["theta"][i], color=style.INK, linewidth=0.7, zorder=0
        )
        axes.set_xlabel(text)
        axes.xaxis.set_major_locator(style.few_ticks())
        style.categories(axes, "y")
    panels[0].set_yticks(range(len(drawn)), [subject.label for subject in drawn])
    panels[0].set_ylim(len(drawn) - 0.4, -0.6)
    style.heading(panels[0], panels[min(1, len(panels) - 1)], "Expected", content)
    handles: list[Any] = [
        Patch(
            facecolor=style.MUTED,
            alpha=intervals.shade(i, len(levels)),
            label=f"{level_words(level)}, asymptotic",
        )
        for i, level in enumerate(levels)
    ]
    handles.append(Patch(facecolor="none", edgecolor=style.INK, label="with toys (Neyman)"))
    style.legend_below(figure, handles, 2 if len(panels) == 1 else 4)
    return figure


def distribution_tables(content: dict[str, Any], kind: str) -> list[Table]:
    """Histograms of q, one table per method and point; bins may differ."""
    found = []
    for subject in with_toys(content, kind):
        for number, point in enumerate(subject.own["toys"]["points"]):
            own = point["kinds"][kind]
            dof = len(content["parameters"])
            asymptotic = np.diff(chi2.cdf(own["edges"], dof)) * sum(own["q"])
            qualifiers = {
                "Method": subject.name,
                "Limits from": kind.replace("_", " "),
                **dict(zip(content["parameters"], point["theta"], strict=True)),
            }
            found.append(
                Table(
                    f"toys_{kind}_{subject.name}_{number}",
                    f"Test statistic q of {subject.name} at {point['name'] or 'the point'} in toys "
                    "drawn there; the last bin holds all above it, too.",
                    [Column("q", bins(own["edges"]))],
                    [
                        Column("Toys", own["q"], "", {}, qualifiers),
                        Column(
                            f"χ² with {dof} degrees of freedom",
                            asymptotic.tolist(),
                            "",
                            {},
                            qualifiers,
                        ),
                    ],
                )
            )
    return found


def _coverage_rows(content: dict[str, Any], kind: str) -> Iterator[tuple[Any, ...]]:
    n = len(content["parameters"])
    for subject in with_toys(content, kind):
        for point in subject.own["toys"]["points"]:
            own = point["kinds"][kind]
            every = [("jointly", n, own)] if n > 1 else []
            every += [(name, 1, own["parameters"][name]) for name in content["parameters"]]
            for name, dof, each in every:
                for level in levels_of(content):
                    covered, critical = each["coverage"][level], each["critical"][level]
                    yield (
                        *(subject.name, point_words(content, point), name, float(level)),
                        *(covered["value"], covered["error"]),
                        *(critical["value"], critical["error"], float(chi2.ppf(float(level), dof))),
                    )


def coverage_tables(content: dict[str, Any], kind: str) -> list[Table]:
    """Coverage and critical values, with errors of the number of toys."""
    columns: Sequence[Any] = list(zip(*_coverage_rows(content, kind), strict=True))
    keys = ("Method", "Point", "Parameter", "Confidence level")
    return [
        Table(
            f"coverage_{kind}",
            f"Coverage of the asymptotic limits from {kind.replace('_', ' ')}, and critical values "
            "of q in toys.",
            [Column(key, values) for key, values in zip(keys, columns[:4], strict=True)],
            [
                Column("Coverage", columns[4], "", {"number of toys": columns[5]}),
                Column("Critical value of q", columns[6], "", {"number of toys": columns[7]}),
                Column("Asymptotic critical value of q", columns[8]),
            ],
        )
    ]


def constructed_tables(content: dict[str, Any], kind: str) -> list[Table]:
    """Intervals with thresholds from toys, a row each."""
    rows = [
        (subject.name, name, float(level), words, low, high)
        for subject in with_toys(content, kind)
        for words, key in (("expected", "intervals"), ("observed", "observed_intervals"))
        if key in subject.own["toys"]
        for name in content["parameters"]
        for level in levels_of(content)
        for low, high in subject.own["toys"][key][kind][name][level]
    ]
    columns = list(zip(*rows, strict=True)) if rows else [()] * 6
    keys = ("Method", "Parameter", "Confidence level", "Data")
    return [
        Table(
            f"neyman_{kind}",
            f"Intervals from {kind.replace('_', ' ')} with critical values from toys along each "
            "parameter, the other parameters profiled.",
            [Column(key, values) for key, values in zip(keys, columns[:4], strict=True)],
            [Column("Lower end", columns[4]), Column("Upper end", columns[5])],
            ["LIMIT"],
        )
    ]
