"""Tar archives taken apart, with limits: of what somebody else may have made, nothing is believed.

Python's tarfile reads headers of any size into memory, fills the holes of sparse members with
zeros, and takes an archive for complete that breaks off between two members. Products hold regular
files only: here, all else is an error.
"""

from __future__ import annotations

import gzip
import os
import re
import stat
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, cast

from madminer_workflow.errors import InputError

LARGEST_RATIO = 100
"""To how many times its size a file may grow: events shrink to a quarter, all that a step writes
to a tenth at most, and zeros to a thousandth."""

SMALLEST_LIMIT = 64 << 20
"""What every file may grow to [B]: small files of repeated text shrink to nearly nothing."""

LARGEST_COUNT = 100_000
"""Members of an archive: a job with ten million events has 20 000 files."""

MOST_DIRECTORIES = 1000
"""Members that are directories, which no step packs, but ``tar`` does."""

LONGEST_NAME, LONGEST_PART, DEEPEST = 1024, 255, 32
"""Bytes of a member's name and of each part of it, as file systems allow, and its parts."""

LARGEST_NOTE = 64 << 20
"""Of a file that is read without being unpacked [B]."""

LARGEST_HEADER = 1 << 16
"""Of the extended header of a member [B]: it holds a name, a size and a time."""

SUMS = "SHA256SUMS"
"""The member with the checksums of all others, in the format of ``sha256sum``."""

GZIP = b"\x1f\x8b"
"""What files compressed with gzip start with."""

SAMPLE = 1_000_000
"""What is compressed to know how much files of such content shrink [B]."""

BLOCK = 512
_REGULAR, _DIRECTORY, _LONG_NAME = b"0\0", b"5", b"L"
_EXTENDED, _GLOBAL = b"x", b"g"
_FORBIDDEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


class ArchiveError(ValueError):
    """What is wrong with an archive."""


class DamagedGzipError(ArchiveError):
    """What is wrong with a compressed file."""


@dataclass(frozen=True)
class Entry:
    """A file or directory in an archive; ``data`` reads it, before the next one is asked for."""

    name: str
    is_directory: bool
    executable: bool
    size: int
    data: Contents


def limit_for(size: int) -> int:
    """How large a file of ``size`` [B] may become when it is decompressed."""
    return max(SMALLEST_LIMIT, LARGEST_RATIO * size)


class Contents:
    """A stream that delivers at most ``limit`` bytes, and ArchiveError if it has fewer of them."""

    def __init__(self, stream: IO[bytes] | Stream, limit: int) -> None:
        """Read from ``stream``."""
        self._stream = stream
        self.left = limit

    def read(self, size: int) -> bytes:
        """The next ``size`` bytes, or those that are left."""
        data = self._stream.read(min(size, self.left))
        if not data and self.left and size:
            raise ArchiveError("truncated: a member is shorter than its header says")
        self.left -= len(data)
        return data

    def all(self) -> bytes:
        """All that is left."""
        pieces = []
        while self.left:
            pieces.append(self.read(self.left))
        return b"".join(pieces)


class Stream:
    """What is in a file, decompressed, as far as its limit allows."""

    def __init__(self, file: IO[bytes], size: int, compressed: bool) -> None:
        """Read from ``file``, which has a ``size``; ArchiveError if it grows too much."""
        self._file = file
        self._grows = compressed
        self.left = limit_for(size) if compressed else size

    def read(self, size: int) -> bytes:
        """The next ``size`` bytes, fewer only at the end."""
        data = self._file.read(size)
        self.left -= len(data)
        self.need(0)
        return data

    def need(self, size: int) -> None:
        """Raise ArchiveError if there cannot be ``size`` bytes more."""
        if size > self.left:
            raise ArchiveError(
                f"it expands to more than {LARGEST_RATIO} times its size and "
                f"{SMALLEST_LIMIT >> 20} MiB, which no step writes"
                if self._grows
                else f"truncated: {size - self.left} bytes of a member are missing"
            )


def regular(path: Path) -> IO[bytes]:
    """An opened file; ArchiveError if it cannot be read or is anything else than a file."""
    try:
        # A pipe or a device might never end, or never begin.
        if stat.S_ISREG(path.stat().st_mode):
            return path.open("rb")
    except OSError as error:
        raise ArchiveError(error.strerror) from None
    raise ArchiveError("it is not a regular file")


