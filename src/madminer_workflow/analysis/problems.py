"""What is wrong with an analysis file, in words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from madminer_workflow.errors import InputError
from madminer_workflow.expressions import nearest_name

Entry = dict[str, Any]
"""A mapping of the file before it has a type: of what validation sees, anything may be missing."""

#: Where a value is: the keys and list indices that lead to it.
KeyPath = tuple[str | int, ...]


@dataclass(frozen=True)
class Finding:
    """A problem at a place of the document.

    ``line`` overrides the line of the place. Findings with ``harmless`` leave the value usable by
    later checks; a ``warning`` does not make the file invalid.
    """

    path: KeyPath
    message: str
    line: int | None = None
    harmless: bool = False
    warning: bool = False


@dataclass(frozen=True)
class Problem:
    """A problem as people see it: file, line (from 1), key path, and what was expected."""

    file: str
    line: int | None
    key: str
    message: str
    warning: bool = False

    def __str__(self) -> str:
        """One line: ``file:line: key: message``, with control characters escaped."""
        return self._line("warning" if self.warning else "")

    @property
    def words(self) -> str:
        """The same without the word warning, for those who have said it."""
        return self._line("")

    def _line(self, kind: str) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        parts = [place, self.key, kind, self.message]
        line = ": ".join(part for part in parts if part)
        escaped = (c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)
        return "".join(escaped)


class AnalysisError(InputError):
    """The analysis file is wrong; the message has one line for each of ``problems``."""

    def __init__(self, problems: Sequence[Problem]):
        """Collect the problems, in the order in which they are to be shown."""
        self.problems = list(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


def show(value: Any) -> str:
    """Render a value of the file briefly and on one line."""
    if value is None:
        return "nothing (null)"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, dict):
        return "a mapping"
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:76]}...{text[-1]}"


def unknown(what: str, name: str, known: Iterable[str], otherwise: str = "") -> str:
    """Say that ``name`` is none of ``known``, and which of them was probably meant."""
    known = list(dict.fromkeys(known))
    expected = ", ".join(map(_printable, known)) + otherwise
    message = f"unknown {what} {show(name)} (expected one of {expected})"
    nearest = nearest_name(name, known)
    return f"{message}; did you mean '{_printable(nearest)}'?" if nearest else message


def label(path: KeyPath, data: Any) -> str:
    """Render a key path, with list entries by name where they have one: ``cuts[0].definition``."""
    text = ""
    for key in path:
        data = _child(data, key)
        if isinstance(key, int):
            text += f"[{_entry_name(data) or key}]"
        else:
            text += f".{_printable(key)}" if text else _printable(key)
    return text


def _printable(name: str) -> str:
    return name if name.isprintable() and name else repr(name)


def _child(data: Any, key: str | int) -> Any:
    if isinstance(data, dict):
        return data.get(key)
    if isinstance(data, list) and isinstance(key, int):
        return data[key]
    return None


def _entry_name(entry: Any) -> str | None:
    if not isinstance(entry, dict):
        return None
    names = (entry.get(key) for key in ("name", "parameter_name", "method"))
    return next((name for name in names if isinstance(name, str) and name.isprintable()), None)
