"""NumPy archives with a note, a struct as JSON, of what their arrays are."""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import msgspec
import numpy as np

from madminer_workflow.errors import InputError
from madminer_workflow.files import atomic_path

NOTE = "content"
"""The array that has the note."""

S = TypeVar("S", bound=msgspec.Struct)
T = TypeVar("T")


def write_arrays(path: Path, note: msgspec.Struct, arrays: Mapping[str, np.ndarray]) -> None:
    """Write an archive whose bytes depend on note and arrays only."""
    text = json.dumps(msgspec.to_builtins(note), sort_keys=True)
    with atomic_path(path) as product:
        np.savez(product, allow_pickle=False, **{NOTE: np.array(text)}, **arrays)


def read_arrays(
    path: Path, kind: type[S], made_of: Callable[[S, dict[str, np.ndarray]], T], otherwise: str
) -> T:
    """What is ``made_of`` the note, of this ``kind``, and the arrays.

    Raises InputError that says ``otherwise`` if the file is broken or another one.
    """
    try:
        # numpy would take anything else for a pickle and say so.
        if not zipfile.is_zipfile(path):
            raise zipfile.BadZipFile("truncated or no npz file")
        with np.load(path) as file:
            arrays = dict(file)
        return made_of(msgspec.json.decode(str(arrays.pop(NOTE)), type=kind), arrays)
    except (
        OSError,
        EOFError,
        KeyError,
        ValueError,
        RuntimeError,
        zlib.error,
        zipfile.BadZipFile,
    ) as error:
        raise InputError(f"{path}: {otherwise} ({error})") from None
