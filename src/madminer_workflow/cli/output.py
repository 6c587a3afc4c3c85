"""Standard output and error that never keep a command from doing its work.

A terminal that cannot show a character gets another one; output that nobody reads any more, or that
was closed, is dropped. Text files are UTF-8, whatever the locale.
"""

from __future__ import annotations

import errno
import io
import locale
import os
import sys
from typing import TextIO

_NOBODY = (errno.EPIPE, errno.EIO, errno.EBADF, errno.ENXIO)
"""How it is told that a reader, or a terminal, is gone."""


def prepare() -> None:
    """Make the streams of this process ready for anything that is printed."""
    _open_closed()
    _use_utf8()
    # What somebody else has put in their place is somebody else's.
    if sys.stdout is sys.__stdout__:
        sys.stdout = _patient(sys.stdout, 1, "replace")
    if sys.stderr is sys.__stderr__:
        sys.stderr = _patient(sys.stderr, 2, "backslashreplace")


def lost() -> str | None:
    """Why some of the standard output is missing that somebody waits for, if it is."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        return None
    return sys.stdout.problem if isinstance(sys.stdout, _Patient) else None


class _Patient(io.TextIOWrapper):
    """Drops what cannot be written; ``problem`` says why, unless nobody is there to read it."""

    problem: str | None = None

    def write(self, text: str, /) -> int:
        try:
            return super().write(text)
        except OSError as error:
            self._drop(error)
            return len(text)

    def flush(self) -> None:
        try:
            super().flush()
        except OSError as error:
            self._drop(error)

    def _drop(self, error: OSError) -> None:
        if error.errno not in _NOBODY:
            self.problem = error.strerror or str(error)
        # What is still in the buffer, and all that follows, goes nowhere.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self.fileno())
        os.close(nowhere)


def _patient(stream: TextIO | None, descriptor: int, errors: str) -> TextIO:
    """A stream to the same place in the same way, which takes anything."""
    buffer = open(descriptor, "wb", closefd=False)  # noqa: SIM115
    if not isinstance(stream, io.TextIOWrapper):
        return _Patient(buffer, "utf-8", errors)
    return _Patient(
        buffer,
        stream.encoding,
        errors,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )


def _open_closed() -> None:
    """Open streams that were closed (``>&-``): files opened later would take their place."""
    for descriptor, flags in ((0, os.O_RDONLY), (1, os.O_WRONLY), (2, os.O_WRONLY)):
        try:
            os.fstat(descriptor)
        except OSError:
            opened = os.open(os.devnull, flags)
            if opened != descriptor:
                os.dup2(opened, descriptor)
                os.close(opened)
            os.set_inheritable(descriptor, True)


def _use_utf8() -> None:
    """Read and write text files as UTF-8 where the locale says otherwise."""
    if not sys.flags.utf8_mode and locale.getencoding().lower() not in ("utf-8", "utf8"):
        try:
            locale.setlocale(locale.LC_CTYPE, "C.UTF-8")
        except locale.Error:
            return
