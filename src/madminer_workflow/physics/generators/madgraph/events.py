"""The events that MadGraph draws, and as the text of a clean LHE file.

MadGraph's files carry what its own programs need: paths, seeds, the history of a run. What
is kept is the physics: particles, scales, cards, and one weight for every benchmark.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from madminer_workflow import archives
from madminer_workflow.errors import StepError
from madminer_workflow.physics.readers.lhe_numbers import read_numbers
from madminer_workflow.physics.readers.lhe_text import (
    FINAL,
    INCOMING,
    PARTICLE,
    EventError,
    EventLines,
    split_events,
)


@dataclass(frozen=True)
class DrawnEvents:
    """Events as text and as the numbers that matter.

    ``beams`` is the first line of ``<init>`` (ids, energies, PDFs). ``texts`` are the particle
    lines of every event. ``headers`` (n_events, 6): number of particles, process, weight, scale
    [GeV], alpha_qed, alpha_s. External particles, flat, ``sizes`` (n_events,) of them an event:
    ``pdgid``, ``incoming`` and ``momenta`` (…, 4) as E, px, py, pz [GeV]. ``variations``
    (n_events, n_variations) are weights under uncertainties relative to the nominal one.
    """

    beams: str
    texts: list[str]
    headers: np.ndarray
    sizes: np.ndarray
    pdgid: np.ndarray
    incoming: np.ndarray
    momenta: np.ndarray
    variations: np.ndarray

    def __len__(self) -> int:
        """Return the number of events."""
        return len(self.texts)

    @property
    def multiplicities(self) -> np.ndarray:
        """Weights (n_events,) in units of the usual one: above 1 where the maximum was missed."""
        weights = self.headers[:, 2]
        return weights / np.median(np.abs(weights))


def joined(parts: Sequence[DrawnEvents], n_events: int) -> DrawnEvents:
    """The first ``n_events`` of several files of the same process."""
    names = ("headers", "sizes", "pdgid", "incoming", "momenta", "variations")
    columns = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
    n_external = int(columns["sizes"][:n_events].sum())
    ends = dict.fromkeys(("pdgid", "incoming", "momenta"), n_external)
    texts = [text for part in parts for text in part.texts]
    return DrawnEvents(
        beams=parts[0].beams,
        texts=texts[:n_events],
        **{name: column[: ends.get(name, n_events)] for name, column in columns.items()},
    )


def read_drawn(path: Path) -> DrawnEvents:
    """Read MadGraph's file, without variations; StepError if damaged or not finite."""
    try:
        data = archives.decompressed(path)
    except archives.ArchiveError as error:
        raise StepError(f"{path.name}: MadGraph's event file is damaged ({error})") from None
    try:
        text = split_events(data)
        init = re.search(rb"<init>\s*\n([^\n]*)\n", text.before)
        if init is None or b"</LesHouchesEvents>" not in text.after:
            raise StepError(f"{path.name}: MadGraph's event file is truncated")
        announced = [*map(_announced, text.events)]
        numbers, particles = read_numbers(EventLines.of(announced), lambda: announced)
    except EventError as error:
        raise StepError(f"{path.name}: event {error.number} cannot be read: {error}") from None
    if not (np.isfinite(numbers).all() and np.isfinite(particles).all()):
        raise StepError(f"{path.name}: has events with NaN or infinity")
    counts = numbers[0].astype(int)
    columns = dict(zip(PARTICLE, particles, strict=True))
    external = np.isin(columns["status"], (INCOMING, FINAL))
    event = np.repeat(np.arange(len(counts)), counts)
    return DrawnEvents(
        beams=" ".join(init.group(1).decode().split()[:8]),
        texts=[_particle_lines(*pair) for pair in zip(text.events, counts, strict=True)],
        headers=numbers.T,
        sizes=np.bincount(event[external], minlength=len(counts)),
        pdgid=columns["pdgid"][external].astype(int),
        incoming=columns["status"][external] == INCOMING,
        momenta=np.stack([columns[name] for name in ("e", "px", "py", "pz")], axis=1)[external],
        variations=np.zeros((len(counts), 0)),
    )


def _announced(event: bytes) -> bytes:
    """The line of an event and those of as many particles as it announces."""
    lines = event.split(b"\n")
    n_particles = lines[0].split()[:1]
    if n_particles and n_particles[0].isdigit():
        lines = lines[: int(n_particles[0]) + 1]
    return b"\n".join(lines)


def _particle_lines(event: bytes, n_particles: int) -> str:
    """The lines of an event's particles, and of the scales that merging needs."""
    lines = event.decode().split("\n")
    scales = [line for line in lines[n_particles + 1 :] if line.startswith("<scales")]
    return "\n".join([*lines[1 : n_particles + 1], *scales])


def subprocesses(
    events: DrawnEvents, nominal: np.ndarray, relative_error: float
) -> list[tuple[float, float, float, int]]:
    """Cross-section, error, largest weight [pb] and number of each process among the events.

    ``nominal`` (n_events,) are their weights, which add up to the cross-section.
    """
    processes = events.headers[:, 1].astype(int)
    rows = []
    for number in np.unique(processes).tolist():
        weights = nominal[processes == number]
        value = math.fsum(weights)
        rows.append((value, abs(value) * relative_error, float(np.abs(weights).max()), number))
    return rows


def event_texts(
    events: DrawnEvents, names: Sequence[str], nominal: np.ndarray, weights: np.ndarray
) -> Iterator[str]:
    """The events as text, with ``nominal`` (n_events,) as XWGTUP.

    ``weights`` (n_events, n_weights) [pb] go into ``<rwgt>`` under their ``names``.
    """
    template = "".join(f"<wgt id='{name}'> %+.9e </wgt>\n" for name in names)
    rows = zip(events.texts, events.headers, nominal, weights, strict=True)
    for text, header, weight, named in rows:
        yield (
            f"<event>\n {int(header[0]):d} {int(header[1]):d} {weight:+.9e} "
            f"{header[3]:.8e} {header[4]:.8e} {header[5]:.8e}\n{text}\n"
            f"<rwgt>\n{template % tuple(named)}</rwgt>\n</event>\n"
        )