def content_size(path: Path, part: bytes) -> float:
    """About the size of the content of a regular file [B], which ``part`` is like.

    Raises ArchiveError if it cannot be read.
    """
    with regular(path) as raw:
        size = os.fstat(raw.fileno()).st_size
        if raw.read(2) != GZIP:
            return size
    some = part[:SAMPLE]
    return size * len(some) / len(zlib.compress(some))


@contextmanager
def opened(path: Path) -> Iterator[Stream]:
    """The content of a regular file, decompressed if it starts as gzip's do.

    Raises ArchiveError for a file that cannot be read, and inside of the block for what is damaged
    or grows too much.
    """
    with regular(path) as raw:
        compressed = raw.read(2) == GZIP
        raw.seek(0)
        size = os.fstat(raw.fileno()).st_size
        file = cast(IO[bytes], gzip.GzipFile(fileobj=raw)) if compressed else raw
        try:
            yield Stream(file, size, compressed)
        except (gzip.BadGzipFile, zlib.error, EOFError) as error:
            raise DamagedGzipError(str(error)) from None


def decompressed(path: Path) -> bytes:
    """All that is in a file, as ``opened`` has it."""
    with opened(path) as stream:
        pieces = []
        while piece := stream.read(1 << 24):
            pieces.append(piece)
    return b"".join(pieces)


@contextmanager
def damages_named(path: Path) -> Iterator[None]:
    """Let what ``opened`` raises inside of the block be an InputError that names the file."""
    try:
        yield
    except DamagedGzipError as error:
        raise InputError(
            f"{path}: truncated or damaged gzip file ({error}); make it again"
        ) from None
    except ArchiveError as error:
        raise InputError(f"{path}: cannot read it ({error})") from None


def entries(stream: Stream) -> Iterator[Entry]:
    """The members of a tar archive, one after another.

    Raises ArchiveError for links, devices and sparse files, for names that are doubled, lie
    outside or are no names, and for an archive that is damaged, has no end, or goes on after it.
    """
    seen: set[str] = set()
    extended: dict[str, str] = {}
    n_headers = n_directories = 0
    while True:
        header = stream.read(BLOCK)
        if header == bytes(BLOCK):
            break
        n_headers += 1
        if n_headers > LARGEST_COUNT:
            raise ArchiveError(f"it has more than {LARGEST_COUNT} members")
        _check(header)
        kind, size = header[156:157], _number(header[124:136])
        if kind in (_EXTENDED, _GLOBAL, _LONG_NAME):
            more = _extended(kind, _header_of(stream, size, kind))
            extended = {} if kind == _GLOBAL else {**extended, **more}
            continue
        size = _size(extended["size"]) if "size" in extended else size
        name = extended.get("path") or _text(header[:100], header)
        extended = {}
        n_directories += kind == _DIRECTORY
        if n_directories > MOST_DIRECTORIES:
            raise ArchiveError(f"it has more than {MOST_DIRECTORIES} directories")
        if kind not in _REGULAR and kind != _DIRECTORY:
            raise ArchiveError(f"{_shown(name)} is neither a regular file nor a directory")
        is_directory = kind == _DIRECTORY or name.endswith("/")
        if is_directory and size:
            raise ArchiveError(f"{_shown(name)} is a directory with content")
        stream.need(size)
        name = safe_name(name)
        if name in seen:
            raise ArchiveError(f"it contains {name} twice")
        seen.add(name)
        data = Contents(stream, size)
        executable = bool(_number(header[100:108]) & 0o100)
        yield Entry(name, is_directory, executable, size, data)
        while data.left:
            data.read(1 << 20)
        _padding(stream, size)
    _end(stream)


def sums_in(text: bytes | None) -> dict[str, str]:
    """The checksums by name that a ``SHA256SUMS`` has; ArchiveError if there is none."""
    if text is None:
        raise ArchiveError(f"it has no {SUMS}, which every archive written by a step contains")
    lines = _decoded(text).splitlines()
    if not all(re.fullmatch(r"[0-9a-f]{64}  .+", line) for line in lines):
        raise ArchiveError(f"{SUMS} is not a list of checksums")
    return {line[66:]: line[:64] for line in lines}


def compare(found: Mapping[str, str], packed: Mapping[str, str], whole: bool) -> None:
    """Raise ArchiveError unless files have the checksums that they were ``packed`` with.

    If this is the ``whole`` archive, all that was packed must be there.
    """
    for name, digest in found.items():
        if packed.get(name) != digest:
            what = "was changed after it was packed" if name in packed else "was not packed"
            raise ArchiveError(f"{name} {what}")
    if whole and (missing := sorted(packed.keys() - found.keys())):
        raise ArchiveError(f"{missing[0]} is missing from it")


