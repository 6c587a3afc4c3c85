"""Event files as one sample: weights of the benchmarks under their names, in blocks of events.

Files are read once for their weights and once more to cut them into blocks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from madminer_workflow import __version__
from madminer_workflow.analysis.lhe_files import XWGTUP, LHEStart, read_start
from madminer_workflow.analysis.types import FilesProcess
from madminer_workflow.analysis.varied_weights import varied_weights
from madminer_workflow.analysis.weight_columns import columns, varied_columns
from madminer_workflow.errors import InputError
from madminer_workflow.physics.generators import Request
from madminer_workflow.physics.generators.files.normalisation import Sums, normalise
from madminer_workflow.physics.generators.files.varied import with_variations
from madminer_workflow.physics.generators.lhe_writer import (
    Header,
    assignments,
    run_card_text,
    write_lhe,
)
from madminer_workflow.physics.readers.lhe import read_events
from madminer_workflow.physics.readers.lhe_chunks import read_chunks
from madminer_workflow.physics.readers.lhe_text import without_comments


@dataclass(frozen=True)
class Piece:
    """Some events of a file: their ``own`` weights (n,), and the chosen ones.

    ``texts`` are those of LHE events. ``wrong`` is what to raise for a problem of one of them.
    """

    texts: Sequence[bytes]
    own: np.ndarray
    weights: np.ndarray
    wrong: Callable[[int, str], InputError]


class Sample:
    """The files with the events from one benchmark."""

    def __init__(
        self, request: Request, process: FilesProcess, sampled: str, starts: Sequence[LHEStart]
    ) -> None:
        """Choose the weights of files that begin so; InputError for those that are not there."""
        self._process, self._sampled = process, sampled
        self._size = request.block_size
        # A background is the same at every benchmark.
        points = {sampled: request.benchmarks[sampled]} if process.is_background else None
        self._benchmarks = points or request.benchmarks
        self._starts = starts
        varied = varied_weights(process.variations, request.systematics)
        self._columns = [
            columns(start, self._benchmarks, request.parameters, process.weights, sampled)
            | varied_columns(start, varied)
            for start in starts
        ]
        # Those of the benchmarks, in their order, and then those of uncertainties.
        self._names = [*self._benchmarks, *(name for some in varied.values() for name in some)]
        self._drawn = self._names.index(sampled)
        self._reference = self._drawn if points else self._names.index(request.reference)

    def write(self, directory: Path) -> tuple[float, float]:
        """Write all blocks into ``directory``; the cross-section of their events and its error."""
        sums = [self._sums(i) for i in range(len(self._starts))]
        expected, n_events = self._process.events[self._sampled], sum(one.n_events for one in sums)
        if n_events != expected:
            raise InputError(
                f"processes.{self._process.name}.files.{self._sampled}: {n_events} events, but "
                f"configure counted {expected}; run configure again"
            )
        before_cuts = self._process.sum_of_weights.get(self._sampled)
        found = normalise(
            sums,
            self._process.cross_section.get(self._sampled),
            before_cuts if isinstance(before_cuts, float) else None,
        )
        directory.mkdir(parents=True)
        texts = self._texts(found.factors, n_events)
        for number in range(-(-n_events // self._size)):
            block = list(islice(texts, self._size))
            header = self._header(found.cross_section, len(block))
            write_lhe(block_file(directory, number), header, block)
        return found.cross_section

    def _sums(self, i: int) -> Sums:
        """What the weights of a file add up to."""
        own = drawn = own_squares = squares = 0.0
        n_events = 0
        for piece in self._read(i):
            at = piece.weights[:, self._drawn]
            if len(zero := np.flatnonzero(at == 0.0)):
                problem = f"its weight at {self._sampled}, at which it was drawn, is 0"
                raise piece.wrong(int(zero[0]), problem)
            n_events += len(at)
            own, drawn = own + piece.own.sum(), drawn + at.sum()
            own_squares += np.square(piece.own).sum()
            squares += np.square(at).sum()
        sums = map(float, (own, drawn, own_squares, squares))
        return Sums(self._starts[i], n_events, *sums)

    def _read(self, i: int) -> Iterator[Piece]:
        """The events of a file in pieces."""
        raise NotImplementedError

    def _chosen(self, i: int, own: np.ndarray, named: Mapping[str, np.ndarray]) -> np.ndarray:
        """The weights (n_events, n_weights) of events of a file, of their own and named ones."""
        known = {XWGTUP: own, **named}
        weights = np.stack([known[self._columns[i][name]] for name in self._names], axis=1)
        return with_variations(weights, len(self._benchmarks), self._drawn, self._reference)

    def _texts(self, factors: Sequence[float], n_events: int) -> Iterator[str]:
        """All events, with weights of which those of each block add up to the cross-section.

        That is what generators write, but for fluctuations of the weights.
        """
        place = 0
        for i, factor in enumerate(factors):
            for piece in self._read(i):
                for text, row in zip(piece.texts, piece.weights, strict=True):
                    size = min(self._size, n_events - place // self._size * self._size)
                    values = (row * (factor * (n_events / size))).tolist()
                    yield _text(text, values[self._drawn], zip(self._names, values, strict=True))
                    place += 1

    def _header(self, cross_section: tuple[float, float], n_events: int) -> Header:
        start = self._starts[0]
        settings = {**start.run_card, "nevents": n_events, "event_norm": "sum"}
        cards = {"MGRunCard": run_card_text(settings)}
        cards |= {tag: card for tag in ("MG5ProcCard", "slha") if (card := start.card(tag))}
        beams, *_ = start.init or [["2212", "2212", *["0"] * 7]]
        return Header(
            cards=cards,
            weights={name: assignments(point) for name, point in self._benchmarks.items()},
            beams=" ".join(beams[:8]),
            strategy=-3,
            subprocesses=_subprocesses(start, cross_section),
            generator=f"<generator name='files'>written by madminer-workflow {__version__}"
            "</generator>",
        )


class LHESample(Sample):
    """The LHE files with the events from one benchmark."""

    def __init__(
        self, request: Request, process: FilesProcess, sampled: str, files: Sequence[Path]
    ) -> None:
        """Read how the files begin; InputError for weights that are not there."""
        super().__init__(request, process, sampled, [*map(read_start, files)])

    def _read(self, i: int) -> Iterator[Piece]:
        start = self._starts[i]
        for chunk in read_chunks(start.path):
            events = chunk.read(lambda texts: read_events(start.path, texts, 1.0, start.declared))
            if events.weight_names != start.weights:
                raise chunk.wrong(
                    0,
                    f"{len(events.weight_names)} weights, but the first event of the file has "
                    f"{len(start.weights)}",
                )
            named = dict(zip(start.weights, events.weights.T, strict=True))
            weights = self._chosen(i, events.event_weight, named)
            yield Piece(chunk.texts, events.event_weight, weights, chunk.wrong)


def block_file(directory: Path, number: int) -> Path:
    """Where the LHE events of a block are."""
    return directory / f"{number:06d}.lhe.gz"


def _subprocesses(
    start: LHEStart, cross_section: tuple[float, float]
) -> list[tuple[float, float, float, int]]:
    """Those of the files' header, with the share of each in the cross-section."""
    value, error = cross_section
    rows = [(float(words[0]), int(words[3])) for words in start.init[1:] if len(words) > 3]
    total = sum(share for share, _ in rows)
    if not total > 0.0:
        rows, total = [(1.0, 1)], 1.0
    return [(value * s / total, error * s / total, value, number) for s, number in rows]


def _text(event: bytes, weight: float, weights: Iterator[tuple[str, float]]) -> str:
    """The text of an event with other weights; nothing else of its numbers changes a digit."""
    numbers = without_comments(event).partition(b"<")[0].decode("ascii")
    first, _, particles = numbers.strip("\n").partition("\n")
    words = first.split()
    words[2] = repr(weight)
    tags = "".join(f"<wgt id='{name}'> {value!r} </wgt>\n" for name, value in weights)
    body = particles.rstrip()
    return f"<event>\n {' '.join(words)}\n{body}\n<rwgt>\n{tags}</rwgt>\n</event>\n"
