"""Pulls and impacts: figures, tables and what the verdict says of them, on made-up content."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import matplotlib
import numpy as np
import pytest
from msgspec.structs import replace

from madminer_workflow.report import page, verdict
from madminer_workflow.report.figures import plots, ranking, style
from madminer_workflow.report.results import MethodReport, Report
from madminer_workflow.report.uncertainties import nuisance_titles
from madminer_workflow.statistics.results import JointFit, Shifts
from tests.support.figure_content import joint_fit, make

MANY = {"scale": 1, "pdf4lhc21": 40, "jet_energy_scale_in_the_barrel": 1}


@pytest.fixture(autouse=True)
def _style() -> Iterator[None]:
    with matplotlib.rc_context(style.RC):
        yield


def with_fits(report: Report, fits: dict[str, JointFit]) -> Report:
    methods = [replace(method, joint_fits=fits) for method in report.methods]
    return replace(report, methods=methods)


@pytest.fixture(scope="module")
def report() -> Report:
    """Two parameters and 42 nuisance parameters, expected and observed."""
    content = make(
        2, methods=("histogram", "sally"), observed=True, failing=("sally",), resolution=7
    )
    fits = {data: joint_fit(content.parameters, MANY, seed=1) for data in ("expected", "observed")}
    return with_fits(content, fits)


def test_a_figure_for_every_method_and_parameter(report: Report) -> None:
    names = [plot.name for plot in plots(report) if plot.section == "systematics"]
    assert names == [
        f"ranking_{method}_{name}" for method in ("histogram", "sally") for name in ("c0", "c1")
    ]
    assert not list(ranking.rankings_of(make(1, methods=("alices",), resolution=5)))


def test_the_largest_impacts_are_shown_and_nothing_overlaps(report: Report) -> None:
    *_, found = ranking.rankings_of(report)
    figure = ranking.draw(report, found)
    style.settle(figure)
    axes, above = figure.axes
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names == found.titles[: ranking.SHOWN] and len(found.titles) == 42
    renderer = figure._get_renderer()
    boxes = [label.get_window_extent(renderer) for label in axes.get_yticklabels()]
    assert all(box.x0 > 0.0 for box in boxes)
    # The first is on top.
    assert all(low.y1 < high.y0 for high, low in pairwise(boxes))
    left, right = above._left_title, above._right_title
    assert left.get_text() == "sally (fails checks), observed"
    assert left.get_window_extent(renderer).x1 < right.get_window_extent(renderer).x0
    label = above.xaxis.label.get_window_extent(renderer)
    assert label.y1 < min(title.get_window_extent(renderer).y0 for title in (left, right)) + 2.0
    sizes = [np.abs(row.impact["c1"].postfit).max() for row in found.rows["observed"]]
    assert sizes == sorted(sizes, reverse=True)
    ends = above.get_xlim()
    assert ends[0] == -ends[1] and ends[1] > sizes[0]


def test_few_rows_have_room_for_their_titles() -> None:
    content = make(1, methods=("sally",), failing=("sally",), resolution=5)
    content = with_fits(content, {"expected": joint_fit(content.parameters, {"mu": 1}, seed=1)})
    [found] = ranking.rankings_of(content)
    figure = ranking.draw(content, found)
    style.settle(figure)
    renderer, above = figure._get_renderer(), figure.axes[1]
    assert above._left_title.get_window_extent(renderer).x1 < (
        above._right_title.get_window_extent(renderer).x0
    )


def test_the_table_has_all_of_them(report: Report) -> None:
    found = next(ranking.rankings_of(report))
    table = ranking.table(found)
    titles, names = (column.values for column in table.independent)
    assert len(titles) == len(set(names)) == 42
    assert dict(zip(names, titles, strict=True))["pdf4lhc21_nuisance_param_0"] == "pdf4lhc21 1"
    assert [column.name for column in table.dependent] == [
        *("Pull", "Post-fit error over prior"),
        *["Impact"] * 4,
    ] * 2
    assert {len(column.values) for column in table.dependent} == {42}


def test_uncertainties_with_one_nuisance_parameter_lend_their_names() -> None:
    fit = joint_fit(["p"], {"scale": 1, "pdf": 2}, seed=1)
    assert list(nuisance_titles(fit.nuisance).values()) == ["scale", "pdf 1", "pdf 2"]


def method_with(**changes: dict[str, tuple[float, float]]) -> MethodReport:
    """A method with the pull and the error of each nuisance parameter, by data."""
    [method] = make(1, methods=("histogram",), resolution=5).methods
    fits = {}
    for data, values in changes.items():
        fit = joint_fit(["c0"], dict.fromkeys(values, 1), seed=1)
        nuisance = [
            replace(one, pull=values[one.systematic][0], error=values[one.systematic][1])
            for one in fit.nuisance
        ]
        fits[data] = replace(fit, nuisance=nuisance)
    return replace(method, joint_fits=fits or None)


def test_constraints_and_pulls_are_pointed_out() -> None:
    assert not list(verdict.on_nuisance_parameters(method_with()))
    fine = method_with(expected={"scale": (0.0, 0.51)}, observed={"scale": (-1.9, 0.55)})
    assert not list(verdict.on_nuisance_parameters(fine))
    tight = method_with(expected={"scale": (0.0, 0.31), "jes": (0.0, 0.2), "lumi": (0.0, 0.99)})
    [words] = verdict.on_nuisance_parameters(tight)
    assert words.startswith("The expected data constrain jes to 0.2 and scale to 0.31 of the prior")
    assert "the priors may be too wide, or the model too rigid" in words
    far = method_with(expected={"scale": (0.0, 0.9)}, observed={"scale": (-2.3, 0.9)})
    [words] = verdict.on_nuisance_parameters(far)
    assert words.startswith("The observed data pull scale by −2.3 prior widths")
    many = {f"pdf{i}": (0.0, 0.4) for i in range(9)}
    [words] = verdict.on_nuisance_parameters(method_with(expected=many))
    assert "pdf3 to 0.4 and 5 more of the prior width" in words


def test_the_verdict_says_so_of_the_method_to_use() -> None:
    tight = method_with(expected={"scale": (0.0, 0.31)})
    assert "constrain scale to 0.31" in verdict.verdict([tight], "0.95").sentence


@pytest.mark.parametrize(
    ("value", "error", "expected"),
    [
        (0.03149, 0.0948, "+0.0315"),
        (-3.2e-12, 0.0948, "+0.0000"),
        (-12.34, 21.0, "−12.3"),
        (-0.01234, None, "−0.012"),
        (None, 0.1, "–"),
    ],
)
def test_shifts_have_the_digits_of_the_error(
    value: float | None, error: float | None, expected: str
) -> None:
    assert page.shift(value, error) == expected


@pytest.mark.parametrize("value", [None, 0.0, 1e308, -1e-320])
def test_absurd_numbers_are_drawn(value: float | None) -> None:
    content = make(1, methods=("sally",), resolution=5)
    fit = joint_fit(content.parameters, {"mu": 1}, seed=1)
    [one] = fit.nuisance
    shifts = Shifts(postfit=(value, value), prefit=(value, None))
    absurd = replace(
        one, pull=value, error=value, profile_error=(value, value), impact={"c0": shifts}
    )
    content = with_fits(content, {"expected": replace(fit, nuisance=[absurd])})
    [found] = ranking.rankings_of(content)
    style.settle(ranking.draw(content, found))
    assert ranking.table(found)
    assert page.pull(absurd) and page.shift(value, value)
    list(verdict.on_nuisance_parameters(content.methods[0]))
