"""The report: well-formed, self-contained, escaped, and true to results.json."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest

from madminer_workflow.analysis.types import Method, Systematic
from madminer_workflow.report import page as report
from madminer_workflow.report.figures import style
from madminer_workflow.report.methods import METHODS, address
from madminer_workflow.report.methods import page as methods_page
from madminer_workflow.report.terms import glossary
from tests.support.paths import REPOSITORY
from tests.support.plotted import EVIL, Plotted, plot
from tests.support.synthetic_analysis import write_analysis


@pytest.fixture(scope="module")
def page(two: Plotted) -> str:
    return two.page


class Collector(HTMLParser):
    """Ids, attributes and visible text of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.tags: set[str] = set()
        self.links: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        for key, value in attrs:
            if key == "id":
                self.ids.append(value or "")
            if key in ("src", "href"):
                self.links.append(value or "")

    def handle_data(self, data: str) -> None:
        self.text.append(data)


@pytest.fixture(scope="module")
def parsed(page: str) -> Collector:
    collector = Collector()
    collector.feed(page)
    return collector


def test_it_is_well_formed(page: str) -> None:
    body = page[page.index("<html") :]
    root = ET.fromstring(re.sub(r"<style>.*?</style>", "", body, count=1, flags=re.DOTALL))
    assert root.tag == "html"


def test_it_loads_nothing(page: str, parsed: Collector, two: Plotted) -> None:
    papers = {address(source) for method in METHODS.values() for source in method.sources}
    others = [link for link in parsed.links if not link.startswith("#") and link not in papers]
    assert all((two.output / link).is_file() for link in others)
    assert {f"plots/{path.name}" for path in (two.output / "plots").glob("*.p*")} <= set(others)
    assert not {"link", "iframe", "object", "img"} & parsed.tags
    assert "default-src 'none'" in page
    assert "@import" not in page
    assert len(page) < 2e6


def test_scripts_are_ours_and_d3(page: str) -> None:
    scripts = re.findall(r"<script>(.*?)</script>", page, flags=re.DOTALL)
    assert len(scripts) == 1 + len(report.SCRIPTS)
    assert "d3js.org" in scripts[0][:80]
    assert not any("http" in script for script in scripts[1:])
    assert not any("]]>" in script.replace("/*]]>*/", "") for script in scripts)


def test_ids_are_unique_and_every_link_has_its_target(parsed: Collector) -> None:
    assert len(parsed.ids) == len(set(parsed.ids))
    inner = {link[1:] for link in parsed.links if link.startswith("#")}
    assert inner <= set(parsed.ids)


def test_text_of_the_user_is_escaped(page: str, parsed: Collector) -> None:
    assert EVIL not in page
    assert "".join(parsed.text).count(EVIL) >= 3


def test_data_of_scripts_cannot_end_them() -> None:
    written = report.data_of_scripts({"a": f"</script>{EVIL}]]>"})
    assert not set("<>&") & set(written)
    assert json.loads(written) == {"a": f"</script>{EVIL}]]>"}


def test_every_chart_has_its_place(page: str) -> None:
    [content] = re.findall(r'<script id="charts"[^>]*>(.*?)</script>', page)
    charts = json.loads(content)
    for name, chart in charts.items():
        assert f'id="chart-{name}"' in page
        [place] = re.findall(rf'data-chart="{name}".*?</figure>', page, flags=re.DOTALL)
        assert place.count('class="panel') >= len(chart["panels"])


def test_there_are_colours_for_both_themes(page: str) -> None:
    for name in {f"--c{i}" for i in range(len(style.METHOD_COLOURS))}:
        assert len(re.findall(rf"{name}: #", page)) == 2, "one for light, one for dark"


def test_it_opens_with_the_method_to_use(parsed: Collector) -> None:
    words = " ".join("".join(parsed.text).split())
    assert words.index("Use this: histogram") < words.index("most sensitive method first")
    assert "sally looks more sensitive but cannot be trusted" in words


def test_numbers_are_those_of_results_json(two: Plotted, parsed: Collector) -> None:
    content = two.content
    words = "".join(parsed.text)
    for method in content["methods"]:
        own = method["limits"]["rate_and_shape"]["intervals"]
        for name, axis in content["grid"].items():
            for level in content["confidence_levels"]:
                assert str(report.intervals(own[name][level], axis)) in words
        fisher = method["fisher_information"]
        assert report.with_error(fisher["matrix"][0][0], fisher["error"][0][0]) in words
        assert method["reason"] in words
    assert content["version"] in words
    assert "0.75 ± 0.02" in words or "0.750 ± 0.020" in words


def test_parameters_have_pictures_of_their_labels(page: str) -> None:
    assert page.count('class="math"') >= 2


def test_places_have_as_many_digits_as_the_grid_tells() -> None:
    axis = [-1.0, -0.9, -0.8]
    assert report.place(-4.4e-5, axis) == "0.000"
    assert report.place(0.12345, axis) == "0.123"
    assert report.place(-31.4, [0.0, 200.0]) == "−31"


