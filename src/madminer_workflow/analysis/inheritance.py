"""``ml.defaults``: settings that all methods share, and where an inherited setting stands."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from madminer_workflow.analysis import schema
from madminer_workflow.analysis.problems import Entry, Finding, KeyPath

DEFAULTS: KeyPath = ("ml", "defaults")
METHODS: KeyPath = ("ml", "methods")
UNSHARED = ("method", "name", "observables", "bins")
"""What a method is: no default can say it."""


@dataclass(frozen=True)
class Inherited:
    """The content of a document with every method complete, and without the defaults.

    ``origins`` has the place in the file of everything that comes from the defaults alone, by its
    place in ``data``; ``findings`` are about the defaults themselves.
    """

    data: Any
    origins: Mapping[KeyPath, KeyPath]
    findings: list[Finding]

    def place(self, finding: Finding) -> Finding:
        """The same finding at the place in the file where what it is about stands."""
        for end in range(len(finding.path), 0, -1):
            origin = self.origins.get(finding.path[:end])
            if origin is not None:
                return replace(finding, path=origin + finding.path[end:])
        return finding


def inherit(data: Any) -> Inherited:
    """Let the entries of ``ml.methods`` take over what ``ml.defaults`` says.

    Key by key, also inside of mappings; an entry's own values win, and keys that it cannot have
    are left out.
    """
    ml = data.get("ml") if isinstance(data, dict) else None
    shared = ml.get("defaults") if isinstance(ml, dict) else None
    # Anything else is an error of structure, which is told when that is checked.
    if not isinstance(shared, dict):
        return Inherited(data, {}, [])
    findings = [
        replace(finding, path=DEFAULTS + finding.path)
        for finding in schema.check(shared, _shared_part())
    ]
    data = copy.deepcopy(data)
    del data["ml"]["defaults"]
    methods = data["ml"].get("methods")
    entries = methods if isinstance(methods, list) else []
    part = schema.method_part()
    shared = {key: value for key, value in shared.items() if key not in UNSHARED}
    origins: dict[KeyPath, KeyPath] = {}
    used: set[KeyPath] = set()
    for i, entry in enumerate(entries):
        if isinstance(entry, dict):
            chosen = schema.choices({**shared, **entry}, part, {})
            _merge(entry, shared, part, chosen, (*METHODS, i), DEFAULTS, origins)
            used.update(_places(_without(shared, part, chosen), DEFAULTS))
    known = part["properties"]["method"]["enum"]
    if all(isinstance(entry, dict) and entry.get("method") in known for entry in entries):
        findings += _unused(shared, part, used, DEFAULTS)
    return Inherited(data, origins, findings)


@cache
def _shared_part() -> schema.Schema:
    """The schema of the defaults: that of a method in which nothing is mandatory or conditional."""
    part = _relaxed(schema.method_part())
    for key in UNSHARED:
        del part["properties"][key]
    return part


def _relaxed(part: Any) -> Any:
    if isinstance(part, dict):
        dropped = ("required", "x-when", "x-unless", "x-required")
        # Under "properties", such a name would be that of a key of the analysis file.
        return {key: _relaxed(value) for key, value in part.items() if key not in dropped}
    return part


def _merge(
    entry: Entry,
    shared: Entry,
    part: schema.Schema,
    chosen: Mapping[str, Any],
    path: KeyPath,
    source: KeyPath,
    origins: dict[KeyPath, KeyPath],
) -> None:
    """Put into ``entry``, at ``path``, what ``shared``, at ``source``, has and it has not.

    ``chosen`` decides which keys of the two exist.
    """
    for key, value, child in schema.children(shared, part):
        if not schema.applies(child, chosen):
            continue
        if key not in entry:
            entry[key] = _without(value, child, chosen)
            origins[(*path, key)] = (*source, key)
        elif isinstance(entry[key], dict) and isinstance(value, dict):
            inside = schema.choices({**value, **entry[key]}, child, chosen)
            _merge(entry[key], value, child, inside, (*path, key), (*source, key), origins)


def _without(value: Any, part: schema.Schema, chosen: Mapping[str, Any]) -> Any:
    """A copy of ``value`` without the keys that do not apply, or that the schema does not know."""
    if not isinstance(value, dict):
        return copy.deepcopy(value)
    chosen = schema.choices(value, part, chosen)
    return {
        key: _without(value[key], child, chosen)
        for key, _, child in schema.children(value, part)
        if schema.applies(child, chosen)
    }


def _places(value: Any, path: KeyPath) -> Iterator[KeyPath]:
    """The paths of everything inside of nested mappings that are at ``path``."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield (*path, key)
            yield from _places(inner, (*path, key))


def _unused(
    shared: Entry, part: schema.Schema, used: set[KeyPath], path: KeyPath
) -> Iterator[Finding]:
    """Find what no entry has a use for."""
    for key, value, child in schema.children(shared, part):
        if (*path, key) not in used:
            wanted = child.get("x-when", {}).items()
            only = "".join(f" (only by {name} {', '.join(values)})" for name, values in wanted)
            yield Finding((*path, key), f"not used by any of the methods{only}", harmless=True)
        elif isinstance(value, dict):
            yield from _unused(value, child, used, (*path, key))
