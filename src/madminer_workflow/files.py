"""Files that are whole or absent: atomic writes, checksums, archives and safe unpacking."""

from __future__ import annotations

import fcntl
import gzip
import hashlib
import json
import os
import re
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, TypeVar, cast

import msgspec

from madminer_workflow.errors import InputError

S = TypeVar("S", bound=msgspec.Struct)


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
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def write_json(path: str | Path, data: Any) -> None:
    """Write ``data``, plain or with structs in it, as JSON with sorted keys, atomically."""
    with atomic_path(path) as product:
        text = json.dumps(data, indent=2, sort_keys=True, default=msgspec.to_builtins)
        product.write_text(text + "\n")


def read_json(path: str | Path) -> Any:
    """Read a JSON file; raise InputError if it is missing or not JSON."""
    try:
        return json.loads(Path(path).read_text())
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: is not valid JSON ({error})") from None


def read_struct(path: str | Path, step: str, kind: type[S]) -> S:
    """Read a JSON file that ``step`` wrote as a struct; InputError unless it is one."""
    try:
        return msgspec.convert(read_json(path), kind)
    except msgspec.ValidationError as error:
        fields = (field.encode_name for field in msgspec.structs.fields(kind))
        raise InputError(
            f"{path}: is not the file that {step} writes; "
            f"expected JSON with the keys {', '.join(sorted(fields))} ({error})"
        ) from None


@contextmanager
def locked(workdir: str | Path) -> Iterator[None]:
    """Keep others out of a work directory, which is made if absent, while the block lasts.

    Raises InputError if another process is in it.
    """
    workdir = Path(workdir)
    workdir.mkdir(parents=True, exist_ok=True)
    with (workdir / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(
                f"{workdir}: another run is using this directory; wait for it or choose another"
            ) from None
        yield


def link(source: str | Path, target: str | Path) -> None:
    """A hard link where the file system has them, or a copy: products are replaced, not changed."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


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
    equal whenever the files in it are.
    """
    directory = Path(directory)
    chosen = directory.rglob("*") if files is None else files
    with (
        atomic_path(archive) as product,
        _written(product) as file,
        tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as tar,
    ):
        for path in sorted(path for path in chosen if path.is_file()):
            info = tarfile.TarInfo(path.relative_to(directory).as_posix())
            info.size = path.stat().st_size
            info.mode = 0o755 if os.access(path, os.X_OK) else 0o644
            with path.open("rb") as data:
                tar.addfile(info, data)


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


def unpack(archive: str | Path, directory: str | Path, expected: str | None = None) -> Path:
    """Unpack a ``.tar.gz`` or ``.tar`` of regular files into ``directory`` and return it.

    Raises InputError for anything that is not a readable and complete archive, for members that
    would land outside ``directory`` or are not regular files or directories, and if the archive
    does not hold the file ``expected``.
    """
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    opened = gzip.open if Path(archive).suffix == ".gz" else open
    try:
        with (
            opened(archive, "rb") as file,
            tarfile.open(fileobj=cast(IO[bytes], file), mode="r:") as tar,
        ):
            for member in tar:
                _extract(tar, member, directory.resolve())
            # Only at its end does gzip notice that something is missing or damaged.
            while file.read(1 << 20):
                pass
    except (gzip.BadGzipFile, zlib.error, EOFError, tarfile.TarError, FileNotFoundError) as error:
        raise InputError(f"{archive}: cannot be unpacked ({error})") from None
    if expected and not (directory / expected).is_file():
        raise InputError(f"{archive}: is another archive than expected: it holds no {expected}")
    return directory


def member_of(archive: Path, name: str) -> bytes:
    """The content of one file of a ``.tar.gz``."""
    with tarfile.open(archive) as tar:
        member = tar.extractfile(name)
        assert member is not None
        return member.read()


def _extract(tar: tarfile.TarFile, member: tarfile.TarInfo, directory: Path) -> None:
    # tarfile's own extraction filters are missing from Debian 12's Python 3.11.2.
    target = (directory / member.name).resolve()
    if not target.is_relative_to(directory):
        raise tarfile.TarError(f"{member.name} lies outside of the archive")
    if member.isdir():
        target.mkdir(parents=True, exist_ok=True)
        return
    data = tar.extractfile(member) if member.isreg() else None
    if data is None:
        raise tarfile.TarError(f"{member.name} is neither a regular file nor a directory")
    target.parent.mkdir(parents=True, exist_ok=True)
    with data, target.open("wb") as file:
        shutil.copyfileobj(data, file)
    if member.mode & 0o100:
        target.chmod(target.stat().st_mode | 0o111)
