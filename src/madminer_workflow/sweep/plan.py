"""The sweep file: which settings of which method are searched, and where."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from madminer_workflow.analysis import schema
from madminer_workflow.analysis.changes import change_setting, plain
from madminer_workflow.analysis.file import read_analysis
from madminer_workflow.analysis.problems import AnalysisError, Finding
from madminer_workflow.analysis.reading import Document, read
from madminer_workflow.analysis.types import Analysis, TrainedMethod
from madminer_workflow.files import read_json

Value = Any
"""The value of one setting of a method: whatever an analysis file can say."""
Values = dict[str, Value]
"""Values of some settings, by dotted name."""
Settings = dict[str, Any]
"""All settings of a method, as in the analysis file."""


class Axis(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where one setting is searched: between two numbers, or among ``choices``."""

    key: str
    low: float | int = 0.0
    high: float | int = 0.0
    log: bool = False
    whole: bool = False
    choices: tuple[Value, ...] = ()


class Entry(msgspec.Struct, frozen=True):
    """What the file says of one setting that is searched."""

    log: bool
    low: float | int | None = None
    high: float | int | None = None
    choices: tuple[Value, ...] | None = None


class SweepFile(msgspec.Struct, frozen=True, kw_only=True):
    """What the file says, with all defaults of ``schema.json``."""

    analysis: str
    method: str
    settings: Values
    space: dict[str, Entry]
    n_trials: int
    seed: int
    ntrainsamples: int
    workers: int


@dataclass(frozen=True)
class Plan:
    """What is to be done; ``settings`` are those that trials start from."""

    analysis_file: Path
    analysis: Analysis
    settings: Settings
    space: tuple[Axis, ...]
    n_trials: int
    seed: int
    ntrainsamples: int
    workers: int

    @property
    def method_name(self) -> str:
        """The name of the method in the analysis file."""
        return self.settings["name"]

    @property
    def method(self) -> TrainedMethod:
        """The method that trials start from."""
        return msgspec.convert(self.settings, TrainedMethod)

    @property
    def members(self) -> int:
        """The members of the ensemble of each trial."""
        return self.method.members(self.ntrainsamples)

    def method_of(self, values: Mapping[str, Value]) -> TrainedMethod:
        """The method of a trial."""
        return msgspec.convert(self.settings_of(values), TrainedMethod)

    def settings_of(self, values: Mapping[str, Value]) -> Settings:
        """The settings of a trial."""
        return changed(self.settings, values)


def read_plan(file: Path) -> Plan:
    """Read and check a sweep file; AnalysisError lists all that is wrong with it."""
    from madminer_workflow.sweep import checks

    document = read(file)
    part = read_json(Path(__file__).with_name("schema.json"))
    _raise(document, [*document.findings, *schema.check(document.data, part)])
    order = msgspec.convert(schema.fill(document.data, part), SweepFile)
    analysis_file = file.parent / order.analysis
    if not analysis_file.is_file():
        _raise(document, [Finding(("analysis",), f"{analysis_file}: no such file")])
    # The events are there: their cards need not be.
    typed = read_analysis(analysis_file, cards=False)
    analysis = plain(typed)
    methods = {settings["name"]: settings for settings in analysis["ml"]["methods"]}
    _raise(document, checks.method(order.method, methods))
    settings = methods[order.method]
    _raise(document, list(checks.fixed_settings(order.settings, analysis, settings)))
    settings = changed(settings, order.settings)
    _raise(document, checks.validation_events(settings))
    _raise(document, list(checks.searched(order.space, analysis, settings)))
    return Plan(
        analysis_file=analysis_file,
        analysis=typed,
        settings=settings,
        space=tuple(_axis(key, entry) for key, entry in order.space.items()),
        n_trials=order.n_trials,
        seed=order.seed,
        ntrainsamples=order.ntrainsamples,
        workers=order.workers,
    )


def changed(settings: Settings, values: Mapping[str, Value]) -> Settings:
    """``settings`` with other ``values``, by dotted name, and numbers in the schema's type."""
    for key, value in values.items():
        settings = change_setting(settings, key, value)
    return schema.fill(settings, schema.method_part())


def types(key: str) -> set[str]:
    """The types that the schema allows a setting."""
    part: dict[str, Any] = schema.method_part()
    for name in key.split("."):
        part = part.get("properties", {}).get(name) or part.get("additionalProperties", {})
    known = part.get("type", [])
    return {known} if isinstance(known, str) else set(known)


def word(value: Value) -> str:
    """A value without blanks or quotes around text, which have a meaning in shells."""
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))


def _raise(document: Document, findings: list[Finding]) -> None:
    if findings:
        problems = [document.problem(finding) for finding in dict.fromkeys(findings)]
        raise AnalysisError(sorted(problems, key=lambda problem: problem.line or 0))


def _axis(key: str, entry: Entry) -> Axis:
    if entry.choices is not None:
        return Axis(key, choices=entry.choices)
    assert entry.low is not None and entry.high is not None
    whole = "integer" in types(key)
    kind = int if whole else float
    return Axis(key, kind(entry.low), kind(entry.high), entry.log, whole)
