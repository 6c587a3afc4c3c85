"""Files that are whole or absent: atomic writes, checksums, packing and unpacking."""

from __future__ import annotations

import errno
import fcntl
import gzip
import hashlib
import io
import json
import os
import platform
import re
import shutil
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, TypeVar, cast

import msgspec

from madminer_workflow import archives
from madminer_workflow.errors import InputError, StepError

S = TypeVar("S", bound=msgspec.Struct)

_MOST_DIGITS = 20
"""Of a whole number with 64 bits."""
_PATIENCE_SECONDS = 15.0
"""To wait for what a killed run has left behind."""
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; move it there only if the block succeeds.

    The block may create a file or a directory. An existing product is replaced in the end, and
    is left untouched when the block raises.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        product = scratch / path.name
        yield product
        if product.is_dir() and path.is_dir():
            os.rename(path, scratch / "replaced")
        os.replace(product, path)
    except OSError as error:
        # Errors of writing come without the name of the file.
        if error.filename is None and error.errno in _NO_ROOM:
            error.filename = str(path)
        raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def write_json(path: str | Path, data: Any) -> None:
    """Write ``data``, plain or with structs in it, as JSON with sorted keys, atomically."""
    with atomic_path(path) as product:
        text = json.dumps(data, indent=2, sort_keys=True, default=msgspec.to_builtins)
        product.write_text(text + "\n")


def read_json(path: str | Path) -> Any:
    """Read a JSON file; raise InputError if it is missing or not JSON.

    Numbers are finite and no longer than 64 bits, keys come once and texts can be written, unlike
    in Python's own JSON.
    """
    path = Path(path)
    try:
        # A pipe or a device might never end, or never begin.
        if path.exists() and not path.is_file():
            raise InputError(f"{path}: cannot be read (it is not a regular file)")
        text = path.read_text(encoding="utf-8")
        msgspec.json.decode(text)
        return json.loads(text, object_pairs_hook=_once, parse_int=_integer)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    except RecursionError:
        raise InputError(f"{path}: is not valid JSON (it is nested too deeply)") from None
    except ValueError as error:
        reason = str(error) if len(str(error)) < 200 else f"{str(error)[:200]}…"
        raise InputError(f"{path}: is not valid JSON ({reason})") from None


def _integer(digits: str) -> int:
    number = int(digits) if len(digits) <= _MOST_DIGITS else None
    if number is None or not -(2**63) <= number < 2**64:
        raise ValueError(f"{digits[:_MOST_DIGITS]}… is too large a number")
    return number


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        names = [name for name, _ in pairs]
        doubled = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {doubled!r} occurs twice")
    return content


def read_struct(path: str | Path, step: str, kind: type[S]) -> S:
    """Read a JSON file that ``step`` wrote as a struct; InputError unless it is one."""
    try:
        return msgspec.convert(read_json(path), kind)
    except (msgspec.ValidationError, OverflowError) as error:
        fields = (field.encode_name for field in msgspec.structs.fields(kind))
        raise InputError(
            f"{path}: is not the file that {step} writes; "
            f"expected JSON with the keys {', '.join(sorted(fields))} ({error})"
        ) from None


@contextmanager
def named(directory: Path, archive: str | Path) -> Iterator[None]:
    """Let errors inside of the block name the ``archive``, not where it is unpacked.

    What was in it is gone when somebody reads the message.
    """
    try:
        yield
    except (InputError, StepError) as error:
        kind = StepError if isinstance(error, StepError) else InputError
        raise kind(str(error).replace(str(directory), str(archive))) from None


