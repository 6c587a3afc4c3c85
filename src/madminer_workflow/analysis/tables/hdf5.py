"""HDF5 files: a table is a group of data sets of one length, or a data set with named fields."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from madminer_workflow import hdf5_files
from madminer_workflow.analysis.tables import PLAIN, Table, Values, chosen, named, reading
from madminer_workflow.errors import InputError

_WHAT = "an HDF5 file"
_ROOT = "/"
LES_HOUCHES = {"events", "particles", "init", "procInfo"}
"""The data sets of files in the format LHEH5 (E. Bothmann et al., arXiv:2309.13154)."""
NOT_READ = (
    "Les Houches events in HDF5 (LHEH5) are not read; write them as an LHE file, for example with "
    "the Python package pylhe"
)


@dataclass
class _Layout:
    """The columns of a table: how long they are, and whether each has lists; or are ``fields``."""

    fields: bool = False
    lengths: dict[str, int] = field(default_factory=dict)
    lists: dict[str, bool] = field(default_factory=dict)


def opened(path: Path, table: str | None) -> Table:
    """The group or data set ``table``, or the only one that has columns; InputError if none."""
    with hdf5_files.opened(path, "a table of events") as contents:
        tables = _tables(contents)
        if {*contents.datasets()} >= LES_HOUCHES:
            raise InputError(f"{path}: {NOT_READ}")
    asked = None if table is None else table.strip("/") or _ROOT
    name = chosen(path, list(tables), asked, "table")
    layout = tables[name]
    n_events = max(layout.lengths.values())
    for place, length in layout.lengths.items():
        if length != n_events:
            raise InputError(
                f"{path}: {place} has {length} entries, but another column has {n_events}"
            )

    def pieces(places: Sequence[str], size: int) -> Iterator[Mapping[str, Values]]:
        with hdf5_files.opened(path, "a table of events") as contents:
            for start in range(0, n_events, size):
                stop = min(start + size, n_events)
                with reading(path, _WHAT, (start, stop)):
                    piece = _piece(contents, name, layout.fields, places, slice(start, stop))
                yield piece

    return Table(path, PLAIN, n_events, named(layout.lists), pieces)


def _tables(contents: hdf5_files.Contents) -> dict[str, _Layout]:
    """What may be a table, by the name of its group or data set."""
    tables: dict[str, _Layout] = {}
    for name in contents.datasets():
        shape, dtype = contents.layout(name)
        if len(shape) == 1 and dtype.names:
            sizes = {one: dtype[one] for one in dtype.names if dtype[one].base.kind in "biuf"}
            layout = _Layout(True, dict.fromkeys(sizes, shape[0]))
            layout.lists = {one: bool(kind.shape) for one, kind in sizes.items()}
            tables[name] = layout
        elif len(shape) in (1, 2) and dtype.kind in "biuf":
            group, _, place = name.rpartition("/")
            layout = tables.setdefault(group or _ROOT, _Layout())
            layout.lengths[place], layout.lists[place] = shape[0], len(shape) == 2
    return {name: layout for name, layout in tables.items() if layout.lengths}


def _piece(
    contents: hdf5_files.Contents, name: str, fields: bool, places: Sequence[str], rows: slice
) -> dict[str, Values]:
    if fields:
        read = contents.rows(name, rows)
        return {place: np.ascontiguousarray(read[place]) for place in places}
    prefix = "" if name == _ROOT else f"{name}/"
    return {place: contents.rows(f"{prefix}{place}", rows) for place in places}
