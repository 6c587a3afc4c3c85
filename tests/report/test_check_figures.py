"""Figures of the checks: every kind is drawn, shows its numbers, and has them as tables."""

from __future__ import annotations

import matplotlib
import msgspec
import numpy as np
import pytest
from matplotlib.figure import Figure
from msgspec.structs import replace

from madminer_workflow.analysis.types import GaussianPrior
from madminer_workflow.report.figures import checks, style
from madminer_workflow.report.results import Distribution, Report
from madminer_workflow.statistics.checks.closure import closure_check
from madminer_workflow.statistics.checks.ensemble import spread_check
from madminer_workflow.statistics.checks.extrapolation import extrapolation_check
from madminer_workflow.statistics.checks.reliability import reliability_check
from madminer_workflow.statistics.checks.reweighting import reweighting_check
from madminer_workflow.statistics.checks.score import mean_check
from madminer_workflow.statistics.checks.simulation import bins_check, size_check
from madminer_workflow.statistics.plain import plain
from madminer_workflow.statistics.results import Check
from tests.support.figure_content import make

NAMES = ["p0", "p1"]
POINTS = np.array([[0.5, 0.0], [0.0, -0.5]])
KINDS = ["closure", "reliability", "reweighting", "ensemble", "extrapolation", "sizes", "bins"]


def ratio_checks(slope: float) -> list[Check]:
    """Checks of a ratio that is ``slope`` too steep, with three members."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=(2000, 2))
    log_r = POINTS @ x.T - 0.125
    one, many = np.ones(2000), np.exp(log_r)
    thetas = np.stack(np.meshgrid(*[np.linspace(-1, 1, 9)] * 2), axis=-1).reshape(-1, 2)
    prior = GaussianPrior(mean=0.0, std=0.5)
    return [
        closure_check(slope * log_r, one, POINTS),
        reliability_check(slope * log_r, many, one, POINTS),
        reweighting_check(slope * log_r, many, one, x, ["a", "b"]),
        spread_check(
            {name: [(-1.0, 1.0)] for name in NAMES},
            {name: [[(-1.1, 0.9)], [(-0.9, 1.0)], []] for name in NAMES},
            0.95,
            {name: [-2.0, 2.0] for name in NAMES},
        ),
        extrapolation_check(np.sum(thetas**2, axis=1) < 0.5, thetas, [prior] * 2, NAMES),
        size_check(100.0, {"the assumed truth": one, "p0 = 1": many[0]}),
        mean_check(x, one),
    ]


@pytest.fixture(scope="module")
def report() -> Report:
    sums = np.geomspace(10.0, 1000.0, 8)
    own = {"good": ratio_checks(1.0), "steep": ratio_checks(1.6), "bins": [bins_check(sums, sums)]}
    base = make(2, methods=("histogram",), members=1, resolution=5)
    entries = [
        replace(entry, parameter_name=name, latex=name)
        for name, entry in zip(NAMES, base.setup.parameters, strict=True)
    ]
    return replace(
        base,
        parameters=NAMES,
        setup=replace(base.setup, parameters=entries),
        observables=[
            Distribution(name=name, latex=f"${name}$", unit="", edges=[], curves=[])
            for name in "ab"
        ],
        methods=[
            replace(
                base.methods[0],
                name=name,
                believed=name != "steep",
                checks=msgspec.convert(plain(checks_of), list[Check]),
            )
            for name, checks_of in own.items()
        ],
    )


def draw(report: Report, kind: str) -> Figure:
    with matplotlib.rc_context(style.RC):
        figure = checks.KINDS[kind].draw(report, checks.shown(report)[kind])
        style.settle(figure)
    return figure


def points(figure: Figure) -> np.ndarray:
    """All coordinates of markers and lines."""
    lines = [line for axes in figure.axes for line in axes.lines]
    return np.concatenate([np.column_stack(line.get_data()).astype(float) for line in lines])


def test_every_kind_is_there(report: Report) -> None:
    assert list(checks.shown(report)) == KINDS
    without = replace(report, methods=report.methods[2:])
    assert list(checks.shown(without)) == ["bins"]


@pytest.mark.parametrize("kind", KINDS)
def test_figures_show_the_numbers_of_the_checks(report: Report, kind: str) -> None:
    figure = draw(report, kind)
    shown = points(figure)
    expected = {
        "closure": lambda plot: plot.mean,
        "reliability": lambda plot: plot.curves[0].predicted,
        "reweighting": lambda plot: plot.difference,
        "ensemble": lambda plot: plot.members[0][0],
        "extrapolation": lambda plot: np.ravel(plot.prior),
        "sizes": lambda plot: plot.size,
        "bins": lambda plot: plot.size,
    }[kind]
    for _, plot in checks.shown(report)[kind]:
        for value in expected(plot):
            assert np.isclose(shown, value).any()
    words = " ".join(text.get_text() for text in figure.findobj(matplotlib.text.Text))
    # The grey of a method that fails needs a word.
    assert ("steep (fails checks)" in words) == (kind != "bins")


@pytest.mark.parametrize("kind", KINDS)
def test_tables_have_columns_of_one_length(report: Report, kind: str) -> None:
    rows = checks.shown(report)[kind]
    tables = [checks.table(series.name, kind, plot, report) for series, plot in rows]
    assert tables
    for table in tables:
        columns = [*table.independent, *table.dependent]
        assert len({len(column.values) for column in columns}) == 1
        assert all(
            len(errors) == len(column.values)
            for column in columns
            for errors in column.errors.values()
        )
