"""The synthetic analysis, plotted: a run of the step with the figures that a test looks at."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from madminer_workflow.files import read_json
from madminer_workflow.report import drawing
from madminer_workflow.report.figures import Plot
from madminer_workflow.report.plotting import plotting
from tests.support.synthetic_analysis import REPORT, SYSTEMATICS, Analysis, write_analysis

EVIL = '<script>alert("1")</script> & --> $x$'
NOTES = {**REPORT, "cut_flow": [{**REPORT["cut_flow"][0], "process": EVIL}]}


@dataclass(frozen=True)
class Plotted:
    """What plotting was given, its output directory and what it printed."""

    inputs: Analysis
    output: Path
    printed: str

    @property
    def content(self) -> dict[str, Any]:
        """Of results.json."""
        return read_json(self.output / "results.json")

    @property
    def page(self) -> str:
        """The report."""
        return (self.output / "report.html").read_text()


def plot(inputs: Analysis, output: Path) -> Plotted:
    """Run plotting."""
    with redirect_stdout(StringIO()) as printed:
        plotting(inputs.analysis, inputs.data, inputs.results, output)
    return Plotted(inputs, output, printed.getvalue())


def plot_two(directory: Path) -> Plotted:
    """Two parameters, a method that fails its checks, and text of somebody who means harm."""
    inputs = write_analysis(directory / "in", failing=("sally",), title=EVIL, report=NOTES)
    return plot(inputs, directory / "out")


def plot_systematics(directory: Path) -> Plotted:
    """Two parameters and systematic uncertainties, whose figure is the only one that is drawn."""
    inputs = write_analysis(directory / "in", failing=("sally",), systematics=SYSTEMATICS)
    with pictures(lambda plot: plot.name == "systematics"):
        return plot(inputs, directory / "out")


@contextmanager
def pictures(wanted: Callable[[Plot], Any]) -> Iterator[None]:
    """Only those figures are drawn for which ``wanted`` is true; the files of others are empty."""
    draw = drawing.draw

    def chosen(plot: Plot, directory: Path) -> None:
        if wanted(plot):
            draw(plot, directory)
            return
        for ending in ("png", "pdf"):
            (directory / f"{plot.name}.{ending}").touch()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(drawing, "draw", chosen)
        yield
