"""What replicas say together: tables in Markdown, all numbers as JSON, and a figure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from madminer_workflow.files import write_json
from madminer_workflow.report.figures import style
from madminer_workflow.statistics.quantiles import chi2_quantile

LEVELS = (0.6827, 0.95)
VARIANTS = ("without", "with")
KINDS = ("shape", "rate_and_shape")
JOINTLY = "jointly"
RATE = "rate"
TOLERANCE = 0.15
HIGHEST_PULL = 1.6
"""In the figure; above, an arrow and the number."""

N_BOOTSTRAP = 500
ONE_SIGMA = (0.15865, 0.84135)

Answers = Mapping[str, np.ndarray]
"""Of one replica: see ``coverage.Worker.answers``."""

Kept = Mapping[int, Sequence[Answers]]
"""Those of all replicas, by size."""


@dataclass(frozen=True)
class Scatter:
    """The error of a best fit by the simulation.

    ``observed`` is the scatter between replicas that fit the same expected data, ``stated`` what
    they say of it, ``statistical`` the error by the data; ``pulls`` the width of the deviations of
    best fits to the same pseudo-data, at a ``luminosity`` [1/fb], from their mean, over what is
    stated, with its error.
    """

    method: str
    size: int
    n_replicas: int
    luminosity: float
    kind: str
    point: int
    parameter: str
    observed: float
    stated: float
    statistical: float
    pulls: float
    pulls_error: float


@dataclass(frozen=True)
class Coverage:
    """The fraction of new data sets, over new replicas, whose interval has the truth.

    Replicas are independent of each other, not the data sets of one: the ``error`` is theirs.
    """

    method: str
    size: int
    n_replicas: int
    luminosity: float
    kind: str
    point: int
    what: str
    level: float
    variant: str
    value: float
    error: float


def stacked(replicas: Sequence[Answers], name: str) -> np.ndarray:
    """The answers of this name, (n_replicas, n_sets, n_parameters)."""
    return np.array([one[name] for one in replicas])


def half_width(values: np.ndarray) -> float:
    """Half the central interval with 68 % of the ``values``."""
    low, high = np.quantile(values, ONE_SIGMA)
    return float(0.5 * (high - low))


def bootstrapped(n: int, estimate: Callable[[np.ndarray], float]) -> float:
    """The error of what is estimated of some of ``n`` replicas, whose indices it takes."""
    rng = np.random.default_rng(1)
    return float(np.std([estimate(rng.integers(n, size=n)) for _ in range(N_BOOTSTRAP)]))


def width_of_pulls(best: np.ndarray, stated: np.ndarray, rows: np.ndarray) -> float:
    """The width of best fits of some replicas about their means, over what is stated.

    Best fits and stated variances are (n_replicas, n_sets).
    """
    n = len(np.unique(rows))
    about = (best[rows] - best[rows].mean(axis=0)) * np.sqrt(n / max(n - 1.0, 1.0))
    return half_width(about / np.sqrt(stated[rows]))


def scatters(kept: Kept, parameters: Sequence[str]) -> Iterator[Scatter]:
    """Of all methods, sizes, kinds and points; sizes with less than two replicas are left out."""
    for size, replicas in kept.items():
        n = len(replicas)
        names = list(replicas[0]) if n > 1 else []
        for place in [name for name in names if name.endswith("/shared")]:
            method, luminosity, point, kind, _ = place.split("/")
            [asimov] = [
                name
                for name in names
                if name.startswith(f"{method}/") and name.endswith(f"/{point}/{kind}/asimov")
            ]
            best, stated = (stacked(replicas, f"{place}{part}") for part in ("", " sim"))
            expected, sim, stat = (
                stacked(replicas, f"{asimov}{part}")[:, 0] for part in ("", " sim", " stat")
            )
            for i, parameter in enumerate(parameters):
                width = _width(best[:, :, i], stated[:, :, i])
                yield Scatter(
                    method,
                    size,
                    n,
                    float(luminosity),
                    kind,
                    int(point),
                    parameter,
                    observed=float(expected[:, i].std(ddof=1)),
                    # A parameter that is seen by its square only has no such error in some.
                    stated=float(np.sqrt(np.median(sim[:, i]))),
                    statistical=float(np.sqrt(np.median(stat[:, i]))),
                    pulls=width(np.arange(n)),
                    pulls_error=bootstrapped(n, width),
                )


def _width(best: np.ndarray, stated: np.ndarray) -> Callable[[np.ndarray], float]:
    return lambda rows: width_of_pulls(best, stated, rows)


def fractions(replicas: Sequence[Answers], name: str, level: float) -> np.ndarray:
    """Of covered data sets, (n_replicas, 1 + n_parameters): jointly, then of each parameter."""
    q = stacked(replicas, name)
    dof = np.ones(q.shape[1], dtype=int)
    # The number of events is one number, whatever it depends on.
    dof[0] = 1 if name.startswith(f"{RATE}/") else q.shape[1] - 1
    thresholds = np.array([chi2_quantile(level, n) for n in dof])
    return np.mean(q <= thresholds[:, None], axis=2)


def mean_with_error(covered: np.ndarray, n_sets: int) -> tuple[float, float]:
    """The mean over replicas, (n_replicas,), and its error.

    At least that of as many independent data sets, ``n_sets`` of each replica, which is not zero
    where all are covered.
    """
    n, mean = len(covered), float(covered.mean())
    n_all = n * n_sets
    about = (mean * n_all + 1.0) / (n_all + 2.0)
    least = float(np.sqrt(about * (1.0 - about) / (n_all + 3.0)))
    return mean, max(float(covered.std(ddof=1) / np.sqrt(n)), least) if n > 1 else np.nan


def coverages(kept: Kept, parameters: Sequence[str]) -> Iterator[Coverage]:
    """Of everything; of the rate alone jointly only."""
    for size, replicas in kept.items():
        for name in replicas[0] if replicas else ():
            method, luminosity, point, kind, variant = name.split("/")
            if variant not in VARIANTS or (method == RATE and kind == "shape"):
                continue
            whats = [JOINTLY] if method == RATE else [JOINTLY, *parameters]
            for level in LEVELS:
                covered = fractions(replicas, name, level)
                for what, column in zip(whats, covered.T, strict=False):
                    yield Coverage(
                        method,
                        size,
                        len(replicas),
                        float(luminosity),
                        kind,
                        int(point),
                        what,
                        level,
                        variant,
                        *mean_with_error(column, replicas[0][name].shape[1]),
                    )


def write_summary(
    kept: Kept,
    parameters: Sequence[str],
    luminosities: Sequence[float],
    points: Sequence[Sequence[float]],
    note: Mapping[str, object],
    folder: Path,
) -> None:
    """Write coverage.json, coverage.md and coverage.png into ``folder``."""
    methods = list(
        dict.fromkeys(name.partition("/")[0] for all_ in kept.values() for name in all_[0])
    )
    found = list(scatters(kept, parameters))
    covered = list(coverages(kept, parameters))
    write_json(
        folder / "coverage.json",
        {
            **note,
            "points": points,
            "scatter": list(map(asdict, found)),
            "coverage": list(map(asdict, covered)),
        },
    )
    # Where data are few, a likelihood may have two maxima that no error tells of.
    most = [one for one in found if one.luminosity == max(luminosities)]
    tables = [scatter_table(most, parameters, points)]
    for luminosity in luminosities:
        tables.append(f"At {luminosity:g}/fb:\n\n{coverage_table(kept, methods, luminosity)}")
    tables.append(deviations(covered))
    (folder / "coverage.md").write_text("\n\n".join(tables) + "\n", "utf-8")
    with style.drawing():
        figure = draw(kept, most, methods, luminosities)
        style.settle(figure)
        figure.savefig(folder / "coverage.png", metadata={"Software": None})
    print("\n\n".join(tables))


def markdown(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table."""
    lines = [list(columns), ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def scatter_table(
    found: Sequence[Scatter], parameters: Sequence[str], points: Sequence[Sequence[float]]
) -> str:
    """Observed and stated errors from rate and shape, and the narrowest and widest pulls of all."""
    cells = [(i, name) for i in range(len(points)) for name in parameters]
    columns = ["method", "events", "replicas"]
    columns += [f"{name} at ({', '.join(f'{x:g}' for x in points[i])})" for i, name in cells]
    rows = []
    for method, size in dict.fromkeys((one.method, one.size) for one in found):
        mine = [one for one in found if (one.method, one.size) == (method, size)]
        quoted = {(one.point, one.parameter): one for one in mine if one.kind == KINDS[-1]}
        row = [method, str(size), str(mine[0].n_replicas)]
        for one in map(quoted.__getitem__, cells):
            row.append(f"{one.observed:.4f} / {one.stated:.4f} ({one.statistical:.3f})")
        ends = [end(mine, key=lambda one: one.pulls) for end in (min, max)]
        row.append(" to ".join(f"{one.pulls:.2f} ± {one.pulls_error:.2f}" for one in ends))
        rows.append(row)
    return "Observed / stated (of the data at the first luminosity):\n\n" + markdown(
        [*columns, "width of pulls"], rows
    )


def averaged(
    replicas: Sequence[Answers],
    method: str,
    luminosity: float,
    variant: str,
    level: float,
    joint: bool,
) -> tuple[float, float]:
    """The coverage of a method, the mean over kinds, points and, unless joint, parameters."""
    names = [
        name
        for name in replicas[0]
        if name.startswith(f"{method}/{luminosity:g}/")
        and name.endswith(f"/{variant}")
        and (method != RATE or "/shape/" not in name)
    ]
    covered = np.mean([fractions(replicas, name, level) for name in names], axis=0)
    n_sets = sum(replicas[0][name].shape[1] for name in names)
    return mean_with_error(covered[:, 0] if joint else covered[:, 1:].mean(axis=1), n_sets)


def coverage_table(kept: Kept, methods: Sequence[str], luminosity: float) -> str:
    """Means over kinds of likelihood and points, with errors of the number of replicas."""
    columns = ["method", "events"]
    cells = [(joint, level) for joint in (True, False) for level in LEVELS]
    for joint, level in cells:
        what = "jointly" if joint else "one parameter"
        columns += [f"{what} {level:.1%}, without", f"{what} {level:.1%}, with"]
    rows = []
    for method in methods:
        for size, replicas in kept.items():
            row = [method, str(size)]
            for joint, level in cells:
                for variant in VARIANTS:
                    if method == RATE and not joint:
                        row.append("")
                        continue
                    value, error = averaged(replicas, method, luminosity, variant, level, joint)
                    row.append(f"{value:.3f} ± {error:.3f}")
            rows.append(row)
    return markdown(columns, rows)


def deviations(covered: Sequence[Coverage]) -> str:
    """How many coverages are how far below their levels."""
    lines = []
    for variant in VARIANTS:
        pulls = np.array(
            [(one.value - one.level) / one.error for one in covered if one.variant == variant]
        )
        below = [f"{np.sum(pulls < -limit)} by more than {limit}" for limit in (2, 3, 5)]
        lines.append(
            f"{variant} the simulation's error, of {len(pulls)} coverages are below their level: "
            f"{', '.join(below)} standard deviations; the lowest {pulls.min():.1f}"
        )
    return "\n".join(lines)


def draw(
    kept: Kept, found: Sequence[Scatter], methods: Sequence[str], luminosities: Sequence[float]
) -> Figure:
    """Pulls of best fits, and coverages at each luminosity, over the number of events."""
    figure = style.figure(1 + len(luminosities), height=4.4, width=4.4)
    first, *others = figure.subplots(1, 1 + len(luminosities)).tolist()
    for axes in others[1:]:
        axes.sharey(others[0])
    looks = {
        method: {"color": style.METHOD_COLOURS[i], "marker": style.MARKERS[i]}
        for i, method in enumerate(methods)
    }
    draw_pulls(first, found, list(kept), looks)
    for axes, luminosity in zip(others, luminosities, strict=True):
        draw_coverage(axes, kept, luminosity, looks)
    handles = [
        style.handle(method.replace("_", " "), linestyle="none", **look)
        for method, look in looks.items()
    ]
    handles.append(
        style.handle(
            "without the simulation's error",
            linestyle="none",
            marker="o",
            color=style.MUTED,
            markerfacecolor="none",
        )
    )
    style.legend_below(figure, handles, 6)
    return figure


def size_axis(axes: Axes, sizes: Sequence[int]) -> None:
    """Numbers of events, evenly spaced."""
    axes.set_xticks(range(len(sizes)), [f"{size // 1000:g}k" for size in sizes])
    axes.set_xlim(-0.5, len(sizes) - 0.5)
    axes.set_xlabel("simulated events")
    style.categories(axes, "x")


def draw_pulls(
    axes: Axes, found: Sequence[Scatter], sizes: Sequence[int], looks: Mapping[str, dict[str, Any]]
) -> None:
    """The width of each parameter's pulls, at all points and of both kinds."""
    axes.axhspan(1.0 - TOLERANCE, 1.0 + TOLERANCE, color=style.MUTED, alpha=0.2, linewidth=0)
    axes.axhline(1.0, color=style.MUTED, linewidth=1.0)
    shown = list(dict.fromkeys(one.method for one in found))
    for method, middle in zip(shown, style.offsets(len(shown), 0.6), strict=False):
        for i, size in enumerate(sizes):
            mine = [one for one in found if (one.method, one.size) == (method, size)]
            places = i + middle + np.array(style.offsets(len(mine), 0.1))
            for place, one in zip(places, mine, strict=True):
                if one.pulls > HIGHEST_PULL:
                    arrow = {"arrowstyle": "->", "color": looks[method]["color"]}
                    top = (place, HIGHEST_PULL)
                    text = (place, HIGHEST_PULL - 0.15)
                    axes.annotate(
                        f"{one.pulls:.1f}", top, text, arrowprops=arrow, ha="center", fontsize=9
                    )
            axes.errorbar(
                places,
                [one.pulls if one.pulls <= HIGHEST_PULL else np.nan for one in mine],
                yerr=[one.pulls_error for one in mine],
                linestyle="none",
                markersize=3.5,
                linewidth=0.8,
                **looks[method],
            )
    size_axis(axes, sizes)
    axes.set_ylim(0.5, HIGHEST_PULL)
    axes.set_ylabel("observed over stated error")


def draw_coverage(
    axes: Axes, kept: Kept, luminosity: float, looks: Mapping[str, dict[str, Any]]
) -> None:
    """Joint coverages with the simulation's error, filled, and without."""
    for level in LEVELS:
        axes.axhline(level, color=style.MUTED, linewidth=1.0, zorder=0)
    for method, middle in zip(looks, style.offsets(len(looks), 0.6), strict=True):
        for i, replicas in enumerate(kept.values()):
            for variant in VARIANTS:
                for level in LEVELS:
                    value, error = averaged(replicas, method, luminosity, variant, level, True)
                    axes.errorbar(
                        [i + middle],
                        [value],
                        yerr=[error],
                        markersize=5,
                        linewidth=1.2,
                        **looks[method],
                        **({} if variant == "with" else {"markerfacecolor": "white"}),
                    )
    size_axis(axes, list(kept))
    axes.set_title(f"joint coverage, {luminosity:g} fb$^{{-1}}$")
