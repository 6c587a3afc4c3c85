"""Pythia's event record as HepMC 2 text, with explicit vertices.

The vertices, their order and the status codes are those of Pythia's own converter
(``Pythia8Plugins/HepMC2.h``): a particle is produced where its first mother ends, all of its
mothers end there, and a vertex is as old as its first outgoing particle. Delphes needs them: it
takes mothers, daughters and displaced positions from the vertices, and skips, without a word, every
event of which the announced numbers of vertices and particles do not agree with what follows.

All events of a batch are converted at once; only the vertices with several mothers (hard processes
and strings) are walked one by one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import awkward as ak
import numpy as np

HEADER = "\nHepMC::Version 2.06.09\nHepMC::IO_GenEvent-START_EVENT_LISTING\n"
FOOTER = "HepMC::IO_GenEvent-END_EVENT_LISTING\n"

_EVENT = "E {} -1 -1 -1 -1 0 0 {} 1 2 0 1 1\nU GEV MM\n"
_VERTEX = "V %d 0 %.9g %.9g %.9g %.9g %d %d 0\n"
# Nine digits are more than the single precision of everything that Delphes writes.
_PARTICLE = "P %d %d %.9g %.9g %.9g %.9g %.9g %d 0 0 %d 0\n"

_FINAL, _DECAYED, _BEAM = 1, 2, 4
_LONG_LIVED = (13, 15)
_NOBODY = -1


def event_texts(events: ak.Array, numbers: np.ndarray, is_hadron: Callable[[int], bool]) -> str:
    """The HepMC text of Pythia's `events` (n, var), numbered by `numbers` (n,).

    `events` is the ``prt`` of ``Pythia.nextBatch``; `is_hadron` says which PDG ids are hadrons.
    """
    record = _Record.of(events)
    vertices = _Vertices.of(record)
    status = _status_codes(record, is_hadron)
    particles = _particle_lines(record, vertices, status)
    return _join(record, vertices, particles, numbers)


@dataclass(frozen=True)
class _Record:
    """All particles of a batch in one list; mothers are indices in it, and 0 if there are none.

    Pythia's entry 0 of each event stands for the event itself and is no particle.
    """

    event: np.ndarray
    index: np.ndarray
    columns: dict[str, np.ndarray]
    position: np.ndarray
    first: np.ndarray
    last: np.ndarray

    @classmethod
    def of(cls, events: ak.Array) -> _Record:
        sizes = np.asarray(ak.num(events, axis=1))
        starts = np.repeat(np.cumsum(sizes) - sizes, sizes)
        flat = ak.flatten(events, axis=1)
        names = ("id", "status", "mother1", "mother2", "daughter1", "m")
        columns = {name: np.asarray(flat[name]) for name in names}
        columns |= {name: np.asarray(flat.p[name]) for name in ("px", "py", "pz", "e")}
        columns["daughter1"] = columns["daughter1"] + starts
        produced = [ak.fill_none(flat.vProd[name], 0.0) for name in ("px", "py", "pz", "e")]
        mothers = np.stack([columns["mother1"], columns["mother2"]])
        only_one = (mothers[1] == 0) | (mothers[1] == mothers[0])
        # As in Particle::motherList, the meaning of two mothers depends on the status.
        first = np.where(only_one, mothers[0], mothers.min(axis=0))
        last = np.where(only_one, mothers[0], mothers.max(axis=0))
        return cls(
            event=np.repeat(np.arange(len(sizes)), sizes),
            index=np.arange(len(starts)) - starts,
            columns=columns,
            position=np.stack([np.asarray(component) for component in produced], axis=1),
            first=np.where(first > 0, first + starts, 0),
            last=np.where(first > 0, last + starts, 0),
        )

    @property
    def is_beam(self) -> np.ndarray:
        return np.isin(np.abs(self.columns["status"]), (11, 12))

    @property
    def is_string(self) -> np.ndarray:
        """Whether all particles between two mothers are mothers too."""
        status = np.abs(self.columns["status"])
        return ((status > 80) & (status < 90)) | ((status > 100) & (status < 107))


@dataclass(frozen=True)
class _Vertices:
    """Where each particle of a record is produced and ends: the vertex' number, or -1.

    Vertices are numbered through the batch; `event` is that of each.
    """

    production: np.ndarray
    end: np.ndarray
    event: np.ndarray

    @classmethod
    def of(cls, record: _Record) -> _Vertices:
        n = len(record.index)
        particle = record.index > 0
        single = particle & (record.first > 0) & (record.first == record.last)
        several = particle & (record.first > 0) & (record.first != record.last)
        orphan = particle & (record.first == 0) & ~record.is_beam
        # A vertex has the label of one of its mothers, or for orphans one of its own.
        label = np.full(n, _NOBODY)
        label[orphan] = n + np.flatnonzero(orphan)
        end = _label_several(record, several, label)
        mothers = record.first[single]
        end[mothers] = np.where(end[mothers] == _NOBODY, mothers, end[mothers])
        label[single] = end[mothers]

        produced = np.flatnonzero(label != _NOBODY)
        labels, oldest, inverse = np.unique(label[produced], return_index=True, return_inverse=True)
        order = np.argsort(oldest)
        rank = np.empty(len(order), dtype=int)
        rank[order] = np.arange(len(order))
        production = np.full(n, _NOBODY)
        production[produced] = rank[inverse]
        ends = np.flatnonzero(end != _NOBODY)
        end[ends] = rank[np.searchsorted(labels, end[ends])]
        return cls(production, end, record.event[produced[oldest[order]]])


def _label_several(record: _Record, several: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Set the `label` of particles with several mothers; return the labels where particles end."""
    keys = np.stack([record.first, record.last, record.is_string], axis=1)[several]
    lists, oldest, inverse = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    end: dict[int, int] = {}
    labels = np.empty(len(lists), dtype=int)
    for i in np.argsort(oldest):
        first, last, is_string = lists[i].tolist()
        mothers = range(first, last + 1) if is_string else (first, last)
        labels[i] = next((end[mother] for mother in mothers if mother in end), first)
        for mother in mothers:
            end.setdefault(mother, int(labels[i]))
    label[several] = labels[inverse.ravel()]
    ends = np.full(len(label), _NOBODY)
    ends[list(end.keys())] = list(end.values())
    return ends


