"""The sweep file: which settings of which method are searched, and where."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from madminer_workflow.analysis import schema, semantics
from madminer_workflow.analysis.changes import change_setting
from madminer_workflow.analysis.file import load_analysis
from madminer_workflow.analysis.problems import AnalysisError, Finding, KeyPath, show, unknown
from madminer_workflow.analysis.reading import Document, read
from madminer_workflow.files import read_json

Settings = dict[str, Any]
"""All settings of a method."""
Values = dict[str, Any]
"""Values of some settings, by dotted name."""

FIXED = {
    "method": "another method has another loss; make a sweep for each",
    "estimator": "it decides what is drawn; make a sweep for each",
    "name": "it is what models and figures are called",
    "theta": "the score is that at theta: networks for different points learn different functions",
    "theta1": "the ratio is that to theta1: networks for different points learn different ratios",
    "training.validation_split": "it decides which events networks are compared on; those of one "
    "trial would be training events of another",
}
"""The settings that trials cannot differ in, and why."""


@dataclass(frozen=True)
class Axis:
    """Where one setting is searched: between two numbers, or among ``choices``."""

    key: str
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    whole: bool = False
    choices: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Plan:
    """What a sweep file says; ``settings`` are those that trials start from."""

    analysis_file: Path
    analysis: dict[str, Any]
    settings: Settings
    space: tuple[Axis, ...]
    n_trials: int
    seed: int
    ntrainsamples: int
    workers: int

    def settings_of(self, values: Mapping[str, Any]) -> Settings:
        """The settings of a trial."""
        return changed(self.settings, values)


def read_plan(file: Path) -> Plan:
    """Read and check a sweep file; AnalysisError lists all that is wrong with it."""
    document = read(file)
    part = read_json(Path(__file__).with_name("schema.json"))
    findings = [*document.findings, *schema.check(document.data, part)]
    _raise(document, findings)
    content = schema.fill(document.data, part)
    analysis_file = file.parent / content["analysis"]
    if not analysis_file.is_file():
        _raise(document, [Finding(("analysis",), f"{analysis_file}: no such file")])
    # The events are there: their cards need not be.
    analysis = load_analysis(analysis_file, cards=False)
    methods = {settings["name"]: settings for settings in analysis["ml"]["methods"]}
    settings, findings = _method(content, methods)
    _raise(document, findings)
    findings = list(_fixed(content, analysis, settings))
    _raise(document, findings)
    settings = changed(settings, content["settings"])
    if not settings["training"]["validation_split"]:
        message = "has no validation events (training.validation_split), so nothing to compare by"
        _raise(document, [Finding(("method",), message)])
    _raise(document, list(_searched(content, analysis, settings)))
    return Plan(
        analysis_file=analysis_file,
        analysis=analysis,
        settings=settings,
        space=tuple(_axis(key, entry, settings) for key, entry in content["space"].items()),
        **{key: content[key] for key in ("n_trials", "seed", "ntrainsamples", "workers")},
    )


def changed(settings: Settings, values: Mapping[str, Any]) -> Settings:
    """``settings`` with other ``values``, by dotted name, and numbers in the schema's type."""
    for key, value in values.items():
        settings = change_setting(settings, key, value)
    return schema.fill(settings, schema.method_part())


def value_at(settings: Settings, key: str) -> Any:
    """The value of a setting by its dotted name; None if there is none."""
    value: Any = settings
    for name in key.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _raise(document: Document, findings: list[Finding]) -> None:
    if findings:
        problems = [document.problem(finding) for finding in dict.fromkeys(findings)]
        raise AnalysisError(sorted(problems, key=lambda problem: problem.line or 0))


def _method(
    content: dict[str, Any], methods: dict[str, Settings]
) -> tuple[Settings, list[Finding]]:
    name = content["method"]
    if name not in methods:
        return {}, [Finding(("method",), unknown("method", name, methods))]
    if methods[name]["method"] == "histogram":
        return {}, [Finding(("method",), f"{show(name)} is a histogram, which learns nothing")]
    return methods[name], []


