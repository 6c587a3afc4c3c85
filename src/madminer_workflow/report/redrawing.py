"""Figures of a finished run drawn once more, of some methods or in another style."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib
import matplotlib.style
import msgspec
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from madminer_workflow.analysis.problems import unknown
from madminer_workflow.errors import InputError
from madminer_workflow.files import atomic_path
from madminer_workflow.report.figures import Plot, plots, style
from madminer_workflow.report.results import Report


def redraw(chosen: Sequence[Plot], output: Path, look: Mapping[str, Any] | None = None) -> None:
    """Write figures as PNG and PDF into ``output``, which is replaced.

    ``look`` are settings of matplotlib on top of our style.
    """
    with atomic_path(output) as directory:
        directory.mkdir()
        for plot in chosen:
            with drawn(plot, look) as figure:
                style.save(figure, directory / plot.name)


@contextmanager
def drawn(plot: Plot, look: Mapping[str, Any] | None = None) -> Iterator[Figure]:
    """The figure, and in the block the style that it is drawn in, with the settings ``look``."""
    with style.drawing(look):
        figure = plot.draw()
        style.settle(figure)
        yield figure


def draw_into(plot: Plot, axes: Sequence[Axes], look: Mapping[str, Any] | None = None) -> None:
    """Draw a figure in ``axes``, one for each of its panels, with the settings that there are.

    ``look`` are settings on top of those. Raises InputError if the figure has another number of
    panels.
    """
    with matplotlib.rc_context(dict(look or {})), style.into(axes):
        try:
            plot.draw()
        except style.WrongPanelsError as wrong:
            if wrong.needed is None:
                raise InputError(f"{plot.name}: arranges its panels itself; leave out ax") from None
            raise InputError(
                f"{plot.name}: ax needs an entry for each panel: expected {wrong.needed}, got "
                f"{len(axes)}"
            ) from None


def figures_of(report: Report, names: Sequence[str] = ()) -> list[Plot]:
    """The figures of these ``names``, by default all; InputError for a name that there is not."""
    every = {plot.name: plot for plot in plots(report)}
    for name in names:
        if name not in every:
            raise InputError(unknown("figure", name, every))
    return [every[name] for name in names or every]


def subset(report: Report, methods: Sequence[str]) -> Report:
    """The report of some methods only, in its order and with the looks that they have there.

    Raises InputError if there is none of a name.

    Lengths of intervals relative to those of a method that is not among them are left out.
    """
    known = [method.name for method in report.methods]
    for name in methods:
        if name not in known:
            raise InputError(unknown("method", name, known))
    verdict = report.verdict
    best = verdict.recommended if verdict.recommended in methods else None
    kept = [method for method in report.methods if method.name in methods]
    if best is None:
        kept = [msgspec.structs.replace(method, comparison=None) for method in kept]
    verdict = msgspec.structs.replace(
        verdict,
        order=[name for name in verdict.order if name in methods],
        recommended=best,
        indistinguishable=[name for name in verdict.indistinguishable if name in methods],
    )
    whole = report.part_of or known
    part_of = whole if len(kept) < len(whole) else []
    return msgspec.structs.replace(report, methods=kept, verdict=verdict, part_of=part_of)


def settings(look: str) -> Mapping[str, Any]:
    """The settings of a matplotlib style; InputError if there is none, or it makes no sense."""
    if look in matplotlib.style.library:
        return dict(matplotlib.style.library[look])
    file = Path(look)
    if not file.is_file():
        styles = [name for name in matplotlib.style.available if not name.startswith("_")]
        message = f"{look}: neither a file nor a style of matplotlib"
        raise InputError(f"{message} ({', '.join(styles)})")
    with _warnings() as told:
        try:
            own: dict[str, Any] = dict(
                matplotlib.rc_params_from_file(file, use_default_template=False)
            )
        except (ValueError, KeyError, UnicodeDecodeError) as error:
            told.append(str(error))
    if told:
        lines = (" ".join(line.split()) for line in told)
        raise InputError("\n".join(f"{look}: {line}" for line in lines))
    return own


@contextmanager
def _warnings() -> Iterator[list[str]]:
    """What matplotlib has to say of a style while the block reads it, and then ignores."""
    told: list[str] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            told.append(record.getMessage())

    logger, handler = logging.getLogger("matplotlib"), Handler()
    propagate, logger.propagate = logger.propagate, False
    logger.addHandler(handler)
    try:
        yield told
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagate
