"""What Les Houches event files (hep-ph/0609017, LHE 3.0) say of themselves, before their events.

Files are read in pieces, plain or compressed with gzip, so that memory does not grow with them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from html import unescape
from pathlib import Path

from madminer_workflow import archives
from madminer_workflow.errors import InputError

XWGTUP = "XWGTUP"
"""Names the weight in the line that begins an event, which has no name of its own."""

EVENT_END = b"</event>"
FILE_END = b"</LesHouchesEvents>"

_PIECE = 4_000_000
_LONGEST = 64_000_000
"""Of what comes before the first event, and of an event [B]."""

_EVENT = re.compile(rb"^[ \t]*<event[\s>]", re.MULTILINE)
_OWN = re.compile(rb"^[ \t]*<event(?:\s[^>]*)?>\s*\S+\s+\S+\s+(\S+)", re.MULTILINE)
TAG = rb"<(?:wgt\s+id|weight\s+name)\s*=\s*(?:'([^']*)'|\"([^\"]*)\")\s*>"
"""Begins a weight of an event, in version 3 and, beside other numbers, in version 2."""
_USED = re.compile(TAG)
LIST = re.compile(rb"<weights(?:\s[^>]*)?>([^<]*)</weights>")
"""The weights of an event without their names, in the order of the header's."""
_TAG = re.compile(rb"<(\w+)")
_WITH_WEIGHTS = {"rwgt", "wgt", "weight", "weights"}
_ELSEWHERE = re.compile(r"<eventfile\s[^>]*?name\s*=\s*['\"]([^'\"]+)")
_GROUP = re.compile(r"<weightgroup\b([^>]*)>(.*?)</weightgroup>", re.DOTALL)
_DECLARED = re.compile(r"<weight\s([^>]*)>(.*?)</weight>", re.DOTALL)
_ATTRIBUTE = re.compile(r"([\w:.-]+)\s*=\s*(?:'([^']*)'|\"([^\"]*)\")")
_SET = re.compile(r"set\s+param_card\s+(\w+)\s+(\d+)\s+([-+.\deEdD]+)")
_ASSIGNMENT = re.compile(r"(\w+)\s*=\s*([-+]?[.\d][-+.\deE]*)")

Couplings = Mapping[tuple[str, int], float]
"""Values of a parameter card by block, in lower case, and number."""


@dataclass(frozen=True)
class Weight:
    """What the header says of a weight: its text, and the attributes of its tag."""

    text: str
    attributes: Mapping[str, str]

    @property
    def changes(self) -> Couplings:
        """The entries of the parameter card that MadGraph's reweighting has set."""
        return {
            (block.lower(), int(number)): as_number(value)
            for block, number, value in _SET.findall(self.text)
        }

    @property
    def assignments(self) -> Mapping[str, float]:
        """The numbers that names are assigned, as our own files have them."""
        return {name: as_number(value) for name, value in _ASSIGNMENT.findall(self.text)}


@dataclass(frozen=True)
class LHEStart:
    """What a file has before its events, and the names of the weights in the first of these.

    ``negative`` is the share of negative ones in the sum of its first events' own absolute weights,
    ``others`` are tags in the first event that have no weights.
    """

    path: Path
    header: str
    weights: tuple[str, ...]
    declared: Mapping[str, Weight] = field(default_factory=dict)
    negative: float = 0.0
    others: tuple[str, ...] = ()

    def card(self, tag: str) -> str | None:
        """The text of a card in the header."""
        found = re.search(rf"<{tag}>(.*?)</{tag}>", self.header, re.DOTALL)
        return found and found[1].replace("<![CDATA[", "").replace("]]>", "").strip("\n")

    @property
    def version(self) -> str | None:
        """That of the format."""
        found = re.search(r"<LesHouchesEvents\s+version\s*=\s*['\"]([^'\"]*)", self.header)
        return found and found[1]

    @property
    def groups(self) -> list[tuple[str, int]]:
        """The names of groups of weights, and how many are in each."""
        groups = []
        for tag, text in _GROUP.findall(_weight_header(self.header)):
            attributes = _attributes(tag)
            name = attributes.get("name") or attributes.get("type") or "without a name"
            groups.append((name, len(_DECLARED.findall(text))))
        return groups

    @cached_property
    def run_card(self) -> Mapping[str, str]:
        """The settings of MadGraph's run card."""
        settings = {}
        for line in (self.card("MGRunCard") or "").splitlines():
            value, separator, key = line.split("!")[0].partition("=")
            if separator:
                settings[key.strip()] = value.strip().strip("'\"")
        return settings

    @cached_property
    def couplings(self) -> Couplings:
        """The parameter card that the events were generated with; empty if there is none."""
        values, block = {}, ""
        for line in (self.card("slha") or "").splitlines():
            words = line.split("#")[0].split()
            if len(words) > 1 and words[0].lower() == "block":
                block = words[1].lower()
            elif len(words) == 2 and block and words[0].isdigit():
                values[block, int(words[0])] = as_number(words[1])
            elif words and words[0].lower() == "decay":
                block = ""
        return values

    @cached_property
    def init(self) -> list[list[str]]:
        """The lines of ``<init>``, as words: the beams, then one for each subprocess."""
        found = re.search(r"<init(?:\s[^>]*)?>(.*?)(?:</init>|\Z)", self.header, re.DOTALL)
        lines = [line.split("#")[0].split() for line in found[1].splitlines()] if found else []
        lines = [words for words in lines if words]
        n = int(lines[0][9]) if lines and len(lines[0]) == 10 and lines[0][9].isdigit() else 0
        return lines[: 1 + n]

    @cached_property
    def cross_section(self) -> tuple[float, float] | None:
        """That of all subprocesses together [pb] and its error; None if ``<init>`` has none.

        Generators that do not know it write 1 with an error of 1, as Sherpa does, or 0.
        """
        rows = [[as_number(word) for word in words[:2]] for words in self.init[1:]]
        if not rows or any(len(row) < 2 for row in rows):
            return None
        value, error = sum(row[0] for row in rows), math.hypot(*(row[1] for row in rows))
        return (
            (value, error) if math.isfinite(value) and value > 0.0 and not error >= value else None
        )

    @property
    def average(self) -> bool:
        """Whether ``<init>`` says that weights average to the cross-section (IDWTUP is 4 or -4)."""
        return bool(self.init) and self.init[0][8:9] in (["4"], ["-4"])