def _fixed(content: dict[str, Any], analysis: dict[str, Any], base: Settings) -> Iterator[Finding]:
    """What is wrong with the settings that all trials share."""
    for key, value in content["settings"].items():
        path = ("settings", key)
        if key in ("method", "name"):
            yield Finding(path, f"cannot be changed: {FIXED[key]}")
        else:
            yield from _known(path, key, base) or _valid(path, key, value, analysis, base)


def _searched(
    content: dict[str, Any], analysis: dict[str, Any], base: Settings
) -> Iterator[Finding]:
    """What is wrong with the settings that trials differ in."""
    for key, entry in content["space"].items():
        path = ("space", key)
        found = _known(path, key, base) or _range(path, key, entry, base)
        yield from found
        if not found:
            for value in entry.get("choices") or (entry["low"], entry["high"]):
                yield from _valid(path, key, value, analysis, base) or _comparable(
                    path, key, value, base
                )


def _known(path: KeyPath, key: str, base: Settings) -> list[Finding]:
    """Find a part of a dotted name that the method does not have."""
    place: Any = base
    for name in key.split("."):
        if not isinstance(place, dict) or name not in place:
            known = list(place) if isinstance(place, dict) else []
            return [Finding(path, unknown("setting", name, known))]
        place = place[name]
    return []


def _range(path: KeyPath, key: str, entry: dict[str, Any], base: Settings) -> list[Finding]:
    """Find a range that is none."""
    bounds = [name for name in ("low", "high") if name in entry]
    if ("choices" in entry) == bool(bounds) or len(bounds) == 1:
        return [Finding(path, "expected either low and high, or choices")]
    if "choices" in entry:
        return [Finding((*path, "log"), "not used with choices")] if entry["log"] else []
    if not _types(key, base) & {"number", "integer"}:
        return [Finding(path, f"{key} is not a number; give choices instead of low and high")]
    low, high = entry["low"], entry["high"]
    if not low < high:
        return [Finding(path, f"expected low < high, got {low:g} and {high:g}")]
    if entry["log"] and low <= 0:
        return [Finding((*path, "low"), f"expected more than 0 for log, got {low:g}")]
    return []


def _comparable(path: KeyPath, key: str, value: Any, base: Settings) -> list[Finding]:
    """Find what would make the losses of two trials different things."""
    settings = changed(base, {key: value})
    return [
        Finding(path, f"{fixed} cannot be searched: {reason}")
        for fixed, reason in FIXED.items()
        if value_at(settings, fixed) != value_at(base, fixed)
    ]


def _valid(
    path: KeyPath, key: str, value: Any, analysis: dict[str, Any], base: Settings
) -> list[Finding]:
    """Find what the analysis file could not say either."""
    settings = change_setting(base, key, value)
    found = schema.check(settings, schema.method_part())
    if not found:
        found = _meaning(analysis, schema.fill(settings, schema.method_part()))
    depth = len(key.split("."))
    inside = [(".".join(map(str, finding.path[depth:])), finding.message) for finding in found]
    return [Finding(path, f"{place}: {text}" if place else text) for place, text in inside]


def _meaning(analysis: dict[str, Any], settings: Settings) -> list[Finding]:
    """What is wrong with the meaning of one method's settings; paths start at the method."""
    methods = analysis["ml"]["methods"]
    index = [method["name"] for method in methods].index(settings["name"])
    others = [*methods[:index], settings, *methods[index + 1 :]]
    whole = {**analysis, "ml": {**analysis["ml"], "methods": others}}
    place: KeyPath = ("ml", "methods", index)
    return [
        Finding(finding.path[len(place) :], finding.message)
        for finding in semantics.check(whole, [])
        if not finding.warning and finding.path[: len(place)] == place
    ]


def _axis(key: str, entry: dict[str, Any], base: Settings) -> Axis:
    if "choices" in entry:
        return Axis(key, choices=tuple(entry["choices"]))
    whole = "integer" in _types(key, base)
    kind = int if whole else float
    return Axis(key, kind(entry["low"]), kind(entry["high"]), entry["log"], whole)


def _types(key: str, base: Settings) -> set[str]:
    """The types that the schema allows a setting."""
    part: dict[str, Any] = schema.method_part()
    for name in key.split("."):
        part = part.get("properties", {}).get(name) or part.get("additionalProperties", {})
    types = part.get("type", [])
    return {types} if isinstance(types, str) else set(types)
