"""The rows of large arrays in another order, with little memory and without waiting for disks.

Rows are first dealt out to files, each of which has a range of places in the new order, and then
put in order file by file: all is read and written from one end to the other, twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from madminer_workflow.large_arrays import ROWS, RowsFile, pieces, release

MOST_FILES = 200
"""Opened together; systems allow 1024."""


def rows_in_order(
    arrays: Sequence[np.ndarray], order: np.ndarray, directory: Path
) -> Iterator[np.ndarray]:
    """The rows ``order`` of all ``arrays`` one after another, some at a time.

    Arrays are (n_rows, width); those that are mapped from files may be larger than memory. Files
    are made in ``directory``.
    """
    if len(order) <= ROWS:
        yield np.concatenate(arrays)[order]
        return
    size = max(ROWS, -(-len(order) // MOST_FILES))
    place = np.empty(len(order), dtype=int)
    place[order] = np.arange(len(order))
    width = arrays[0].shape[1]
    with ExitStack() as opened:
        files = [
            (
                opened.enter_context(RowsFile(directory, width)),
                opened.enter_context(RowsFile(directory, 1, int)),
            )
            for _ in range(0, len(order), size)
        ]
        start = 0
        for array in arrays:
            for part in pieces(len(array)):
                there = place[start + part.start : start + part.stop]
                _deal(array[part], there, files, size)
                release(array)
            start += len(array)
        for number, (rows, places) in enumerate(files):
            [there] = places.all().T
            in_order = np.empty((len(there), width))
            in_order[there - number * size] = rows.all()
            yield in_order


def _deal(
    rows: np.ndarray, places: np.ndarray, files: Sequence[tuple[RowsFile, RowsFile]], size: int
) -> None:
    """Write rows and their ``places`` in the new order into the files of these."""
    of_file = places // size
    ascending = np.argsort(of_file, kind="stable")
    bounds = np.searchsorted(of_file[ascending], np.arange(len(files) + 1))
    for file, low, high in zip(files, bounds, bounds[1:], strict=False):
        some = ascending[low:high]
        file[0].append(rows[some])
        file[1].append(places[some, None])
