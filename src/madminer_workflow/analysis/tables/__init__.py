"""Tables of events that exist: ROOT trees, HDF5 and Parquet files, one module a kind of file.

A table has named columns, of one number an event or of a list of them. In expressions, what is no
letter or digit in the name of a column is written as ``_``: the branch ``Jet.PT`` is ``Jet_PT``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, cast

import numpy as np

from madminer_workflow.analysis.event_file_names import READERS, TABLES
from madminer_workflow.array_files import reason
from madminer_workflow.errors import InputError, not_installed
from madminer_workflow.expressions import nearest_name

PLAIN, DELPHES, NANOAOD = "plain", "delphes", "nanoaod"
"""Kinds of tables: in those of Delphes and in NanoAOD, expressions find particles."""

AT_ONCE = 50_000
"""Events that are read together."""

Values = Any
"""Numbers (n,) as an array of numpy, or lists of them (n, var) as one of awkward."""


@dataclass(frozen=True)
class Column:
    """Its name in the file, and whether it has a list of numbers for each event."""

    place: str
    is_list: bool


@dataclass(frozen=True)
class Table:
    """A table of a file; ``columns`` have their names in expressions.

    ``pieces`` yields the columns at some places, in pieces of up to so many events.
    ``sum_of_weights`` is that of NanoAOD's ``genWeight`` before all cuts, if the file says it.
    """

    path: Path
    kind: str
    n_events: int
    columns: Mapping[str, Column]
    pieces: Callable[[Sequence[str], int], Iterator[Mapping[str, Values]]]
    sum_of_weights: float | None = None

    def chunks(self, names: Sequence[str]) -> Iterator[tuple[range, dict[str, Values]]]:
        """The columns ``names`` in chunks, each with its entries in the table.

        Raises InputError, with the entries, for what cannot be read.
        """
        places = [self.columns[name].place for name in names]
        first = 0
        for piece in self.pieces(places, AT_ONCE):
            chunk = {name: piece[place] for name, place in zip(names, places, strict=True)}
            entries = range(first, min(first + AT_ONCE, self.n_events))
            yield entries, chunk
            first = entries.stop

    def unknown(self, name: str) -> InputError:
        """What to raise for a column that is not there."""
        nearest = nearest_name(name, self.columns)
        hint = f"; did you mean '{nearest}'?" if nearest else ""
        return InputError(f"{self.path}: has no column '{name}'{hint}")


def open_table(path: Path, table: str | None = None) -> Table:
    """The table of this name in a file, or else the only one; in ROOT files Delphes or Events.

    Raises InputError if it cannot be read, is another file, or has no events.
    """
    if path.suffix not in READERS:
        raise InputError(f"{path}: expected a table, {', '.join(TABLES)}")
    module = import_module(f"{__name__}.{READERS[path.suffix]}")
    try:
        opened = cast(Table, module.opened(path, table))
    except ModuleNotFoundError as error:
        raise not_installed(error) from None
    if not opened.n_events:
        raise InputError(f"{path}: no events in this file")
    return opened


def named(places: Mapping[str, bool]) -> dict[str, Column]:
    """Columns by their names in expressions, from whether those at ``places`` have lists."""
    columns: dict[str, Column] = {}
    # One that needs no other name goes before those that do.
    for place in sorted(places, key=lambda place: not place.isidentifier()):
        columns.setdefault(expression_name(place), Column(place, places[place]))
    return {expression_name(place): columns[expression_name(place)] for place in places}


def expression_name(place: str) -> str:
    """What expressions call a column."""
    return re.sub(r"[^A-Za-z0-9_]", "_", place)


def chosen(path: Path, names: Sequence[str], table: str | None, what: str) -> str:
    """The one of a file's tables that is asked for, or the only one."""
    if table is not None and table not in names:
        raise InputError(f"{path}: has no {what} '{table}' (it has {', '.join(names) or 'none'})")
    if table is None and len(names) != 1:
        there = ", ".join(names) or "none"
        raise InputError(f"{path}: name the {what} in `table` (the file has {there})")
    return table if table is not None else names[0]


@contextmanager
def reading(path: Path, what: str, entries: tuple[int, int] | None = None) -> Iterator[None]:
    """Let whatever a library raises inside of the block be an InputError that names the file."""
    try:
        yield
    except (InputError, ModuleNotFoundError):
        raise
    except FileNotFoundError:
        raise InputError(f"{path}: cannot be read: no such file") from None
    except Exception as error:
        # What these raise for a damaged file depends on where it is damaged.
        where = f"entries {entries[0]} to {entries[1] - 1}: " if entries else ""
        raise InputError(
            f"{path}: {where}truncated, damaged, or not {what} ({reason(error)})"
        ) from None


def flat(values: Values, n_events: int) -> np.ndarray:
    """A column of numbers, (n_events,); ValueError if it is none."""
    array = np.asarray(values)
    if array.shape != (n_events,) or array.dtype.kind not in "biuf":
        raise ValueError(f"{array.dtype} of shape {array.shape}, expected {n_events} numbers")
    return array