def read_start(path: Path) -> LHEStart:
    """Read a file up to the end of its first event.

    Raises InputError if it cannot be read, is another file, or has no event.
    """
    text = b""
    for piece in pieces(path):
        text += piece
        if EVENT_END in piece:
            break
    first = _EVENT.search(text)
    if b"<LesHouchesEvents" not in text[:10_000]:
        raise InputError(f"{path}: is not an LHE file: it does not start with <LesHouchesEvents>")
    if first is None:
        raise InputError(f"{path}: no events in this file{_where_else(text)}")
    event = text[first.end() : text.find(EVENT_END, first.end())]
    header = text[: first.start()].decode(errors="replace")
    declared = declared_weights(header)
    names = _names(event, declared)
    own = [as_number(weight.decode("ascii", "replace")) for weight in _OWN.findall(text)]
    total = sum(map(abs, own))
    negative = -sum(weight for weight in own if weight < 0.0) / total if total > 0.0 else 0.0
    others = {tag.decode(): None for tag in _TAG.findall(event)}.keys() - _WITH_WEIGHTS
    return LHEStart(path, header, names, declared, negative, tuple(sorted(others)))


def _where_else(text: bytes) -> str:
    """Where the events are of a file that names others for them."""
    others = _ELSEWHERE.findall(text.decode(errors="replace"))
    if not others:
        return ""
    return f": they are in {', '.join(others)}; insert them before {FILE_END.decode()}"


def count_events(path: Path) -> int:
    """The number of events in a whole file; InputError if it is damaged, truncated or empty."""
    n = line = 0
    last = b""
    for piece in pieces(path):
        line += last.count(b"\n")
        n, last = n + piece.count(EVENT_END), piece
    if begun := _EVENT.search(last):
        line += 1 + last.count(b"\n", 0, begun.start())
        raise InputError(f"{path}: truncated: the event that starts at line {line} does not end")
    if FILE_END not in last:
        raise InputError(
            f"{path}: truncated, or not an LHE file: it does not end with </LesHouchesEvents>"
        )
    if not n:
        raise InputError(f"{path}: no events in this file")
    return n


def estimate_events(path: Path) -> int:
    """About the number of events in a file, from how large those in its first piece are."""
    start = next(iter(pieces(path)), b"")
    n, first = start.count(EVENT_END), _EVENT.search(start)
    if not n or first is None or FILE_END in start:
        return n
    of_events = start[first.start() :]
    return max(n, int(n * archives.content_size(path, of_events) / len(of_events)))


def pieces(path: Path, size: int = _PIECE) -> Iterator[bytes]:
    """The content of a file in pieces of about ``size`` bytes; all but the last end with an event.

    Raises InputError if the file is missing, damaged, or has an event without end.
    """
    with archives.damages_named(path), archives.opened(path) as stream:
        parts: list[bytes] = []
        while data := stream.read(size):
            # An end tag may lie across what is read.
            data = (parts.pop() if parts else b"") + data
            cut = data.rfind(EVENT_END)
            if cut < 0:
                if len(data) > _LONGEST:
                    raise InputError(f"{path}: is not an LHE file: it contains no complete event")
                parts = [data]
                continue
            yield data[: cut + len(EVENT_END)]
            parts = [data[cut + len(EVENT_END) :]]
        yield b"".join(parts)


def names_of_list(n_weights: int, declared: Collection[str]) -> tuple[str, ...]:
    """The names of the weights in ``<weights>``: those that the header has ``declared``.

    If it has declared another number of them, that is their places, counted from 0.
    """
    if len(declared) == n_weights:
        return tuple(declared)
    return tuple(map(str, range(n_weights)))


def _names(event: bytes, declared: Collection[str]) -> tuple[str, ...]:
    """The names of the weights in an event."""
    used = [(single or double).decode(errors="replace") for single, double in _USED.findall(event)]
    if not used and (listed := LIST.search(event)):
        return names_of_list(len(listed[1].split()), declared)
    return tuple(used)


def declared_weights(header: str) -> dict[str, Weight]:
    """The weights of ``<initrwgt>`` by their ids."""
    weights = {}
    for tag, text in _DECLARED.findall(_weight_header(header)):
        attributes = _attributes(tag)
        if "id" in attributes:
            weights[attributes.pop("id")] = Weight(" ".join(text.split()), attributes)
    return weights


def _weight_header(header: str) -> str:
    """The header with ``<weight>`` tags; some programs write them as text, ``&lt;weight``."""
    return unescape(header) if "&lt;weight" in header else header


def _attributes(tag: str) -> dict[str, str]:
    return {name: single or double for name, single, double in _ATTRIBUTE.findall(tag)}


def as_number(text: str) -> float:
    """A number, also with Fortran's exponent; NaN for what is none."""
    try:
        return float(text.lower().replace("d", "e"))
    except ValueError:
        return math.nan
