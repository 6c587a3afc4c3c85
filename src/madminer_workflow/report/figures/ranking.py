"""Pulls of nuisance parameters, and their impacts on a parameter, as LHC experiments rank them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from madminer_workflow.report.figures import style
from madminer_workflow.report.figures.series import (
    MethodSeries,
    heading,
    methods_of,
    parameter_labels,
)
from madminer_workflow.report.figures.tables import Column, Error, Table, columns
from madminer_workflow.report.results import Report
from madminer_workflow.report.uncertainties import nuisance_titles
from madminer_workflow.statistics.results import JointFit, NuisanceFit, Shifts

SHOWN = 20
ROW = 0.27
"""Height of a row in inches."""

LETTER = 0.075
"""Width of a letter of a row's name in inches."""

LEAST = 2.2
"""How far the axis of pulls reaches at least."""

LARGEST = 1e100
"""What axes can still reach beyond."""

DOWN, UP = 0, 1
OPACITY = {DOWN: 0.25, UP: 0.7}


@dataclass(frozen=True, eq=False)
class Ranking:
    """The nuisance parameters of a method by their impact on a parameter, the largest first.

    That on the observed data if there are any: ``rows`` by data, in the same order for all.
    """

    series: MethodSeries
    parameter: str
    titles: list[str]
    rows: Mapping[str, list[NuisanceFit]]

    @property
    def name(self) -> str:
        """Of its figure and its table."""
        return f"ranking_{self.series.name}_{self.parameter}"

    @property
    def data(self) -> str:
        """What the impacts that are drawn are of."""
        return "observed" if "observed" in self.rows else "expected"


def rankings_of(report: Report) -> Iterator[Ranking]:
    """One for every method that fits nuisance parameters, and parameter."""
    for series in methods_of(report):
        fits = series.subject.joint_fits
        for parameter in report.parameters if fits else ():
            yield ranking(series, parameter, fits or {})


def ranking(series: MethodSeries, parameter: str, fits: Mapping[str, JointFit]) -> Ranking:
    """That of the fits of a method."""
    # The last are the observed data, if there are any.
    *_, decisive = fits.values()
    order, titles = decisive.ranking[parameter], nuisance_titles(decisive.nuisance)
    by_name = {data: {one.name: one for one in fit.nuisance} for data, fit in fits.items()}
    return Ranking(
        series,
        parameter,
        [titles[name] for name in order],
        {data: [named[name] for name in order] for data, named in by_name.items()},
    )


def caption(found: Ranking) -> str:
    """What the figure shows, and how to read it."""
    n, both = len(found.titles), len(found.rows) > 1
    most = f"The {SHOWN} of {n} nuisance parameters" if n > SHOWN else "Nuisance parameters"
    return (
        f"{most} with the largest impact on {found.parameter} in the fit of {found.series.name} "
        f"to the {found.data} data, from rate and shape. Bars, upper axis: shift of the best fit "
        f"of {found.parameter} when a nuisance parameter is fixed at its best fit plus (dark) or "
        "minus (light) its post-fit error, and all others are fitted again; frames: plus or "
        "minus the width of its prior. Points, lower axis: best fit in units of the prior's "
        "width, with post-fit errors; an error bar shorter than from −1 to 1 means that the "
        "data constrain the nuisance parameter." + " Hollow points: expected data." * both
    )


def draw(report: Report, found: Ranking) -> Figure:
    """Pulls below and impacts above, a row for each nuisance parameter."""
    titles = [title.replace("$", r"\$") for title in found.titles[:SHOWN]]
    width = style.WIDTH + LETTER * max(map(len, titles))
    figure, [axes] = style.panels(1, height=2.2 + ROW * len(titles), width=width)
    style.name_rows(axes, titles, below=-0.4, fontsize=10)
    above = axes.twiny()
    # Points lie over bars.
    axes.set_zorder(above.get_zorder() + 1)
    axes.patch.set_visible(False)
    draw_impacts(above, found)
    draw_pulls(axes, found)
    label = parameter_labels(report)[found.parameter]
    above.set_xlabel(f"Impact on {label}", labelpad=6.0)
    axes.set_xlabel(r"Pull $(\hat{\nu}-\nu_0)/\sigma_{\mathrm{prior}}$")
    heading([above], f"{found.series.label}, {found.data}", report)
    style.legend_below(figure, handles(found), 2)
    return figure


def draw_impacts(axes: Axes, found: Ranking) -> None:
    """Bars of the impacts with post-fit errors, frames of those with the width of priors."""
    shifts = [row.impact[found.parameter] for row in found.rows[found.data][:SHOWN]]
    places = np.arange(len(shifts))
    for side in (DOWN, UP):
        after, before = sides(shifts, side)
        axes.barh(places, after, height=0.72, color=found.series.colour, alpha=OPACITY[side], lw=0)
        axes.barh(places, before, height=0.72, **FRAME)
    symmetric(axes, np.concatenate([sides(shifts, DOWN), sides(shifts, UP)]), least=0.0)
    style.few_ticks(axes.xaxis)


