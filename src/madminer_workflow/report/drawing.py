"""All figures of a report with their data, drawn in as many processes as there are cores."""

from __future__ import annotations

import os
import tempfile
import threading
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import current_process, get_context, parent_process
from pathlib import Path

from madminer_workflow.errors import StepError
from madminer_workflow.report.figures import Drawn, Plot, plots, style, tables
from madminer_workflow.report.redrawing import drawn
from madminer_workflow.report.results import Report

DATA = "data"

SOCKET = len("/pymp-12345678/listener-12345678")
"""What multiprocessing calls the socket of its helpers."""

LONGEST_SOCKET = 107
"""Bytes of the name of a socket, on Linux."""


def draw_all(report: Report, directory: Path, processes: int = 1) -> list[Drawn]:
    """Write every figure and, below ``data``, its numbers; return what was written.

    The files and their order are the same for any number of ``processes``. Raises StepError if
    one of them ends before its work is done.
    """
    every = list(plots(report))
    files = tables.write(
        ((table, plot.name) for plot in every for table in plot.tables),
        report,
        directory / DATA,
    )
    # A process that is itself a helper may have none.
    if processes > 1 and not current_process().daemon and _reachable():
        _draw_in_processes(report, directory, len(every), processes)
    else:
        for plot in every:
            draw(plot, directory)
    return [Drawn(plot, files.get(plot.name, [])) for plot in every]


def _reachable() -> bool:
    """Whether helpers can be talked to: by a socket in the temporary folder, with a short name."""
    return len(os.fsencode(tempfile.gettempdir())) + SOCKET <= LONGEST_SOCKET


def draw(plot: Plot, directory: Path) -> None:
    """Write one figure as PNG and PDF."""
    with drawn(plot) as figure:
        style.save(figure, directory / plot.name)


def _draw_in_processes(report: Report, directory: Path, figures: int, processes: int) -> None:
    # Not forked from this process, whose threads, if there are any, would not survive it.
    context = get_context("forkserver")
    context.set_forkserver_preload([__name__])
    arguments = report, directory
    try:
        with ProcessPoolExecutor(
            min(processes, figures), context, _Worker.start, arguments
        ) as pool:
            for _ in pool.map(_Worker.draw, range(figures)):
                pass
    except BrokenProcessPool:
        raise StepError(
            "a process that draws figures ended unexpectedly (the most common cause is a lack "
            "of memory)"
        ) from None


class _Worker:
    """What a process keeps, so that it gets the results once and then only numbers of figures."""

    plots: list[Plot]
    directory: Path

    @classmethod
    def start(cls, report: Report, directory: Path) -> None:
        threading.Thread(target=_end_with_parent, daemon=True).start()
        cls.plots, cls.directory = list(plots(report)), directory

    @classmethod
    def draw(cls, number: int) -> None:
        draw(cls.plots[number], cls.directory)


def _end_with_parent() -> None:
    # A worker whose parent was killed would wait for work for ever.
    if parent := parent_process():
        parent.join()
        os._exit(1)
