"""What the system could not do, in one line: which file or directory, why, and what helps.

Disks, permissions and memory fail anywhere, and libraries say it in their own ways: often without
the name of the file, which is then looked for where the error came from.
"""

from __future__ import annotations

import errno
import io
import os
import re
import tempfile
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

_ELSEWHERE = "choose another location (--workdir, --output; TMPDIR for temporary files)"
ROOM = f"free some space there, or {_ELSEWHERE}"
MEMORY = (
    "use a machine with more memory, fewer parallel steps (--workers), or smaller pieces "
    "(--njobs, batch sizes)"
)
_ADVICE = {
    errno.ENOSPC: ROOM,
    errno.EDQUOT: ROOM,
    errno.EFBIG: "the file system or ulimit -f forbids files of this size; choose another location",
    errno.EROFS: _ELSEWHERE,
    errno.EACCES: "change the permissions, or choose another location",
    errno.EPERM: "change the permissions, or choose another location",
    errno.EIO: "the disk or its network connection has failed: choose another location",
    errno.ESTALE: "the file server has lost the file: run the same command again",
    errno.EMFILE: "allow more open files (ulimit -n), or run fewer steps in parallel (--workers)",
    errno.ENFILE: "the machine has too many open files; run fewer steps in parallel (--workers)",
    errno.ENOMEM: MEMORY,
    errno.EAGAIN: "allow more processes (ulimit -u), or run fewer steps in parallel (--workers)",
}
"""What helps, beside what the system calls the problem."""

_HDF5 = re.compile(r"errno = (?P<number>\d+)")
_HDF5_NAME = re.compile(r"(?:file)?name = '(?P<name>[^']*)'")
_NO_MEMORY = re.compile(
    r"can't allocate memory|not enough memory|bad_alloc|Unable to allocate|can't start new thread"
)
_NOT_WRITTEN = re.compile(
    r"PytorchStreamWriter|file write failed|[Uu]nable to .*\b(write|flush|close|create|truncate)|"
    r"[Cc]an't .*\b(write|flush|close|create)\b.*file|requested and \d+ written|iostream error"
)
_RESERVED = 8 << 20
_SCRATCH = re.compile(r"/\.(?P<name>[^/]+)\.[^/.]{8}/(?P=name)(?=/|$)")
"""The place where a product is written before it is moved to its own."""


_RESERVE: list[bytearray] = []


def reserve() -> None:
    """Keep some memory back, with which it can be told that there is none."""
    _RESERVE[:] = [bytearray(_RESERVED)]


def release(error: BaseException) -> None:
    """Give back what is reserved, and what the work held in which ``error`` was raised."""
    _RESERVE.clear()
    known: BaseException | None = error
    while known:
        traceback.clear_frames(known.__traceback__)
        known.__traceback__, known = None, known.__context__


def explain(error: BaseException) -> str | None:
    """One line about what the system could not do; None if the ``error`` is of another kind."""
    if isinstance(error, MemoryError) or getattr(error, "errno", None) == errno.ENOMEM:
        release(error)
    text = " ".join(str(error).split())
    if isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and _NO_MEMORY.search(text)
    ):
        return f"out of memory{f' ({text})' if text else ''}; {MEMORY}"
    if isinstance(error, ImportError) and not isinstance(error, ModuleNotFoundError):
        return (
            f"{error.name or 'a package'}: cannot be loaded ({text[:200]}); the machine is out "
            "of memory, or the environment is damaged and must be reinstalled"
        )
    if isinstance(error, EOFError):
        return (
            f"{_place(error) or 'a file'}: ends too early ({text or 'EOFError'}); repeat the "
            "step that wrote it, or run everything with --fresh"
        )
    if isinstance(error, OSError) or (
        isinstance(error, RuntimeError) and _NOT_WRITTEN.search(text)
    ):
        return _of_system(error, text)
    return None


def _of_system(error: OSError | RuntimeError, text: str) -> str:
    number = error.errno if isinstance(error, OSError) else None
    if number is None and (said := _HDF5.search(text)):
        number = int(said["number"])
    place = _place(error)
    if number is None and not _NOT_WRITTEN.search(text):
        return f"{place or 'a file'}: {text}"
    reason = os.strerror(number) if number is not None else f"cannot be written ({text[:200]})"
    advice = _ADVICE.get(number, "") if number is not None else ROOM
    where = place or f"{os.getcwd()} or {tempfile.gettempdir()}"
    return f"{where}: {reason}{advice and f'; {advice}'}"


def _place(error: BaseException) -> str:
    """The file or directory that an error is about, as far as anybody knows."""
    names = [str(n) for n in (getattr(error, "filename", None),) if n]
    if said := _HDF5_NAME.search(str(error)):
        names.append(said["name"])
    for candidate in [*names, *_names_in(error.__traceback__)]:
        if candidate:
            return _SCRATCH.sub(r"/\g<name>", candidate)
    return ""


def _names_in(place: TracebackType | None) -> Iterator[str]:
    """Files that were in use where an error came from: the innermost first, open ones before all.

    Errors of writing carry no name in Python.
    """
    frames = []
    while place:
        frames.append(place.tb_frame)
        place = place.tb_next
    known = [value for frame in reversed(frames) for value in list(frame.f_locals.values())]
    for value in known:
        name = getattr(value, "name", None) if isinstance(value, io.IOBase) else None
        if isinstance(name, str) and not name.startswith("<"):
            yield name
    yield from (str(value) for value in known if isinstance(value, Path) and value.is_absolute())
