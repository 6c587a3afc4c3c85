"""The figures of a sweep: losses by trial and by setting.

Optuna draws such figures, too, in a style of its own: without the trials that failed, and with
those that diverged on the same scale as all others.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from madminer_workflow.files import atomic_path
from madminer_workflow.report.figures import style
from madminer_workflow.sweep.plan import Axis, word
from madminer_workflow.sweep.results import TrialResult, with_loss

OUTLIER = 5.0
"""Losses further above the lowest than this times the median are drawn at the upper edge."""

COLOUR = style.METHOD_COLOURS[0]


Known = Sequence[tuple[TrialResult, float]]
"""Trials that have a loss, with it."""


def draw(space: Sequence[Axis], results: Sequence[TrialResult], directory: Path) -> None:
    """Write all figures of the trials into ``directory``."""
    with style.drawing(), atomic_path(directory) as product:
        product.mkdir()
        for name, figure in (
            ("history", history(results)),
            ("parameters", parameters(space, results)),
        ):
            style.settle(figure)
            style.save(figure, product / name)


def history(results: Sequence[TrialResult]) -> Figure:
    """The loss of every trial, and the lowest believed one so far; failed trials are dotted."""
    figure = style.figure(height=3.6, width=6.6)
    axes = figure.subplots()
    known = with_loss(results)
    _points(axes, [result.number for result, _ in known], known)
    believed = [(result.number, loss) for result, loss in known if result.believed]
    if believed:
        numbers, losses = zip(*believed, strict=True)
        shown = np.minimum(np.minimum.accumulate(losses), _ceiling(known))
        axes.step(numbers, shown, where="post", color=COLOUR, label="lowest believed")
    for result in results:
        if result.loss is None:
            axes.axvline(result.number, color=style.MUTED, linewidth=0.8, linestyle=":")
    axes.set_xlabel("trial")
    axes.set_ylabel("validation loss")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    style.legend_beside(figure, axes)
    return figure


def parameters(space: Sequence[Axis], results: Sequence[TrialResult]) -> Figure:
    """The loss of every trial against each setting."""
    figure = style.figure(len(space), height=3.6, width=3.4)
    panels = figure.subplots(1, len(space), sharey=True, squeeze=False)[0]
    known = with_loss(results)
    for axis, panel in zip(space, panels, strict=True):
        values = [result.values[axis.key] for result, _ in known]
        _points(panel, [axis.choices.index(v) if axis.choices else v for v in values], known)
        _scale(panel, axis)
        panel.set_xlabel(axis.key, fontsize=11)
    panels[0].set_ylabel("validation loss")
    style.legend_beside(figure, panels[0])
    return figure


def _scale(panel: Axes, axis: Axis) -> None:
    if axis.choices:
        names = [word(choice) for choice in axis.choices]
        panel.set_xticks(range(len(names)), names, rotation=20, ha="right")
        panel.set_xlim(-0.5, len(names) - 0.5)
    elif axis.log:
        _logarithmic(panel, axis)
    else:
        panel.xaxis.set_major_locator(MaxNLocator(5, integer=axis.whole))


def _logarithmic(panel: Axes, axis: Axis) -> None:
    """A logarithmic axis with labels that do not overlap, and some at all."""
    panel.set_xscale("log")
    decades = np.log10(axis.high / axis.low)
    labelled = (1.0, 2.0, 5.0) if decades < 1.0 else (1.0, 3.0) if decades < 2.0 else (1.0,)
    panel.xaxis.set_major_locator(LogLocator(subs=labelled))
    panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    panel.xaxis.set_minor_formatter(NullFormatter())
    panel.set_xlim(axis.low / 10 ** (0.05 * decades), axis.high * 10 ** (0.05 * decades))


def _points(axes: Axes, positions: Sequence[float], known: Known) -> None:
    """Losses as points: filled where the diagnostics pass; those far above all others on top."""
    ceiling = _ceiling(known)
    for believed, face, name in ((True, COLOUR, "trusted"), (False, "none", "not trusted")):
        for above, marker, words in ((False, "o", name), (True, "^", f"{name}, above")):
            points = [
                (position, min(loss, ceiling))
                for position, (result, loss) in zip(positions, known, strict=True)
                if result.believed == believed and (loss > ceiling) == above
            ]
            if points:
                x, y = zip(*points, strict=True)
                axes.scatter(
                    x, y, s=26, marker=marker, facecolors=face, edgecolors=COLOUR, label=words
                )


def _ceiling(known: Known) -> float:
    """The highest loss that is drawn where it is, so that a diverged trial hides no difference."""
    losses = [loss for _, loss in known]
    lowest, middle = np.min(losses), np.median(losses)
    return float(lowest + OUTLIER * (middle - lowest)) if middle > lowest else np.inf
