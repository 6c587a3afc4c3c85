"""Whether observed data look like the simulation, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from madminer_workflow.report.results import MethodReport
from madminer_workflow.statistics.results import Goodness, GoodnessTest

DOUBTFUL = 0.003
"""Three standard deviations: below, data do not look like the simulation."""


NOTABLE = 0.05
"""Below, what is least likely is worth to be told."""


def deciding(
    ranked: Sequence[MethodReport], believed: Sequence[MethodReport]
) -> MethodReport | None:
    """The method whose fit counts: the most sensitive one that is believed, or else of all."""
    return next((method for method in [*believed, *ranked] if method.goodness), None)


def doubtful(goodness: Mapping[str, Goodness], kind: str) -> bool:
    """Whether limits from one kind of likelihood need a warning."""
    return kind in goodness and goodness[kind].p_value < DOUBTFUL


def sentence(method: MethodReport, kind: str) -> str:
    """What the tests at a method's best fit say."""
    found = (method.goodness or {})[kind]
    n = len(found.tests)
    if not doubtful(method.goodness or {}, kind):
        least = (
            "" if found.p_value > NOTABLE else f"; the least likely is that {place_words(found)}"
        )
        return (
            f"The observed data look like the simulation at the best fit of {method.name}: "
            f"{p_is(found.p_value, found.n_toys)} for {n} tests together{least}."
        )
    return (
        "The observed data do not look like the simulation: at the best fit of "
        f"{method.name}, {place_words(found)} ({p_is(found.p_value, found.n_toys)} for {n} "
        "tests together). Do not trust observed limits before you know why."
    )


def place_words(found: Goodness) -> str:
    """What is least likely, and where: the smallest p-value, and the observable that differs."""
    smallest, place = found.smallest, found.place
    text = difference(smallest)
    if place is None or smallest.about in ("observable", "score"):
        return text
    if smallest.about != "count":
        return f"{text}; of single observables, {difference(place)}"
    return f"{text}, and {difference(place)}" if place.p_value < DOUBTFUL else text


def difference(test: GoodnessTest) -> str:
    """What data have and what is expected, of one test."""
    if test.about == "count":
        return (
            f"there are {number(test.observed)} events, where {number(test.expected)} are expected"
        )
    if test.interval is None:
        return f"the test of {words(test)} has p = {test.p_value:.2g}"
    return (
        f"{words(test)} has {number(test.observed)} events {range_words(test)}where "
        f"{number(test.expected)} are expected"
    )


def words(test: GoodnessTest) -> str:
    """What a test is about."""
    return f"the score of {test.name}" if test.about == "score" else test.name


def range_words(test: GoodnessTest) -> str:
    """The interval of a test, with a blank behind; none for all values."""
    low, high = test.interval or (None, None)
    if low is None and high is None:
        return ""
    if low is None:
        text = f"below {high:.3g} "
    else:
        text = f"above {low:.3g} " if high is None else f"from {low:.3g} to {high:.3g} "
    return text.replace("-", "−")


def p_words(p: float, n_toys: int) -> str:
    """A p-value with the digits that toys give it; the smallest one as a bound."""
    if p <= 1.0 / (n_toys + 1.0) * (1.0 + 1e-9):
        return f"< {1.0 / n_toys:.1g}"
    return f"{p:.2g}" if p < 0.1 else f"{p:.2f}"


def p_is(p: float, n_toys: int) -> str:
    """A p-value in a sentence."""
    text = p_words(p, n_toys)
    return f"p {text}" if text.startswith("<") else f"p = {text}"


def number(value: float | None) -> str:
    """A number of events."""
    if value is None:
        return "–"
    return f"{value:.0f}" if value >= 100.0 or value == round(value) else f"{value:.3g}"
