"""Events that exist after a shower, in HepMC files: their weights, and their text for Delphes."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np

from madminer_workflow.analysis.hepmc_files import (
    HepMCEvent,
    HepMCStart,
    as_lhe,
    events,
    read_start,
    renumbered,
)
from madminer_workflow.analysis.types import FilesProcess
from madminer_workflow.errors import InputError
from madminer_workflow.physics.generators import Request
from madminer_workflow.physics.generators.files.samples import Piece, Sample
from madminer_workflow.physics.generators.lhe_writer import written

SUFFIX = ".hepmc.gz"
AT_ONCE = 500
"""Events whose weights are looked at together."""

_LARGEST = 1e100


class HepMCSample(Sample):
    """The HepMC files with the events from one benchmark, which are one sample.

    Their weights are written as those of LHE events without particles.
    """

    def __init__(
        self, request: Request, process: FilesProcess, sampled: str, files: Sequence[Path]
    ) -> None:
        """Read how the files begin; InputError for weights that are not there."""
        self._hepmc = [read_start(file) for file in files]
        kinds = {(start.version, start.weights) for start in self._hepmc}
        if len(kinds) > 1:
            raise InputError(
                f"processes.{process.name}.files.{sampled}: these files have different "
                f"versions of HepMC or different weights: {', '.join(str(file) for file in files)}"
            )
        starts = [as_lhe(start, start.first.cross_section) for start in self._hepmc]
        super().__init__(request, process, sampled, starts)

    def write(self, directory: Path) -> tuple[float, float]:
        """Write all blocks into ``directory``; the cross-section of their events and its error."""
        # The cross-section of a generator is known when its last event is there.
        self._starts = [as_lhe(start, _last(start).cross_section) for start in self._hepmc]
        result = super().write(directory)
        texts = (event.text for start in self._hepmc for event in events(start))
        header, version = self._hepmc[0].header.decode(errors="replace"), self._hepmc[0].version
        footer = f"HepMC::{'IO_GenEvent' if version == 2 else 'Asciiv3'}-END_EVENT_LISTING\n"
        n_events = self._process.events[self._sampled]
        for number in range(-(-n_events // self._size)):
            with written(directory / f"{number:06d}{SUFFIX}") as file:
                file.write(header)
                for place, text in enumerate(islice(texts, self._size)):
                    file.write(renumbered(text, place).decode(errors="replace"))
                file.write(footer)
        return result

    def _read(self, i: int) -> Iterator[Piece]:
        start = self._hepmc[i]
        stream, first = events(start), 0
        while some := [*islice(stream, AT_ONCE)]:
            weights = np.array([event.weights for event in some])
            bad = np.flatnonzero(~(np.abs(weights) < _LARGEST).all(axis=1))
            piece = Piece(
                [_line(event) for event in some],
                weights[:, 0],
                self._chosen(i, weights[:, 0], dict(zip(start.weights, weights.T, strict=True))),
                partial(_wrong, start.path, first),
            )
            if len(bad):
                raise piece.wrong(int(bad[0]), f"a weight is not a number below {_LARGEST:g}")
            yield piece
            first += len(some)


def _wrong(path: Path, first: int, index: int, problem: str) -> InputError:
    return InputError(f"{path}: event {first + index + 1}: {problem}")


def _line(event: HepMCEvent) -> bytes:
    """What an LHE file says of an event before its particles."""
    numbers = f"{event.scale!r} {event.alpha_qed!r} {event.alpha_qcd!r}"
    return f"0 1 {event.weights[0]!r} {numbers}\n".encode()


def _last(start: HepMCStart) -> HepMCEvent:
    (last,) = deque(events(start), maxlen=1)
    return last
