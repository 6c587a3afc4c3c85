"""The look of all figures, and how they are written: reproducibly."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path as FilePath
from typing import Any, Literal

import matplotlib
import mplhep
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.path import Path
from matplotlib.text import Text
from matplotlib.textpath import TextPath
from matplotlib.ticker import MaxNLocator, NullLocator
from matplotlib.transforms import Affine2D

from madminer_workflow.analysis.labels import is_control, is_mathtext, known_to_mathtext

INK = "#16191d"
"""Text, axes and the parton-level truth."""

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
}

WIDTH = 5.0
"""Width of one panel in inches: a column of a paper, of 3.4 inches, prints 13 points as 9."""


class WrongPanelsError(ValueError):
    """Axes that a figure does not fit into; it needs ``needed``, or none but those it makes."""

    def __init__(self, needed: int | None) -> None:
        """``needed`` is the number of panels of the figure, if any axes would do."""
        super().__init__(f"{needed} panels")
        self.needed = needed


_GIVEN: ContextVar[Sequence[Axes]] = ContextVar("_GIVEN", default=())


@contextmanager
def into(axes: Sequence[Axes]) -> Iterator[None]:
    """Let ``axes`` be the panels of the figure that the block draws.

    It raises WrongPanelsError before it draws anything if there are too few or too many.
    """
    token = _GIVEN.set(axes)
    try:
        yield
    finally:
        _GIVEN.reset(token)


def root(axes: Axes) -> Figure:
    """The figure that axes belong to, directly or in a part of it."""
    return axes.figure.figure


def share(panels: Sequence[Axes], sharex: bool = False, sharey: bool = False) -> list[Axes]:
    """Let panels have common axes, as far as they do not share them already."""
    first, *others = panels
    for other in others:
        # matplotlib refuses axes that are shared, as those of pyplot.subplots(sharey=True) are.
        with suppress(ValueError):
            if sharex:
                other.sharex(first)
        with suppress(ValueError):
            if sharey:
                other.sharey(first)
        if sharey:
            other.tick_params(labelleft=False)
    return [first, *others]


def figure(columns: int = 1, height: float = 4.0, width: float = WIDTH, **kwargs: Any) -> Figure:
    """An empty figure of ``columns`` panels side by side; sizes in inches."""
    if _GIVEN.get():
        raise WrongPanelsError(None)
    # Tick labels at the ends of neighbouring panels need room.
    engine = ConstrainedLayoutEngine(wspace=0.05)
    return Figure(figsize=(width * columns, height), layout=engine, **kwargs)


def panels(
    n: int, height: float = 4.0, width: float = WIDTH, **kwargs: Any
) -> tuple[Figure, list[Axes]]:
    """``n`` panels, at most two side by side so that a page can hold them; sizes of a panel."""
    if given := _GIVEN.get():
        if len(given) != n:
            raise WrongPanelsError(n)
        return root(given[0]), share(given, **kwargs)
    columns = min(n, 2)
    rows = -(-n // columns)
    whole = figure(columns, height * rows, width if n == 1 else 0.92 * width)
    every = whole.subplots(rows, columns, squeeze=False, **kwargs).ravel().tolist()
    for empty in every[n:]:
        empty.remove()
    return whole, every[:n]


def few_ticks(*axes: Axis, n: int = 5) -> None:
    """At most ``n`` + 1 labelled ticks, at round numbers."""
    for axis in axes:
        axis.set_major_locator(MaxNLocator(n, steps=[1, 2, 2.5, 5, 10]))


def categories(axes: Axes, direction: Literal["x", "y"]) -> None:
    """No ticks along ``direction`` ("x" or "y"), which has names and no numbers."""
    axes.tick_params(axis=direction, which="both", length=0)
    getattr(axes, f"{direction}axis").set_minor_locator(NullLocator())


def name_rows(axes: Axes, names: Sequence[str], below: float = -0.4, **kwargs: Any) -> None:
    """Rows with names instead of numbers, the first on top; ``below`` is room under the last."""
    axes.set_yticks(range(len(names)), names, **kwargs)
    categories(axes, "y")
    axes.set_ylim(len(names) + below, -0.6)


def number(value: float | None) -> float:
    """A number of a JSON file, NaN for none."""
    return np.nan if value is None else value


def numbers(values: Sequence[Any]) -> np.ndarray:
    """Numbers of a JSON list, NaN for what is none."""
    return np.array(values, dtype=float)


def offsets(n: int, width: float) -> Sequence[float]:
    """Where ``n`` points go that share a row, around its middle."""
    return np.linspace(-0.5 * width, 0.5 * width, n).tolist() if n > 1 else [0.0]


def label(latex: str, name: str, unit: str = "") -> str:
    """An axis label; ``name`` where ``latex`` is not what matplotlib's mathtext understands."""
    latex = known_to_mathtext(latex)
    text = (latex if is_mathtext(latex) else name).replace("\n", " ")
    if unit and not is_mathtext(unit):
        unit = "".join(c for c in unit if not is_control(c)).replace("$", r"\$")
    return f"{text} [{unit}]" if unit else text


def handle(label: str, **look: Any) -> Line2D:
    """An entry of a legend: a line or a marker that looks like this."""
    return Line2D([], [], label=label, **look)


def legend_beside(figure: Figure, axes: Axes) -> None:
    """One legend for all panels, right of them, where it can hide nothing."""
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right center")


def legend_below(figure: Figure, handles: Sequence[Artist], columns: int) -> None:
    """One legend for all panels below them, where it can hide nothing; within given axes."""
    if given := _GIVEN.get():
        given[0].legend(handles=handles)
        return
    figure.legend(
        handles=handles, loc="outside lower center", ncols=max(1, min(columns, len(handles)))
    )


def settle(figure: Figure) -> None:
    """Arrange the figure once for all formats: the layout takes most of the time of a draw."""
    figure.draw_without_rendering()
    # Not "none", which keeps a place for the engine and lays out at every draw.
    figure.set_layout_engine(None)


def keep_fonts(figure: Figure) -> None:
    """Let the figure have the fonts of the style that it was drawn in wherever it is shown.

    matplotlib looks up fonts, unlike sizes, only when it renders a figure.
    """
    look = matplotlib.rcParams
    fonts = [font for name in look["font.family"] for font in look.get(f"font.{name}", [name])]
    for text in figure.findobj(Text):
        text.set_fontfamily(fonts)
        text.set_math_fontfamily(look["mathtext.fontset"])


def save(figure: Figure, stem: FilePath) -> None:
    """Write ``stem``.png and ``stem``.pdf, the same bytes for the same figure."""
    figure.savefig(stem.with_suffix(".png"), metadata={"Software": None})
    figure.savefig(
        stem.with_suffix(".pdf"),
        metadata={"CreationDate": None, "Creator": None, "Producer": None},
    )


@contextmanager
def drawing(own: Mapping[str, Any] | None = None) -> Iterator[None]:
    """Our style while the block draws, and nothing of the settings that matplotlib finds here.

    ``own`` are settings on top of it.
    """
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update({**RC, **(own or {})})
        yield


def label_svg(text: str) -> str:
    """A line of mathtext as an inline SVG in the text colour and size; "" if it cannot be drawn."""
    text = known_to_mathtext(text)
    if not is_mathtext(text):
        return ""
    with drawing():
        try:
            path = TextPath((0, 0), text, size=100, prop=FontProperties(family=FONTS))
        except AttributeError:
            # matplotlib cannot make a path of nothing, e.g. of a blank.
            return ""
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
