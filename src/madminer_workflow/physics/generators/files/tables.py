"""Events that exist in tables: their weights at the benchmarks, and the columns that are used."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np

from madminer_workflow.analysis.tables import Table, open_table
from madminer_workflow.analysis.tables.definitions import (
    sum_before_cuts,
    variations_at,
    weights_at,
)
from madminer_workflow.analysis.tables.particles import columns_for
from madminer_workflow.analysis.types import FilesProcess
from madminer_workflow.analysis.varied_weights import varied_weights
from madminer_workflow.errors import InputError
from madminer_workflow.expressions import Expression
from madminer_workflow.physics.generators import Request
from madminer_workflow.physics.generators.files.varied import with_variations
from madminer_workflow.products.columns import SUFFIX, ColumnEvents, write_columns

LARGEST_WEIGHT = 1e100
"""In whatever unit: products of two must remain numbers."""

Piece = tuple[np.ndarray, dict[str, Any]]
"""Weights (n, n_benchmarks), and columns."""


class TableSample:
    """The tables with the events from one benchmark, which are one sample."""

    def __init__(
        self, request: Request, process: FilesProcess, sampled: str, files: Sequence[Path]
    ) -> None:
        """Open the tables; InputError for columns or weights that are not there."""
        assert request.columns is not None
        self._process, self._sampled = process, sampled
        self._size = request.block_size
        # A background is the same at every benchmark.
        self._benchmarks = [sampled] if process.is_background else [*request.benchmarks]
        self._tables = [open_table(file, process.table) for file in files]
        used = request.columns
        self._columns: list[list[str]] = []
        for table in self._tables:
            if absent := [name for name in used.names if name not in table.columns]:
                raise table.unknown(absent[0])
            particles = columns_for(table, used.particles, used.attributes)
            self._columns.append(sorted({*used.names, *particles}))
        if len({table.kind for table in self._tables}) > 1:
            raise InputError(
                f"processes.{process.name}.files.{sampled}: are tables of different kinds, "
                f"{', '.join(f'{t.path} ({t.kind})' for t in self._tables)}"
            )
        varied = varied_weights(process.variations, request.systematics)
        self._weights = [
            weights_at(table, self._benchmarks, process.weights, sampled)
            | variations_at(table, varied)
            for table in self._tables
        ]
        self._drawn = self._benchmarks.index(sampled)
        background = process.is_background
        self._reference = self._drawn if background else self._benchmarks.index(request.reference)

    def write(self, directory: Path) -> tuple[float, float]:
        """Write all blocks into ``directory``; the cross-section of their events and its error."""
        name = f"processes.{self._process.name}.files.{self._sampled}"
        if self._sampled not in self._process.cross_section:
            raise InputError(
                f"{name}: tables do not contain their cross-section; give cross_section"
            )
        n_events, total, squares = self._sums()
        expected = self._process.events[self._sampled]
        if n_events != expected:
            raise InputError(
                f"{name}: {n_events} events, but configure counted {expected}; run configure again"
            )
        if not total > 0.0:
            raise InputError(
                f"{self._tables[0].path}: the weights of its sample add up to {total:.3g} at the "
                "benchmark at which it was drawn; expected more than 0"
            )
        factor = self._process.cross_section[self._sampled] / (self._before_cuts() or total)
        directory.mkdir(parents=True)
        blocks = _blocks(self._pieces(), self._size)
        for number in range(-(-n_events // self._size)):
            weights, columns = next(blocks)
            # The weights of each block add up to the cross-section, as those of generators do.
            weights = weights * (factor * (n_events / len(weights)))
            place = directory / f"{number:06d}{SUFFIX}"
            names, kind = tuple(self._weights[0]), self._tables[0].kind
            write_columns(place, ColumnEvents(place, kind, names, weights, columns))
        value = factor * total
        return value, value * squares**0.5 / total

    def _before_cuts(self) -> float | None:
        """The sum of weights before cuts, in the units of the files; None for that of the events.

        Raises InputError if some of the files say it and some do not.
        """
        given = self._process.sum_of_weights.get(self._sampled)
        if isinstance(given, float):
            return given
        sums = [
            sum_before_cuts(table, weights[self._sampled], given)
            for table, weights in zip(self._tables, self._weights, strict=True)
        ]
        known = [one for one in sums if one is not None]
        if known and len(known) < len(sums):
            without = self._tables[sums.index(None)].path
            raise InputError(
                f"{without}: has no Runs/genEventSumw, unlike other files of its sample; give "
                "sum_of_weights"
            )
        return sum(known) if known else None

    def _sums(self) -> tuple[int, float, float]:
        """The number of events, and the sums of weights that they were drawn with, and squares."""
        n_events, total, squares = 0, 0.0, 0.0
        for table, weights in zip(self._tables, self._weights, strict=True):
            for entries, columns in table.chunks(_names_in(weights.values())):
                values = _values(table, entries, columns, weights)
                drawn = values[:, self._drawn]
                if len(zero := np.flatnonzero(drawn == 0.0)):
                    raise InputError(
                        f"{table.path}: entry {entries[zero[0]]}: its weight at {self._sampled}, "
                        "at which it was drawn, is 0"
                    )
                n_events += len(values)
                total, squares = total + float(drawn.sum()), squares + float(drawn @ drawn)
        return n_events, total, squares

    def _pieces(self) -> Iterator[Piece]:
        parts = zip(self._tables, self._weights, self._columns, strict=True)
        for table, weights, used in parts:
            for entries, columns in table.chunks(sorted({*used, *_names_in(weights.values())})):
                values = with_variations(
                    _values(table, entries, columns, weights),
                    len(self._benchmarks),
                    self._drawn,
                    self._reference,
                )
                yield values, {name: columns[name] for name in used}


def _names_in(weights: Any) -> list[str]:
    return sorted(frozenset[str]().union(*(weight.names for weight in weights)))


def _values(
    table: Table, entries: range, columns: Mapping[str, Any], weights: Mapping[str, Expression]
) -> np.ndarray:
    """The weights of some events, (n, n_benchmarks); InputError for one that is no number."""
    values = []
    for benchmark, weight in weights.items():
        value, undefined = weight.evaluate(columns)
        wrong = undefined | ~(np.abs(value) <= LARGEST_WEIGHT)
        if np.any(wrong):
            entry = entries[int(np.flatnonzero(np.broadcast_to(wrong, len(entries)))[0])]
            raise InputError(
                f"{table.path}: entry {entry}: its weight at {benchmark}, {weight.text}, is "
                "missing, or not a finite number"
            )
        values.append(value)
    return np.stack([np.broadcast_to(value, len(entries)) for value in values], axis=1)


def _blocks(pieces: Iterator[Piece], size: int) -> Iterator[Piece]:
    """The same events in pieces of ``size``, but for the last."""
    held: list[Piece] = []
    for piece in pieces:
        held.append(piece)
        while sum(len(weights) for weights, _ in held) >= size:
            weights, columns = _joined(held)
            yield weights[:size], {name: values[:size] for name, values in columns.items()}
            rest = {name: values[size:] for name, values in columns.items()}
            held = [(weights[size:], rest)]
    if held and len(held[-1][0]):
        yield _joined(held)


def _joined(pieces: Sequence[Piece]) -> Piece:
    if len(pieces) == 1:
        return pieces[0]
    columns = {
        name: (np if values.ndim == 1 else ak).concatenate([part[name] for _, part in pieces])
        for name, values in pieces[0][1].items()
    }
    return np.concatenate([weights for weights, _ in pieces]), columns
