"""NumPy's files read without belief, and checks of the arrays that come from any file.

numpy unpickles what it takes for objects, believes the sizes that headers announce, and reads
complex numbers where real ones are meant. Here, all of that is an error.
"""

from __future__ import annotations

import struct
import tokenize
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Literal

import numpy as np

from madminer_workflow import archives
from madminer_workflow.errors import InputError
from madminer_workflow.large_arrays import AT_ONCE, MAPPED_FROM, pieces, release

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
    """The arrays of an archive; an error of ``DAMAGES`` or OSError if it is another file.

    Large ones stay in the file (``large_arrays.release``), and cannot be written into.
    """
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
                if member.file_size < MAPPED_FROM or member.compress_type != zipfile.ZIP_STORED:
                    arrays[name] = _array(name, file, member.file_size)
                    if file.read(1):
                        raise ValueError(f"{name}: continues after its end")
                    continue
                shape, order, dtype = _header(name, file, member.file_size)
                place = _place(raw, member) + file.tell()
                while file.read(AT_ONCE):
                    pass
                arrays[name] = np.asarray(np.memmap(path, dtype, "r", place, shape, order))
        return arrays


def _opened(path: Path) -> IO[bytes]:
    try:
        return archives.regular(path)
    except archives.ArchiveError as error:
        raise ValueError(f"{path.name}: {error}") from None


def _place(file: IO[bytes], member: zipfile.ZipInfo) -> int:
    """Where the data of a member of an archive begin: behind its own header and names in it."""
    file.seek(member.header_offset)
    header = file.read(30)
    return member.header_offset + 30 + sum(struct.unpack("<HH", header[26:30]))


def _array(name: str, file: IO[bytes], size: int) -> np.ndarray:
    """An array of a known size [B], of which no more is allocated than there is."""
    shape, order, dtype = _header(name, file, size)
    n_bytes = size - file.tell()
    data = file.read(n_bytes)
    if len(data) != n_bytes:
        raise ValueError(f"{name}: breaks off")
    return np.frombuffer(data, dtype).reshape(shape, order=order).copy()


def _header(
    name: str, file: IO[bytes], size: int
) -> tuple[tuple[int, ...], Literal["C", "F"], np.dtype]:
    """The shape, the order and the type of an array whose file has a known size [B]."""
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
    return shape, "F" if fortran else "C", dtype


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
        rows = [array] if array.ndim == 0 else (array[piece] for piece in pieces(len(array)))
        bad = low = 0
        for some in rows:
            bad += int(np.sum(~np.isfinite(some))) if finite and array.dtype.kind == "f" else 0
            low += int(np.sum(some < least)) if least is not None else 0
            release(array)
        if bad:
            raise ValueError(f"{name}: {bad} of {array.size} numbers are NaN or infinite")
        if low:
            raise ValueError(f"{name}: has a number below {least:g}")
        return array
