"""``report.html``: tables, and charts that its scripts draw, from ``results.json``."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from importlib.resources import files
from itertools import combinations_with_replacement
from pathlib import Path
from typing import Any

import msgspec
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup
from msgspec import Struct

from madminer_workflow.analysis.types import (
    NOMINAL,
    EfficiencyVariation,
    EnergyResolutionVariation,
    EnergyScaleVariation,
    LabelledParameter,
    METScaleVariation,
    NormVariation,
    ParticleVariation,
    PDFVariation,
    ScaleVariation,
    Systematic,
)
from madminer_workflow.report.advice import advice
from madminer_workflow.report.charts import charts
from madminer_workflow.report.charts.marks import Chart
from madminer_workflow.report.comparison import ratio
from madminer_workflow.report.disagreement import beside_sigma, disagreements, on_losses
from madminer_workflow.report.efficiency import percentage, proven_words
from madminer_workflow.report.facts import facts, in_card, is_scaled, unit
from madminer_workflow.report.figures import KINDS, Drawn, style
from madminer_workflow.report.goodness import doubtful, p_words, range_words, words
from madminer_workflow.report.headline import intervals, minus
from madminer_workflow.report.methods import COSTS, METHODS, NOTATION, Description, address
from madminer_workflow.report.results import CutFlow, MethodReport, Report, Subject
from madminer_workflow.report.terms import by_form
from madminer_workflow.report.uncertainties import nuisance_titles
from madminer_workflow.report.verdict import check_table, percent
from madminer_workflow.statistics.checks import listing
from madminer_workflow.statistics.plain import plain
from madminer_workflow.statistics.quantiles import chi2_quantile
from madminer_workflow.statistics.results import (
    GoodnessTest,
    Interval,
    Intervals,
    NuisanceFit,
    ObservedData,
)

SECTIONS = {
    "verdict": "Verdict",
    "limits": "Limits",
    "checks": "Checks",
    "goodness": "Goodness of fit",
    "toys": "Toys",
    "fisher": "Fisher information",
    "systematics": "Systematic uncertainties",
    "training": "Training",
    "observables": "Observables",
    "setup": "Set-up",
    "cutflow": "Cut flow",
    "closure": "Closure",
    "methods": "Methods",
    "reading": "How to read this",
}
OWN_ROWS = ("name", "n_estimators")
"""Settings that the table of settings shows in its head and as the number of members."""


LARGEST_WRITTEN = 1e6
"""From here on numbers have exponents."""

SCRIPTS = ("chart.js", "zoom.js", "page.js", "tables.js")


def render(report: Report, figures: Sequence[Drawn]) -> str:
    """The whole page, with all that its charts need: nothing is loaded, all text is escaped.

    ``figures`` are those for papers, which it links to.
    """
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {filter_.__name__: filter_ for filter_ in FILTERS}
    here = files(__package__)
    template = environment.from_string(here.joinpath("page.html").read_text("utf-8"))
    css = here.joinpath("page.css").read_text("utf-8")
    scripts = [d3(), *(here.joinpath(name).read_text("utf-8") for name in SCRIPTS)]
    return template.render(css=css, scripts=scripts, **context(report, figures)) + "\n"


def d3() -> str:
    """The text of D3, which draws the charts; mpld3's package has it."""
    from mpld3.urls import D3_LOCAL

    return Path(D3_LOCAL).read_text("utf-8")


def data_of_scripts(value: Any) -> Markup:
    """What scripts read as JSON, with no letter that HTML or XML would take for its own."""
    text = msgspec.json.encode(value).decode()
    for letter in "<>&":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return Markup(text)


