"""HepMC files as text, versions 2 (IO_GenEvent) and 3 (Asciiv3): events, weights, cross-sections.

Formats: M. Dobbs and J. B. Hansen, Comput. Phys. Commun. 134 (2001) 41; A. Buckley et al., Comput.
Phys. Commun. 260 (2021) 107310. Files are read in pieces, plain or compressed with gzip.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from madminer_workflow import archives
from madminer_workflow.analysis.lhe_files import LHEStart
from madminer_workflow.errors import InputError

FILE_END = b"END_EVENT_LISTING"

_PIECE = 4_000_000
_LONGEST = 256_000_000
"""Of an event [B]."""

_INIT = "<init>\n2212 2212 0 0 0 0 0 0 -3 1\n{0[0]!r} {0[1]!r} 0 1\n</init>\n"
_EVENT = re.compile(rb"^E ", re.MULTILINE)
_FRAME = re.compile(rb"^HepMC::[^\n]*\n?", re.MULTILINE)
_QUOTED = re.compile(rb'"([^"]*)"')


@dataclass(frozen=True)
class HepMCEvent:
    """An event: its text, its weights, and what is said of it.

    ``names`` are those of its weights, if it says them; ``cross_section`` is the generator's
    estimate so far and its error [pb].
    """

    text: bytes
    weights: tuple[float, ...]
    names: tuple[str, ...]
    cross_section: tuple[float, float] | None
    scale: float
    alpha_qed: float
    alpha_qcd: float


@dataclass(frozen=True)
class HepMCStart:
    """What a file has before its events, and the first of these; ``version`` is 2 or 3."""

    path: Path
    version: int
    header: bytes
    weights: tuple[str, ...]
    first: HepMCEvent


def read_start(path: Path) -> HepMCStart:
    """Read a file up to the end of its first event.

    Raises InputError if it cannot be read, is another file, or has no event.
    """
    parts = _parts(path)
    header, text = next(parts, b""), next(parts, b"")
    if b"HepMC::" not in header[:1000]:
        raise InputError(f"{path}: not a HepMC file: it does not start with HepMC::Version")
    if not text:
        raise InputError(f"{path}: no events in this file")
    version = 3 if b"HepMC::Asciiv3" in header else 2
    first = _event(path, 1, text, version)
    names = first.names if version == 2 else _names(header)
    if len(names) != len(first.weights):
        names = tuple(map(str, range(len(first.weights))))
    return HepMCStart(path, version, header, names, first)


def events(start: HepMCStart) -> Iterator[HepMCEvent]:
    """The events of a file in their order.

    Raises InputError, with the event, for a file that is truncated or damaged, and for an event
    with other weights than the first.
    """
    parts = _parts(start.path)
    next(parts)
    for number, text in enumerate(parts, 1):
        event = _event(start.path, number, text, start.version)
        if len(event.weights) != len(start.weights) or event.names != start.first.names:
            raise InputError(
                f"{start.path}: event {number}: {len(event.weights)} weights "
                f"({', '.join(event.names) or 'without names'}) where the first event has "
                f"{len(start.weights)} ({', '.join(start.weights)})"
            )
        yield event


def count_events(path: Path) -> int:
    """The number of events in a whole file; InputError if it is damaged, truncated or empty."""
    n = sum(1 for _ in _parts(path)) - 1
    if n < 1:
        raise InputError(f"{path}: no events in this file")
    return n


def estimate_events(path: Path) -> int:
    """About the number of events in a file, from how large those in its first piece are."""
    with archives.damages_named(path), archives.opened(path) as stream:
        start = stream.read(_PIECE)
    n = len(_EVENT.findall(start))
    if not n or FILE_END in start[-200:]:
        return n
    return max(n, int(n * archives.content_size(path, start) / len(start)))


def as_lhe(start: HepMCStart, cross_section: tuple[float, float] | None) -> LHEStart:
    """What a file says of its weights, and a ``cross_section`` [pb], as an LHE file says it.

    An error as large as the cross-section, as that of the first event is, says nothing.
    """
    header = ""
    if cross_section:
        value, error = cross_section
        header = _INIT.format((value, error if error < value else 0.0))
    return LHEStart(start.path, header, start.weights)


def negative_share(start: HepMCStart, n_events: int = 1000) -> float:
    """The share of negative first weights in the sum of the absolute ones, of some events."""
    first = [event.weights[0] for event in islice(events(start), n_events)]
    total = sum(map(abs, first))
    return -sum(weight for weight in first if weight < 0.0) / total if total > 0.0 else 0.0


def renumbered(text: bytes, number: int) -> bytes:
    """An event with another number; nothing else of it changes."""
    _, _, rest = text[2:].partition(b" ")
    return b"E %d %s" % (number, rest)


def _parts(path: Path) -> Iterator[bytes]:
    """What is before the events, then each event; InputError if the file does not end well."""
    with archives.damages_named(path), archives.opened(path) as stream:
        n, rest = 0, b""
        while data := stream.read(_PIECE):
            rest += data
            # A line may go on in the next piece.
            starts = [match.start() for match in _EVENT.finditer(rest)]
            for begin, end in zip([0, *starts], starts, strict=False):
                if end > begin or not n:
                    yield rest[begin:end] if not n else _FRAME.sub(b"", rest[begin:end])
                    n += 1
            rest = rest[starts[-1] :] if starts else rest
            if len(rest) > _LONGEST:
                raise InputError(f"{path}: not a HepMC file: an event is longer than 256 MB")
        if FILE_END not in rest[-200:]:
            raise InputError(
                f"{path}: truncated, or not a HepMC file: it does not end with "
                f"{FILE_END.decode()} (after {max(n - 1, 0)} whole events)"
            )
        yield _FRAME.sub(b"", rest) if n else rest


def _event(path: Path, number: int, text: bytes, version: int) -> HepMCEvent:
    try:
        return (_event_2 if version == 2 else _event_3)(text)
    except (ValueError, IndexError) as error:
        raise InputError(f"{path}: event {number}: cannot be read ({error})") from None


def _event_2(text: bytes) -> HepMCEvent:
    lines = text.split(b"\n")
    words = lines[0].split()
    n_random = int(words[11])
    n_weights = int(words[12 + n_random])
    weights = tuple(map(float, words[13 + n_random : 13 + n_random + n_weights]))
    if len(weights) != n_weights:
        raise ValueError(f"{len(weights)} weights where the event announces {n_weights}")
    vertices = [line.split(b" ") for line in lines if line.startswith(b"V ")]
    n_particles = sum(line.startswith(b"P ") for line in lines)
    _agree(len(vertices), int(words[8]), "vertices")
    _agree(n_particles, sum(int(one[7]) + int(one[8]) for one in vertices), "particles")
    said = {line[:2]: line for line in reversed(lines[:12])}
    names = _QUOTED.findall(said.get(b"N ", b""))
    return HepMCEvent(
        text=text,
        weights=weights or (1.0,),
        names=tuple(name.decode(errors="replace") for name in names),
        cross_section=_cross_section(said[b"C "].split()[1:3]) if b"C " in said else None,
        scale=float(words[3]),
        alpha_qcd=float(words[4]),
        alpha_qed=float(words[5]),
    )


def _event_3(text: bytes) -> HepMCEvent:
    lines = text.split(b"\n")
    _agree(sum(line.startswith(b"P ") for line in lines), int(lines[0].split()[3]), "particles")
    weights = next((line.split()[1:] for line in lines if line.startswith(b"W ")), [])
    said = {
        words[2]: words[3:] for line in lines if line.startswith(b"A 0 ") if (words := line.split())
    }
    numbers = {
        name: float(said[name][0]) if said.get(name) else 0.0
        for name in (b"event_scale", b"alphaQED", b"alphaQCD")
    }
    estimate = said.get(b"GenCrossSection")
    return HepMCEvent(
        text=text,
        weights=tuple(map(float, weights)) or (1.0,),
        names=(),
        cross_section=_cross_section(estimate[:2]) if estimate else None,
        scale=numbers[b"event_scale"],
        alpha_qed=numbers[b"alphaQED"],
        alpha_qcd=numbers[b"alphaQCD"],
    )


def _agree(there: int, announced: int, what: str) -> None:
    if there != announced:
        # Delphes skips such an event silently.
        raise ValueError(f"{there} {what} where the event announces {announced}")


def _cross_section(words: list[bytes]) -> tuple[float, float] | None:
    value, error = (*map(float, words), 0.0)[:2]
    error = error if 0.0 <= error < math.inf else 0.0
    return (value, error) if math.isfinite(value) and value > 0.0 else None


def _names(header: bytes) -> tuple[str, ...]:
    """The names of weights in the header of version 3, which escapes ends of lines between them."""
    line = next((one for one in header.split(b"\n") if one.startswith(b"N ")), b"")
    text = line[2:].decode(errors="replace")
    return tuple(name.replace("\\\\", "\\") for name in text.split("\\|")) if text else ()
