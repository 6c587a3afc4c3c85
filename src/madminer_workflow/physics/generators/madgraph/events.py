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

_INCOMING, _FINAL = -1, 1


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
        with gzip.open(path, "rt") as file:
            text = file.read()
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise StepError(f"{path.name}: MadGraph's event file is damaged ({error})") from None
    init = re.search(r"<init>\s*\n([^\n]*)\n", text)
    if init is None or "</LesHouchesEvents>" not in text[-100:]:
        raise StepError(f"{path.name}: MadGraph's event file is truncated")
    texts, headers, sizes, external = [], [], [], []
    for number, body in enumerate(re.findall(r"<event>\n(.*?)</event>", text, re.DOTALL), 1):
        try:
            lines = body.split("\n")
            header = [float(word) for word in lines[0].split()]
            n_particles = int(header[0])
            particles = [line.split() for line in lines[1 : n_particles + 1]]
            if len(header) != 6 or any(len(words) != 13 for words in particles):
                raise ValueError
            rows = [
                (int(words[0]), int(words[1]), *map(float, (words[9], *words[6:9])))
                for words in particles
                if int(words[1]) in (_INCOMING, _FINAL)
            ]
        except ValueError:
            raise StepError(f"{path.name}: event {number} cannot be read") from None
        # Merging of jet multiplicities needs the scales of the clustering.
        scales = [line for line in lines[n_particles + 1 :] if line.startswith("<scales")]
        texts.append("\n".join([*lines[1 : n_particles + 1], *scales]))
        headers.append(header)
        sizes.append(len(rows))
        external.extend(rows)
    numbers = np.array(external, dtype=float).reshape(-1, 6)
    events = DrawnEvents(
        beams=" ".join(init.group(1).split()[:8]),
        texts=texts,
        headers=np.array(headers, dtype=float).reshape(-1, 6),
        sizes=np.array(sizes, dtype=int),
        pdgid=numbers[:, 0].astype(int),
        incoming=numbers[:, 1] == _INCOMING,
        momenta=numbers[:, 2:],
        variations=np.zeros((len(texts), 0)),
    )
    if not (np.isfinite(events.headers).all() and np.isfinite(events.momenta).all()):
        raise StepError(f"{path.name}: has events with NaN or infinity")
    return events


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
        for text, row, own, others in zip(
            events.texts, events.headers, nominal, weights, strict=True
        ):
            file.write(
                f"<event>\n {int(row[0]):d} {int(row[1]):d} {own:+.9e} "
                f"{row[3]:.8e} {row[4]:.8e} {row[5]:.8e}\n{text}\n"
            )
            if names:
                file.write(f"<rwgt>\n{template % tuple(others)}</rwgt>\n")
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
        own = nominal[processes == number]
        value = math.fsum(own)
        largest = float(np.abs(own).max())
        lines.append(f"{value:.8e} {abs(value) * relative_error:.8e} {largest:.8e} {number}")
    lines.append(
        f"<generator name='{header.generator}' version='{header.version}'>"
        f"written by madminer-workflow {__version__}</generator>"
    )
    return "\n".join([*lines, "</init>", ""])
