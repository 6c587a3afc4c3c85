"""HDF5 files read without belief.

A file can say that what it holds is elsewhere: in another file (external links, external storage,
virtual data sets) or under another name. It can announce more than it holds, and hold what h5py
makes Python objects of. Here, all of that is an error.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from madminer_workflow import archives
from madminer_workflow.array_files import DAMAGES, KINDS, reason
from madminer_workflow.errors import InputError
from madminer_workflow.large_arrays import AT_ONCE, MAPPED_FROM

SEAL = "madminer_workflow/sha256"


class Contents:
    """The data sets of an opened file; errors of ``array_files.DAMAGES`` if they are none."""

    def __init__(self, file: h5py.File, size: int) -> None:
        """Read from ``file``, which has a ``size`` [B]."""
        self._file = file
        self._limit = archives.limit_for(size)

    def __contains__(self, name: str) -> bool:
        """Whether there is something of this name."""
        place: Any = self._file
        for part in name.split("/"):
            if not isinstance(place, h5py.Group) or place.get(part, getlink=True) is None:
                return False
            place = _hard(place, part, name)
        return True

    def array(self, name: str) -> np.ndarray:
        """A data set of numbers or short texts."""
        data = self._dataset(name)
        if data.dtype.kind not in {*KINDS, "S"}:
            raise ValueError(f"{name}: is of the type {data.dtype}, expected numbers")
        return np.asarray(data[()])

    def mapped(self, name: str, least: int = MAPPED_FROM) -> np.ndarray:
        """As ``array``, but what has at ``least`` so many bytes may be left in the file.

        Its pages are read when they are used, and given back when memory is short or by
        ``large_arrays.release``; nothing can be written into them.
        """
        data = self._dataset(name)
        offset = data.id.get_offset()
        if offset is None or data.dtype.kind not in KINDS or data.nbytes < max(least, 1):
            return self.array(name)
        mapped = np.memmap(self._file.filename, data.dtype, "r", offset, data.shape)
        return np.asarray(mapped)

    def datasets(self) -> list[str]:
        """The names of all data sets in the file itself, in their order."""
        names: list[str] = []
        self._file.visititems(lambda name, place: names.append(name) if _counts(place) else None)
        return names

    def layout(self, name: str) -> tuple[tuple[int, ...], np.dtype]:
        """The shape and the type of a data set."""
        data = self._dataset(name)
        return tuple(data.shape or ()), data.dtype

    def rows(self, name: str, chosen: slice) -> np.ndarray:
        """Some rows of a data set of numbers, or of records of them."""
        data = self._dataset(name)
        if data.dtype.hasobject:
            raise ValueError(f"{name}: is of the type {data.dtype}, expected numbers")
        return np.asarray(data[chosen])

    def text(self, name: str) -> str:
        """A data set that is one text."""
        data = self._dataset(name)
        if data.shape != () or h5py.check_string_dtype(data.dtype) is None:
            raise ValueError(f"{name}: is not text")
        return bytes(data[()]).decode()

    def names(self, name: str) -> list[str]:
        """A data set of texts that can be printed, none of them twice."""
        texts = self.texts(name)
        if len(set(texts)) < len(texts) or not all(text and text.isprintable() for text in texts):
            raise ValueError(f"{name}: expected distinct names")
        return texts

    def texts(self, name: str) -> list[str]:
        """A data set of texts in a row."""
        data = self._dataset(name)
        if h5py.check_string_dtype(data.dtype) is None or data.ndim != 1:
            raise ValueError(
                f"{name}: is of the type {data.dtype}, expected a one-dimensional list of texts"
            )
        return [bytes(value).decode() for value in data[()]]

    def digest(self) -> str:
        """The SHA-256 of the names, types and values of all data sets but the one that has it."""
        total = hashlib.sha256()
        for name in sorted(set(self.datasets()) - {SEAL}):
            data = self._dataset(name)
            total.update(f"{name}\0{data.dtype.kind}{data.dtype.itemsize}{data.shape}\0".encode())
            if data.dtype.hasobject:
                total.update(b"\0".join(np.ravel(data[()]).tolist()))
                continue
            for values in _pieces(data):
                total.update(values.tobytes())
        return total.hexdigest()

    def _dataset(self, name: str) -> h5py.Dataset:
        if name not in self:
            raise KeyError(name)
        data = self._file[name]
        if not isinstance(data, h5py.Dataset):
            raise ValueError(f"{name}: is not a data set")
        if data.is_virtual or data.external:
            raise ValueError(f"{name}: is in another file, which is not read")
        if data.nbytes > self._limit:
            raise ValueError(f"{name}: has the shape {data.shape}, more than fits into the file")
        if data.dtype.hasobject and h5py.check_string_dtype(data.dtype) is None:
            raise ValueError(f"{name}: is of the type {data.dtype}, expected numbers or texts")
        return data


def _hard(group: h5py.Group, part: str, name: str) -> Any:
    """What has the name ``part`` in a group; ValueError if that is the name of something else."""
    if not isinstance(group.get(part, getlink=True), h5py.HardLink):
        raise ValueError(f"{name}: is a link to another place, which is not followed")
    return group[part]


def _pieces(data: h5py.Dataset) -> Iterator[np.ndarray]:
    """The rows of a data set, some at a time."""
    if not data.shape:
        yield np.asarray(data[()])
        return
    n_rows = max(1, AT_ONCE * data.shape[0] // max(data.nbytes, 1))
    for first in range(0, data.shape[0], n_rows):
        yield np.asarray(data[first : first + n_rows])


def _counts(place: Any) -> bool:
    return isinstance(place, h5py.Dataset)


@contextmanager
def opened(path: str | Path, what: str) -> Iterator[Contents]:
    """The contents of a file; InputError that it is not ``what`` where it is damaged."""
    path = Path(path)
    try:
        archives.regular(path).close()
        with h5py.File(path, "r") as file:
            yield Contents(file, path.stat().st_size)
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read as HDF5: truncated or not HDF5 ({reason(error)})"
        ) from None
    except DAMAGES as error:
        if not path.is_file():
            reasons = "it is not a regular file" if path.exists() else "no such file"
            raise InputError(f"{path}: cannot be read as HDF5: {reasons}") from None
        raise InputError(f"{path}: is not {what}, or damaged ({reason(error)})") from None


def seal(file: h5py.File) -> None:
    """Write down what an opened file holds, so that ``require_unchanged`` can tell."""
    if SEAL in file:
        del file[SEAL]
    file[SEAL] = Contents(file, 1 << 62).digest()


def require_unchanged(path: str | Path) -> None:
    """Raise InputError if a file is no longer what was sealed; one without a seal may be."""
    with opened(path, "a file of a step") as contents:
        if SEAL not in contents or contents.text(SEAL) == contents.digest():
            return
    raise InputError(
        f"{path}: is damaged: its content changed after it was written; repeat the step that "
        "writes it"
    )
