"""The events that MadGraph draws: read, weighted, and written as a clean LHE file.

MadGraph's files carry what its own programs need: paths, seeds, the history of a run. What
is kept is the physics: particles, scales, cards, and one weight for every benchmark.
"""

from __future__ import annotations

import gzip
import math
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from madminer_workflow import __version__
from madminer_workflow.errors import StepError
from madminer_workflow.files import atomic_path
from madminer_workflow.physics.readers.lhe_text import (
    FINAL,
    INCOMING,
    PARTICLE_LINE,
    EventError,
    read_numbers,
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

    def first(self, n_events: int) -> DrawnEvents:
        """The first ``n_events``."""
        external = int(self.sizes[:n_events].sum())
        return DrawnEvents(
            self.beams,
            self.texts[:n_events],
            self.headers[:n_events],
            self.sizes[:n_events],
            self.pdgid[:external],
            self.incoming[:external],
            self.momenta[:external],
            self.variations[:n_events],
        )


def concatenate(parts: list[DrawnEvents]) -> DrawnEvents:
    """Join events drawn from the same process."""
    return DrawnEvents(
        parts[0].beams,
        [text for part in parts for text in part.texts],
        *(
            np.concatenate([getattr(part, name) for part in parts])
            for name in ("headers", "sizes", "pdgid", "incoming", "momenta", "variations")
        ),
    )


def read_drawn(path: Path) -> DrawnEvents:
    """Read MadGraph's file, without variations; StepError if damaged or not finite."""
    try:
        data = gzip.decompress(path.read_bytes())
    except (OSError, EOFError, zlib.error) as error:
        raise StepError(f"{path.name}: MadGraph's event file is damaged ({error})") from None
    try:
        text = split_events(data)
        init = re.search(rb"<init>\s*\n([^\n]*)\n", text.before)
        if init is None or b"</LesHouchesEvents>" not in text.after:
            raise StepError(f"{path.name}: MadGraph's event file is truncated")
        lines, particles = read_numbers([_announced(event) for event in text.events])
    except EventError as error:
        raise StepError(f"{path.name}: event {error.number} cannot be read: {error}") from None
    if not (np.isfinite(lines).all() and np.isfinite(particles).all()):
        raise StepError(f"{path.name}: has events with NaN or infinity")
    counts = lines[:, 0].astype(int)
    columns = dict(zip(PARTICLE_LINE, particles.T, strict=True))
    external = np.isin(columns["status"], (INCOMING, FINAL))
    event = np.repeat(np.arange(len(counts)), counts)
    return DrawnEvents(
        beams=" ".join(init.group(1).decode().split()[:8]),
        texts=[_particle_lines(*pair) for pair in zip(text.events, counts, strict=True)],
        headers=lines,
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


@dataclass(frozen=True)
class Header:
    """What a file says about all of its events.

    ``cards`` maps a tag of the header to its text; ``weights`` maps every weight's name to what it
    means; ``cross_section`` is value and error [pb].
    """

    generator: str
    version: str
    cards: Mapping[str, str]
    weights: Mapping[str, str]
    cross_section: tuple[float, float]


def write_events(
    path: Path, header: Header, events: DrawnEvents, nominal: np.ndarray, weights: np.ndarray
) -> None:
    """Write a self-contained LHE 3.0 file, atomically.

    ``nominal`` (n_events,) becomes XWGTUP and adds up to the cross-section, ``weights``
    (n_events, n_weights) go into ``<rwgt>`` in the order of ``header.weights`` [pb].
    """
    names = list(header.weights)
    template = "".join(f"<wgt id='{name}'> %+.9e </wgt>\n" for name in names)
    with atomic_path(path) as product, product.open("w", encoding="utf-8") as file:
        file.write(_preamble(header, events, nominal))
        for text, row, weight, named in zip(
            events.texts, events.headers, nominal, weights, strict=True
        ):
            file.write(
                f"<event>\n {int(row[0]):d} {int(row[1]):d} {weight:+.9e} "
                f"{row[3]:.8e} {row[4]:.8e} {row[5]:.8e}\n{text}\n"
            )
            if names:
                file.write(f"<rwgt>\n{template % tuple(named)}</rwgt>\n")
            file.write("</event>\n")
        file.write("</LesHouchesEvents>\n")


def _preamble(header: Header, events: DrawnEvents, nominal: np.ndarray) -> str:
    lines = ['<LesHouchesEvents version="3.0">', "<header>"]
    for tag, text in header.cards.items():
        # Pythia reads the parameter card from here, and not inside of CDATA.
        opening, closing = ([], []) if tag == "slha" else (["<![CDATA["], ["]]>"])
        lines += [f"<{tag}>", *opening, text.strip("\n"), *closing, f"</{tag}>"]
    if header.weights:
        lines += ["<initrwgt>", "<weightgroup name='benchmarks' "]
        lines[-1] += "weight_name_strategy='includeIdInWeightName'>"
        lines += [f"<weight id='{name}'>{text}</weight>" for name, text in header.weights.items()]
        lines += ["</weightgroup>", "</initrwgt>"]
    # Strategy 3: unweighted events; negative where weights may be.
    strategy = 3 if nominal.min() > 0 else -3
    processes = events.headers[:, 1].astype(int)
    numbers = sorted(set(processes.tolist()))
    lines += ["</header>", "<init>", f"{events.beams} {strategy} {len(numbers)}"]
    relative_error = header.cross_section[1] / header.cross_section[0]
    for number in numbers:
        weights = nominal[processes == number]
        value = math.fsum(weights)
        largest = float(np.abs(weights).max())
        lines.append(f"{value:.8e} {abs(value) * relative_error:.8e} {largest:.8e} {number}")
    lines.append(
        f"<generator name='{header.generator}' version='{header.version}'>"
        f"written by madminer-workflow {__version__}</generator>"
    )
    return "\n".join([*lines, "</init>", ""])
