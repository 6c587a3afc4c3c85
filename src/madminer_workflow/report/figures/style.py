"""The look of all figures, and how they are written: reproducibly, and inline for the report."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path as FilePath
from typing import Any, Literal

import matplotlib
import mplhep
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.mathtext import MathTextParser
from matplotlib.path import Path
from matplotlib.textpath import TextPath
from matplotlib.ticker import MaxNLocator, NullLocator
from matplotlib.transforms import Affine2D

INK = "#16191d"
"""Text, axes and the parton-level truth; follows the text colour in the report."""

MUTED = "#7d848c"
"""The rate alone, and reference lines; readable on white and on black."""

# Okabe and Ito's colours, the light ones darkened for thin lines on white.
METHOD_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#b8559b", "#b07c00", "#2d95c9", "#7a5c46")
MARKERS = "osD^vPX"

SVG_COMMANDS = {
    Path.MOVETO: "M",
    Path.LINETO: "L",
    Path.CURVE3: "Q",
    Path.CURVE4: "C",
    Path.CLOSEPOLY: "Z",
}

# mplhep's style is made for figures of 10 inches; lengths in points are scaled with the size.
SCALE = 0.5
SCALED = re.compile(r"font\.size|.*\.(major|minor)\.(size|pad)|axes\.linewidth")

FONTS = ["TeX Gyre Heros", "DejaVu Sans"]
"""The first comes with mplhep, the second, for rarer characters, with matplotlib."""

RC: dict[str, Any] = {
    **{
        key: SCALE * value if SCALED.fullmatch(key) else value
        for key, value in mplhep.style.ROOT.items()
        if not key.startswith("mathtext.")
    },
    "font.sans-serif": FONTS,
    "mathtext.fontset": "stixsans",
    "axes.unicode_minus": True,
    "axes.formatter.limits": [-4, 5],
    "axes.titlesize": 11.0,
    "axes.titlepad": 5.0,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "lines.linewidth": 1.8,
    "legend.handlelength": 2.2,
    "legend.title_fontsize": "small",
    # Text is a little wider at another resolution than the one that the figure is arranged at.
    "figure.dpi": 200,
    "savefig.dpi": 200,
    "svg.hashsalt": "madminer-workflow",
}

WIDTH = 5.0
"""Width of one panel in inches: a column of a paper, of 3.4 inches, prints 13 points as 9."""


def figure(columns: int = 1, height: float = 4.0, width: float = WIDTH, **kwargs: Any) -> Figure:
    """An empty figure of ``columns`` panels side by side; sizes in inches."""
    # Tick labels at the ends of neighbouring panels need room.
    engine = ConstrainedLayoutEngine(wspace=0.05)
    return Figure(figsize=(width * columns, height), layout=engine, **kwargs)


def panels(
    n: int, height: float = 4.0, width: float = WIDTH, **kwargs: Any
) -> tuple[Figure, list[Axes]]:
    """``n`` panels, at most two side by side so that a page can hold them; sizes of a panel."""
    columns = min(n, 2)
    rows = -(-n // columns)
    own = figure(columns, height * rows, width if n == 1 else 0.92 * width)
    every = own.subplots(rows, columns, squeeze=False, **kwargs).ravel().tolist()
    for empty in every[n:]:
        empty.remove()
    return own, every[:n]


def energy_tev(content: dict[str, Any]) -> float | None:
    """√s [TeV] if the run settings of all processes say the same; massless beams."""
    energies = set()
    for process in content["setup"]["processes"]:
        beams = [process.get("run", {}).get(f"ebeam{i}") for i in (1, 2)]
        energies.add(None if None in beams else 2e-3 * math.sqrt(beams[0] * beams[1]))
    return energies.pop() if len(energies) == 1 else None


def conditions(content: dict[str, Any]) -> str:
    """Energy, where it is known, and luminosity, as the top right of a figure says them."""
    energy = energy_tev(content)
    words = rf"{content['setup']['luminosity_fb']:.4g} fb$^{{-1}}$"
    return words if energy is None else rf"$\sqrt{{s}}$ = {energy:.4g} TeV, {words}"


def heading(first: Axes, last: Axes, left: str, content: dict[str, Any]) -> None:
    """What is shown above the first panel's left end, its conditions above the last's right."""
    first.set_title(left, loc="left")
    last.set_title(conditions(content), loc="right")


def few_ticks(n: int = 5) -> MaxNLocator:
    """At most ``n`` + 1 labelled ticks, at round numbers."""
    return MaxNLocator(n, steps=[1, 2, 2.5, 5, 10])


def categories(axes: Axes, direction: Literal["x", "y"]) -> None:
    """No ticks along ``direction`` ("x" or "y"), which has names and no numbers."""
    axes.tick_params(axis=direction, which="both", length=0)
    getattr(axes, f"{direction}axis").set_minor_locator(NullLocator())


def colour(content: dict[str, Any], name: str) -> str:
    """The colour of a method, the same in every figure."""
    return METHOD_COLOURS[_position(content, name) % len(METHOD_COLOURS)]


def marker(content: dict[str, Any], name: str) -> str:
    """The marker of a method, the same in every figure."""
    return MARKERS[_position(content, name) % len(MARKERS)]


def _position(content: dict[str, Any], name: str) -> int:
    return [method["name"] for method in content["methods"]].index(name)


def method_label(method: dict[str, Any]) -> str:
    """The name of a method, with a warning if it fails its checks."""
    return method["name"] if method["believed"] else f"{method['name']} (fails checks)"


def opacity(method: dict[str, Any]) -> float:
    """Methods that fail their checks step back."""
    return 1.0 if method["believed"] else 0.6


def label(latex: str, name: str, unit: str = "") -> str:
    """An axis label; ``name`` where ``latex`` is not what matplotlib's mathtext understands."""
    latex = known_to_mathtext(latex)
    text = (latex if is_mathtext(latex) else name).replace("\n", " ")
    return f"{text} [{unit}]" if unit else text


