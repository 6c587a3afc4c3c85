"""Figures of limits, information and toys, for any number of parameters, on made-up content."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import matplotlib
import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from msgspec.structs import replace

from madminer_workflow.report.figures import (
    Plot,
    fisher,
    intervals,
    plots,
    style,
    systematics,
    toys,
)
from madminer_workflow.report.figures.series import methods_of
from madminer_workflow.report.results import Report
from tests.support.figure_content import make


@pytest.fixture(autouse=True)
def _style() -> Iterator[None]:
    with matplotlib.rc_context(style.RC):
        yield


def by_name(report: Report) -> dict[str, Plot]:
    return {plot.name: plot for plot in plots(report)}


def draw(plot: Plot) -> Figure:
    figure = plot.draw()
    style.settle(figure)
    return figure


@pytest.fixture(scope="module")
def two() -> Report:
    return make(2, members=2, observed=True, toys=300, failing=("sally",))


def test_every_figure_of_one_parameter_is_drawn() -> None:
    found = by_name(make(1, observed=True, toys=100))
    assert {"corner_shape", "fisher_c0", "coverage_shape", "neyman_shape", "errors"} <= set(found)
    assert not any(name.startswith(("slices", "limits")) for name in found)
    for plot in found.values():
        draw(plot)


@pytest.fixture(scope="module")
def drawn(two: Report) -> tuple[dict[str, Figure], list[str]]:
    """All figures of two parameters, and what matplotlib warned of."""
    records: list[logging.LogRecord] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = records.append  # type: ignore[method-assign]
    logging.getLogger("matplotlib").addHandler(handler)
    with matplotlib.rc_context(style.RC):
        figures = {name: draw(plot) for name, plot in by_name(two).items()}
    logging.getLogger("matplotlib").removeHandler(handler)
    return figures, [record.getMessage() for record in records]


def test_no_font_and_no_character_is_missing(drawn: tuple[dict[str, Figure], list[str]]) -> None:
    figures, warned = drawn
    assert warned == []
    assert len(figures) == 18


@pytest.mark.parametrize("n", [3, 4])
def test_more_parameters_have_all_their_pairs(n: int) -> None:
    content = make(n, methods=("histogram", "sally"), toys=50, resolution=7)
    found = by_name(content)
    pairs = n * (n - 1) // 2
    assert sum(name.startswith("limits_") and "shape" in name for name in found) == 2 * pairs
    assert sum(name.startswith("fisher_") for name in found) == pairs
    for name in ("corner_shape", "slices_shape", "intervals_shape", "coverage_shape"):
        figure = draw(found[name])
        assert len(figure.axes) == {"corner": n + pairs, "slices": n + pairs, "coverage": 2}.get(
            name.split("_")[0], n
        )


@pytest.mark.parametrize("n", [1, 2, 3])
def test_tables_have_columns_of_one_length(n: int) -> None:
    content = make(n, observed=True, toys=50, resolution=7)
    for plot in plots(content):
        for table in plot.tables:
            lengths = {len(each.values) for each in (*table.independent, *table.dependent)}
            assert len(lengths) == 1 and lengths.pop() > 0, table.name


def test_words_stay_inside_the_figure_and_apart(
    drawn: tuple[dict[str, Figure], list[str]],
) -> None:
    for name, figure in drawn[0].items():
        renderer = figure._get_renderer()
        width, height = figure.bbox.size
        for axes in figure.axes:
            for axis in (axes.xaxis, axes.yaxis):
                boxes = [axis.label.get_window_extent(renderer)] if axis.label.get_text() else []
                for box in boxes:
                    assert box.x0 > -1 and box.y0 > -1, name
                    assert box.x1 < width + 1 and box.y1 < height + 1, name
            titles = [axes._left_title, axes._right_title]
            left, right = (title.get_window_extent(renderer) for title in titles)
            if all(title.get_text() for title in titles):
                assert left.x1 < right.x0, f"the titles of {name} overlap"
        for legend in figure.legends:
            box = legend.get_window_extent(renderer)
            assert box.x0 > -1 and box.y0 > -1 and box.x1 < width + 1, name


def test_what_is_observed_is_solid_and_what_is_expected_dashed(two: Report) -> None:
    axes = by_name(two)["corner_shape"].draw().axes[0]
    colour = methods_of(two)[0].colour
    lines = [line for line in axes.lines if line.get_color() == colour]
    assert [line.get_linestyle() for line in lines] == ["--", "-"]
    for line, key in zip(lines, ("curves", "observed_curves"), strict=True):
        drawn = np.interp(two.grid["c0"], *line.get_data())
        expected = getattr(two.methods[0], key)["shape"].profiles["c0"]
        np.testing.assert_allclose(drawn, expected, atol=1e-6)


def test_without_data_expected_lines_are_solid() -> None:
    content = make(1, members=1)
    [axes] = by_name(content)["corner_shape"].draw().axes
    colour = methods_of(content)[1].colour
    lines = [line for line in axes.lines if line.get_color() == colour]
    assert [line.get_linestyle() for line in lines] == ["-"]


def test_ends_of_intervals_show_the_members(two: Report) -> None:
    axes = intervals.draw(two, intervals.rows_of(two, "shape")).axes[0]
    row = [text.get_text() for text in axes.get_yticklabels()].index("alices")
    ticks = [
        line.get_xdata()
        for line in axes.lines
        if line.get_marker() == "|"
        and len(line.get_xdata()) == 2
        and line.get_ydata()[0] == pytest.approx(row + intervals.HEIGHT / 2)
    ]
    members = (two.methods[2].limits["shape"].member_intervals or {})["c0"]
    expected = [[own[0][i] for own in members[level]] for level in members for i in (0, 1)]
    np.testing.assert_allclose(ticks, expected)


def test_losses_are_those_that_a_method_has(two: Report) -> None:
    both = {"training": [3.0, 2.0], "validation": [3.5, 2.5]}
    given = {"sally": [both, both], "alices": [{"training": [3.0, 2.0]}] * 2}
    methods = [replace(m, losses=given.get(m.name, m.losses)) for m in two.methods]
    found = by_name(replace(two, methods=methods))
    for name, entries in {"sally": ["training", "validation"], "alices": ["training"]}.items():
        plot = found[f"training_{name}"]
        assert ("validation" in plot.caption) == ("validation" in entries)
        legend = draw(plot).axes[0].get_legend()
        assert legend is not None and [text.get_text() for text in legend.get_texts()] == entries


def test_published_values_are_spoken_of_where_there_are_some(two: Report) -> None:
    first, *others = two.methods
    assert "published" not in by_name(two)["fisher_c0_c1"].caption
    known = replace(first.fisher_information, published=[[1.0, 0.0], [0.0, 1.0]])
    compared = replace(two, methods=[replace(first, fisher_information=known), *others])
    assert "published" in by_name(compared)["fisher_c0_c1"].caption


def test_a_range_without_intervals_is_that_of_the_grid() -> None:
    content = make(1, methods=("histogram",), members=1)
    for subject in (*content.methods, content.baselines.truth):
        own = subject.limits["shape"]
        own.intervals["c0"] = {"0.6827": [], "0.95": []}
        assert own.member_intervals is not None
        own.member_intervals["c0"] = {"0.6827": [[]], "0.95": [[]]}
    axes = intervals.draw(content, intervals.rows_of(content, "shape")).axes[0]
    low, high = axes.get_xlim()
    assert low < -1.2 and high > 1.2


def test_members_have_thin_ellipses(two: Report) -> None:
    axes = fisher.ellipses(two, 0, 1).axes[0]
    colour = methods_of(two)[2].colour
    own = [line for line in axes.lines if line.get_color() == colour]
    assert [line.get_linewidth() < 1.0 for line in own] == [True, True, False]


def test_the_recommended_method_is_filled(two: Report) -> None:
    assert two.verdict.recommended == "alices"
    figure = by_name(two)["corner_shape"].draw()
    plane = figure.axes[1]
    filled = {to_hex(c.get_facecolor()[0]) for c in plane.collections if len(c.get_facecolor())}
    assert filled == {methods_of(two)[2].colour}


def test_nothing_is_filled_without_a_recommended_method() -> None:
    names = ("histogram", "sally")
    content = make(2, methods=names, failing=names, resolution=9)
    plane = by_name(content)["corner_shape"].draw().axes[1]
    assert not any(len(c.get_facecolor()) for c in plane.collections)
    [legend] = by_name(content)["slices_shape"].draw().legends
    words = [text.get_text() for text in legend.texts]
    assert "sally (fails checks)" in words


def test_coverage_is_that_of_the_results(two: Report) -> None:
    [axes, _] = by_name(two)["coverage_shape"].draw().axes
    assert two.methods[0].toys is not None
    own = two.methods[0].toys.points[0].kinds["shape"]
    drawn = [container.lines[0].get_ydata() for container in axes.containers[:2]]
    for level, values in zip(("0.6827", "0.95"), drawn, strict=True):
        expected = [own.coverage[level].value]
        expected += [own.parameters[name].coverage[level].value for name in ("c0", "c1")]
        np.testing.assert_allclose(values.astype(float), expected)


def test_toys_are_normalised(two: Report) -> None:
    axes = by_name(two)["toys_shape"].draw().axes[0]
    [values, edges, _] = axes.patches[0].get_data()
    assert np.sum(values * np.diff(edges)) == pytest.approx(1.0)


def test_points_of_toys_are_told_by_name_or_values(two: Report) -> None:
    assert two.methods[0].toys is not None
    named, other = two.methods[0].toys.points
    assert toys.point_words(two, named) == "sm"
    assert "= 0.3" in toys.point_words(two, other)
    other = replace(other, theta=[-0.3, 0.0])
    assert "−0.3" in toys.point_words(two, other)


def test_the_square_of_an_operator_is_known() -> None:
    assert style.label(r"$c_{H\Box}$", "cHbox") == "$c_{H□}$"
    assert style.label_svg(r"$c_{H\Box}$").startswith("<svg")


def test_a_method_that_is_blind_to_a_parameter_does_not_hide_the_others():
    report = make(2)
    one, other = methods_of(report)[:2]
    rows = [
        systematics.Width(one, report.parameters[0], 1.0, 1.5),
        systematics.Width(other, report.parameters[0], 2.0, 2.0),
        systematics.Width(one, report.parameters[1], 1.0, 1.5),
        systematics.Width(other, report.parameters[1], 70.0, 71.0),
    ]
    figure = systematics.draw(report, rows)
    assert [axes.get_xscale() for axes in figure.axes] == ["linear", "log"]
