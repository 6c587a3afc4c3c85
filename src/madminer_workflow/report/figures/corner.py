"""All parameters and all their pairs in one figure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from scipy.stats import chi2

from madminer_workflow.report.figures import contours, profiles, style
from madminer_workflow.report.figures.subjects import (
    Subject,
    data_words,
    level_words,
    levels_of,
    subjects,
)
from madminer_workflow.report.figures.tables import Table

PAIRS = {"profiles": "pairs", "slices": "slice_pairs"}
"""What fits below the diagonal of profiles, and of slices."""

THIN = 1.2
WIDTHS = {1: 4.6, 2: 3.4, 3: 2.9}
"""Of a panel in inches, by the number of parameters; MANY for more."""
MANY = 2.5


def draw(content: dict[str, Any], kind: str, part: str) -> Figure:
    """Diagonal: q along each parameter; below: joint contours of each pair.

    ``part`` is "profiles" or "slices". The recommended method has its contours filled and one line
    for each confidence level, everybody else a thin line at the highest level.
    """
    names = content["parameters"]
    n = len(names)
    labels = style.parameter_labels(content)
    drawn = [subject for subject in subjects(content, kind) if subject.name != "rate"]
    best = content["verdict"]["recommended"]
    # The recommended method on top.
    drawn = [
        subject if subject.name == best else replace(subject, width=THIN)
        for subject in sorted(drawn, key=lambda subject: subject.name == best)
    ]
    width = WIDTHS.get(n, MANY)
    figure = style.figure(n, height=n * width * 0.92 + (0.9 if n < 3 else 0.3), width=width)
    every = figure.subplots(n, n, squeeze=False)
    pairs = [own["parameters"] for own in drawn[0].own["curves"][kind][PAIRS[part]]]
    surfaces = [
        contours.surfaces_of(content, drawn, kind, PAIRS[part], pair) for pair in range(len(pairs))
    ]
    ranges = {name: reach(content, drawn, kind, part, name, pairs, surfaces) for name in names}
    for row in range(n):
        for column in range(n):
            axes = every[row, column]
            if column > row:
                axes.remove()
                continue
            if column == row:
                profiles.curves(axes, content, drawn, kind, part, names[row])
                # There is no other panel at the right of the diagonal, but at that of the last.
                profiles.name_levels(axes, content, makes_room=row == n - 1)
                if row > 0:
                    style.categories(axes, "y")
            else:
                own = surfaces[pairs.index([names[column], names[row]])]
                plane(axes, content, own, best)
                contours.best_fits(axes, content, drawn, kind, [names[column], names[row]])
                axes.plot(
                    *contours.truth(content, [names[column], names[row]]),
                    "+",
                    color=style.INK,
                    markersize=8,
                )
                axes.set_ylim(*ranges[names[row]])
                axes.yaxis.set_major_locator(style.few_ticks(3 if n > 2 else 5))
            axes.set_xlim(*ranges[names[column]])
            axes.xaxis.set_major_locator(style.few_ticks(3 if n > 2 else 5))
            label_outer(axes, labels[names[column]], labels[names[row]], row, column, n)
    figure.align_labels()
    first = every[0, 0]
    first.set_title(data_words(content), loc="left")
    legend(figure, content, drawn)
    return figure


def plane(
    axes: Axes,
    content: dict[str, Any],
    own: Sequence[tuple[Subject, contours.Surface, contours.Surface | None]],
    best: str | None,
) -> None:
    """Contours of one pair: all levels of the recommended method, the highest of the others."""
    levels = levels_of(content)
    for subject, expected, observed in own:
        if subject.name == best:
            fill(axes, expected, levels, subject)
        for level in levels if subject.name == best else levels[-1:]:
            contours.line(axes, expected, level, subject.look)
            if observed:
                contours.line(axes, observed, level, subject.observed_look)


def fill(axes: Axes, surface: contours.Surface, levels: Sequence[str], subject: Subject) -> None:
    """Fill what is allowed, lower levels darker."""
    x, y, q = surface
    for level in levels:
        axes.contourf(
            x,
            y,
            q.T,
            levels=[-np.inf, chi2.ppf(float(level), 2)],
            colors=[subject.colour],
            alpha=0.18,
        )


def reach(
    content: dict[str, Any],
    drawn: Sequence[Subject],
    kind: str,
    part: str,
    name: str,
    pairs: Sequence[Sequence[str]],
    surfaces: Sequence[Any],
) -> tuple[float, float]:
    """The range of a parameter, the same in its whole column and row."""
    found = [profiles.reach(content, drawn, kind, part, name)]
    threshold = chi2.ppf(float(levels_of(content)[-1]), 2)
    for pair, own in zip(pairs, surfaces, strict=True):
        if name in pair:
            found.append(contours.reach(own, threshold)[list(pair).index(name)])
    return min(low for low, _ in found), max(high for _, high in found)


def label_outer(axes: Axes, x: str, y: str, row: int, column: int, n: int) -> None:
    """Labels and numbers at the left and lower edge of the figure only."""
    if row == n - 1:
        axes.set_xlabel(x, loc="center")
    else:
        axes.xaxis.set_tick_params(labelbottom=False)
    if column == 0:
        axes.set_ylabel(y if row else r"$q(\theta)$", loc="center")
    else:
        axes.yaxis.set_tick_params(labelleft=False)


def legend(figure: Figure, content: dict[str, Any], drawn: Sequence[Subject]) -> None:
    """In the empty corner; below a single panel, which has none."""
    n = len(content["parameters"])
    best = content["verdict"]["recommended"]
    own = sorted(drawn, key=lambda subject: subject.name != best)
    handles: list[Any] = list(profiles.handles(own, content))
    levels = levels_of(content)
    chosen = [subject for subject in drawn if subject.name == best]
    if n > 1:
        handles += [
            Patch(
                facecolor=subject.colour,
                alpha=1.0 - 0.82 ** (len(levels) - i),
                label=f"{best}, {level_words(level)}",
            )
            for subject in chosen
            for i, level in enumerate(levels)
        ]
        handles.append(
            Line2D([], [], color=style.INK, linestyle="", marker="+", label="assumed truth")
        )
    if n < 2:
        style.legend_below(figure, handles, 2)
        figure.axes[0].set_title(style.conditions(content), loc="right")
        return
    figure.legend(
        handles=handles,
        loc="upper right",
        bbox_to_anchor=(0.99, 0.985),
        title=style.conditions(content),
        alignment="right",
        ncols=1,
    )


def tables(content: dict[str, Any], kind: str, part: str) -> list[Table]:
    """The tables of the parameters and of the pairs."""
    pairs = content["baselines"]["truth"]["curves"][kind][PAIRS[part]]
    return [
        *profiles.tables(content, kind, part),
        *(
            table
            for pair in range(len(pairs))
            for table in contours.tables(content, pair, kind, PAIRS[part])
        ),
    ]
