"""NumPy's files read without belief, and checks of the arrays that come from any file.

numpy unpickles what it takes for objects, believes the sizes that headers announce, and reads
complex numbers where real ones are meant. Here, all of that is an error.
"""

from __future__ import annotations

import tokenize
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np

from madminer_workflow import archives
from madminer_workflow.errors import InputError

KINDS = "biufU"
"""Of types that arrays in files have: numbers and texts."""

DAMAGES = (
    archives.ArchiveError,
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    NotImplementedError,
    RecursionError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)
"""What libraries raise for a damaged file, which depends on where it is damaged."""


@contextmanager
def reading(path: str | Path, otherwise: str) -> Iterator[None]:
    """Whatever cannot be read inside of the block is the fault of the file ``path``.

    Raises InputError that says ``otherwise``, in one line.
    """
    try:
        yield
    except FileNotFoundError as error:
        name = Path(error.filename or path).name
        raise InputError(f"{path}: {otherwise} (there is no {name})") from None
    except OSError as error:
        raise InputError(f"{path}: {otherwise} ({reason(error.strerror or error)})") from None
    except DAMAGES as error:
        raise InputError(f"{path}: {otherwise} ({reason(error)})") from None


def reason(error: object) -> str:
    """What an error says, in one line that is not too long."""
    if isinstance(error, KeyError):
        return f"it has no {error.args[0]}"
    text = " ".join(str(error).split()) or type(error).__name__
    text = "".join(letter if letter.isprintable() else "?" for letter in text)
    return text if len(text) <= 300 else f"{text[:300]}…"


def read_npy(path: Path) -> np.ndarray:
    """The array of a file; ValueError if it is damaged, OSError if it cannot be read."""
    with _opened(path) as file:
        return _array(path.name, file, path.stat().st_size)


def read_npz(path: Path) -> dict[str, np.ndarray]:
    """The arrays of an archive; an error of ``DAMAGES`` or OSError if it is another file."""
    with _opened(path) as raw, zipfile.ZipFile(raw) as archive:
        members = archive.infolist()
        names = [member.filename for member in members]
        if len(set(names)) != len(names):
            raise ValueError("it contains an array twice")
        if sum(member.file_size for member in members) > archives.limit_for(path.stat().st_size):
            raise ValueError("it expands too much")
        arrays = {}
        for member in members:
            with archive.open(member) as file:
                name = member.filename.removesuffix(".npy")
                arrays[name] = _array(name, file, member.file_size)
                if file.read(1):
                    raise ValueError(f"{name}: continues after its end")
        return arrays


def _opened(path: Path) -> IO[bytes]:
    try:
        return archives.regular(path)
    except archives.ArchiveError as error:
        raise ValueError(f"{path.name}: {error}") from None


def _array(name: str, file: IO[bytes], size: int) -> np.ndarray:
    """An array of a known size [B], of which no more is allocated than there is."""
    version = np.lib.format.read_magic(file)
    headers = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    if version not in headers:
        raise ValueError(f"{name}: is of an unknown version")
    shape, fortran, dtype = headers[version](file)
    if dtype.hasobject or dtype.kind not in KINDS:
        raise ValueError(f"{name}: is of the type {dtype}, expected numbers or texts")
    count = 1
    for length in shape:
        count *= length
    if min(shape, default=0) < 0 or file.tell() + count * dtype.itemsize != size:
        raise ValueError(f"{name}: its size is not that of its shape {shape}")
    data = file.read(count * dtype.itemsize)
    if len(data) != count * dtype.itemsize:
        raise ValueError(f"{name}: breaks off")
    return np.frombuffer(data, dtype).reshape(shape, order="F" if fortran else "C").copy()


class Checked:
    """Checks of arrays, one after another; a size with a name is the same in all of them."""

    def __init__(self, **sizes: int) -> None:
        """With those ``sizes`` that are known."""
        self.sizes = dict(sizes)

    def of(
        self,
        arrays: Mapping[str, np.ndarray],
        name: str,
        *shape: str | int,
        finite: bool = True,
        whole: bool = False,
        least: float | None = None,
    ) -> np.ndarray:
        """The array ``name`` of ``arrays``, of real numbers; ``shape`` are sizes or their names.

        Raises ValueError if it is not there, not ``finite`` or, if so asked for, not of ``whole``
        numbers or below ``least``.
        """
        if name not in arrays:
            raise ValueError(f"it has no {name}")
        return self(name, arrays[name], *shape, finite=finite, whole=whole, least=least)

    def __call__(
        self,
        name: str,
        array: np.ndarray,
        *shape: str | int,
        finite: bool = True,
        whole: bool = False,
        least: float | None = None,
    ) -> np.ndarray:
        """The ``array`` that is called ``name``, as ``of`` has it."""
        array = np.asarray(array)
        kinds = "biu" if whole else "biuf"
        if array.dtype.kind not in kinds:
            expected = "whole numbers" if whole else "real numbers"
            raise ValueError(f"{name}: is of the type {array.dtype}, expected {expected}")
        if array.ndim != len(shape):
            raise ValueError(f"{name}: has {array.ndim} dimensions, expected {len(shape)}")
        for axis, (size, wanted) in enumerate(zip(array.shape, shape, strict=True)):
            known = self.sizes.setdefault(wanted, size) if isinstance(wanted, str) else wanted
            if size != known:
                raise ValueError(f"{name}: has {size} entries along axis {axis}, expected {known}")
        if finite and array.dtype.kind == "f" and not np.isfinite(array).all():
            bad = int(np.sum(~np.isfinite(array)))
            raise ValueError(f"{name}: {bad} of {array.size} numbers are NaN or infinite")
        if least is not None and np.any(array < least):
            raise ValueError(f"{name}: has a number below {least:g}")
        return array
