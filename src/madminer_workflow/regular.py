"""Files that people name: regular ones of a sane size, read without waiting for anybody.

A pipe blocks whoever opens it, a device such as /dev/zero never ends, and a file of /proc says
that it is empty.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from madminer_workflow.errors import InputError

_KINDS = {
    stat.S_IFDIR: "a directory",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
MB = 1_000_000


def what_else(path: Path) -> str | None:
    """What ``path`` is instead of a regular file; None if it is one, or nothing at all."""
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return None
    return None if stat.S_ISREG(mode) else _KINDS.get(stat.S_IFMT(mode), "something else")


def read_bytes(path: Path, most: int) -> bytes:
    """What a regular file of at most ``most`` bytes holds.

    Raises InputError that says, without naming the file, why it cannot be read.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError) as error:
        raise InputError(_reason(error)) from None
    kind = stat.S_IFMT(os.fstat(descriptor).st_mode)
    if kind != stat.S_IFREG:
        os.close(descriptor)
        raise InputError(f"{_KINDS.get(kind, 'something else')}; expected a file")
    with os.fdopen(descriptor, "rb") as file:
        try:
            data = file.read(most + 1)
        except OSError as error:
            raise InputError(_reason(error)) from None
    if data is None:
        # Files of the kernel may have nothing to say yet.
        raise InputError("something that may never be read to its end; expected a file")
    if len(data) > most:
        raise InputError(f"larger than {most / MB:g} MB")
    return data


def read_text(path: Path, most: int) -> str:
    """The text, in UTF-8, of a regular file of at most ``most`` bytes.

    Raises InputError that says, without naming the file, why it cannot be read.
    """
    try:
        text = read_bytes(path, most).decode("utf-8")
    except UnicodeDecodeError:
        raise InputError("not a text file") from None
    if "\0" in text:
        raise InputError("not a text file")
    return text


def _reason(error: OSError | ValueError) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