@contextmanager
def locked(workdir: str | Path) -> Iterator[int]:
    """Keep others out of a work directory, which is made if absent, while the block lasts.

    Yields the descriptor of the lock, which children may hold, too: what a killed run has left
    behind ends in a moment, and until then this waits. Raises InputError if another process is in
    the directory.
    """
    workdir = Path(workdir)
    workdir.mkdir(parents=True, exist_ok=True)
    place = workdir / ".lock"
    with place.open("a+") as lock:
        end = time.monotonic() + _PATIENCE_SECONDS
        while not _lock(lock, place):
            if _holder_lives(lock):
                raise InputError(
                    f"{workdir}: another run is using this directory; wait for it or choose another"
                )
            if time.monotonic() > end:
                raise InputError(
                    f"{workdir}: steps of a killed run are still using this directory; end them "
                    f"(kill {' '.join(map(str, _users(place)))}) or choose another directory"
                )
            time.sleep(0.1)
        lock.truncate(0)
        lock.write(f"{os.getpid()} {platform.node()}\n")
        lock.flush()
        yield lock.fileno()


def _lock(lock: IO[str], place: Path) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        raise InputError(
            f"{place}: cannot be locked ({error.strerror}); choose a directory on another disk"
        ) from None
    return True


def _holder_lives(lock: IO[str]) -> bool:
    """Whether the process lives that has written its number into the lock; yes, if in doubt."""
    lock.seek(0)
    number, _, machine = lock.read().strip().partition(" ")
    if not number.isdigit() or machine != platform.node():
        return True
    try:
        os.kill(int(number), 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _users(place: Path) -> list[int]:
    """The numbers of other processes that have a file open, as far as this one may know."""
    users = set()
    for descriptor in Path("/proc").glob("[0-9]*/fd/*"):
        with suppress(OSError):
            if descriptor.samefile(place):
                users.add(int(descriptor.parts[2]))
    return sorted(users - {os.getpid()})


def link(source: str | Path, target: str | Path) -> None:
    """A hard link where the file system has them, or a copy: products are replaced, not changed."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def remove_directory(path: Path) -> None:
    """Remove a directory, if it is one: rmtree would wait for somebody to write into a pipe."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)


def natural_order(path: str | Path) -> list[tuple[int, str]]:
    """A key to sort paths by that puts job 10 after job 9."""
    parts = re.split(r"(\d+)", str(path))
    return [(int(part), "") if part.isdigit() else (-1, part) for part in parts]


def checksum(file: Path) -> str:
    """The SHA-256 of a file."""
    with file.open("rb") as data:
        return hashlib.file_digest(data, "sha256").hexdigest()


def pack(directory: str | Path, archive: str | Path, files: Iterable[Path] | None = None) -> None:
    """Pack ``files`` inside ``directory``, or all that it holds, into a ``.tar.gz`` or ``.tar``.

    The archive's bytes depend on what the files hold only: names are sorted, and owners, times and
    modes are dropped but for whether a file can be executed, so that a checksum of the archive is
    equal whenever the files in it are. Last comes ``SHA256SUMS``, which ``unpack`` compares with.
    """
    directory = Path(directory)
    chosen = directory.rglob("*") if files is None else files
    sums: dict[str, str] = {}
    with (
        atomic_path(archive) as product,
        _written(product) as file,
        tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as tar,
    ):
        for path in sorted(path for path in chosen if path.is_file()):
            info = tarfile.TarInfo(path.relative_to(directory).as_posix())
            info.size = path.stat().st_size
            info.mode = 0o755 if os.access(path, os.X_OK) else 0o644
            sums[info.name] = checksum(path)
            with path.open("rb") as data:
                tar.addfile(info, data)
        text = "".join(f"{digest}  {name}\n" for name, digest in sums.items()).encode()
        info = tarfile.TarInfo(archives.SUMS)
        info.size = len(text)
        tar.addfile(info, io.BytesIO(text))


@contextmanager
def _written(archive: Path) -> Iterator[IO[bytes]]:
    """The file of an archive, compressed if its name says so."""
    with archive.open("wb") as raw:
        if archive.suffix != ".gz":
            yield raw
            return
        # Level 1: these archives are dominated by digits, which higher levels hardly shrink.
        with gzip.GzipFile(filename="", fileobj=raw, mode="wb", compresslevel=1, mtime=0) as zipped:
            yield cast(IO[bytes], zipped)


def unpack(
    archive: str | Path,
    directory: str | Path,
    expected: str | None = None,
    wanted: Callable[[str], bool] | None = None,
) -> Path:
    """Unpack a ``.tar.gz`` or ``.tar`` of regular files into ``directory`` and return it.

    All of them, or those with names that are ``wanted``. Nothing appears there before all of it is
    unpacked. Raises InputError for anything that is not a readable and complete archive of ``pack``
    within the limits of ``archives``, and if it does not hold the file ``expected``; OSError if
    there is no room.
    """
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".unpacking.", dir=directory) as scratch:
        with _reading(archive) as stream:
            for entry in archives.entries(stream):
                if wanted is None or entry.name == archives.SUMS or wanted(entry.name):
                    _extract(entry, Path(scratch))
            _require_same(Path(scratch), whole=wanted is None)
        if expected and not (Path(scratch) / expected).is_file():
            raise InputError(f"{archive}: is not the expected archive: it has no {expected}")
        _move(Path(scratch), directory)
    return directory


