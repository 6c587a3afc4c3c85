"""YAML in; plain data, the line of every key, and what is wrong with the text out.

Scalars follow the core schema of YAML 1.2: ``1e-3`` is a number, ``no`` and ``2023-01-01`` are
text.
"""

from __future__ import annotations

import errno
import math
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from madminer_workflow.analysis.labels import is_control
from madminer_workflow.analysis.problems import (
    AnalysisError,
    Entry,
    Finding,
    KeyPath,
    Problem,
    label,
    show,
)
from madminer_workflow.errors import InputError
from madminer_workflow.regular import read_bytes, what_else

_TAG = "tag:yaml.org,2002:"
_LARGEST = 2**63 - 1
#: Far above any real file; aliases of aliases of aliases reach it in a few lines.
_MAX_VALUES = 100_000
#: A megabyte is ten thousand lines.
_MAX_BYTES = 1_000_000


_EXPRESSION = re.compile(r"\b(definition|param_card_transform): *[^'\"\s]")
"""A key whose value is an expression that is not in quotes."""


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012


for _name, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+", list("-+0123456789")),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", list("-+.0123456789")),
):
    _Loader.add_implicit_resolver(_TAG + _name, re.compile(rf"(?:{_pattern})\Z"), _first)


@dataclass
class Document:
    """The content of a file as dicts, lists, str, int, float, bool and None.

    ``lines`` has the line (from 1) of every key path, ``findings`` what is wrong with the YAML
    although it could be read.
    """

    file: str
    data: Any = None
    lines: dict[KeyPath, int] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    def problem(self, finding: Finding) -> Problem:
        """Place a finding in the file: at its own line, or that of the nearest key above it."""
        path = finding.path
        while path and path not in self.lines:
            path = path[:-1]
        line = finding.line or self.lines.get(path, 1)
        key = label(finding.path, self.data)
        return Problem(self.file, line, key, finding.message, finding.warning)


def read(path: str | Path) -> Document:
    """Read a YAML file.

    Raises AnalysisError, with one problem, if it cannot be read or is not YAML.
    """
    document = Document(str(path))
    text = _text(path)
    try:
        node = yaml.compose(text, _Loader)
        if node is not None:
            document.data = _Builder(document).value(node, ())
    except yaml.YAMLError as error:
        raise _error(path, *_syntax(error, text)) from None
    except RecursionError:
        raise _error(path, None, "is nested too deeply") from None
    if node is None:
        raise _error(path, None, "is empty; expected an analysis")
    return document


def _error(path: str | Path, line: int | None, message: str) -> AnalysisError:
    return AnalysisError([Problem(str(path), line, "", message)])


def _text(path: str | Path) -> str:
    path = Path(path)
    other = what_else(path)
    if other == "a directory":
        raise _error(path, None, "is a directory; expected a file, such as its input.yml")
    if other:
        raise _error(path, None, f"is {other}; expected a file, such as an input.yml")
    try:
        data = read_bytes(path, _MAX_BYTES)
    except InputError as error:
        missing = str(error) == os.strerror(errno.ENOENT)
        raise _error(
            path, None, "no such file" if missing else f"cannot be read ({error})"
        ) from None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise _error(path, line, "is not UTF-8 text; save it in this encoding") from None


def _syntax(error: yaml.YAMLError, text: str) -> tuple[int | None, str]:
    """Return line and message of PyYAML's complaint."""
    if isinstance(error, yaml.reader.ReaderError):
        line = text[: error.position].count("\n") + 1
        return line, f"not valid YAML: character U+{error.character:04X} is not allowed"
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        return None, f"not valid YAML: {error}"
    mark, problem = error.problem_mark, error.problem or "unreadable"
    if r"'\t'" in problem:
        return mark.line + 1, "not valid YAML: a tab; indent with spaces"
    context = f"{error.context}, " if error.context else ""
    hint = "; put expressions in quotes" if _unquoted(text, mark.line) else ""
    return mark.line + 1, f"not valid YAML: {context}{problem} (column {mark.column + 1}){hint}"


def _unquoted(text: str, line: int) -> bool:
    """Whether a line has an expression whose brackets or colons YAML takes for its own."""
    lines = text.splitlines()
    return line < len(lines) and _EXPRESSION.search(lines[line]) is not None


def _joined(text: str) -> str:
    """``text`` with the halves of characters joined, as which JSON writes those beyond U+FFFF."""
    if any("\ud800" <= character <= "\udfff" for character in text):
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
    return text


class _Builder:
    """Turns YAML nodes into values, noting their lines."""

    def __init__(self, document: Document):
        self.lines, self.findings = document.lines, document.findings
        self.open: set[int] = set()
        self.count = 0

    def find(self, path: KeyPath, message: str, node: yaml.Node, harmless: bool = False) -> None:
        line = node.start_mark.line + 1
        self.findings.append(Finding(path, message, line, harmless))

    def value(self, node: yaml.Node, path: KeyPath) -> Any:
        self.lines.setdefault(path, node.start_mark.line + 1)
        self.count += 1
        if self.count > _MAX_VALUES:
            problem = f"more than {_MAX_VALUES} values"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)
        if id(node) in self.open:
            self.find(path, "an alias inside the value to which it refers", node)
            return None
        if isinstance(node, yaml.ScalarNode):
            return self.scalar(node, path)
        self.open.add(id(node))
        try:
            if isinstance(node, yaml.SequenceNode) and node.tag == _TAG + "seq":
                return [self.value(item, (*path, i)) for i, item in enumerate(node.value)]
            if isinstance(node, yaml.MappingNode) and node.tag == _TAG + "map":
                return self.mapping(node, path)
        finally:
            self.open.discard(id(node))
        self.find(path, f"YAML tag {node.tag} is not supported", node)
        return None

    def mapping(self, node: yaml.MappingNode, path: KeyPath) -> Entry:
        result: Entry = {}
        for key_node, value_node in node.value:
            key = key_node.value
            if not isinstance(key, str) or key_node.tag != _TAG + "str":
                shown = show(key) if isinstance(key, str) else show({})
                self.find(
                    path, f"key {shown} is not text; put it in quotes", key_node, harmless=True
                )
            elif key in result:
                first = self.lines[(*path, key)]
                message = f"given twice (first on line {first})"
                self.find((*path, key), message, key_node, harmless=True)
            else:
                self.lines[(*path, key)] = key_node.start_mark.line + 1
                result[key] = self.value(value_node, (*path, key))
        return result

    def scalar(self, node: yaml.ScalarNode, path: KeyPath) -> Any:
        kind, text = node.tag.removeprefix(_TAG), node.value
        if kind == "str":
            return self.text(text, node, path)
        if kind == "null":
            return None
        if kind == "bool" and text.lower() in ("true", "false"):
            return text.lower() == "true"
        if kind in ("int", "float"):
            return self.number(kind, node, path)
        self.find(path, f"YAML tag {node.tag} is not supported for {show(text)}", node)
        return None

    def text(self, text: str, node: yaml.Node, path: KeyPath) -> str | None:
        text = _joined(text)
        strange = next((character for character in text if is_control(character)), None)
        if strange is None:
            return text
        self.find(path, f"the character U+{ord(strange):04X} is not allowed in text", node)
        return None

    def number(self, kind: str, node: yaml.ScalarNode, path: KeyPath) -> Any:
        try:
            size = float(node.value)
            if math.isfinite(size) and (kind == "float" or abs(size) < _LARGEST):
                return size if kind == "float" else int(node.value)
        except ValueError:
            self.find(path, f"{show(node.value)} is not a number", node)
            return None
        self.find(path, f"{show(node.value)} is too large", node)
        return None
