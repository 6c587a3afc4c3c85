"""The figures of a sweep: losses by trial and by setting.

Optuna draws such figures, too, in a style of its own: without the trials that failed, and with
those that diverged on the same scale as all others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from madminer_workflow.files import atomic_path
from madminer_workflow.report.figures import style
from madminer_workflow.sweep.plan import Axis, word
from madminer_workflow.sweep.results import TrialResult

OUTLIER = 5.0
"""Losses further above the lowest than this times the median are drawn at the upper edge."""

COLOUR = style.METHOD_COLOURS[0]


@dataclass(frozen=True)
class Trial:
    """A trial that has a loss, at a ``position`` along an axis."""

    position: float
    loss: float
    believed: bool


def draw(space: Sequence[Axis], results: Sequence[TrialResult], directory: Path) -> None:
    """Write all figures of the trials into ``directory``."""
    with matplotlib.rc_context(style.RC), atomic_path(directory) as product:
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
    trials = [
        Trial(result.number, result.loss, result.believed)
        for result in results
        if result.loss is not None
    ]
    _points(axes, trials)
    believed = [trial for trial in trials if trial.believed]
    if believed:
        lowest = np.minimum.accumulate([trial.loss for trial in believed])
        shown = np.minimum(lowest, _ceiling(trials))
        numbers = [trial.position for trial in believed]
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
    for axis, panel in zip(space, panels, strict=True):
        trials = [
            Trial(_position(axis, result), result.loss, result.believed)
            for result in results
            if result.loss is not None
        ]
        _points(panel, trials)
        _scale(panel, axis)
        panel.set_xlabel(axis.key, fontsize=11)
    panels[0].set_ylabel("validation loss")
    style.legend_beside(figure, panels[0])
    return figure


def _position(axis: Axis, result: TrialResult) -> float:
    """Where a trial lies along an axis."""
    value = result.values[axis.key]
    return axis.choices.index(value) if axis.choices else value


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


def _points(axes: Axes, trials: Sequence[Trial]) -> None:
    """Losses as points: filled where the diagnostics pass; those far above all others on top."""
    ceiling = _ceiling(trials)
    for believed, face, name in ((True, COLOUR, "believed"), (False, "none", "not believed")):
        for above, marker, words in ((False, "o", name), (True, "^", f"{name}, above")):
            points = [
                (trial.position, min(trial.loss, ceiling))
                for trial in trials
                if trial.believed == believed and (trial.loss > ceiling) == above
            ]
            if points:
                x, y = zip(*points, strict=True)
                axes.scatter(
                    x, y, s=26, marker=marker, facecolors=face, edgecolors=COLOUR, label=words
                )


def _ceiling(trials: Sequence[Trial]) -> float:
    """The highest loss that is drawn where it is, so that a diverged trial hides no difference."""
    losses = [trial.loss for trial in trials]
    lowest, middle = np.min(losses), np.median(losses)
    return float(lowest + OUTLIER * (middle - lowest)) if middle > lowest else np.inf