def member_of(archive: Path, name: str) -> bytes:
    """The content of one file of a ``.tar.gz``; InputError if it is not there, as of ``unpack``."""
    kept = members_of(archive, name)
    if name not in kept:
        raise InputError(f"{archive}: is not the expected archive: it has no {name}")
    return kept[name]


def members_of(archive: Path, pattern: str) -> dict[str, bytes]:
    """The contents of those files of an archive whose names match; InputError as of ``unpack``."""
    kept: dict[str, bytes] = {}
    with _reading(archive) as stream:
        for entry in archives.entries(stream):
            wanted = Path(entry.name).match(pattern) and not entry.is_directory
            if wanted or entry.name == archives.SUMS:
                if entry.size > archives.LARGEST_NOTE:
                    raise archives.ArchiveError(f"{entry.name} has {entry.size} bytes")
                kept[entry.name] = entry.data.all()
        sums = archives.sums_in(kept.pop(archives.SUMS, None))
        digests = {name: hashlib.sha256(data).hexdigest() for name, data in kept.items()}
        archives.compare(digests, sums, whole=False)
    return kept


@contextmanager
def _reading(archive: str | Path) -> Iterator[archives.Stream]:
    try:
        with archives.opened(Path(archive)) as stream:
            yield stream
    except archives.ArchiveError as error:
        raise InputError(f"{archive}: cannot be unpacked ({error})") from None


def _extract(entry: archives.Entry, scratch: Path) -> None:
    # What is small may try.
    if entry.size > archives.SMALLEST_LIMIT and entry.size > shutil.disk_usage(scratch).free:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(scratch.parent))
    target = scratch / entry.name
    try:
        (target if entry.is_directory else target.parent).mkdir(parents=True, exist_ok=True)
        if entry.is_directory:
            return
        with target.open("xb") as file:
            shutil.copyfileobj(cast(IO[bytes], entry.data), file)
    except (FileExistsError, NotADirectoryError, IsADirectoryError):
        raise archives.ArchiveError(f"{entry.name} is a file and a directory") from None
    if entry.executable:
        target.chmod(target.stat().st_mode | 0o111)


def _require_same(scratch: Path, whole: bool) -> None:
    """Compare what is unpacked with the sums that were packed, and remove these."""
    file = scratch / archives.SUMS
    sums = archives.sums_in(file.read_bytes() if file.is_file() else None)
    file.unlink()
    paths = [path for path in scratch.rglob("*") if path.is_file()]
    digests = {path.relative_to(scratch).as_posix(): checksum(path) for path in paths}
    archives.compare(digests, sums, whole=whole)


def _move(scratch: Path, directory: Path) -> None:
    """Move all files below one directory into another, where others are replaced."""
    for path in sorted(scratch.rglob("*")):
        target = directory / path.relative_to(scratch)
        if path.is_dir():
            target.mkdir(exist_ok=True)
        else:
            os.replace(path, target)
