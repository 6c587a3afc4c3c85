"""Methods, the parton-level ceiling and the rate alone as figures show them, and their words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from madminer_workflow.report.figures import style
from madminer_workflow.report.figures.tables import Column, Error
from madminer_workflow.report.results import Baseline, MethodReport, Report
from madminer_workflow.report.verdict import percent

SOLID = "-"
EXPECTED = (0, (4.5, 1.6))
"""Expected limits, where there are observed ones, which are solid."""

CEILING = (0, (7.0, 1.5, 1.2, 1.5))
RATE = (0, (1.0, 1.3))

Look = dict[str, Any]
"""Arguments of matplotlib's functions."""

ASSUMED_TRUTH: Look = {"color": style.INK, "linestyle": "", "marker": "+"}

Value = TypeVar("Value")

Data = Literal["expected", "observed"]


@dataclass(frozen=True, eq=False)
class Series:
    """A method or baseline, and its look."""

    subject: MethodReport | Baseline
    label: str
    colour: str
    marker: str
    line: Any = SOLID
    width: float = 1.8
    alpha: float = 1.0

    @property
    def name(self) -> str:
        """Its name in results.json."""
        return self.subject.name

    @property
    def title(self) -> str:
        """What tables call it."""
        return self.label

    @property
    def paint(self) -> Look:
        """Colour and opacity."""
        return {"color": self.colour, "alpha": self.alpha}

    @property
    def points(self) -> Look:
        """Markers, in a legend or without a line."""
        return {**self.paint, "marker": self.marker, "linestyle": ""}

    def lines(self, data: Data) -> Look:
        """Lines of what is expected, or observed."""
        if data == "expected":
            return {**self.paint, "linestyle": self.line, "linewidth": self.width}
        return {**self.paint, "linestyle": SOLID, "linewidth": self.width + 0.3}


@dataclass(frozen=True, eq=False)
class MethodSeries(Series):
    """That of a method, which may have a warning in its label, but not in tables."""

    subject: MethodReport

    @property
    def title(self) -> str:
        """What tables call it."""
        return self.name


def methods_of(report: Report) -> list[MethodSeries]:
    """The methods in the analysis's order, each with the same look in every figure.

    That is the one of its place among all methods of the run, of which ``report`` may be a part.
    Those that fail their checks step back, with a warning.
    """
    names = report.part_of or [method.name for method in report.methods]
    return [
        MethodSeries(
            method,
            method.name if method.believed else f"{method.name} (fails checks)",
            style.METHOD_COLOURS[i % len(style.METHOD_COLOURS)],
            style.MARKERS[i % len(style.MARKERS)],
            EXPECTED if report.observed else SOLID,
            alpha=1.0 if method.believed else 0.6,
        )
        for method in report.methods
        for i in [names.index(method.name)]
    ]


def ceiling_of(report: Report) -> Series:
    """The parton-level truth."""
    return Series(
        report.baselines.truth, "parton-level ceiling", style.INK, "*", CEILING, width=1.4
    )


def rate_of(report: Report) -> Series:
    """The rate alone."""
    return Series(report.baselines.rate, "rate only", style.MUTED, "s", RATE, width=1.6)


def series_of(report: Report, kind: str) -> list[Series]:
    """Methods in the analysis's order, then the baselines that have limits of this kind."""
    baselines = [ceiling_of(report), rate_of(report)]
    return [*methods_of(report), *(one for one in baselines if kind in one.subject.limits)]


def by_data(
    expected: Mapping[str, Value], observed: Mapping[str, Value] | None, kind: str
) -> Iterator[tuple[Data, Value]]:
    """What is expected, and observed if there are data, of one kind of likelihood."""
    yield "expected", expected[kind]
    if observed and kind in observed:
        yield "observed", observed[kind]


@dataclass(frozen=True)
class TestStatistic:
    """q of one subject on a grid of one or two parameters, and that of the ensemble's members.

    ``q`` and each of ``members`` have the shape of the grid.
    """

    series: Series
    data: Data
    q: list
    members: Sequence[list] = ()

    @property
    def look(self) -> Look:
        """Of its line."""
        return self.series.lines(self.data)

    def column(self, kind: str, errors: dict[str, Sequence[Error]] | None = None) -> Column:
        """It as a column of a table."""
        values = [value for row in self.q for value in (row if isinstance(row, list) else [row])]
        about = {
            "Method": self.series.title,
            "Limits from": kind.replace("_", " "),
            "Data": self.data,
        }
        if isinstance(self.series, MethodSeries):
            about["Passes its checks"] = "yes" if self.series.subject.believed else "no"
        return Column("q", values, "", errors or {}, about)


def level_words(level: str) -> str:
    """A confidence level as figures write it."""
    return f"{percent(level)} CL"


def data_words(report: Report) -> str:
    """What the curves of a figure are: expected, or both."""
    return "Expected and observed" if report.observed else "Expected"


def conditions(report: Report) -> str:
    """Energy, where it is known, and luminosity, as the top right of a figure says them."""
    energy = report.setup.energy_tev
    words = rf"{report.setup.luminosity_fb:.4g} fb$^{{-1}}$"
    return words if energy is None else rf"$\sqrt{{s}}$ = {energy:.4g} TeV, {words}"


def heading(panels: Sequence[Axes], left: str, report: Report) -> None:
    """What is shown above the first panel's left end, its conditions at the figure's right."""
    panels[0].set_title(left, loc="left")
    panels[min(1, len(panels) - 1)].set_title(conditions(report), loc="right")


def parameter_labels(report: Report) -> dict[str, str]:
    """The label of each parameter by name."""
    return {
        entry.parameter_name: style.label(entry.latex, entry.parameter_name)
        for entry in report.setup.parameters
    }


def axis_column(report: Report, name: str, values: Sequence[float]) -> Column:
    """Values of a parameter as a column, under its label and its name."""
    label = parameter_labels(report)[name]
    return Column(label if label == name else f"{label} ({name})", values)


def row_panels(
    report: Report, rows: Sequence[str], height: float, row: float, label: str = "{}"
) -> tuple[Figure, list[Axes]]:
    """A panel for every parameter, with a row for each name in ``rows``; heights in inches."""
    labels = parameter_labels(report).values()
    figure, panels = style.panels(len(labels), height=height + row * len(rows), sharey=True)
    for axes, text in zip(panels, labels, strict=True):
        axes.set_xlabel(label.format(text))
        style.categories(axes, "y")
    style.name_rows(panels[0], rows)
    return figure, panels


def mark_truth(axes: Axes, report: Report, name: str) -> None:
    """A thin line at the assumed truth of a parameter."""
    axes.axvline(report.truth[name], color=style.INK, linewidth=0.7, zorder=0)


def mark_truth_of_pair(axes: Axes, report: Report, pair: tuple[str, str], size: float) -> None:
    """A cross of ``size`` points at the assumed truth of two parameters."""
    axes.plot(*(report.truth[name] for name in pair), **ASSUMED_TRUTH, markersize=size)


def name_levels(axes: Axes, heights: Mapping[str, float], makes_room: bool = True) -> None:
    """The confidence levels beside the right end of their lines, where no curve is."""
    for level, height in heights.items():
        words = axes.annotate(
            level_words(level),
            (1.02, height),
            xycoords=("axes fraction", "data"),
            va="center",
            fontsize=9,
            annotation_clip=False,
        )
        words.set_in_layout(makes_room)
