"""The structure of the analysis file: what ``schema.json`` allows, in words, and its defaults.

Beyond JSON Schema, ``schema.json`` uses six annotations. ``x-when`` names the values of a key
beside or above (``optimizer``) for which a key exists at all, ``x-unless`` those for which it does
not, and ``x-required`` makes it mandatory where it exists; ``x-pattern`` says a pattern in words;
``x-default`` a default that depends on other keys, ``x-defaults`` those of single methods. The
values of ``method``, ``generator``, ``effect`` and ``prior``, and the keys that each of them has,
come from ``choices``.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from importlib import resources
from typing import Any

from jsonschema import Draft7Validator, ValidationError, validators

from madminer_workflow.analysis.choices import complete
from madminer_workflow.analysis.problems import Finding, KeyPath, show, unknown

Schema = dict[str, Any]

_TYPES = {
    "object": "a mapping",
    "array": "a list",
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "null": "null",
}


@cache
def schema() -> Schema:
    """Return the schema, complete with its choices; treat it as read-only."""
    whole = json.loads(resources.files(__package__).joinpath("schema.json").read_text("utf-8"))
    complete(whole)
    return whole


def type_words(part: Schema) -> str:
    """Say which types a value may have: ``a number or null``."""
    types = part.get("type", [])
    return " or ".join(_TYPES[name] for name in ([types] if isinstance(types, str) else types))


def method_part() -> Schema:
    """The part of the schema for one entry of ``ml.methods``."""
    return schema()["properties"]["ml"]["properties"]["methods"]["items"]


def applies(part: Schema, chosen: Mapping[str, Any]) -> bool:
    """Whether a key exists, given the methods, estimators or priors ``chosen`` above it."""
    return all(
        chosen.get(key) in values for key, values in part.get("x-when", {}).items()
    ) and not any(chosen.get(key) in values for key, values in part.get("x-unless", {}).items())


def method_has(key: str, entry: Mapping[str, Any]) -> bool:
    """Whether an entry of ``ml.methods`` has the key, by its method and estimator."""
    part = method_part()
    return applies(part["properties"][key], choices(entry, part, {}))


def check(data: Any, part: Schema | None = None) -> list[Finding]:
    """Return everything in which ``data`` differs from the schema, or from a part of it."""
    part = part or schema()
    findings = {f: None for error in _validator()(part).iter_errors(data) for f in _explain(error)}
    return [*findings, *_conditional(data, part, (), {})]


def fill(data: Any, part: Schema | None = None) -> Any:
    """Return a copy of ``data`` with all defaults of the schema, and numbers in their type.

    Keys that the chosen method or prior does not have are left out; anything else that does not fit
    the schema is copied as it is.
    """
    return _fill(copy.deepcopy(data), part or schema(), {})


@cache
def _validator() -> Any:
    def full_pattern(_: Any, pattern: str, value: Any, part: Schema) -> Iterator[ValidationError]:
        # JSON Schema searches, and Python's $ accepts a trailing line break: names must not.
        if isinstance(value, str) and not re.fullmatch(pattern, value):
            yield ValidationError(part["x-pattern"])

    return validators.extend(Draft7Validator, {"pattern": full_pattern})


def _explain(error: ValidationError) -> Iterator[Finding]:
    """Translate one error of jsonschema."""
    path, value, keyword = tuple(error.absolute_path), error.instance, error.validator
    wanted = error.validator_value
    if keyword == "additionalProperties":
        known = error.schema["properties"]
        for key in (key for key in value if key not in known):
            yield Finding((*path, key), unknown("key", key, known), harmless=True)
    elif keyword == "required":
        for key in (key for key in wanted if key not in value):
            yield Finding(path, _missing(key, error.schema["properties"][key]))
    elif "propertyNames" in error.absolute_schema_path:
        wanted = error.message if keyword == "pattern" else f"at most {wanted} characters"
        yield Finding((*path, value), f"expected a name of {wanted}, got {show(value)}")
    elif keyword == "enum":
        yield Finding(
            path, unknown("value", value, wanted) if isinstance(value, str) else _type(error)
        )
    elif keyword == "type":
        yield Finding(path, _type(error))
    else:
        yield Finding(path, _MESSAGES[keyword](error, show(value)))


def _type(error: ValidationError) -> str:
    expected = type_words(error.schema)
    hint = ""
    if "string" in error.schema.get("type", []) and not isinstance(error.instance, list | dict):
        hint = "" if error.instance is None else "; put it in quotes"
    return f"expected {expected}, got {show(error.instance)}{hint}"


def _missing(key: str, part: Schema) -> str:
    return f"missing key '{key}' ({part['description'].split('. ')[0].rstrip('.')})"


def _entries(number: int) -> str:
    return "1 entry" if number == 1 else f"{number} entries"


_MESSAGES: dict[str, Callable[[ValidationError, str], str]] = {
    "const": lambda e, value: f"expected {show(e.validator_value)}, got {value}",
    "minimum": lambda e, value: f"expected at least {e.validator_value:.15g}, got {value}",
    "maximum": lambda e, value: f"expected at most {e.validator_value:.15g}, got {value}",
    "exclusiveMinimum": lambda e, value: f"expected more than {e.validator_value}, got {value}",
    "exclusiveMaximum": lambda e, value: f"expected less than {e.validator_value}, got {value}",
    "minLength": lambda e, _: "expected text, got an empty string",
    "maxLength": lambda e, _: (
        f"expected at most {e.validator_value} characters, got {len(e.instance)}"
    ),
    "minItems": lambda e, _: (
        f"expected {_count(e.schema, e.validator_value)}, got {len(e.instance)}"
    ),
    "maxItems": lambda e, _: (
        f"expected {_count(e.schema, e.validator_value, 'most')}, got {len(e.instance)}"
    ),
    "maxProperties": lambda e, _: (
        f"expected at most {_entries(e.validator_value)}, got {len(e.instance)}"
    ),
    "minProperties": lambda e, _: f"expected at least {_entries(e.validator_value)}, got 0",
    "uniqueItems": lambda e, _: "expected distinct entries, got a duplicate",
    "pattern": lambda e, value: f"expected {e.message}, got {value}",
}


def _count(part: Schema, number: int, bound: str = "least") -> str:
    if part.get("minItems") == part.get("maxItems"):
        return f"exactly {_entries(part['minItems'])}"
    return f"at {bound} {_entries(number)}"


def children(data: Any, part: Schema) -> Iterator[tuple[Any, Any, Schema]]:
    """The keys and values inside ``data`` that the schema describes, with their schemas."""
    if isinstance(data, dict):
        others = part.get("additionalProperties")
        known = part.get("properties", {})
        for key, value in data.items():
            if key in known:
                yield key, value, known[key]
            elif isinstance(others, dict):
                yield key, value, others
    elif isinstance(data, list) and "items" in part:
        yield from ((i, value, part["items"]) for i, value in enumerate(data))


def choices(data: Any, part: Schema, chosen: Mapping[str, Any]) -> Mapping[str, Any]:
    """Add to ``chosen`` what ``data`` itself chooses, such as its method, if it is valid.

    What it leaves out is chosen by default.
    """
    if not isinstance(data, dict):
        return chosen
    known = part.get("properties", {})
    conditions = ("x-when", "x-unless")
    keys = {key for child in known.values() for name in conditions for key in child.get(name, {})}
    # A choice may exist for some of the choices before it only: the estimator, for some methods.
    for key in sorted(keys & known.keys(), key=list(known).index):
        value = data.get(key, known[key].get("default"))
        if applies(known[key], chosen) and value in known[key]["enum"]:
            chosen = {**chosen, key: value}
    return chosen


def _conditional(
    data: Any, part: Schema, path: KeyPath, chosen: Mapping[str, Any]
) -> Iterator[Finding]:
    """Find keys that are unknown, or missing, for the chosen method or prior."""
    chosen = choices(data, part, chosen)
    if isinstance(data, dict):
        for key, child in part.get("properties", {}).items():
            # Without a valid choice there is nothing to compare with; that is reported already.
            if not all(name in chosen for name in child.get("x-when", {})):
                continue
            if key in data and not applies(child, chosen):
                yield Finding((*path, key), _unused(child, chosen), harmless=True)
            elif child.get("x-required") and key not in data and applies(child, chosen):
                yield Finding(path, _missing(key, child))
    for key, value, child in children(data, part):
        if applies(child, chosen):
            yield from _conditional(value, child, (*path, key), chosen)


def _unused(part: Schema, chosen: Mapping[str, Any]) -> str:
    """Say what has been chosen that makes a key meaningless."""
    for name, values in part.get("x-when", {}).items():
        if chosen[name] not in values:
            return f"not used by {name} {show(chosen[name])} (only by {', '.join(values)})"
    name = next(key for key, values in part["x-unless"].items() if chosen.get(key) in values)
    return f"not used by {name} {show(chosen[name])}"


def _fill(data: Any, part: Schema, chosen: Mapping[str, Any]) -> Any:
    chosen = choices(data, part, chosen)
    if isinstance(data, dict):
        for key, child in part.get("properties", {}).items():
            if not applies(child, chosen):
                data.pop(key, None)
            elif "default" in child and key not in data:
                usual = child.get("x-defaults", {}).get(chosen.get("method"), child["default"])
                data[key] = copy.deepcopy(usual)
    for key, value, child in list(children(data, part)):
        data[key] = _fill(value, child, chosen)
    return _typed(data, part.get("type", ()))


def _typed(value: Any, types: str | list[str]) -> Any:
    """Give a number the type that the schema says: 15 and 15.0 must not differ downstream."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    if "number" in types:
        return float(value)
    return int(value) if "integer" in types and float(value).is_integer() else value
