"""Les Houches event files, version 3.0 (hep-ph/0609017, arXiv:1405.1067), as all generators write.

The header carries what MadMiner's reader looks for: a run card that says how weights add up.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path
from typing import IO, cast

from madminer_workflow.files import atomic_path


@dataclass(frozen=True)
class Header:
    """What a file says about all of its events.

    ``cards`` maps a tag of the header to its text, ``weights`` the name of a weight to what it
    means; ``variations`` are the tags of further weights. ``beams`` are ids, energies and PDFs as
    in ``<init>``, ``strategy`` is how weights are meant (3: unweighted events, -3: of either sign);
    ``subprocesses`` have a cross-section, its error, the largest weight [pb] and a number each.
    ``generator`` is the tag of the program.
    """

    cards: Mapping[str, str]
    weights: Mapping[str, str]
    beams: str
    strategy: int
    subprocesses: Sequence[tuple[float, float, float, int]]
    generator: str
    variations: Sequence[str] = ()


def write_lhe(path: Path, header: Header, events: Iterable[str]) -> None:
    """Write a file of ``events``, texts of one or more from ``<event>`` on, atomically.

    It is compressed if its name ends in ``.gz``; equal events make equal bytes.
    """
    with atomic_path(path) as product, written(product) as file:
        file.write(_preamble(header))
        file.writelines(events)
        file.write("</LesHouchesEvents>\n")


@contextmanager
def written(path: Path) -> Iterator[IO[str]]:
    """The text of a file, compressed if its name ends in ``.gz``: equal texts make equal bytes."""
    if path.suffix != ".gz":
        with path.open("w", encoding="utf-8") as file:
            yield file
        return
    with (
        path.open("wb") as raw,
        gzip.GzipFile(filename="", fileobj=raw, mode="wb", compresslevel=6, mtime=0) as zipped,
        TextIOWrapper(cast(IO[bytes], zipped), encoding="utf-8") as file,
    ):
        yield file


def assignments(point: Mapping[str, float]) -> str:
    """What a weight at a parameter point means."""
    return ", ".join(f"{name} = {value!r}" for name, value in point.items())


def run_card_text(entries: Mapping[str, object]) -> str:
    """The text of a run card."""
    return "\n".join(f"  {value} = {key}" for key, value in entries.items())


def _preamble(header: Header) -> str:
    lines = ['<LesHouchesEvents version="3.0">', "<header>"]
    for tag, text in header.cards.items():
        # Pythia reads the parameter card from here, and not inside of CDATA.
        opening, closing = ([], []) if tag == "slha" else (["<![CDATA["], ["]]>"])
        lines += [f"<{tag}>", *opening, text.strip("\n"), *closing, f"</{tag}>"]
    strategy = "weight_name_strategy='includeIdInWeightName'"
    lines += ["<initrwgt>", f"<weightgroup name='benchmarks' {strategy}>"]
    lines += [f"<weight id='{name}'>{text}</weight>" for name, text in header.weights.items()]
    lines.append("</weightgroup>")
    if header.variations:
        lines += ["<weightgroup name='scale variation'>", *header.variations, "</weightgroup>"]
    lines += ["</initrwgt>", "</header>", "<init>"]
    lines.append(f"{header.beams} {header.strategy} {len(header.subprocesses)}")
    for value, error, largest, number in header.subprocesses:
        # With all digits: who reads the file again has the same cross-section.
        lines.append(f"{value:.16e} {error:.16e} {largest:.8e} {number}")
    return "\n".join([*lines, header.generator, "</init>", ""])
