"""Arrays with a row for every event, used some rows at a time, so that memory does not grow.

Up to ``ROWS`` events are one piece: sums over them have the digits that they have at once.
"""

from __future__ import annotations

import io
import mmap
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

ROWS = 1 << 18
"""Events of a piece: 100 MB of 50 numbers each."""

AT_ONCE = 1 << 24
"""Bytes of an array that are read together where it is not needed as a whole."""

MAPPED_FROM = 1 << 26
"""Bytes of an array in a file from which on it is mapped rather than read."""


def pieces(n: int) -> Iterator[slice]:
    """``n`` rows in pieces of up to ``ROWS``; at least one, which may be empty."""
    for start in range(0, max(n, 1), ROWS):
        yield slice(start, min(start + ROWS, n))


def release(array: np.ndarray) -> None:
    """Give back the pages of the file that an array is mapped from; of others nothing happens.

    They are read again when they are used.
    """
    base: object = array
    while isinstance(base, np.ndarray):
        base = base.base
    if isinstance(base, mmap.mmap):
        base.madvise(mmap.MADV_DONTNEED)


def empty(n: int, width: int) -> np.ndarray:
    """An array (n, width) to be filled, column behind column.

    A large one is in a file that nobody else sees, and can be released as what is read from files.
    """
    if n <= ROWS or n * width * np.dtype(float).itemsize < MAPPED_FROM:
        return np.empty((n, width), order="F")
    with tempfile.TemporaryFile() as file:
        return np.asarray(np.memmap(file, float, "w+", 0, (n, width), "F"))


def by_rows(n: int, width: int, some: Callable[[slice], np.ndarray]) -> np.ndarray:
    """The array (n, width) of which ``some`` gives rows; all at once where they are few."""
    if n <= ROWS:
        return some(slice(0, n))
    result = empty(n, width)
    for rows in pieces(n):
        result[rows] = some(rows)
        release(result)
    return result


def columns(array: np.ndarray, chosen: list[int]) -> np.ndarray:
    """Some columns of an array that may be mapped, (n, len(chosen))."""

    def some(rows: slice) -> np.ndarray:
        values = array[rows][:, chosen]
        release(array)
        return values

    return by_rows(len(array), len(chosen), some)


class RowsFile:
    """Rows of numbers that are written one after another, and then read in pieces."""

    def __init__(self, directory: Path | None, width: int, dtype: type = float) -> None:
        """Rows of ``width`` numbers, in a file in ``directory`` that nobody else sees.

        Without one it is where temporary files are.
        """
        self._file = tempfile.TemporaryFile(dir=directory)  # noqa: SIM115
        self._width, self._dtype = width, np.dtype(dtype)

    def __enter__(self) -> RowsFile:
        """Return the file itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Remove the file."""
        self._file.close()

    def append(self, rows: np.ndarray) -> None:
        """Write rows (n, width) behind the others."""
        self._file.write(np.ascontiguousarray(rows, self._dtype).data)

    def pieces(self, size: int = ROWS) -> Iterator[np.ndarray]:
        """All rows, up to ``size`` at a time."""
        self._file.seek(0)
        n_bytes = max(size * self._width * self._dtype.itemsize, 1)
        while data := self._file.read(n_bytes):
            yield np.frombuffer(data, self._dtype).reshape(-1, self._width)

    def all(self) -> np.ndarray:
        """All rows at once."""
        self._file.seek(0)
        return np.frombuffer(self._file.read(), self._dtype).reshape(-1, self._width)

    def mapped(self) -> np.ndarray:
        """All rows, if they are many left in the file, which may be closed, and as in ``all``."""
        size = self._file.seek(0, io.SEEK_END)
        if size < MAPPED_FROM:
            return self.all()
        shape = size // (self._width * self._dtype.itemsize), self._width
        return np.asarray(np.memmap(self._file, self._dtype, "r", 0, shape))
