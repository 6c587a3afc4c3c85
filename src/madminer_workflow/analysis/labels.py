"""Labels of plots: whether matplotlib can draw a text, asked before anything is computed.

A text with ``$`` is mathtext, matplotlib's own LaTeX, of which only its parser knows what it
understands. matplotlib is imported for labels that are not of the usual kind.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import FrameType

FRAMES = 650
"""How deep the parser may call itself, of the 1000 calls of Python's stack: what is drawn is parsed
again inside of others. Twelve roots inside of each other need 600."""

_LETTERS = (
    "alpha|beta|gamma|delta|epsilon|zeta|eta|theta|iota|kappa|lambda|mu|nu|xi|pi|rho|sigma|tau|phi|"
    "chi|psi|omega|Gamma|Delta|Theta|Lambda|Xi|Pi|Sigma|Phi|Psi|Omega|ell|pm|sin|cos|tan|Box"
)
_ATOM = (
    rf"(?:[A-Za-z0-9,()+/=.-]|\\(?:{_LETTERS})(?![A-Za-z])"
    r"|\\(?:tilde|hat|bar|vec)\{[A-Za-z]\})"
)
_INDEXED = rf"{_ATOM}(?:_{_ATOM})?"
_SCRIPT = rf"(?:{_ATOM}|\{{(?:{_INDEXED}| (?! *\}}))+\}})"
_USUAL = re.compile(rf"\$(?:{_ATOM}(?:_{_SCRIPT})?(?:\^{_SCRIPT})?| (?=[^_^$])|\\,(?=[^_^$]))+\$")
"""Symbols with indices and powers, which need no parser: it is slow to import."""


def known_to_mathtext(text: str) -> str:
    """``text`` with the macro of the operator H†H □ H†H, unknown to mathtext, as a character."""
    return text.replace(r"\Box", "□")


@cache
def is_mathtext(text: str) -> bool:
    """Whether matplotlib can draw ``text``; see ``undrawable``."""
    return undrawable(text) is None


def undrawable(text: str) -> str | None:
    """Why matplotlib cannot draw ``text``; None if it can."""
    if strange := [character for character in text if is_control(character)]:
        return f"the character U+{ord(strange[0]):04X}"
    text = known_to_mathtext(text)
    if "$" not in text or _USUAL.fullmatch(text):
        return None
    try:
        _parse("$x$")
        with _few_frames():
            _parse(text)
    except ValueError as error:
        # Below the text and a mark under the place; the last line is in words.
        words = str(error).strip().splitlines()
        return _short(words[-1] if words else "unreadable")
    except RecursionError:
        return "nested too deeply"
    return None


def is_control(character: str) -> bool:
    """Whether a character is none that text can have: a control character, or half of one."""
    return unicodedata.category(character) in ("Cc", "Cs") and character not in "\t\n"


def without_glyph(text: str) -> str:
    """The characters of ``text`` that the font of plots does not have."""
    if text.isascii():
        return ""
    import matplotlib
    from matplotlib.ft2font import FT2Font

    font = FT2Font(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf")
    known = font.get_charmap()
    return "".join(dict.fromkeys(c for c in text if not c.isspace() and ord(c) not in known))


def _parse(text: str) -> None:
    from matplotlib.mathtext import MathTextParser

    MathTextParser("path").parse(text)


@contextmanager
def _few_frames() -> Iterator[None]:
    """Only as deep a stack as is left in any place where a label is drawn."""
    limit, depth = sys.getrecursionlimit(), 0
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        depth, frame = depth + 1, frame.f_back
    sys.setrecursionlimit(min(limit, depth + FRAMES))
    try:
        yield
    finally:
        sys.setrecursionlimit(limit)


def _short(message: str) -> str:
    """The parser's message without its own name and position."""
    message = re.sub(r"^Parse\w*Exception: ", "", message)
    return re.sub(r"\s*\(at char \d+\), \(line:\d+, col:\d+\)", "", message)
