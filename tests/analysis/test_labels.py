"""What validation says of a label is what matplotlib does with it."""

from __future__ import annotations

import io
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.mathtext import MathTextParser

from madminer_workflow.analysis import labels
from madminer_workflow.report.figures import style
from tests.support.properties import examples

PIECES = [
    *["$", "{", "}", "_", "^", "\\", " ", "%", "&", "#", "~", "x", "GeV", "[", "]", "<b>", "'"],
    *[r"\alpha", r"\frac", r"\sqrt", r"\mathrm", r"\left(", r"\right)", r"\unknown", r"\$"],
    *["\n", "\t", "\u200b", "\u202e", "\u05d0", "\U0001f9a0", "\ud800", "\0", "é", r"\Box"],
]
TEXTS = st.lists(st.sampled_from(PIECES), max_size=8).map("".join)


def draw(label: str) -> None:
    """All that the report does with a label."""
    figure = style.figure(height=2.0)
    figure.subplots().set_xlabel(label)
    style.settle(figure)
    for kind in ("png", "svg"):
        figure.savefig(io.BytesIO(), format=kind, dpi=20)


@pytest.mark.filterwarnings("ignore:Glyph")
@examples(40)
@given(TEXTS, TEXTS)
def test_any_label_is_drawn(latex: str, unit: str) -> None:
    """Also one that validation refuses: a file of another version may have it."""
    draw(style.label(latex, "name", unit))
    style.label_svg(latex)


@examples(300)
@given(TEXTS)
def test_what_is_accepted_is_drawn_as_it_is(text: str) -> None:
    if labels.undrawable(text) is None:
        MathTextParser("path").parse(labels.known_to_mathtext(text))


@examples(60)
@given(st.from_regex(labels._USUAL, fullmatch=True))
def test_labels_that_are_not_parsed_are_known_to_matplotlib(text: str) -> None:
    MathTextParser("path").parse(labels.known_to_mathtext(text))


@pytest.mark.parametrize("symbol", labels._LETTERS.split("|"))
def test_every_symbol_that_is_not_parsed(symbol: str) -> None:
    assert labels._USUAL.fullmatch(f"$\\{symbol}_1$")
    MathTextParser("path").parse(labels.known_to_mathtext(f"$\\{symbol}_1$"))


@pytest.mark.parametrize("inside", ["{", r"\sqrt{", r"\frac{1}{", r"\mathrm{", "x^{", r"\tilde{"])
def test_nesting_is_limited_by_what_is_drawn_later(inside: str) -> None:
    """What is accepted can be drawn deep inside of other calls; what is not has a reason."""
    accepted = 0
    for depth in range(1, 40):
        text = f"${inside * depth}x{'}' * depth}$"
        if why := labels.undrawable(text):
            assert why == "nested too deeply"
            break
        accepted = depth

    def deeply(calls: int, label: str) -> None:
        if calls:
            deeply(calls - 1, label)
        else:
            MathTextParser("path").parse(label, 71.0)

    assert 5 <= accepted < 30
    deeply(50, f"${inside * accepted}x{'}' * accepted}$")
    assert sys.getrecursionlimit() >= 1000


def test_a_unit_that_cannot_be_drawn_is_shown_as_it_is() -> None:
    assert style.label("$x$", "x", r"$\unknown$") == r"$x$ [\$\unknown\$]"
    assert style.label("$x$", "x", "a\0b") == "$x$ [ab]"
