"""What the types of an analysis add to its schema: which choices there are, and what each has.

``schema.json`` describes every key once. Which values ``method``, ``generator``, ``effect`` and
``prior`` have, and for which of them another key exists, the classes of ``types`` say already: a
key exists for those whose class has the field. ``complete`` writes it into the schema as ``enum``
and ``x-when``.
"""

from __future__ import annotations

import types
from collections.abc import Mapping
from typing import Any, get_args, get_origin

import msgspec

from madminer_workflow.analysis.library import LIBRARY
from madminer_workflow.analysis.types import ONLY_IF, Analysis, Part

Schema = dict[str, Any]
Kinds = Mapping[str, type[Part]]
"""The classes that a part of the file may be, by the value that chooses among them."""


def complete(schema: Schema) -> None:
    """Add the choices of the analysis file to its schema."""
    _complete(schema, "", {"": Analysis}, {"": Analysis})
    process = schema["properties"]["processes"]["items"]["properties"]["process"]
    process["enum"] = list(LIBRARY)
    listed = "; ".join(f"`{name}`: {entry.description}" for name, entry in LIBRARY.items())
    process["description"] += f" {listed}."


def _complete(part: Schema, key: str, chosen: Kinds, kinds: Kinds) -> None:
    """Complete one mapping of the file.

    ``kinds`` are the classes it has for each value of ``key``, and ``chosen`` those that have the
    values: its own, or those of a mapping around it.
    """
    for name, child in part["properties"].items():
        if name == key and chosen is kinds:
            child["enum"] = list(kinds)
            continue
        owners = {
            value: field
            for value, kind in kinds.items()
            if (field := _field(kind, name)) is not None and _exists(field, chosen[value])
        }
        if key and owners and len(owners) < len(chosen):
            child["x-when"] = {key: list(owners), **child.get("x-when", {})}
        inner = child.get("items", child.get("additionalProperties") or child)
        if isinstance(inner, dict) and "properties" in inner:
            _descend(inner, key, chosen, {value: field.type for value, field in owners.items()})


def _descend(part: Schema, key: str, chosen: Kinds, annotations: Mapping[str, Any]) -> None:
    parts = {value: _parts(annotation) for value, annotation in annotations.items()}
    first = next(iter(parts.values()), [])
    if first and first[0].__struct_config__.tag_field:
        # A choice of its own, the same for all around it.
        tagged = {str(kind.__struct_config__.tag): kind for kind in first}
        _complete(part, str(first[0].__struct_config__.tag_field), tagged, tagged)
    elif first:
        owners = {value: chosen[value] for value in parts}
        _complete(part, key, owners, {value: single for value, [single] in parts.items()})


def _parts(annotation: Any) -> list[type[Part]]:
    """The classes of this module's kind in an annotation such as ``dict[str, A | B] | None``."""
    if isinstance(annotation, type) and issubclass(annotation, Part):
        return [annotation]
    if isinstance(annotation, types.UnionType) or get_origin(annotation) in (tuple, dict):
        return [kind for argument in get_args(annotation) for kind in _parts(argument)]
    return []


def _field(kind: type[Part], name: str) -> msgspec.structs.FieldInfo | None:
    return next((field for field in msgspec.structs.fields(kind) if field.name == name), None)


def _exists(field: msgspec.structs.FieldInfo, kind: type[Part]) -> bool:
    """Whether a class has the attribute, if any, that a field of it depends on."""
    for mark in getattr(field.type, "__metadata__", ()):
        if isinstance(mark, msgspec.Meta) and mark.extra and ONLY_IF in mark.extra:
            return bool(getattr(kind, mark.extra[ONLY_IF], False))
    return True
