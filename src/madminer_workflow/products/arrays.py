"""NumPy archives with a note, a struct as JSON, of what their arrays are."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import msgspec
import numpy as np

from madminer_workflow.array_files import read_npz, reading
from madminer_workflow.files import atomic_path
from madminer_workflow.large_arrays import pieces, release

NOTE = "content"
"""The array that has the note."""

SEAL = "sha256"
"""The key of the note that has the checksum."""

S = TypeVar("S", bound=msgspec.Struct)
T = TypeVar("T")


def write_arrays(path: Path, note: msgspec.Struct, arrays: Mapping[str, np.ndarray]) -> None:
    """Write an archive whose bytes depend on note and arrays only, with a checksum of these."""
    content = msgspec.to_builtins(note)
    sealed = {**content, SEAL: _digest(arrays)}
    text = json.dumps(sealed, sort_keys=True)
    with atomic_path(path) as product:
        np.savez(product, allow_pickle=False, **{NOTE: np.array(text)}, **arrays)


def read_arrays(
    path: Path, kind: type[S], made_of: Callable[[S, dict[str, np.ndarray]], T], otherwise: str
) -> T:
    """What is ``made_of`` the note, of this ``kind``, and the arrays.

    Raises InputError that says ``otherwise`` if the file is broken or another one.
    """
    with reading(path, otherwise):
        arrays = read_npz(path)
        content = msgspec.json.decode(str(arrays.pop(NOTE)))
        if SEAL in content and content.pop(SEAL) != _digest(arrays):
            raise ValueError("its content changed after it was written")
        return made_of(msgspec.convert(content, kind), arrays)


def _digest(arrays: Mapping[str, np.ndarray]) -> str:
    """The SHA-256 of arrays with their names and types."""
    total = hashlib.sha256()
    for name in sorted(arrays):
        array = np.asarray(arrays[name])
        total.update(f"\0{name} {array.dtype.str} {array.shape}\0".encode())
        for rows in pieces(len(array)) if array.ndim else [...]:
            total.update(array[rows].tobytes())
            release(array)
    return total.hexdigest()