def parameter_labels(content: dict[str, Any]) -> dict[str, str]:
    """The label of each parameter by name."""
    return {
        entry["parameter_name"]: label(entry["latex"], entry["parameter_name"])
        for entry in content["setup"]["parameters"]
    }


def known_to_mathtext(text: str) -> str:
    """``text`` with the macro of the operator H†H □ H†H, which mathtext lacks, as a character."""
    return text.replace(r"\Box", "□")


@cache
def is_mathtext(text: str) -> bool:
    """Whether matplotlib can draw ``text``."""
    try:
        MathTextParser("path").parse(text)
    except ValueError:
        return False
    return True


def legend_beside(figure: Figure, axes: Axes) -> None:
    """One legend for all panels, right of them, where it can hide nothing."""
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right center")


def legend_below(figure: Figure, handles: Sequence[Artist], columns: int) -> None:
    """One legend for all panels below them, where it can hide nothing."""
    figure.legend(
        handles=handles, loc="outside lower center", ncols=max(1, min(columns, len(handles)))
    )


def settle(figure: Figure) -> None:
    """Arrange the figure once for all formats: the layout takes most of the time of a draw."""
    figure.draw_without_rendering()
    # Not "none", which keeps a place for the engine and lays out at every draw.
    figure.set_layout_engine(None)


def save(figure: Figure, stem: FilePath) -> None:
    """Write ``stem``.png and ``stem``.pdf, the same bytes for the same figure."""
    figure.savefig(stem.with_suffix(".png"), metadata={"Software": None})
    figure.savefig(
        stem.with_suffix(".pdf"),
        metadata={"CreationDate": None, "Creator": None, "Producer": None},
    )


def inline_svg(figure: Figure, name: str, title: str) -> str:
    """The figure as SVG for an HTML page, with colours that follow the page's.

    INK becomes the text colour, the colours of methods the variables --c0, --c1, ...; ids get
    the prefix ``name``, so that several figures can share a page. ``title`` must be escaped.
    """
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<!--.*?-->", "", svg, flags=re.DOTALL)
    svg = re.sub(r'(id="|href="#|url\(#)', rf"\g<1>{name}-", svg)
    svg = svg.replace("xlink:href", "href")
    view = re.search(r'viewBox="([^"]*)"', svg)
    opening = f'<svg viewBox="{view[1]}" role="img" aria-label="{title}">' if view else "<svg>"
    svg = opening + svg[svg.index(">") + 1 :]
    svg = svg.replace(INK, "currentColor")
    for i, value in enumerate(METHOD_COLOURS):
        svg = svg.replace(value, f"var(--c{i})")
    return svg


def label_svg(text: str) -> str:
    """A line of mathtext as an inline SVG in the text colour and size; "" if it cannot be drawn."""
    text = known_to_mathtext(text)
    if not is_mathtext(text):
        return ""
    with matplotlib.rc_context(RC):
        path = TextPath((0, 0), text, size=100, prop=FontProperties(family=FONTS))
    box = path.get_extents()
    # SVG's y axis points down.
    downwards = Affine2D().scale(1.0, -1.0)
    parts = []
    for points, code in path.transformed(downwards).iter_segments(simplify=False):
        numbers = "" if code == Path.CLOSEPOLY else " ".join(f"{v:.1f}" for v in points)
        parts.append(f"{SVG_COMMANDS[code]}{numbers}")
    view = f"{box.x0:.1f} {-box.y1:.1f} {box.width:.1f} {box.height:.1f}"
    return (
        f'<svg class="math" viewBox="{view}" style="height:{box.height / 100:.3f}em;'
        f'vertical-align:{box.y0 / 100:.3f}em" aria-hidden="true">'
        f'<path fill="currentColor" d="{"".join(parts)}"/></svg>'
    )
