"""Events as columns of a table with their weights: the file of a task, instead of an LHE file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import awkward as ak
import msgspec
import numpy as np

from madminer_workflow.array_files import Checked
from madminer_workflow.products.arrays import read_arrays, write_arrays

SUFFIX = ".npz"
_WEIGHTS = "weights"
_COLUMN, _COUNTS = "column.", "counts."


@dataclass(frozen=True)
class ColumnEvents:
    """Some events; ``kind`` is that of their table, see ``analysis.tables``.

    ``weights`` (n, len(weight_names)) are in pb. ``columns`` are numbers (n,), or lists of them
    (n, var) as awkward arrays.
    """

    path: Path
    kind: str
    weight_names: tuple[str, ...]
    weights: np.ndarray
    columns: Mapping[str, Any]

    def __len__(self) -> int:
        """Return the number of events."""
        return len(self.weights)


class _Note(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    kind: str
    weight_names: tuple[str, ...]
    columns: tuple[str, ...]
    n_events: int


def write_columns(path: Path, events: ColumnEvents) -> None:
    """Write events; the bytes depend on these only."""
    note = _Note(
        kind=events.kind,
        weight_names=events.weight_names,
        columns=tuple(sorted(events.columns)),
        n_events=len(events),
    )
    arrays = {_WEIGHTS: events.weights}
    for name in note.columns:
        values = events.columns[name]
        if values.ndim > 1:
            arrays[f"{_COUNTS}{name}"] = np.asarray(ak.num(values, axis=1))
            values = ak.flatten(values, axis=1)
        arrays[f"{_COLUMN}{name}"] = np.asarray(values)
    write_arrays(path, note, arrays)


def read_columns(path: Path) -> ColumnEvents:
    """Read events; InputError if the file is damaged or another one."""

    def made_of(note: _Note, arrays: dict[str, np.ndarray]) -> ColumnEvents:
        check = Checked(events=note.n_events)
        weights = check.of(arrays, _WEIGHTS, "events", len(note.weight_names))
        columns = {name: _column(check, arrays, name) for name in note.columns}
        return ColumnEvents(path, note.kind, note.weight_names, weights, columns)

    return read_arrays(path, _Note, made_of, "is damaged")


def _column(check: Checked, arrays: Mapping[str, np.ndarray], name: str) -> Any:
    if f"{_COUNTS}{name}" not in arrays:
        return check.of(arrays, f"{_COLUMN}{name}", "events", finite=False)
    counts = check.of(arrays, f"{_COUNTS}{name}", "events", whole=True, least=0)
    size = int(counts.sum())
    return ak.unflatten(check.of(arrays, f"{_COLUMN}{name}", size, finite=False), counts)
