"""Les Houches event files (hep-ph/0609017, LHE 3.0) as arrays.

One pass over the text, without an XML tree per event: an event is one line of six numbers, one line
of thirteen for each particle, and named weights in ``<rwgt>``. Comments (``#``, with them the
``#aMCatNLO`` lines) and other tags are skipped. Weights are normalised as in MadMiner: with
``event_norm = average`` in the run card they are divided by the run card's ``nevents``, otherwise
they are taken to sum to the cross-section.
"""

from __future__ import annotations

import gzip
import re
import zlib
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import vector

from madminer_workflow.errors import InputError

_WEIGHT = re.compile(rb"<wgt\s+id\s*=\s*(?:'([^']*)'|\"([^\"]*)\")\s*>([^<]*)</wgt>")
_EVENT = re.compile(rb"\s*<event[\s>]")
_EVENT_LINE_NUMBERS = 6
_PARTICLE_NUMBERS = 13
_FINAL_STATE = 1


@dataclass(frozen=True)
class LHEEvents:
    """The events of one file; weights are in pb and sum to the cross-section.

    `particles` (n, var) are the final-state particles in the file's order, vector's Momentum4D with
    fields px, py, pz, e [GeV], pdgid and spin. `weights` (n, len(weight_names)) are those asked
    for, or all of ``<rwgt>``; `event_weight` (n,) is the event's own (XWGTUP). `variables` (n,) are
    MadMiner's event variables: n_particles, scale, alpha_qed, alpha_qcd.
    """

    path: Path
    particles: Any
    weights: np.ndarray
    weight_names: tuple[str, ...]
    event_weight: np.ndarray
    variables: dict[str, np.ndarray]

    def __len__(self) -> int:
        """Return the number of events."""
        return len(self.event_weight)


def read_lhe(
    path: Path, benchmarks: Sequence[str] | None = None, sampling_benchmark: str | None = None
) -> LHEEvents:
    """Read an LHE file, plain or compressed with gzip.

    With `benchmarks`, the weights are theirs, in this order; the event's own weight (XWGTUP) is
    that of `sampling_benchmark`, unless ``<rwgt>`` has a weight of this name.

    Raises InputError, naming file, event and line, if the file is missing, truncated, empty or
    malformed, if events differ in their weights, if a number is not finite, or if a benchmark has
    no weight.
    """
    try:
        with path.open("rb") as raw:
            compressed = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            text = _read(path, gzip.GzipFile(fileobj=raw) if compressed else raw)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(
            f"{path}: truncated or damaged gzip file ({error}); make it again"
        ) from None
    except OSError as error:
        raise InputError(f"{path}: cannot read it ({error.strerror})") from None
    events = _assemble(path, text)
    return events if benchmarks is None else _choose(events, benchmarks, sampling_benchmark)


def _choose(
    events: LHEEvents, benchmarks: Sequence[str], sampling_benchmark: str | None
) -> LHEEvents:
    """Arrange the weights as `benchmarks`."""
    columns = {} if sampling_benchmark is None else {sampling_benchmark: events.event_weight}
    columns |= dict(zip(events.weight_names, events.weights.T, strict=True))
    missing = [name for name in benchmarks if name not in columns]
    if missing:
        has = (
            f"only {', '.join(events.weight_names)}" if events.weight_names else "no weights at all"
        )
        raise InputError(
            f"{events.path}: no weights for {', '.join(missing)} (<rwgt> has {has}); expected one "
            "for every benchmark of the analysis. Was the reweighting run, and with this analysis?"
        )
    weights = np.stack([columns[name] for name in benchmarks], axis=1)
    return replace(events, weights=weights, weight_names=tuple(benchmarks))


@dataclass
class _Text:
    """The numbers of a file, flat, with where each event starts."""

    factor: float = 1.0
    numbers: array[float] = field(default_factory=lambda: array("d"))
    sizes: list[int] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    weights: array[float] = field(default_factory=lambda: array("d"))
    weight_ids: list[bytes] = field(default_factory=list)


def _read(path: Path, file: Iterable[bytes]) -> _Text:
    """Collect the numbers of all events."""
    text, header = _Text(), []
    for line, body in _sections(path, file):
        if line == 0:
            header.append(body)
            continue
        number = len(text.sizes) + 1
        try:
            _read_event(text, body)
        except ValueError as error:
            raise InputError(f"{path}: event {number} (line {line}): {error}") from None
        text.lines.append(line)
    text.factor = _normalisation(path, b"".join(header))
    return text


