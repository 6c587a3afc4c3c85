"""Which method to believe and to use, in words, from the results of ``summary``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

KIND = "rate_and_shape"
"""The likelihood that the headline is about."""

CEILING_PULL = 3.0
GRID_POINTS = 4.0
NOTABLE_GAIN = 1.05


Diagnostics = Sequence[Sequence[dict[str, Any]]]
"""The checks of every ensemble member."""


def deciding(diagnostics: Diagnostics) -> Diagnostics:
    """The checks that decide whether limits are believed."""
    return [[check for check in checks if "concerns" not in check] for checks in diagnostics]


def failures(diagnostics: Diagnostics) -> list[str]:
    """One phrase for every check that any ensemble member fails, as fitting after "fails"."""
    failed: dict[str, list[dict[str, Any]]] = {}
    for checks in diagnostics:
        for check in checks:
            if not check["passed"]:
                failed.setdefault(check["check"], []).append(check)
    members = len(diagnostics)
    phrases = []
    for name, checks in failed.items():
        values = ", ".join(
            "not a number" if check["value"] is None else f"{check['value']:.3g}".replace("-", "−")
            for check in checks
        )
        who = f" in {len(checks)} of {members} members" if len(checks) < members else ""
        phrases.append(f"“{name}”{who} ({values}; expected {checks[0]['expected']})")
    return phrases


def reason(diagnostics: Diagnostics) -> str:
    """One sentence: why a method is, or is not, to be believed."""
    diagnostics = deciding(diagnostics)
    failed = failures(diagnostics)
    if failed:
        return f"Fails {' and '.join(failed)}."
    n = len(diagnostics[0]) if diagnostics else 0
    checks = "its one check" if n == 1 else f"all {n} checks"
    return f"Passes {checks}." if len(diagnostics) == 1 else f"All members pass {checks}."


def widths(limits: dict[str, Any], level: str) -> list[float]:
    """Total length of the interval of each parameter; infinite if there is none."""
    totals = [
        sum(high - low for low, high in intervals[level])
        for intervals in limits["intervals"].values()
    ]
    return [total if total > 0.0 else float("inf") for total in totals]


def interval_size(limits: dict[str, Any], level: str) -> float:
    """Geometric mean over parameters of the lengths of the intervals: small is sensitive."""
    return float(np.exp(np.mean(np.log(widths(limits, level)))))


def remarks(
    method: dict[str, Any], truth: dict[str, Any], grid: dict[str, list[float]], level: str
) -> list[str]:
    """What a reader should know about a method's numbers beyond its checks."""
    found = []
    for name, intervals in method["limits"][KIND]["intervals"].items():
        axis = grid[name]
        edges = [edge for interval in intervals[level] for edge in interval]
        step = axis[1] - axis[0]
        span = (edges[-1] - edges[0]) / step if edges else 0.0
        if not edges:
            found.append(f"No {percent(level)} interval of {name} was found on the grid.")
        elif edges[0] <= axis[0] or edges[-1] >= axis[-1]:
            found.append(
                f"The {percent(level)} interval of {name} reaches the end of the grid: the true "
                "interval is longer; widen limits.grid."
            )
        elif span < GRID_POINTS:
            found.append(
                f"The {percent(level)} interval of {name} spans {span:.1f} steps of the grid only: "
                "refine limits.grid."
            )
    others = [
        [check for check in checks if "concerns" in check] for checks in method["diagnostics"]
    ]
    found += [
        f"Its profiled Fisher information is not to be believed: it fails {phrase}."
        for phrase in failures(others)
    ]
    ours, ceiling = method["fisher_information"], truth["fisher_information"]
    excess = np.diag(ours["matrix"]) - np.diag(ceiling["matrix"])
    error = np.hypot(np.diag(ours["error"]), np.diag(ceiling["error"]))
    for name, above in zip(grid, excess > CEILING_PULL * error, strict=True):
        if above:
            found.append(
                f"Its Fisher information on {name} exceeds the parton-level ceiling by more than "
                f"{CEILING_PULL:g} standard errors, which no true estimate can."
            )
    return found


def rank(methods: Sequence[dict[str, Any]], kind: str, level: str) -> list[dict[str, Any]]:
    """The methods, most sensitive first."""
    return sorted(methods, key=lambda method: interval_size(method["limits"][kind], level))


def verdict(methods: Sequence[dict[str, Any]], level: str) -> dict[str, Any]:
    """The order by sensitivity, the method to use (or None) and a sentence that says why."""
    ranked = rank(methods, KIND, level)
    believed = [method for method in ranked if method["believed"]]
    return {
        "kind": KIND,
        "confidence_level": level,
        "order": [method["name"] for method in ranked],
        "recommended": believed[0]["name"] if believed else None,
        "sentence": _sentence(ranked, believed, level),
    }


def _sentence(
    ranked: Sequence[dict[str, Any]], believed: Sequence[dict[str, Any]], level: str
) -> str:
    if not believed:
        return (
            "No method passes its checks, so none of these limits should be used. Give the "
            "networks more events, samples or epochs, or the histograms fewer bins."
        )
    best = believed[0]
    text = (
        f"{best['name']} has the shortest {percent(level)} intervals of the "
        f"{len(believed)} method{'s' if len(believed) > 1 else ''} that pass their checks"
        if len(believed) < len(ranked) or len(ranked) > 1
        else f"{best['name']} passes its checks"
    )
    if len(believed) > 1:
        gain = interval_size(believed[1]["limits"][KIND], level) / interval_size(
            best["limits"][KIND], level
        )
        if gain < NOTABLE_GAIN:
            text += f", though hardly shorter than those of {believed[1]['name']}, the next"
        elif np.isfinite(gain):
            text += f", {gain:.2f} times shorter than those of {believed[1]['name']}, the next"
    tighter = [method["name"] for method in ranked[: ranked.index(best)]]
    text += "."
    if tighter:
        verb = "looks" if len(tighter) == 1 else "look"
        text += f" {' and '.join(tighter)} {verb} more sensitive but cannot be believed."
    return text


def percent(level: str | float) -> str:
    """A confidence level as people write it: 0.95 as "95 %", 0.6827 as "68.3 %"."""
    return f"{100.0 * float(level):.3g} %"
