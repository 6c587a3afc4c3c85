"""What is said of observed data and simulation: in words, figures and on the page."""

from __future__ import annotations

from collections.abc import Iterator

import matplotlib
import pytest
from msgspec.structs import replace

from madminer_workflow.report.figures import goodness_plots, style
from madminer_workflow.report.goodness import difference, p_words, place_words, range_words
from madminer_workflow.report.headline import headline_text
from madminer_workflow.report.page import render
from madminer_workflow.report.results import Report
from madminer_workflow.statistics.results import Goodness, GoodnessTest
from tests.support.figure_content import make


@pytest.fixture(autouse=True)
def _style() -> Iterator[None]:
    with matplotlib.rc_context(style.RC):
        yield


@pytest.fixture(scope="module")
def alike() -> Report:
    return make(2, members=1, observed=True, resolution=5)


@pytest.fixture(scope="module")
def unlike() -> Report:
    return make(2, members=1, observed=True, resolution=5, unlike=True)


def test_data_that_look_like_the_simulation_are_a_sentence(alike: Report) -> None:
    text = headline_text(alike)
    assert not alike.verdict.warning
    assert text.startswith("method")
    assert "p-value of data" in text.splitlines()[0]
    assert text.endswith(
        "The observed data look like the simulation at the best fit of alices: p = 0.40 for 4 "
        "tests together."
    )
    page = render(alike, [])
    assert "The observed data look like the simulation" in page
    assert "do not look like the simulation" not in page


def test_data_that_do_not_are_the_first_thing_that_is_said(unlike: Report) -> None:
    assert unlike.verdict.warning
    first = headline_text(unlike).splitlines()[0]
    assert first.startswith(
        "WARNING: The observed data do not look like the simulation: at the best fit of alices, pt "
        "has "
    )
    assert "from 250 to 350 where" in first
    assert first.endswith("Do not trust observed limits before you know why.")
    page = render(unlike, [])
    assert page.index("The data do not look like the simulation") < page.index("Use this: ")


def test_without_data_nothing_is_said() -> None:
    report = make(2, members=1, resolution=5)
    assert report.verdict.goodness is None
    assert "p-value" not in headline_text(report)
    assert not list(goodness_plots(report))


def test_limits_of_methods_that_were_not_tested_say_so(alike: Report) -> None:
    first, *others = alike.methods
    some = replace(alike, methods=[replace(first, goodness=None), *others])
    assert [line.endswith("unknown") for line in headline_text(some).splitlines()[1:4]].count(
        True
    ) == 1


def test_the_figure_has_all_p_values_and_what_differs_most(unlike: Report) -> None:
    [plot] = goodness_plots(unlike)
    assert "pt" in plot.caption
    figure = plot.draw()
    style.settle(figure)
    left, top, bottom = figure.axes
    assert len(left.lines) == 1 + len(unlike.methods)
    names = [label.get_text() for label in left.get_yticklabels()]
    assert names[:3] == ["all tests together", "number of events", "pt"]
    assert top.get_title(loc="right") == "p < 0.001"
    assert bottom.get_ylim()[1] > 3.0
    tables = {table.name: table for table in plot.tables}
    assert len(tables["goodness_of_fit"].dependent) == len(unlike.methods)
    observed, expected = tables["goodness_of_fit_worst"].dependent
    assert len(observed.values) == len(expected.values) == 8


def found(*tests: GoodnessTest) -> Goodness:
    return Goodness(
        p_value=0.001,
        n_toys=1000,
        best_fit=[0.0],
        nuisance_parameters=[],
        observed_events=40,
        expected_events=268.0,
        tests=list(tests),
    )


COUNT = GoodnessTest(name="number", about="count", p_value=0.001, observed=40.0, expected=268.2)
PT = GoodnessTest(
    name="pt",
    about="observable",
    p_value=0.002,
    interval=(None, 30.0),
    observed=12.0,
    expected=3.25,
)
ALL = GoodnessTest(name="all observables (wide)", about="events", p_value=0.0005)


def test_words_say_where() -> None:
    assert place_words(found(COUNT, replace(PT, p_value=0.5))) == (
        "there are 40 events, where 268 are expected"
    )
    assert place_words(found(COUNT, PT)).endswith(
        ", and pt has 12 events below 30 where 3.25 are expected"
    )
    assert place_words(found(ALL, PT)) == (
        "the test of all observables (wide) has p = 0.0005; of single observables, pt has 12 "
        "events below 30 where 3.25 are expected"
    )
    score = replace(PT, about="score", interval=(1.5, None))
    assert difference(score) == "the score of pt has 12 events above 1.5 where 3.25 are expected"
    assert range_words(replace(PT, interval=(None, None))) == ""


@pytest.mark.parametrize(
    ("p", "n", "words"),
    [(1.0 / 1001.0, 1000, "< 0.001"), (0.0123, 300, "0.012"), (0.5, 300, "0.50")],
)
def test_p_values_have_the_digits_that_toys_give(p: float, n: int, words: str) -> None:
    assert p_words(p, n) == words