def _sections(path: Path, file: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    """Yield the lines of the header, with 0, then each event's text with its first line."""
    body: list[bytes] | None = None
    start, closed = 0, False
    for number, line in enumerate(file, 1):
        if body is None:
            if _EVENT.match(line):
                start, body = number, []
            elif start == 0:
                yield 0, line
            closed = b"</LesHouchesEvents>" in line
        elif line.lstrip().startswith(b"</event>"):
            yield start, b"".join(body)
            body = None
        else:
            body.append(line.split(b"#", 1)[0] + b"\n" if b"#" in line else line)
    if body is not None:
        raise InputError(f"{path}: truncated: the event that starts at line {start} does not end")
    if not closed:
        raise InputError(
            f"{path}: truncated, or not an LHE file: it does not end with </LesHouchesEvents>"
        )


def _read_event(text: _Text, body: bytes) -> None:
    """Append one event's numbers; ValueError says what is wrong with it."""
    end = body.find(b"<")
    size = len(text.numbers)
    text.numbers.extend(map(float, body[:end].split() if end >= 0 else body.split()))
    size = len(text.numbers) - size
    expected = _EVENT_LINE_NUMBERS
    if size >= expected:
        expected += _PARTICLE_NUMBERS * int(text.numbers[len(text.numbers) - size])
    if size != expected:
        raise ValueError(f"{size} numbers where {expected} were announced")
    found = _WEIGHT.findall(body, end) if end >= 0 else []
    if len(found) != body.count(b"<wgt"):
        raise ValueError("unreadable <wgt>; expected <wgt id='NAME'> NUMBER </wgt>")
    ids = [single or double for single, double, _ in found]
    if not text.sizes:
        if len(set(ids)) != len(ids):
            raise ValueError("two weights have the same id")
        text.weight_ids = ids
    elif ids != text.weight_ids:
        raise ValueError(
            f"{len(ids)} weights ({_names(ids)}) where the first event has "
            f"{len(text.weight_ids)} ({_names(text.weight_ids)})"
        )
    text.weights.extend(float(value) for _, _, value in found)
    text.sizes.append(size)


def _names(ids: list[bytes]) -> str:
    return ", ".join(name.decode(errors="replace") for name in ids) or "none"


def _normalisation(path: Path, header: bytes) -> float:
    """Return what turns the file's weights into ones that sum to the cross-section."""
    card = re.search(r"<MGRunCard>(.*?)</MGRunCard>", header.decode(errors="replace"), re.DOTALL)
    settings = {}
    for line in card.group(1).splitlines() if card else []:
        value, separator, key = line.split("!")[0].partition("=")
        if separator:
            settings[key.strip()] = value.strip()
    if settings.get("event_norm") != "average":
        return 1.0
    try:
        return 1.0 / float(settings["nevents"])
    except (KeyError, ValueError, ZeroDivisionError):
        raise InputError(
            f"{path}: the run card says event_norm = average but not the number of events "
            "(nevents), without which the weights have no normalisation"
        ) from None


def _assemble(path: Path, text: _Text) -> LHEEvents:
    """Check the numbers and arrange them by particle and by event."""
    if not text.sizes:
        raise InputError(f"{path}: no events in this file")
    numbers, sizes = np.array(text.numbers), np.array(text.sizes)
    starts = np.cumsum(sizes) - sizes
    weights = np.array(text.weights).reshape(len(sizes), len(text.weight_ids))
    headers = starts[:, np.newaxis] + np.arange(_EVENT_LINE_NUMBERS)
    event_lines = numbers[headers]
    _need_finite(path, text, np.isfinite(event_lines).all(axis=1), "event line")
    _need_finite(path, text, np.isfinite(weights).all(axis=1), "weights")

    table = np.delete(numbers, headers.ravel()).reshape(-1, _PARTICLE_NUMBERS)
    event = np.repeat(np.arange(len(sizes)), event_lines[:, 0].astype(int))
    final = table[:, 1] == _FINAL_STATE
    table, event = table[final], event[final]
    finite = np.bincount(event[~np.isfinite(table).all(axis=1)], minlength=len(sizes)) == 0
    _need_finite(path, text, finite, "particles")
    columns = {"px": 6, "py": 7, "pz": 8, "e": 9, "spin": 12}
    fields = {name: np.ascontiguousarray(table[:, column]) for name, column in columns.items()}
    fields["pdgid"] = table[:, 0].astype(np.int64)
    vector.register_awkward()
    particles = ak.unflatten(
        ak.zip(fields, with_name="Momentum4D"), np.bincount(event, minlength=len(sizes))
    )
    names = ("n_particles", "scale", "alpha_qed", "alpha_qcd")
    return LHEEvents(
        path=path,
        particles=particles,
        weights=weights * text.factor,
        weight_names=tuple(name.decode(errors="replace") for name in text.weight_ids),
        event_weight=event_lines[:, 2] * text.factor,
        variables={
            name: event_lines[:, column] for name, column in zip(names, (0, 3, 4, 5), strict=True)
        },
    )


def _need_finite(path: Path, text: _Text, finite: np.ndarray, what: str) -> None:
    if not finite.all():
        first = int(np.argmin(finite))
        raise InputError(
            f"{path}: event {first + 1} (line {text.lines[first]}): {what} with NaN or infinity"
            + (f"; {np.sum(~finite)} such events in all" if np.sum(~finite) > 1 else "")
        )
