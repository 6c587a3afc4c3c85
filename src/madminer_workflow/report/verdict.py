"""Which method to believe and to use, in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from madminer_workflow.report import efficiency, goodness
from madminer_workflow.report.advice import advice
from madminer_workflow.report.comparison import (
    KIND,
    as_sensitive,
    interval_size,
    rank,
    times,
)
from madminer_workflow.report.results import Baseline, MethodReport, Verdict
from madminer_workflow.report.uncertainties import nuisance_titles
from madminer_workflow.statistics.checks import deciding, failures, listing
from madminer_workflow.statistics.results import Check

CEILING_PULL = 3.0
GRID_POINTS = 4.0

NOTABLE_GROWTH = 1.05
"""Of an interval, by the error of finite simulation."""

LARGE_GROWTH = 10.0
"""From here on, how large it is does not matter."""

CONSTRAINED = 0.5
"""Of its prior width: data that know a nuisance parameter better than this deserve a look."""

PULLED = 2.0
"""Prior widths: the same of a best fit."""

LOOK = {
    "expected": "give the method more training events, or look for its bias,",
    "observed": "look for features that the simulation does not describe",
}

NAMED = 4
"""Nuisance parameters in a sentence; the figure has all."""


def check_table(
    methods: Sequence[Sequence[Check]],
) -> list[tuple[Check, list[Check | None]]]:
    """Every check of any of ``methods``, each of which is given by the checks of its ensemble.

    A row has the check, for its words, and what each method has of it, None if nothing. Checks
    that few methods have come first, those that do not decide last.
    """
    rows: dict[str, list[Check | None]] = {}
    for i, checks in enumerate(methods):
        for check in checks:
            rows.setdefault(check.name, [None] * len(methods))[i] = check
    table = [(next(check for check in row if check), row) for row in rows.values()]
    return sorted(table, key=lambda row: (row[0].concerns is not None, -row[1].count(None)))


def remarks(
    method: MethodReport, truth: Baseline, grid: Mapping[str, Sequence[float]], level: str
) -> list[str]:
    """What a reader should know about a method's numbers beyond its checks."""
    return [
        *_on_the_grid(method, grid, level),
        *(
            f"Do not trust its {check.concerns}: it fails “{check.name}”. {check.sentence}"
            for check in failures(method.checks)
            if check.concerns is not None
        ),
        *(
            check.sentence
            for check in deciding(method.checks)
            if check.passed and check.value is None
        ),
        *_on_the_simulation(method),
        *_on_lone_members(method),
        *_on_the_ceiling(method, truth, list(grid)),
        *on_nuisance_parameters(method),
        *efficiency.claims(method),
    ]


def _on_the_grid(
    method: MethodReport, grid: Mapping[str, Sequence[float]], level: str
) -> Iterator[str]:
    for name, intervals in method.limits[KIND].intervals.items():
        axis = grid[name]
        edges = [edge for interval in intervals[level] for edge in interval]
        span = (edges[-1] - edges[0]) / (axis[1] - axis[0]) if edges else 0.0
        if not edges:
            yield f"No {percent(level)} interval of {name} was found on the grid."
        elif edges[0] <= axis[0] or edges[-1] >= axis[-1]:
            yield (
                f"The {percent(level)} interval of {name} reaches the end of the grid: the true "
                "interval is longer; widen limits.grid."
            )
        elif span < GRID_POINTS and not method.settings.fitted:
            yield (
                f"The {percent(level)} interval of {name} spans only {span:.1f} steps of the "
                "grid: refine limits.grid."
            )


def _on_the_simulation(method: MethodReport) -> Iterator[str]:
    """What finite simulation makes of intervals, where that is notable or not known."""
    errors = method.limits[KIND].errors
    if errors is None:
        yield (
            "Its intervals do not include the error from finite simulation: the effect of other "
            "simulated events is unknown."
        )
        return
    for name, error in errors.items():
        if not (error.statistical and error.simulation):
            continue
        growth = float(np.hypot(1.0, error.simulation / error.statistical))
        if growth > NOTABLE_GROWTH:
            yield f"Finite simulation makes the interval of {name} {longer(growth)}."


