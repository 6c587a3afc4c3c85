"""Labels and titles that validation accepts, whatever they are, become figures and a report."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
import yaml

from madminer_workflow.analysis.file import examine
from madminer_workflow.analysis.reading import Document
from madminer_workflow.files import read_json
from tests.support.paths import DATA
from tests.support.plotted import pictures, plot
from tests.support.synthetic_analysis import edited_analysis, write_analysis

VALID = yaml.safe_load((DATA / "analysis" / "input.yml").read_text())
PIECES = [
    *["$", "$x$", "{", "}", "_", "^", "\\", " ", "%", "&", "#", "~", "x", "GeV", "[", "]", "'"],
    *[r"$\frac{a}{b}$", r"$\sqrt[3]{x}$", r"$p_{T,j_1}$", r"$c_{H\Box}$"],
    *[r"\alpha", r"$\unknown$", r"\$", "{0}", "%s", "]]>", "nan", "null", ": ", "- a", "W" * 40],
    *["\n", "\t", "\u200b", "\u202e", "\u05d0\u05d1", "\U0001f9a0", "é"],
    *["<script>", "-->", "{{ 1 }}"],
]


def texts(seed: int, n: int, longest: int) -> list[str]:
    """Random labels that validation accepts."""
    rng = random.Random(seed)
    accepted: list[str] = []
    while len(accepted) < n:
        text = "".join(rng.choices(PIECES, k=rng.randint(1, 5)))[:longest]
        observable = {**VALID["observables"][0], "latex": text, "unit": text}
        content = {**VALID, "title": text, "observables": [observable, *VALID["observables"][1:]]}
        if not [p for p in examine(Document("input.yml", content))[1] if not p.warning]:
            accepted.append(text)
    return accepted


@pytest.mark.filterwarnings("ignore:Glyph")
@pytest.mark.parametrize("seed", [0, *(pytest.param(i, marks=pytest.mark.slow) for i in (1, 2, 3))])
def test_whatever_is_accepted_is_plotted(tmp_path: Path, seed: int) -> None:
    made = write_analysis(tmp_path / "in")
    content: dict[str, Any] = read_json(made.analysis)
    labels = iter(texts(seed, 8, 40))
    for entry in (*content["parameters"], *content["observables"]):
        entry["latex"] = next(labels)
        if "unit" in entry:
            entry["unit"] = next(labels)
    changes = {key: content[key] for key in ("parameters", "observables")}
    inputs = edited_analysis(made, tmp_path, title=next(labels), **changes)
    drawn = ("observable_x", "observable_count", "fisher_p0_p1")
    with pictures(lambda plot: plot.name in drawn):
        plotted = plot(inputs, tmp_path / "out")
    for name in drawn:
        assert (plotted.output / "plots" / f"{name}.pdf").stat().st_size > 1000
    for file in (plotted.output / "plots" / "data").glob("*.yaml"):
        list(yaml.safe_load_all(file.read_text()))
