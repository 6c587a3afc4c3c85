"""Writes the reference page of the analysis file from its schema.

``python -m madminer_workflow.analysis.reference > docs/analysis-file.md``
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from madminer_workflow.analysis.schema import Schema, schema, type_words

_INTRODUCTION = """\
# The analysis file

{description}
The file is in YAML format; `madminer-workflow validate FILE` checks it and lists all problems.
There are complete examples in `inputs/`.

Observables, cuts and efficiencies are [expressions](expressions.md) in MadMiner's language:
particles `e`, `mu`, `tau`, `l`, `v`, `a`, `j` (each list sorted by decreasing pT) and `p` (all
particles, in the order of the file), `met`, `visible`, `all`; properties and methods as in
`j[0].pt`, `(a[0] + a[1]).m`, `j[0].deltaphi(j[1])`; numbers, comparisons, `and`, `or`, `not`, and
functions such as `abs`, `sqrt`, `len`. For events in tables, the columns are also available, as
in `MET_pt`, `Jet_pt[0]`, `len(Jet_pt)` (see [events.md](events.md)).

This page is generated from the schema, `src/madminer_workflow/analysis/schema.json`.
"""


def page() -> str:
    """Return the reference page as Markdown."""
    whole = schema()
    parts = [_INTRODUCTION.format(description=whole["description"]), _table(whole)]
    for title, part in _sections("", whole):
        parts.append(f"\n## `{title}`\n\n{part['description']}\n")
        parts.append(_table(_fields(part)))
    return "\n".join(parts)


def _fields(part: Schema) -> Schema:
    """The mapping whose keys a section describes: itself, or each of its entries."""
    inner = part.get("items", part.get("additionalProperties"))
    return inner if isinstance(inner, dict) else part


def _sections(path: str, part: Schema) -> Iterator[tuple[str, Schema]]:
    for key, child in part.get("properties", {}).items():
        fields = _fields(child)
        if "properties" not in fields:
            continue
        title = f"{path}.{key}".lstrip(".")
        if fields is not child:
            title += "[]" if "items" in child else ".<parameter>"
        yield title, child
        yield from _sections(title, fields)


def _table(part: Schema) -> str:
    rows = ["| key | value | default | meaning |", "|---|---|---|---|"]
    for key, child in part["properties"].items():
        cells = (f"`{key}`", _value(child), _default(key, child, part), _meaning(child))
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(rows) + "\n"


def _value(part: Schema) -> str:
    if "const" in part:
        return f"`{part['const']}`"
    if "enum" in part:
        return ", ".join(f"`{value}`" for value in part["enum"])
    bounds = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    limits = [f"{sign} {part[key]:.15g}" for key, sign in bounds.items() if key in part]
    if "x-pattern" in part:
        limits.append(part["x-pattern"])
    if "maxLength" in part:
        limits.append(f"at most {part['maxLength']} characters")
    return ", ".join([type_words(part), *limits])


def _default(key: str, part: Schema, owner: Schema) -> str:
    if key in owner.get("required", ()) or part.get("x-required"):
        return "**required**"
    if "x-default" in part:
        return part["x-default"]
    usual = f"`{json.dumps(part['default'])}`"
    others = part.get("x-defaults", {}).items()
    return usual + "".join(f"; `{json.dumps(value)}` for {name}" for name, value in others)


def _meaning(part: Schema) -> str:
    conditions = [
        f" {words} {key} {', '.join(values)}."
        for words, name in (("Only for", "x-when"), ("Not for", "x-unless"))
        for key, values in part.get(name, {}).items()
    ]
    return part["description"] + "".join(conditions)


if __name__ == "__main__":
    print(page(), end="")
