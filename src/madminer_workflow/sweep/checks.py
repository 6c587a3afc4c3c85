"""What can be wrong with a sweep file that its schema does not know of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from madminer_workflow.analysis import schema, semantics
from madminer_workflow.analysis.changes import change_setting
from madminer_workflow.analysis.problems import Finding, KeyPath, show, unknown
from madminer_workflow.sweep.plan import Entry, Settings, Value, Values, changed, types

FIXED = {
    "method": "methods have different losses; run a separate sweep for each",
    "estimator": "it determines the samples; run a separate sweep for each",
    "name": "it is the name of models and figures",
    "n_estimators": (
        "the loss is the mean over all members, whatever their number; set it for all trials"
    ),
    "theta": (
        "the score is defined at theta: networks for different points learn different functions"
    ),
    "theta1": (
        "the ratio is defined relative to theta1: networks for different points learn different "
        "ratios"
    ),
    "training.validation_split": "it determines the events on which networks are compared; "
    "validation events of one trial would be training events of "
    "another",
}
"""The settings that trials cannot differ in, and why."""


def method(name: str, methods: Mapping[str, Settings]) -> list[Finding]:
    """Find a method that is not there, or that learns nothing."""
    if name not in methods:
        return [Finding(("method",), unknown("method", name, methods))]
    if methods[name]["method"] == "histogram":
        return [Finding(("method",), f"{show(name)} is a histogram, which is not trained")]
    return []


def validation_events(settings: Settings) -> list[Finding]:
    """Find a method whose trials cannot be compared."""
    if settings["training"].get("validation_split"):
        return []
    message = "has no validation events (training.validation_split), so trials cannot be compared"
    return [Finding(("method",), message)]


def fixed_settings(
    values: Values, analysis: dict[str, Any], settings: Settings
) -> Iterator[Finding]:
    """What is wrong with the ``values`` that all trials have instead of those in ``settings``."""
    for key, value in values.items():
        path = ("settings", key)
        if key in ("method", "name"):
            yield Finding(path, f"cannot be changed: {FIXED[key]}")
        else:
            yield from _known(path, key, settings) or _valid(path, key, value, analysis, settings)


def searched(
    space: Mapping[str, Entry], analysis: dict[str, Any], settings: Settings
) -> Iterator[Finding]:
    """What is wrong with the settings that trials differ in."""
    for key, entry in space.items():
        path = ("space", key)
        findings = _known(path, key, settings) or _range(path, key, entry)
        yield from findings
        if not findings:
            for value in entry.choices or (entry.low, entry.high):
                yield from _valid(path, key, value, analysis, settings) or _comparable(
                    path, key, value, settings
                )


def _known(path: KeyPath, key: str, settings: Settings) -> list[Finding]:
    """Find a part of a dotted name that the method does not have."""
    place: Any = settings
    for name in key.split("."):
        if not isinstance(place, dict) or name not in place:
            known = list(place) if isinstance(place, dict) else []
            return [Finding(path, unknown("setting", name, known))]
        place = place[name]
    return []


def _range(path: KeyPath, key: str, entry: Entry) -> list[Finding]:
    """Find a range that is none."""
    low, high = entry.low, entry.high
    if entry.choices is not None and low is None and high is None:
        return [Finding((*path, "log"), "not used with choices")] if entry.log else []
    if entry.choices is not None or low is None or high is None:
        return [Finding(path, "expected either low and high, or choices")]
    if not types(key) & {"number", "integer"}:
        return [Finding(path, f"{key} is not a number; give choices instead of low and high")]
    if not low < high:
        return [Finding(path, f"expected low < high, got {low:g} and {high:g}")]
    if entry.log and low <= 0:
        return [Finding((*path, "low"), f"expected more than 0 for log, got {low:g}")]
    return []


def _comparable(path: KeyPath, key: str, value: Value, settings: Settings) -> list[Finding]:
    """Find what would make the losses of two trials different things."""
    others = changed(settings, {key: value})
    return [
        Finding(path, f"{fixed} cannot be searched: {reason}")
        for fixed, reason in FIXED.items()
        if _value_at(others, fixed) != _value_at(settings, fixed)
    ]


def _value_at(settings: Settings, key: str) -> Value:
    """The value of a setting by its dotted name; None if there is none."""
    value: Any = settings
    for name in key.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _valid(
    path: KeyPath, key: str, value: Value, analysis: dict[str, Any], settings: Settings
) -> list[Finding]:
    """Find what the analysis file could not say either."""
    others = change_setting(settings, key, value)
    part = schema.method_part()
    findings = schema.check(others, part) or _meaning(analysis, schema.fill(others, part))
    depth = len(key.split("."))
    inside = [(".".join(map(str, finding.path[depth:])), finding.message) for finding in findings]
    return [Finding(path, f"{place}: {text}" if place else text) for place, text in inside]


def _meaning(analysis: dict[str, Any], settings: Settings) -> list[Finding]:
    """What is wrong with the meaning of one method's settings; paths start at the method."""
    methods = analysis["ml"]["methods"]
    index = [known["name"] for known in methods].index(settings["name"])
    others = [*methods[:index], settings, *methods[index + 1 :]]
    whole = {**analysis, "ml": {**analysis["ml"], "methods": others}}
    place: KeyPath = ("ml", "methods", index)
    return [
        Finding(finding.path[len(place) :], finding.message)
        for finding in semantics.check(whole, [])
        if not finding.warning and finding.path[: len(place)] == place
    ]