def sides(shifts: Sequence[Shifts], side: int) -> np.ndarray:
    """Post-fit and prefit shifts to one side, (2, n_rows)."""
    return numbers([[one.postfit[side] for one in shifts], [one.prefit[side] for one in shifts]])


def numbers(values: Sequence[Any]) -> np.ndarray:
    """Numbers as a figure can show them, NaN for what is none."""
    return np.clip(style.numbers(values), -LARGEST, LARGEST)


def draw_pulls(axes: Axes, found: Ranking) -> None:
    """Points with post-fit errors, of expected and observed data, and lines at -1, 0 and 1."""
    for place in (-1.0, 0.0, 1.0):
        axes.axvline(place, color=style.MUTED, linewidth=0.8, linestyle=":" if place else "-")
    extent = []
    several = len(found.rows) > 1
    for (data, rows), offset in zip(
        found.rows.items(), style.offsets(len(found.rows), 0.4), strict=True
    ):
        shown = rows[:SHOWN]
        pulls = numbers([row.pull for row in shown])
        errors = np.abs(numbers([row.profile_error for row in shown]).T)
        axes.errorbar(
            pulls,
            np.arange(len(shown)) + offset,
            xerr=np.nan_to_num(errors),
            **point(hollow=several and data == "expected"),
        )
        extent += [pulls - errors[0], pulls + errors[1]]
    symmetric(axes, np.array(extent), least=LEAST)
    style.few_ticks(axes.xaxis)


def symmetric(axes: Axes, values: np.ndarray, least: float) -> None:
    """The axis from below zero to as far above it, with room for ``values`` and ``least``."""
    finite = np.abs(values[np.isfinite(values)])
    end = max(least, 1.12 * finite.max(initial=0.0)) or 1.0
    axes.set_xlim(-end, end)


FRAME: dict[str, Any] = {"fill": False, "edgecolor": style.MUTED, "linewidth": 0.8}


def point(hollow: bool) -> dict[str, Any]:
    """The look of pulls."""
    colour = style.MUTED if hollow else style.INK
    return {
        "fmt": "o",
        "color": colour,
        "markerfacecolor": "none" if hollow else colour,
        "markersize": 4.5,
        "elinewidth": 1.2,
        "capsize": 0.0,
    }


def handles(found: Ranking) -> list[Any]:
    """The entries of the legend."""
    colour = found.series.colour
    several = len(found.rows) > 1
    return [
        Patch(facecolor=colour, alpha=OPACITY[UP], label=r"impact, $\hat{\nu}+\sigma_{\nu}$"),
        Patch(facecolor=colour, alpha=OPACITY[DOWN], label=r"impact, $\hat{\nu}-\sigma_{\nu}$"),
        Patch(label=r"impact, $\hat{\nu}\pm\sigma_{\mathrm{prior}}$", **FRAME),
        *(
            style.handle(
                f"pull, {data}" if several else "pull and error",
                **{
                    key: value
                    for key, value in point(several and data == "expected").items()
                    if key in ("color", "markerfacecolor", "markersize")
                },
                marker="o",
                linewidth=1.2,
            )
            for data in found.rows
        ),
    ]


def table(found: Ranking) -> Table:
    """All nuisance parameters, in the order of the figure."""
    dependent = []
    for data, rows in found.rows.items():
        about = {"Method": found.series.name, "Parameter": found.parameter, "Data": data}
        errors: list[Error] = [interval(row) for row in rows]
        dependent += [
            Column("Pull", [row.pull for row in rows], "", {"profile": errors}, about),
            Column("Post-fit error over prior", [row.error for row in rows], "", {}, about),
        ]
        for words, size in (("post-fit error", "postfit"), ("width of the prior", "prefit")):
            for sign, side in (("minus", DOWN), ("plus", UP)):
                values = [getattr(row.impact[found.parameter], size)[side] for row in rows]
                fixed = {"Fixed at": f"best fit {sign} {words}"}
                dependent.append(Column("Impact", values, "", {}, {**about, **fixed}))
    return Table(
        found.name,
        f"Pulls, post-fit errors and impacts on {found.parameter} of the nuisance parameters of "
        f"{found.series.name}, the largest impact first.",
        columns(
            ("Nuisance parameter", "Name"),
            list(zip(found.titles, [row.name for row in found.rows[found.data]], strict=True)),
        ),
        dependent,
    )


def interval(row: NuisanceFit) -> Error:
    """Both errors of a pull, None if one is unknown."""
    low, high = row.profile_error
    return None if low is None or high is None else (-low, high)