def _status_codes(record: _Record, is_hadron: Callable[[int], bool]) -> np.ndarray:
    """HepMC's status of each particle, as ``Particle::statusHepMC``."""
    pdgid, status = record.columns["id"], record.columns["status"]
    known, inverse = np.unique(pdgid, return_inverse=True)
    decaying = [is_hadron(code) or abs(code) in _LONG_LIVED for code in known.tolist()]
    daughter = record.columns["daughter1"]
    by_decay = (np.abs(status[daughter]) > 90) & (np.abs(status[daughter]) < 95)
    decayed = np.array(decaying)[inverse] & (pdgid[daughter] != pdgid) & by_decay
    return np.select(
        [status > 0, status == -12, decayed, (status <= -11) & (status >= -200)],
        [_FINAL, _BEAM, _DECAYED, -status],
        default=0,
    )


@dataclass(frozen=True)
class _Lines:
    """The particles' lines in the order of the file, and the vertex to which each belongs."""

    lines: list[str]
    vertex: np.ndarray
    incoming: np.ndarray


def _particle_lines(record: _Record, vertices: _Vertices, status: np.ndarray) -> _Lines:
    """Particles are listed where they are produced; those that are not, where they end."""
    incoming = (vertices.production == _NOBODY) & (vertices.end != _NOBODY)
    where = np.where(incoming, vertices.end, vertices.production)
    listed = np.flatnonzero(where != _NOBODY)
    order = listed[np.lexsort((listed, ~incoming[listed], where[listed]))]
    first_of_event = np.searchsorted(vertices.event, np.arange(record.event[-1] + 1))
    end = vertices.end[order]
    barcode = np.where(end == _NOBODY, 0, first_of_event[record.event[order]] - end - 1)
    names = ("id", "px", "py", "pz", "e", "m")
    columns = [record.index[order], *(record.columns[name][order] for name in names)]
    rows = zip(*(column.tolist() for column in (*columns, status[order], barcode)), strict=True)
    return _Lines([_PARTICLE % row for row in rows], where[order], incoming[order])


def _vertex_lines(record: _Record, vertices: _Vertices, particles: _Lines) -> list[str]:
    n = len(vertices.event)
    n_in = np.bincount(particles.vertex[particles.incoming], minlength=n)
    n_out = np.bincount(particles.vertex[~particles.incoming], minlength=n)
    barcode = np.searchsorted(vertices.event, vertices.event) - np.arange(n) - 1
    # The position is the first that a particle produced here has.
    placed = np.flatnonzero((vertices.production != _NOBODY) & record.position.any(axis=1))[::-1]
    position = np.zeros((n, 4))
    position[vertices.production[placed]] = record.position[placed]
    columns = (barcode, *position.T, n_in, n_out)
    return [_VERTEX % row for row in zip(*(column.tolist() for column in columns), strict=True)]


def _join(record: _Record, vertices: _Vertices, particles: _Lines, numbers: np.ndarray) -> str:
    """Put each event before its vertices, and each vertex before its particles."""
    n_vertices = np.bincount(vertices.event, minlength=len(numbers))
    heads = [
        _EVENT.format(number, n)
        for number, n in zip(numbers.tolist(), n_vertices.tolist(), strict=True)
    ]
    lines = [*heads, *_vertex_lines(record, vertices, particles), *particles.lines]
    event = np.concatenate(
        [np.arange(len(numbers)), vertices.event, vertices.event[particles.vertex]]
    )
    vertex = np.concatenate(
        [np.full(len(numbers), -1), np.arange(len(vertices.event)), particles.vertex]
    )
    # The sort is stable: vertices are older in the list than particles, and these are in order.
    return "".join([lines[i] for i in np.lexsort((vertex, event)).tolist()])