def context(report: Report, figures: Sequence[Drawn]) -> dict[str, Any]:
    """The variables of the template; the baselines have a title, which methods lack."""
    levels = [float(level) for level in report.levels]
    methods = report.methods
    by_name = {method.name: method for method in methods}
    drawn = charts(report)
    sections = sections_of(report, drawn)
    parameters = report.setup.parameters
    baselines = [
        (report.baselines.truth, "parton-level ceiling"),
        (report.baselines.rate, "rate only"),
    ]
    ranked = [by_name[name] for name in report.verdict.order]
    looks = looks_of(report)
    return {
        "report": report,
        "setup": report.setup,
        "sections": sections,
        "kinds": KINDS,
        "levels": report.levels,
        "levels_words": listing([percent(level) for level in levels]),
        "thresholds_words": listing([f"{chi2_quantile(level, 1):.3g}" for level in levels]),
        "pair_thresholds_words": listing([f"{chi2_quantile(level, 2):.3g}" for level in levels]),
        "parameters": report.parameters,
        "labels": label_pictures(report),
        "units": {one.name: f"[{one.unit}]" for one in report.observables if one.unit},
        "scaled": {p.parameter_name: p if is_scaled(p) else None for p in parameters},
        "unit_of": {p.parameter_name: unit(p) for p in parameters},
        "facts": list(facts(report)),
        "charts": drawn,
        "files": {chart.name: files_of(chart, figures) for chart in drawn},
        "chart_data": data_of_scripts({chart.name: chart for chart in drawn}),
        "subject_data": data_of_scripts(looks),
        "term_data": data_of_scripts(by_form()),
        "looks": looks,
        "disagreements": list(disagreements(report)),
        "losses_words": on_losses(report),
        "truth_words": point_words(report.setup.theta_true.point),
        "methods": methods,
        "colours": {m.name: i % len(style.METHOD_COLOURS) for i, m in enumerate(methods)},
        "ranked": ranked,
        "ranked_subjects": [*baselines[:1], *((method, "") for method in ranked), *baselines[1:]],
        "described": described(methods),
        "notation": NOTATION,
        "costs": COSTS.replace("`", ""),
        "by_name": by_name,
        "best": by_name.get(report.verdict.recommended or ""),
        "subjects": [
            *((method, "") for method in methods),
            *baselines,
        ],
        "remarks": [(method, " ".join(method.remarks)) for method in methods if method.remarks],
        "has_published": any(m.fisher_information.published is not None for m in methods),
        "volume_word": {1: "", 2: "area"}.get(len(report.parameters), "volume"),
        "rate_only_methods": [
            method.name
            for method in methods
            if (profiled := method.fisher_information_profiled)
            and profiled.nuisance_parameters_in == "rate"
        ],
        "methods_with_errors": [m for m in methods if m.limits["rate_and_shape"].errors],
        "goodness_methods": [method for method in methods if method.goodness],
        "goodness_table": goodness_table(report),
        "nature_of_toys": nature_of_toys(report),
        "fitted": [
            (method, list(nuisance_titles(fit.nuisance).values()))
            for method in methods
            for fit in list((method.joint_fits or {}).values())[:1]
        ],
        "not_fitted": [method.name for method in methods if not method.joint_fits],
        "compared": len(methods) > 1 and any(method.comparison for method in methods),
        "best_proven": next((m.efficiency.best for m in methods if m.efficiency), None),
        "entries": list(combinations_with_replacement(range(len(report.parameters)), 2)),
        "check_table": check_table([method.checks for method in methods]),
        "settings": compare_settings([plain(method.settings) for method in methods]),
        "cut_flows": by_process(report.cut_flow),
        "max_members": max((method.members for method in methods), default=1),
    }


def goodness_table(report: Report) -> dict[str, list[tuple[str, list[GoodnessTest | None]]]]:
    """Every test by kind of likelihood, and what it says of each method's fit."""
    tested = [method.goodness for method in report.methods if method.goodness]
    table = {}
    for kind in KINDS:
        columns = [{words(test): test for test in found[kind].tests} for found in tested]
        names = dict.fromkeys(name for column in columns for name in column)
        table[kind] = [(name, [column.get(name) for column in columns]) for name in names]
    return table


def nature_of_toys(report: Report) -> str:
    """What nuisance parameters are in toys, in words; none without any."""
    natures = {method.toys.nuisance_parameters for method in report.methods if method.toys}
    if not (report.systematics and natures):
        return ""
    if natures == {NOMINAL}:
        return (
            "the true nuisance parameters are 0, and their auxiliary measurements fluctuate: "
            "effects that a method leaves out do not show"
        )
    return (
        "the true nuisance parameters are drawn from their priors for every toy, and their "
        "auxiliary measurements are 0: a method that leaves out their effects has too small a "
        "coverage"
    )


def looks_of(report: Report) -> dict[str, dict[str, Any]]:
    """How charts show methods and baselines, by name."""
    methods = {
        method.name: {
            "title": method.name,
            "colour": f"var(--c{i % len(style.METHOD_COLOURS)})",
            "shape": i % len(style.MARKERS),
            "look": "" if method.believed else "doubtful",
        }
        for i, method in enumerate(report.methods)
    }
    baselines = {
        "truth": {"title": "parton-level ceiling", "colour": "var(--ink)", "look": "ceiling"},
        "rate": {"title": "rate only", "colour": "var(--muted)", "look": "rate"},
    }
    return baselines | methods


def files_of(chart: Chart, figures: Sequence[Drawn]) -> list[Drawn]:
    """The figures for papers of what a chart shows."""
    return [one for one in figures if one.plot.name.startswith(tuple(chart.figures))]


