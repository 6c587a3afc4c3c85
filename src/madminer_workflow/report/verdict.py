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


Check = dict[str, Any]
"""See ``ml.checks``."""


def deciding(checks: Sequence[Check]) -> list[Check]:
    """The checks that decide whether limits are believed."""
    return [check for check in checks if "concerns" not in check]


def failures(checks: Sequence[Check]) -> list[Check]:
    """The checks that fail."""
    return [check for check in checks if not check["passed"]]


def reason(checks: Sequence[Check]) -> str:
    """Why a method is, or is not, to be believed."""
    checks = deciding(checks)
    failed = failures(checks)
    n = len(checks)
    if failed:
        of_all = "its one check" if n == 1 else f"{len(failed)} of {n} checks"
        return f"Fails {of_all}. {' '.join(check['sentence'] for check in failed)}"
    all_of_them = "its one check" if n == 1 else f"all {n} checks"
    # What is not known proves nothing.
    proven = [check["proves"] for check in checks if check["value"] is not None]
    return f"Passes {all_of_them}: {listing(proven)}." if proven else f"Passes {all_of_them}."


def listing(items: Sequence[str]) -> str:
    """Items as in a sentence."""
    return " and ".join([", ".join(items[:-1]), items[-1]] if len(items) > 1 else items)


def check_table(methods: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Every check of any method, with what each of ``methods`` has of it, None if nothing.

    The checks are those of the ensembles: those that few methods have first, those that do not
    decide last.
    """
    rows: dict[str, dict[str, Any]] = {}
    for i, method in enumerate(methods):
        for check in method["checks"]:
            row = rows.setdefault(
                check["check"],
                {
                    **{key: check[key] for key in ("check", "expected", "meaning", "reason")},
                    "concerns": check.get("concerns"),
                    "cells": [None] * len(methods),
                },
            )
            row["cells"][i] = check

    def order(row: dict[str, Any]) -> tuple[bool, int]:
        return row["concerns"] is not None, sum(cell is not None for cell in row["cells"])

    return sorted(rows.values(), key=order)


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
    for check in failures(method["checks"]):
        if "concerns" in check:
            found.append(
                f"Its {check['concerns']} is not to be believed: it fails “{check['check']}”. "
                f"{check['sentence']}"
            )
    found += [
        check["sentence"]
        for check in deciding(method["checks"])
        if check["passed"] and check["value"] is None
    ]
    found += lone_members(method)
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


def lone_members(method: dict[str, Any]) -> list[str]:
    """What members fail that the ensemble passes."""
    members = [deciding(checks) for checks in method["diagnostics"]]
    if len(members) < 2:
        return []
    names = {check["check"] for check in failures(method["checks"])}
    failing: dict[str, int] = {}
    for checks in members:
        for check in failures(checks):
            if check["check"] not in names:
                failing[check["check"]] = failing.get(check["check"], 0) + 1
    return [
        f"Taken alone, {n} of its {len(members)} members fail “{name}”, which their mean passes."
        for name, n in failing.items()
    ]


def rank(methods: Sequence[dict[str, Any]], kind: str, level: str) -> list[dict[str, Any]]:
    """The methods, most sensitive first."""
    return sorted(methods, key=lambda method: interval_size(method["limits"][kind], level))


def verdict(methods: Sequence[dict[str, Any]], level: str) -> dict[str, Any]:
    """The order by sensitivity, the method to use (or None) and a sentence that says why."""
    ranked = rank(methods, KIND, level)
    good = [method for method in ranked if method["believed"]]
    return {
        "kind": KIND,
        "confidence_level": level,
        "order": [method["name"] for method in ranked],
        "recommended": good[0]["name"] if good else None,
        "sentence": _sentence(ranked, good, level),
    }


def _sentence(ranked: Sequence[dict[str, Any]], good: Sequence[dict[str, Any]], level: str) -> str:
    if not good:
        return (
            "No method passes its checks, so none of these limits should be used. Give the "
            "networks more events, samples or epochs, or the histograms fewer bins."
        )
    best = good[0]
    text = (
        f"{best['name']} has the shortest {percent(level)} intervals of the "
        f"{len(good)} method{'s' if len(good) > 1 else ''} that pass their checks"
        if len(good) < len(ranked) or len(ranked) > 1
        else f"{best['name']} passes its checks"
    )
    if len(good) > 1:
        gain = interval_size(good[1]["limits"][KIND], level) / interval_size(
            best["limits"][KIND], level
        )
        if gain < NOTABLE_GAIN:
            text += f", though hardly shorter than those of {good[1]['name']}, the next"
        elif np.isfinite(gain):
            text += f", {gain:.2f} times shorter than those of {good[1]['name']}, the next"
    tighter = [method["name"] for method in ranked[: ranked.index(best)]]
    text += "."
    if tighter:
        verb = "looks" if len(tighter) == 1 else "look"
        text += f" {' and '.join(tighter)} {verb} more sensitive but cannot be believed."
    return text


def percent(level: str | float) -> str:
    """A confidence level as people write it: 0.95 as "95 %", 0.6827 as "68.3 %"."""
    return f"{100.0 * float(level):.3g} %"