def _check(header: bytes) -> None:
    if len(header) < BLOCK:
        raise ArchiveError("truncated: it does not end with a block of zeros")
    without = header[:148] + b" " * 8 + header[156:]
    signed = sum(byte - 256 if byte > 127 else byte for byte in without)
    if _number(header[148:156]) not in (sum(without), signed):
        raise ArchiveError("not a tar archive, or damaged: a header has a wrong checksum")


def _number(field: bytes) -> int:
    """A number in octal digits or, larger than these have room for, as bytes."""
    if field[0] & 0x80:
        value = int.from_bytes(field, "big", signed=True)
        value = value + (1 << (8 * len(field) - 1)) if field[0] == 0x80 else value
        if value < 0:
            raise ArchiveError("a header has a negative number")
        return value
    text = field.split(b"\0")[0].strip(b" ")
    if not re.fullmatch(rb"[0-7]*", text):
        raise ArchiveError("not a tar archive, or damaged: a header has no octal number")
    return int(text or b"0", 8)


def _size(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,18}", text):
        raise ArchiveError("the size of a member is not a number")
    return int(text)


def _header_of(stream: Stream, size: int, kind: bytes) -> bytes:
    if size > (LARGEST_HEADER if kind != _LONG_NAME else LONGEST_NAME + 1):
        raise ArchiveError(f"a header takes {size} bytes")
    data = Contents(stream, size).all()
    _padding(stream, size)
    return data


def _padding(stream: Stream, size: int) -> None:
    padding = -size % BLOCK
    if len(stream.read(padding)) < padding:
        raise ArchiveError("truncated: a member breaks off")


def _extended(kind: bytes, data: bytes) -> dict[str, str]:
    """What a header says of the member after it; of all members, nothing but comments."""
    if kind == _LONG_NAME:
        return {"path": _decoded(data.rstrip(b"\0"))}
    records: dict[str, str] = {}
    while data:
        length = re.match(rb"([1-9][0-9]{0,5}) ", data)
        end = int(length[1]) if length else 0
        if length is None or not length.end() < end <= len(data) or data[end - 1 : end] != b"\n":
            raise ArchiveError("damaged: an extended header is not a list of records")
        key, equals, value = data[length.end() : end - 1].partition(b"=")
        if not equals:
            raise ArchiveError("damaged: an extended header is not a list of records")
        records[_decoded(key)] = _decoded(value)
        data = data[end:]
    if any(key.startswith("GNU.sparse.") for key in records):
        raise ArchiveError("it has a sparse file, most of which is not in the archive")
    if kind == _GLOBAL and records.keys() - {"comment"}:
        raise ArchiveError("a header changes all members")
    return records


def _decoded(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise ArchiveError(f"{data[:80]!a} is not UTF-8 text") from None


def _text(field: bytes, header: bytes) -> str:
    """The name in a header, in two parts if it is long."""
    name = _decoded(field.split(b"\0")[0])
    prefix = header[345:500].split(b"\0")[0]
    in_two = header[257:263] == b"ustar\0" and prefix
    return f"{_decoded(prefix)}/{name}" if in_two else name


def _shown(name: str) -> str:
    """A name as a message can have it."""
    shown = _FORBIDDEN.sub("\N{REPLACEMENT CHARACTER}", name)
    return shown if len(shown) <= 80 else f"{shown[:80]}…"


def safe_name(name: str) -> str:
    """The name of a member, of which nothing is outside of the archive."""
    path = PurePosixPath(name)
    if _FORBIDDEN.search(name):
        raise ArchiveError(f"{_shown(name)} contains an invalid character")
    if path.is_absolute() or ".." in path.parts:
        raise ArchiveError(f"{_shown(name)} points outside the archive")
    longest = max((len(part.encode()) for part in path.parts), default=0)
    too_long = len(name.encode()) > LONGEST_NAME or longest > LONGEST_PART
    if too_long or len(path.parts) > DEEPEST:
        raise ArchiveError(f"{_shown(name)} is too long for a name")
    return str(path)


def _end(stream: Stream) -> None:
    """Only at its end does gzip notice that something is missing or damaged."""
    size = 0
    while rest := stream.read(1 << 20):
        size += len(rest)
        if rest.count(0) != len(rest):
            raise ArchiveError("it continues after its end")
    if size < BLOCK:
        raise ArchiveError("truncated: it does not end with two blocks of zeros")
