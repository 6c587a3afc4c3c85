"""Analysis files: read, checked in two passes, and completed with their defaults."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from madminer_workflow.analysis import event_files, schema, semantics
from madminer_workflow.analysis.cards import check_files
from madminer_workflow.analysis.changes import changed_settings, has_setting, plain
from madminer_workflow.analysis.inheritance import inherit
from madminer_workflow.analysis.problems import AnalysisError, Entry, Problem, label, unknown
from madminer_workflow.analysis.reading import Document, read
from madminer_workflow.analysis.sound import Sound
from madminer_workflow.analysis.types import TRAINING, Analysis
from madminer_workflow.errors import InputError


def read_analysis(path: str | Path, cards: bool = True, changes: Sequence[str] = ()) -> Analysis:
    """Read an analysis file, check it, fill in all defaults, and apply ``changes``.

    Its cards, models and event files must exist, too, unless ``cards`` is false. ``changes`` of
    methods look like ``sally.training.n_epochs=20``. Raises AnalysisError, which lists all
    problems, if the file is wrong, and InputError for changes that make no sense; warnings do not
    count (see ``problems``).
    """
    data, every = examine(read(path), Path(path).parent if cards else None)
    if errors := [problem for problem in every if not problem.warning]:
        raise AnalysisError(errors)
    analysis = change_methods(msgspec.convert(data, Analysis), changes)
    return event_files.counted(analysis, Path(path).parent) if cards else analysis


def change_methods(analysis: Analysis, changes: Sequence[str]) -> Analysis:
    """An analysis with ``METHOD.KEY=VALUE`` changed.

    Without a method, a setting of the training or the network is that of all methods that have it.
    Raises InputError for what the analysis file could not say either.
    """
    if not changes:
        return analysis
    data = plain(analysis)
    methods = {settings["name"]: settings for settings in data["ml"]["methods"]}
    for change in changes:
        name, _, rest = change.partition(".")
        if name in methods:
            methods[name] = changed_settings(methods[name], rest, change)
            continue
        if name not in TRAINING:
            raise InputError(f"--set {change}: {unknown('method', name, methods)}")
        having = [m for m, settings in methods.items() if has_setting(settings, change)]
        if not having:
            raise InputError(f"--set {change}: no method has this setting")
        methods |= {m: changed_settings(methods[m], change, change) for m in having}
    data["ml"]["methods"] = list(methods.values())
    if wrong := [finding for finding in semantics.check(data, []) if not finding.warning]:
        lines = (f"--set: {label(f.path, data)}: {f.message}" for f in wrong)
        raise InputError("\n".join(lines))
    return msgspec.convert(data, Analysis)


def problems(path: str | Path) -> list[Problem]:
    """Return all problems of an analysis file in the order of its lines, warnings included."""
    try:
        return examine(read(path), Path(path).parent)[1]
    except AnalysisError as error:
        return error.problems


def examine(document: Document, folder: Path | None = None) -> tuple[Entry, list[Problem]]:
    """Return the content of a document with its defaults, and all its problems.

    Cards and models are looked for in ``folder``, if given.
    """
    inherited = inherit(document.data)
    structure = [*document.findings, *schema.check(inherited.data)]
    analysis = _name_defaults(schema.fill(inherited.data))
    meaning = semantics.check(analysis, structure)
    if folder is not None:
        meaning += check_files(Sound(analysis, structure), folder)
    # A value that could not be read has no type to complain about.
    unread = {finding.path for finding in document.findings if not finding.harmless}
    placed = [*inherited.findings, *map(inherited.place, [*structure, *meaning])]
    told = [f for f in placed if f.path not in unread or f in document.findings]
    # One mistake can be seen twice, e.g. a parameter without a prior in two methods.
    placed_once = dict.fromkeys(document.problem(finding) for finding in told)
    return analysis, sorted(placed_once, key=lambda problem: problem.line or 0)


def _name_defaults(analysis: Any) -> Any:
    """Fill in the defaults that are names given elsewhere, wherever the structure allows it."""
    if not isinstance(analysis, dict):
        return analysis
    _copy_default(analysis, "title", analysis, "name")
    systematics = [entry.get("systematic_name") for entry in _mappings(analysis.get("systematics"))]
    for process in _mappings(analysis.get("processes")):
        process.setdefault("systematics", [name for name in systematics if isinstance(name, str)])
    for section, name in (("parameters", "parameter_name"), ("observables", "name")):
        for entry in _mappings(analysis.get(section)):
            _copy_default(entry, "latex", entry, name)
    ml = analysis.get("ml")
    if isinstance(ml, dict):
        benchmarks = analysis.get("benchmarks")
        if isinstance(benchmarks, dict) and benchmarks:
            ml.setdefault("theta_ref", next(iter(benchmarks)))
        _reference_defaults(ml)
    return analysis


def _reference_defaults(ml: Entry) -> None:
    for key, section in (("theta_true", ml.get("limits")), ("theta", ml.get("fisher"))):
        if isinstance(section, dict):
            _copy_default(section, key, ml, "theta_ref")
    for entry in _mappings(ml.get("methods")):
        _copy_default(entry, "name", entry, "method")
        if entry.get("estimator") == "doubly_parameterized" and "theta0" in entry:
            entry.setdefault("theta1", copy.deepcopy(entry["theta0"]))
        for key in ("theta", "theta1"):
            if schema.method_has(key, entry):
                _copy_default(entry, key, ml, "theta_ref")
        axes = entry.get("observables")
        if entry.get("method") == "histogram" and isinstance(axes, list):
            given = entry.setdefault("bins", {})
            if isinstance(given, dict):
                names = [axis for axis in axes if isinstance(axis, str)]
                given.update({name: 10 for name in names if name not in given})


def _mappings(entries: Any) -> list[Entry]:
    return (
        [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []
    )


def _copy_default(target: Entry, key: str, source: Entry, name: str) -> None:
    if key not in target and name in source:
        target[key] = source[name]