def test_systematics_have_a_section(systematic: Plotted) -> None:
    collector = Collector()
    collector.feed(systematic.page)
    words = " ".join("".join(collector.text).split())
    assert "systematics" in collector.ids and "chart-systematics" in collector.ids
    assert "profile the nuisance parameters" in words
    assert "cross-section +5 %" in words and "μF times 0.5, 1, 2" in words
    assert "+41.4 %" in words


@pytest.mark.parametrize(
    ("systematic", "words"),
    [
        ({"effect": "norm", "norm_variation": 0.9}, "cross-section −10 %"),
        (
            {"effect": "scale", "scale": "mu", "scale_variations": [0.5, 2.0]},
            "μR and μF times 0.5, 2",
        ),
        (
            {
                "effect": "pdf",
                "pdf_variation": "CT18LO",
                "pdf_members": 58,
                "pdf_error_type": "hessian",
                "pdf_confidence_level": 0.9,
            },
            "CT18LO, 58 members (hessian, 90 %)",
        ),
        (
            {
                "effect": "efficiency",
                "efficiency_variation": 0.015,
                "particles": ["e", "mu"],
                "pt_range": [25.0, 60.0],
                "eta_range": [0.0, 2.5],
            },
            "efficiency ±1.5 %: e, mu, pT from 25 to 60 GeV, |η| from 0 to 2.5",
        ),
        (
            {
                "effect": "energy_scale",
                "energy_scale_variation": 0.03,
                "particles": ["j"],
                "pt_range": None,
                "eta_range": None,
            },
            "energy ±3 %: j",
        ),
        (
            {
                "effect": "energy_resolution",
                "energy_resolution_variation": 0.1,
                "particles": ["j", "a"],
                "pt_range": None,
                "eta_range": None,
            },
            "energy smeared by 10 %: j, a",
        ),
        ({"effect": "met_scale", "met_scale_variation": 0.05}, "missing momentum ±5 %"),
    ],
)
def test_sizes_of_systematics(systematic: dict[str, Any], words: str) -> None:
    typed = msgspec.convert({"systematic_name": "s", **systematic}, Systematic)
    assert report.size(typed) == words


@pytest.mark.usefixtures("undrawn")
def test_no_method_to_use(tmp_path: Path) -> None:
    inputs = write_analysis(tmp_path / "in", 1, failing=("histogram", "sally"))
    page = plot(inputs, tmp_path).page
    assert "Use none of these limits yet" in page
    assert "Use this" not in page


@pytest.mark.parametrize(
    ("value", "error", "expected"),
    [
        (154.234, 3.14, "154.2 ± 3.1"),
        (-0.0123, 0.00456, "−0.0123 ± 0.0046"),
        (12345.0, 678.0, "12340 ± 680"),
        (1e-9, 2e-11, "1e−09 ± 2e−11"),
        (2.5, None, "2.5"),
        (None, 1.0, "–"),
    ],
)
def test_values_with_errors(value: float | None, error: float | None, expected: str) -> None:
    assert report.with_error(value, error) == expected


@pytest.mark.parametrize(
    ("ranges", "expected"),
    [
        ([[-0.21234, 0.17896]], "[−0.212, 0.179]"),
        ([[-1.0, 0.5]], "[−1.00*, 0.50]"),
        ([[-0.5, -0.25], [0.25, 0.5]], "[−0.50, −0.25] ∪ [0.25, 0.50]"),
        ([[-1e-8, 1e-8]], "[−0.0000000100, 0.0000000100]"),
        ([], "none"),
    ],
)
def test_intervals(ranges: list[list[float]], expected: str) -> None:
    assert report.intervals(ranges, [-1.0, 0.0, 1.0]) == expected


def test_every_method_is_explained() -> None:
    known = {method.__struct_config__.tag for method in get_args(Method)}
    assert known == set(METHODS)


def test_the_glossary_is_that_of_the_page() -> None:
    assert (REPOSITORY / "docs" / "glossary.md").read_text() == "\n".join(glossary()) + "\n"


def test_the_methods_of_the_site_are_those_of_the_page() -> None:
    assert (REPOSITORY / "docs" / "choosing.md").read_text() == "\n".join(methods_page()) + "\n"


def test_settings_are_compared_side_by_side() -> None:
    settings = [
        {"name": "a", "training": {"alpha": 10.0}, "bins": [1.0, 2.5]},
        {"name": "b", "training": {"alpha": None}},
    ]
    rows = dict(report.compare_settings(settings))
    assert rows == {"bins": ["1, 2.5", ""], "training.alpha": ["10", "–"]}


def test_names_of_methods_lead_to_what_they_do(page: str, parsed: Collector) -> None:
    words = " ".join("".join(parsed.text).split())
    for kind in ("histogram", "sally"):
        assert f'class="name" href="#method-{kind}"' in page
        assert METHODS[kind].stands_for in words and METHODS[kind].cost in words
    assert "method-alices" not in parsed.ids, "only the methods of the run"


@pytest.mark.parametrize(
    ("value", "words"),
    [(None, "–"), (2e-6, "0 %"), (-0.0196, "−1.96 %"), (0.19, "+19.0 %"), (0.4142, "+41.4 %")],
)
def test_changes_have_two_decimals_or_three_digits(value: float | None, words: str) -> None:
    assert report.change(value) == words