def longer(growth: float) -> str:
    """By how much an interval grows, in words."""
    if growth > LARGE_GROWTH:
        return "more than ten times as long, so it says nothing about the data"
    percents = float(f"{100.0 * (growth - 1.0):.2g}")
    return f"{percents:g} % longer; twice as many simulated events would halve this"


def _on_lone_members(method: MethodReport) -> list[str]:
    """What members fail that the ensemble passes."""
    members = [deciding(checks) for checks in method.diagnostics]
    if len(members) < 2:
        return []
    names = {check.name for check in failures(method.checks)}
    failing: dict[str, int] = {}
    for checks in members:
        for check in failures(checks):
            if check.name not in names:
                failing[check.name] = failing.get(check.name, 0) + 1
    return [
        f"Individually, {n} of its {len(members)} members fail “{name}”; their mean passes."
        for name, n in failing.items()
    ]


def _on_the_ceiling(method: MethodReport, truth: Baseline, names: Sequence[str]) -> Iterator[str]:
    ours, ceiling = method.fisher_information, truth.fisher_information
    excess = np.diag(np.array(ours.matrix)) - np.diag(np.array(ceiling.matrix))
    error = np.hypot(np.diag(np.array(ours.error)), np.diag(np.array(ceiling.error)))
    for name, above in zip(names, excess > CEILING_PULL * error, strict=True):
        if above:
            yield (
                f"Its Fisher information on {name} exceeds the parton-level ceiling by more than "
                f"{CEILING_PULL:g} standard errors, which is impossible for a correct estimate."
            )


def on_nuisance_parameters(method: MethodReport) -> Iterator[str]:
    """Nuisance parameters that data constrain or pull more than their priors suggest."""
    for data, fit in (method.joint_fits or {}).items():
        titles = nuisance_titles(fit.nuisance)
        errors = {titles[one.name]: one.error for one in fit.nuisance}
        tight = {name: error for name, error in errors.items() if (error or 1.0) < CONSTRAINED}
        if tight:
            order = sorted(tight, key=lambda name: tight[name] or 0.0)
            yield (
                f"The {data} data constrain "
                f"{_named([f'{name} to {tight[name]:.2g}' for name in order])} of the prior "
                f"width: {('its prior' if len(tight) == 1 else 'the priors')} may be too wide, "
                "or the model too rigid, with one nuisance parameter where nature has several."
            )
        pulls = {titles[one.name]: one.pull or 0.0 for one in fit.nuisance}
        far = [name for name, pull in pulls.items() if abs(pull) > PULLED]
        if far:
            order = sorted(far, key=lambda name: -abs(pulls[name]))
            words = [f"{name} by {pulls[name]:+.1f}".replace("-", "−") for name in order]
            yield (
                f"The {data} data pull {_named(words)} prior widths: {LOOK[data]} before you trust "
                "these limits."
            )


def _named(words: Sequence[str]) -> str:
    """The first of some words, and how many more there are."""
    more = len(words) - NAMED
    return listing([*words[:NAMED], *([f"{more} more"] * (more > 0))])


def verdict(methods: Sequence[MethodReport], level: str) -> Verdict:
    """The order by sensitivity, the method to use (or None) and a sentence that says why."""
    ranked = rank(methods, KIND, level)
    good = [method for method in ranked if method.believed]
    tested = goodness.deciding(ranked, good)
    return Verdict(
        kind=KIND,
        confidence_level=level,
        order=[method.name for method in ranked],
        recommended=good[0].name if good else None,
        indistinguishable=[method.name for method in as_sensitive(good)],
        sentence=_sentence(ranked, good, level),
        warning=tested is not None and goodness.doubtful(tested.goodness or {}, KIND),
        goodness=goodness.sentence(tested, KIND) if tested else None,
    )


def _sentence(ranked: Sequence[MethodReport], good: Sequence[MethodReport], level: str) -> str:
    if not good:
        closest = min(ranked, key=lambda method: len(failures(deciding(method.checks))))
        words = [
            "No method passes its checks, so none of these limits should be used.",
            f"{closest.name} fails the fewest of them." if len(ranked) > 1 else "",
            advice(closest),
        ]
        return " ".join(filter(None, words))
    best = good[0]
    sentences = [
        _on_the_best(ranked, good, level),
        *_on_the_unbelieved(ranked, best, level),
        *_on_uncertainties(good, level),
        *on_nuisance_parameters(best),
        *_on_efficiency(ranked),
    ]
    return " ".join(sentences)