def sections_of(report: Report, shown: Sequence[Chart]) -> dict[str, str]:
    """The titles of the sections that there is something for."""
    drawn = {chart.section for chart in shown}
    absent = {
        "goodness": "goodness" not in drawn,
        "toys": "toys" not in drawn,
        "training": "training" not in drawn,
        "systematics": not report.systematics,
        "cutflow": not report.cut_flow,
        "closure": not report.closure.checks,
    }
    return {key: title for key, title in SECTIONS.items() if not absent.get(key)}


def label_pictures(report: Report) -> dict[str, str]:
    """The LaTeX label of parameters and observables as SVG; "" where it says no more than names."""
    labels = {p.parameter_name: p.latex for p in report.setup.parameters}
    observables = {one.name: one.latex for one in report.observables}
    return {
        name: "" if latex == name else style.label_svg(latex)
        for name, latex in (observables | labels).items()
    }


def method_words(subject: Subject) -> str:
    """What a method is, or a baseline, in a few words."""
    if isinstance(subject, MethodReport):
        kind = subject.settings.method
        return f"{METHODS[kind].title}: {METHODS[kind].learns}"
    return {
        "truth": "perfect knowledge of every event at parton level; no method can do better",
        "rate": "counting events, without using their distribution",
    }[subject.name]


def described(
    methods: Sequence[MethodReport],
) -> list[tuple[str, Description, list[MethodReport]]]:
    """The kinds of methods that there are, what they do, and the methods of each kind."""
    kinds: dict[str, list[MethodReport]] = {}
    for method in methods:
        kinds.setdefault(method.settings.method, []).append(method)
    return [(kind, METHODS[kind], kinds[kind]) for kind in METHODS if kind in kinds]


def total(ranges: Sequence[Interval]) -> float:
    """The length of intervals together, by which tables are sorted."""
    return float(f"{sum(high - low for low, high in ranges):.6g}")


def as_limits(intervals_by_kind: Mapping[str, Intervals]) -> dict[str, dict[str, Intervals]]:
    """Intervals by kind of likelihood in the form that limits have."""
    return {kind: {"intervals": found} for kind, found in intervals_by_kind.items()}


def card_words(ranges: Sequence[Interval], parameter: LabelledParameter) -> Markup:
    """Intervals of what the parameter card has, with their unit."""
    return Markup(f"{intervals(ranges, ())} {unit(parameter)}".strip())


def point_words(point: str | Mapping[str, float]) -> str:
    """A parameter point in words: a benchmark's name, or its values."""
    if isinstance(point, str):
        return f"the benchmark {point}"
    return listing([f"{name} = {value:g}" for name, value in point.items()])


def by_process(cut_flow: Sequence[CutFlow]) -> dict[str, list[CutFlow]]:
    """The cut flows of each process, which all have the same steps."""
    result: dict[str, list[CutFlow]] = {}
    for flow in cut_flow:
        result.setdefault(flow.process, []).append(flow)
    return result


def compare_settings(settings: Sequence[Mapping[str, Any]]) -> list[tuple[str, list[str]]]:
    """One row for every setting of any method, empty where a method does not have it."""
    columns = [dict(flatten(of_method)) for of_method in settings]
    keys = dict.fromkeys(key for column in columns for key in column if key not in OWN_ROWS)
    return [(key, [column.get(key, "") for column in columns]) for key in keys]


