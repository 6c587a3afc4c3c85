"""The report in a real browser: nothing is asked for, nothing goes wrong, all switches work."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from madminer_workflow.report.page import render
from tests.support.browser import Browser, browser
from tests.support.figure_content import make
from tests.support.plotted import Plotted

EMPTY_PANELS = (
    "[...document.querySelectorAll('.panel')].filter(panel => panel.offsetParent)"
    ".filter(panel => !panel.querySelector('svg.plot .mark')).length"
)


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("profile")) as page:
        yield page


@pytest.fixture
def opened(chromium: Browser, two: Plotted) -> Browser:
    chromium.complaints.clear()
    chromium.open(two.output / "report.html")
    return chromium


def press(page: Browser, switch: str) -> None:
    page.evaluate(f"document.querySelector('{switch}').click()")
    page.settle()


def lines(page: Browser, chart: str, who: str = "") -> Any:
    """The shapes of lines that a chart shows."""
    of = f'[data-who="{who}"]' if who else ""
    return page.evaluate(
        f"[...document.querySelectorAll('#chart-{chart} .mark{of} :is(path, rect)')]"
        ".map(node => node.outerHTML)"
    )


def texts(page: Browser, selector: str) -> list[str]:
    """What is seen of some elements."""
    return page.evaluate(f"[...document.querySelectorAll('{selector}')].map(seenText)")


@pytest.mark.parametrize("width", [1400, 390])
@pytest.mark.parametrize("look", ["light", "dark"])
def test_nothing_is_asked_for_and_nothing_goes_wrong(
    chromium: Browser, two: Plotted, systematic: Plotted, width: int, look: str
) -> None:
    for plotted in (two, systematic):
        page = plotted.output / "report.html"
        chromium.complaints.clear()
        chromium.open(page, width, look)
        for node in ("details", "section"):
            chromium.evaluate(f"for (const n of document.querySelectorAll('{node}')) n.open = true")
        chromium.settle()
        assert chromium.requests == [page.as_uri()]
        assert chromium.complaints == []
        # Tables and charts scroll or shrink, the page itself is as wide as the window.
        assert chromium.evaluate("document.documentElement.scrollWidth") <= width
        dark = (
            chromium.evaluate("getComputedStyle(document.body).backgroundColor")
            == "rgb(16, 19, 23)"
        )
        assert dark == (look == "dark")
        assert chromium.evaluate(EMPTY_PANELS) == 0


@pytest.mark.parametrize("parameters", [1, 3])
def test_any_number_of_parameters_with_data(
    chromium: Browser, tmp_path: Path, parameters: int
) -> None:
    page = tmp_path / "report.html"
    page.write_text(render(make(parameters, observed=True), []), encoding="utf-8")
    chromium.complaints.clear()
    chromium.open(page)
    shown = lines(chromium, "triangle")
    for data in ("expected", "observed"):
        press(chromium, f'[data-switch="data"][data-value="{data}"]')
        assert 0 < len(lines(chromium, "triangle")) < len(shown)
    assert chromium.complaints == []
    assert chromium.evaluate(EMPTY_PANELS) == 0


def test_pulls_are_below_what_differs_most(chromium: Browser, tmp_path: Path) -> None:
    found = make(2, observed=True)
    page = tmp_path / "report.html"
    page.write_text(render(found, []), encoding="utf-8")
    chromium.open(page)
    boxes = chromium.evaluate(
        "[...document.querySelectorAll('#chart-goodness_worst svg.plot')].map(plot => {"
        " const {left, top, width} = plot.getBoundingClientRect(); return [left, width, top]; })"
    )
    assert len(boxes) == 2 and boxes[0][:2] == boxes[1][:2] and boxes[0][2] < boxes[1][2]
    assert chromium.evaluate("!!document.querySelector('#chart-goodness_worst .filled')")


def test_names_of_methods_lead_to_the_folded_section(opened: Browser) -> None:
    fold = "document.querySelector('#methods > details')"
    assert not opened.evaluate(f"{fold}.open")
    opened.evaluate("document.documentElement.style.scrollBehavior = 'auto'")
    for _ in range(2):
        press(opened, '#table-limits a[href="#method-sally"]')
        assert opened.evaluate(f"{fold}.open")
        top = "document.getElementById('method-sally').getBoundingClientRect().top"
        assert 0 <= opened.evaluate(top) < 900
        # The same link once more, when the address has not changed.
        opened.evaluate(f"{fold}.open = false")


def test_the_kind_of_likelihood_is_switched(opened: Browser) -> None:
    before = lines(opened, "triangle"), texts(opened, "#table-limits tbody td")
    press(opened, '[data-switch="kind"][data-value="shape"]')
    after = lines(opened, "triangle"), texts(opened, "#table-limits tbody td")
    assert before[0] and after[0] and before[0] != after[0]
    assert before[1] != after[1]
    press(opened, '[data-switch="kind"][data-value="rate_and_shape"]')
    assert texts(opened, "#table-limits tbody td") == before[1]


def test_the_confidence_level_is_switched(opened: Browser, two: Plotted) -> None:
    [best] = [m for m in two.content["methods"] if m["believed"]]
    row = "#table-limits tr.best td:nth-child(3)"
    for level in two.content["confidence_levels"]:
        press(opened, f'[data-switch="level"][data-value="{level}"]')
        [shown] = texts(opened, row)
        low, _ = best["limits"]["rate_and_shape"]["intervals"]["p0"][level][0]
        assert shown.startswith(f"[{low:.2f}".replace("-", "−")[:5])
        assert (
            opened.evaluate(
                f"document.querySelector('[data-value=\"{level}\"]').getAttribute('aria-pressed')"
            )
            == "true"
        )


def test_other_parameters_are_profiled_or_fixed(opened: Browser) -> None:
    profiled = lines(opened, "triangle")
    press(opened, '[data-switch="part"][data-value="slices"]')
    assert lines(opened, "triangle") != profiled


@pytest.mark.parametrize("who", ["histogram", "sally", "truth", "rate"])
def test_methods_are_hidden_and_shown_everywhere(opened: Browser, who: str) -> None:
    rows = f"[...document.querySelectorAll('tr[data-of=\"{who}\"]')]"
    assert lines(opened, "triangle", who) and lines(opened, "intervals", who)
    press(opened, f'[data-method="{who}"]')
    assert not lines(opened, "triangle", who) and not lines(opened, "intervals", who)
    assert opened.evaluate(f"{rows}.length && {rows}.every(row => row.hidden)")
    press(opened, f'[data-method="{who}"]')
    assert lines(opened, "triangle", who)
    assert not opened.evaluate(f"{rows}.some(row => row.hidden)")


def test_values_are_shown_where_the_pointer_is(opened: Browser) -> None:
    opened.evaluate(
        "document.querySelector('#chart-intervals')"
        ".scrollIntoView({block: 'center', behavior: 'instant'})"
    )
    x, y = opened.evaluate(
        '(() => { const box = document.querySelector(\'#chart-intervals .mark[data-who="histogram"]'
        " rect').getBoundingClientRect(); return [box.x + 3, box.y + 3]; })()"
    )
    opened.point_at(x, y)
    tip = opened.evaluate("document.getElementById('tip').innerText")
    assert "histogram" in tip and "from −" in tip
    opened.point_at(2, 2)
    assert opened.evaluate("document.getElementById('tip').hidden")


CONTOURS = "document.querySelector('#chart-triangle .panel:last-child')"


def in_view(page: Browser) -> tuple[float, float, float, float]:
    """Scroll to the contours; the place and size of what is within their axes."""
    page.evaluate(
        "document.querySelector('#chart-triangle')"
        ".scrollIntoView({block: 'center', behavior: 'instant'})"
    )
    return tuple(
        page.evaluate(
            f"(() => {{ const {{left, inner}} = {CONTOURS}.drawn; const box = "
            f"{CONTOURS}.querySelector('svg.plot').getBoundingClientRect(); "
            "return [box.x + left, box.y + TOP, inner.width, inner.height]; })()"
        )
    )


def shown(page: Browser, panel: str = CONTOURS) -> list[list[float]]:
    """The ends of both axes of a panel."""
    return page.evaluate(f"[{panel}.drawn.x.domain(), {panel}.drawn.y.domain()]")


def test_a_rectangle_is_zoomed_into_and_a_double_click_returns(opened: Browser) -> None:
    left, top, width, height = in_view(opened)
    whole = shown(opened)
    opened.drag(
        (left + 0.25 * width, top + 0.25 * height), (left + 0.5 * width, top + 0.75 * height)
    )
    x, y = shown(opened)
    for ends, (low, high), shares in ((x, whole[0], (0.25, 0.5)), (y, whole[1], (0.25, 0.75))):
        for end, share in zip(ends, shares, strict=True):
            assert end == pytest.approx(low + share * (high - low), abs=0.01 * (high - low))
    # The test statistic along the same parameter, above it, shows the same range.
    above = "document.querySelector('#chart-triangle .panel')"
    assert shown(opened, above)[0] == x and shown(opened, above)[1][0] == 0.0
    opened.double_click(left + 0.5 * width, top + 0.5 * height)
    assert shown(opened) == whole


def test_a_click_and_a_narrow_rectangle(opened: Browser) -> None:
    left, top, width, _ = in_view(opened)
    whole = shown(opened)
    opened.drag((left + 20, top + 20), (left + 23, top + 22))
    assert shown(opened) == whole, "a click that trembles"
    opened.drag((left + 20, top + 20), (left + 120, top + 22))
    x, y = shown(opened)
    assert y == whole[1] and x[1] - x[0] == pytest.approx(
        100 / width * (whole[0][1] - whole[0][0]), rel=0.02
    )


def test_the_wheel_and_fingers_scroll_the_page(opened: Browser) -> None:
    left, top, width, height = in_view(opened)
    whole, before = shown(opened), opened.evaluate("scrollY")
    opened.mouse("Wheel", left + 0.5 * width, top + 0.5 * height, deltaX=0, deltaY=120)
    opened.evaluate("new Promise(done => setTimeout(done, 300))")
    assert opened.evaluate("scrollY") > before
    left, top, width, height = in_view(opened)
    before = opened.evaluate("scrollY")
    x, y = left + 0.5 * width, top + 0.5 * height
    opened.touch((x, y), (x, y - 60), (x, y - 120), (x, y - 180))
    opened.evaluate("new Promise(done => setTimeout(done, 300))")
    assert opened.evaluate("scrollY") > before
    assert shown(opened) == whole


def test_buttons_zoom_around_the_place_that_was_touched(opened: Browser) -> None:
    left, top, width, height = in_view(opened)
    whole = shown(opened)
    opened.touch((left + 0.25 * width, top + 0.5 * height))
    press(opened, "#chart-triangle .panel:last-child .zoom button")
    x, y = shown(opened)
    for ends, (low, high), share in ((x, whole[0], 0.25), (y, whole[1], 0.5)):
        assert ends[1] - ends[0] == pytest.approx(0.5 * (high - low))
        assert (low + share * (high - low) - ends[0]) / (ends[1] - ends[0]) == pytest.approx(
            share, abs=0.02
        )
    press(opened, "#chart-triangle .panel:last-child .zoom button:last-child")
    assert shown(opened) == whole


def test_keys_zoom_move_and_return(opened: Browser) -> None:
    whole = shown(opened)
    in_view(opened)
    opened.evaluate(f"{CONTOURS}.focus()")
    before = opened.evaluate("scrollY")
    opened.key("+")
    once = shown(opened)
    assert once[0][1] - once[0][0] == pytest.approx(0.5 * (whole[0][1] - whole[0][0]))
    opened.key("ArrowRight")
    assert shown(opened)[0][0] > once[0][0] and shown(opened)[1] == once[1]
    assert opened.evaluate("scrollY") == before
    for _ in range(9):
        opened.key("+")
    deepest = shown(opened)
    assert whole[0][1] - whole[0][0] == pytest.approx(64 * (deepest[0][1] - deepest[0][0]))
    for axis in "xy":
        words = opened.evaluate(f"formatted({CONTOURS}.drawn.{axis}.ticks(5))")
        assert len(set(words)) == len(words) > 1
    opened.key("0")
    assert shown(opened) == whole
    assert opened.complaints == []


def test_rows_are_zoomed_along_their_values(opened: Browser) -> None:
    panel = "document.querySelector('#chart-intervals .panel')"
    whole = shown(opened, panel)
    opened.evaluate(f"{panel}.focus({{preventScroll: true}})")
    opened.key("+")
    x, y = shown(opened, panel)
    assert x[1] - x[0] == pytest.approx(0.5 * (whole[0][1] - whole[0][0])) and y == whole[1]
    press(opened, '[data-switch="level"]')
    assert shown(opened, panel)[0] == x, "what is shown stays"


def test_terms_are_explained(opened: Browser) -> None:
    assert opened.evaluate("document.querySelectorAll('.term').length") > 10
    opened.evaluate("document.querySelector('#limits .term').focus()")
    opened.settle()
    shown = opened.evaluate("document.getElementById('tip').innerText")
    assert shown == opened.evaluate("document.querySelector('#limits .term').dataset.words")


def test_tables_are_sorted_and_copied(opened: Browser) -> None:
    def first_cells() -> list[str]:
        return texts(opened, "#table-limits tbody th")

    before = sorted(first_cells())
    for order in ("ascending", "descending"):
        press(opened, "#table-limits thead th:nth-child(3)")
        head = "document.querySelector('#table-limits thead th:nth-child(3)')"
        assert opened.evaluate(f"{head}.getAttribute('aria-sort')") == order
        lengths = opened.evaluate(
            "[...document.querySelectorAll('#table-limits tbody tr')]"
            ".map(row => sortValue(row.cells[2]))"
        )
        assert lengths == sorted(lengths, reverse=order == "descending")
        assert sorted(first_cells()) == before
    table = "document.querySelector('#table-limits')"
    csv = opened.evaluate(f"asCSV({table})").splitlines()
    assert len(csv) == 1 + len(before)
    assert csv[0].startswith('method,trusted?,"p0 below')
    assert {line.count('"') % 2 for line in csv} == {0}
    latex = opened.evaluate(f"asLaTeX({table})")
    assert latex.startswith("\\begin{tabular}") and "\\end{tabular}" in latex
    assert not {"−", "±", "✓"} & set(latex)
    press(opened, "#limits .copy button")
    assert opened.evaluate("document.querySelector('#limits .copy button').textContent") == "copied"


def test_contents_lead_to_what_is_folded(opened: Browser) -> None:
    assert not opened.evaluate("document.querySelector('#setup > details').open")
    opened.evaluate("document.querySelector('nav a[href=\"#setup\"]').click()")
    opened.settle()
    assert opened.evaluate("document.querySelector('#setup > details').open")


def test_the_look_can_be_changed(opened: Browser) -> None:
    colour = "getComputedStyle(document.body).backgroundColor"
    light = opened.evaluate(colour)
    press(opened, "[data-theme]")
    assert opened.evaluate(colour) != light


def test_a_print_shows_all(opened: Browser) -> None:
    opened.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert opened.evaluate("[...document.querySelectorAll('details')].every(node => node.open)")