def _on_the_best(ranked: Sequence[MethodReport], good: Sequence[MethodReport], level: str) -> str:
    """How much shorter the intervals of the best are than those of its like."""
    best, *others = (m for m in good if bool(m.shapes_left_out) == bool(good[0].shapes_left_out))
    if len(ranked) == 1:
        return f"{best.name} passes its checks."
    n = 1 + len(others)
    if others:
        text = (
            f"{best.name} has the shortest {percent(level)} intervals of the {n} methods that pass "
            "their checks"
        )
    else:
        text = f"{best.name} is the only method that passes its checks"
    if len(good) > n:
        text += f" and include{'s' * (not others)} how nuisance parameters change shapes"
    equal = as_sensitive(good)
    if equal:
        beside = [
            f"{method.name} ({times(method)} as long{_without_error(method, best)})"
            for method in equal
        ]
        verb = "is" if len(equal) == 1 else "are"
        text += f", but {listing(beside)} {verb} indistinguishable from it"
    elif others and times(others[0]):
        text += f"; those of {others[0].name}, the second best, are {times(others[0])} as long"
    return f"{text}."


def _without_error(method: MethodReport, best: MethodReport) -> str:
    if method.comparison and method.comparison.together.error:
        return ""
    lone = [one.name for one in (best, method) if one.settings.trainable and one.members < 2]
    verb = "was" if len(lone) == 1 else "were"
    reason = f" because {listing(lone)} {verb} trained only once" if lone else ""
    return f"; the error is unknown{reason}"


def _on_the_unbelieved(
    ranked: Sequence[MethodReport], best: MethodReport, level: str
) -> Iterator[str]:
    size = interval_size(best.limits[KIND], level)
    tighter = [
        method.name
        for method in ranked[: ranked.index(best)]
        if interval_size(method.limits[KIND], level) <= size
    ]
    if tighter:
        verb = "looks" if len(tighter) == 1 else "look"
        yield f"{listing(tighter)} {verb} more sensitive but cannot be trusted."


def _on_uncertainties(good: Sequence[MethodReport], level: str) -> Iterator[str]:
    """What intervals gain by leaving uncertainties out."""
    best = good[0]
    if best.shapes_left_out:
        yield (
            f"Its limits leave out how {listing(best.shapes_left_out)} "
            f"{('changes' if len(best.shapes_left_out) == 1 else 'change')} shapes, which would "
            "make them wider; no method that includes this passes its checks."
        )
        return
    size = interval_size(best.limits[KIND], level)
    shorter = [
        method
        for method in good
        if method.shapes_left_out and interval_size(method.limits[KIND], level) < size
    ]
    if shorter:
        left_out = list(dict.fromkeys(name for m in shorter for name in m.shapes_left_out))
        one = len(shorter) == 1
        yield (
            f"The intervals of {listing([method.name for method in shorter])} are shorter "
            f"because {('it leaves' if one else 'they leave')} out how {listing(left_out)} "
            f"{('changes' if len(left_out) == 1 else 'change')} shapes, and "
            f"{('it is' if one else 'they are')} listed after the methods that include this."
        )


def _on_efficiency(ranked: Sequence[MethodReport]) -> Iterator[str]:
    """Which methods prove notably less information than there surely is."""
    losing = efficiency.losing(ranked)
    if losing:
        names = [method.name for method, _ in losing]
        names[0] += " proves"
        losses = [
            f"{name} {100.0 * share:.2g} %" for name, (_, share) in zip(names, losing, strict=True)
        ]
        best = next(method.efficiency.best for method in ranked if method.efficiency)
        yield f"{best} proves the most information; compared with it, {listing(losses)}."


def percent(level: str | float) -> str:
    """A confidence level as people write it: 0.95 as "95 %", 0.6827 as "68.3 %"."""
    return f"{100.0 * float(level):.3g} %"