def flatten(settings: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Nested settings as dotted keys and text, in a fixed order."""
    rows = []
    for key, value in sorted(settings.items(), key=lambda item: (isinstance(item[1], dict), item)):
        if isinstance(value, dict) and value:
            rows += flatten(value, f"{prefix}{key}.")
        else:
            rows.append((f"{prefix}{key}", text(value)))
    return rows


def text(value: Any) -> str:
    """A setting as people write it."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(text, value))
    if isinstance(value, float):
        return f"{value:g}"
    return str(value)


def pairs(settings: Struct | Mapping[str, Any], without: str = "") -> str:
    """Settings in one line, those that are zero or not set left out."""
    return ", ".join(
        f"{key} {text(value)}"
        for key, value in sorted(plain(settings).items())
        if (value or isinstance(value, bool)) and key != without
    )


def number(value: float | None, digits: int = 4) -> str:
    """A number with few digits and a proper minus sign."""
    if value is None:
        return "–"
    text = f"{value:.{digits}g}"
    if "e+" in text and abs(value) < LARGEST_WRITTEN:
        text = f"{float(text):.0f}"
    return minus(text)


def signed(value: float | None) -> str:
    """A pull."""
    return "–" if value is None else minus(f"{value:+.1f}")


def with_error(value: float | None, error: float | None) -> str:
    """A value and its error, both to the error's second digit."""
    if value is None or not error:
        return number(value)
    decimals = 1 - math.floor(math.log10(error))
    if decimals > 6 or error >= 1e6:
        return minus(f"{value:.4g} ± {error:.2g}")
    value, error = round(value, decimals), round(error, decimals)
    return minus(f"{value:.{max(decimals, 0)}f} ± {error:.{max(decimals, 0)}f}")


def place(value: float, axis: Sequence[float]) -> str:
    """A coordinate to about a hundredth of a step of its ``axis``: the grid tells no more."""
    decimals = max(0, 2 - math.floor(math.log10(axis[1] - axis[0])))
    # Adding zero takes the sign from a zero.
    return minus(f"{round(value, decimals) + 0.0:.{decimals}f}")


def share(passed: int, generated: int) -> str:
    """A percentage."""
    return f"{100.0 * passed / generated:.1f} %" if generated else "–"


def size(systematic: Systematic) -> str:
    """The size of a systematic uncertainty as its entry in the analysis file gives it."""
    match systematic:
        case NormVariation():
            relative = round(100.0 * (systematic.norm_variation - 1.0), 3)
            return f"cross-section {minus(f'{relative:+.3g} %')}"
        case ScaleVariation():
            scales = {"mu": "μR and μF", "mur": "μR", "muf": "μF"}[systematic.scale]
            return f"{scales} times {text(systematic.scale_variations)}"
        case PDFVariation():
            return (
                f"{systematic.pdf_variation}, {systematic.pdf_members} members "
                f"({systematic.pdf_error_type}, {percent(systematic.pdf_confidence_level)})"
            )
        case EnergyScaleVariation():
            relative = systematic.energy_scale_variation
            return f"energy ±{100.0 * relative:.3g} %: {objects(systematic)}"
        case EnergyResolutionVariation():
            relative = systematic.energy_resolution_variation
            return f"energy smeared by {100.0 * relative:.3g} %: {objects(systematic)}"
        case METScaleVariation():
            return f"missing momentum ±{100.0 * systematic.met_scale_variation:.3g} %"
        case EfficiencyVariation():
            relative = systematic.efficiency_variation
            return f"efficiency ±{100.0 * relative:.3g} %: {objects(systematic)}"


def objects(systematic: ParticleVariation) -> str:
    """The objects that an uncertainty concerns."""
    words = ", ".join(systematic.particles)
    if systematic.pt_range is not None:
        words += f", pT from {systematic.pt_range[0]:g} to {systematic.pt_range[1]:g} GeV"
    if systematic.eta_range is not None:
        words += f", |η| from {systematic.eta_range[0]:g} to {systematic.eta_range[1]:g}"
    return words


def change(value: float | None) -> str:
    """A relative change as a signed percentage."""
    if value is None:
        return "–"
    percents = 100.0 * value
    words = f"{percents:+.2f}" if abs(percents) < 9.995 else f"{percents:+.1f}"
    return "0 %" if float(words) == 0.0 else minus(f"{words} %")


def pull(fitted: NuisanceFit) -> str:
    """A best fit and its post-fit error, in prior widths."""
    if fitted.pull is None or fitted.error is None:
        return "–"
    # Adding zero takes the sign from a zero.
    return minus(f"{round(fitted.pull, 2) + 0.0:.2f} ± {fitted.error:.2f}")


def shift(value: float | None, error: float | None) -> str:
    """How far a best fit moves, to a hundredth of its ``error`` or so."""
    if value is None:
        return "–"
    decimals = max(0, 2 - math.floor(math.log10(error))) if error and error > 0.0 else None
    if decimals is None or decimals > 6 or abs(value) >= 1e6:
        return minus(f"{value:+.2g}")
    return minus(f"{round(value, decimals) + 0.0:+.{decimals}f}")


def sentence(phrase: str) -> str:
    """A phrase with a capital and a full stop."""
    return f"{phrase[:1].upper()}{phrase[1:]}."


def observation(observed: ObservedData) -> str:
    """The observed data in words: a file of events, or pseudo-data at a point."""
    if observed.theta is None:
        return f"the {observed.events} events in {observed.source}"
    return f"pseudo-data of {observed.events} events, drawn at {observed.source},"


FILTERS: tuple[Callable[..., Any], ...] = (
    *(address, advice, as_limits, beside_sigma, card_words, in_card, method_words, total),
    *(percentage, proven_words),
    *(doubtful, p_words, range_words),
    *(number, signed, with_error, intervals, observation, place),
    *(percent, ratio, share, pairs, sentence, size, change, pull, shift),
)
"""Of the template."""
