"""Parquet files, read by pyarrow, which is an extra: columns of numbers or of lists of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from madminer_workflow.analysis.tables import PLAIN, Table, Values, flat, named, reading
from madminer_workflow.errors import InputError

_WHAT = "a Parquet file"


def opened(path: Path, table: str | None) -> Table:
    """The table that a file is; InputError if it is damaged, or is to be one of several."""
    import pyarrow.parquet as pq

    if table is not None:
        raise InputError(f"{path}: a Parquet file is one table; leave out `table`")
    with reading(path, _WHAT), pq.ParquetFile(path) as file:
        places = {one.name: one for one in file.schema_arrow if _is_number(one.type)}
        lists = {one.name: _is_list(one.type) for one in places.values()}
        n_events = int(file.metadata.num_rows)

    def pieces(places: Sequence[str], size: int) -> Iterator[Mapping[str, Values]]:
        with reading(path, _WHAT), pq.ParquetFile(path) as file:
            batches = file.iter_batches(batch_size=size, columns=list(places))
            for start in range(0, n_events, size):
                stop = min(start + size, n_events)
                with reading(path, _WHAT, (start, stop)):
                    batch = next(batches)
                    if batch.num_rows != stop - start:
                        raise ValueError(f"{batch.num_rows} of {stop - start} entries")
                    piece = {place: _values(batch.column(place)) for place in places}
                yield piece

    return Table(path, PLAIN, n_events, named(lists), pieces)


def _is_list(kind: Any) -> bool:
    import pyarrow.types as types

    return bool(types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind))


def _is_number(kind: Any) -> bool:
    import pyarrow.types as types

    inner = kind.value_type if _is_list(kind) else kind
    return bool(types.is_integer(inner) or types.is_floating(inner) or types.is_boolean(inner))


def _values(column: Any) -> Values:
    """Numbers or lists; those that are missing (null) are NaN, or empty lists."""
    if not _is_list(column.type):
        return flat(_numbers(column), len(column))
    import awkward as ak
    import pyarrow.compute as pc

    counts = _numbers(pc.fill_null(pc.list_value_length(column), 0)).astype(np.int64)
    return ak.unflatten(_numbers(pc.list_flatten(column)), counts)


def _numbers(column: Any) -> np.ndarray:
    if column.null_count:
        import pyarrow as pa

        column = column.cast(pa.float64())
    return np.asarray(column.to_numpy(zero_copy_only=False))
