"""A crate as one file, and back: zip archives with limits, of which nothing is believed."""

from __future__ import annotations

import os
import shutil
import stat
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path

from madminer_workflow.archives import LARGEST_COUNT, LARGEST_RATIO, limit_for
from madminer_workflow.errors import InputError
from madminer_workflow.files import atomic_path
from madminer_workflow.provenance.crate import safe_path

_TIME = (1980, 1, 1, 0, 0, 0)


def pack_zip(root: Path, names: Iterable[str], archive: Path) -> None:
    """Pack the files ``names`` below ``root``; equal bytes for equal files."""
    with atomic_path(archive) as product, zipfile.ZipFile(product, "w") as packed:
        for name in sorted(names):
            info = zipfile.ZipInfo(name, _TIME)
            info.external_attr = (stat.S_IFREG | 0o644) << 16
            info.create_system = 3
            info.compress_type = zipfile.ZIP_DEFLATED
            with (root / name).open("rb") as data, packed.open(info, "w", force_zip64=True) as file:
                shutil.copyfileobj(data, file, 1 << 20)


def unpack_zip(archive: Path, directory: Path) -> None:
    """Unpack an archive of regular files into ``directory``.

    Raises InputError, which names the member, for one that is damaged, lies outside, is doubled, a
    link or encrypted, and for archives that grow beyond all measure.
    """
    try:
        size = archive.stat().st_size
        if not archive.is_file():
            raise InputError(f"{archive}: is not a regular file")
        with zipfile.ZipFile(archive) as packed:
            members = [info for info in packed.infolist() if not info.is_dir()]
            _check(archive, members, limit_for(size))
            for info in members:
                _extract(packed, info, directory, archive)
    except OSError as error:
        raise InputError(f"{error.filename or archive}: {error.strerror or error}") from None
    except (zipfile.BadZipFile, ValueError, NotImplementedError, RuntimeError) as error:
        raise InputError(f"{archive}: cannot be unpacked ({error})") from None


def _check(archive: Path, members: list[zipfile.ZipInfo], limit: int) -> None:
    if len(members) > LARGEST_COUNT:
        raise InputError(f"{archive}: has more than {LARGEST_COUNT} files")
    total = sum(info.file_size for info in members)
    if total > limit:
        raise InputError(
            f"{archive}: would grow to {total} bytes, more than {LARGEST_RATIO} times its size"
        )
    seen: set[str] = set()
    for info in members:
        safe_path(info.filename.replace("%", "%25"), archive)
        if info.filename in seen:
            raise InputError(f"{archive}: has {info.filename} twice")
        seen.add(info.filename)
        kind = stat.S_IFMT(info.external_attr >> 16)
        if kind not in (0, stat.S_IFREG):
            raise InputError(f"{archive}: {info.filename} is not a regular file")
        if info.flag_bits & 0x1:
            raise InputError(f"{archive}: {info.filename} is encrypted")


def _extract(
    packed: zipfile.ZipFile, info: zipfile.ZipInfo, directory: Path, archive: Path
) -> None:
    target = directory / info.filename
    target.parent.mkdir(parents=True, exist_ok=True)
    if info.file_size > shutil.disk_usage(directory).free:
        raise InputError(f"{directory}: has no space for {info.filename} from {archive}")
    try:
        # Read no further than its header says: zipfile itself checks the sum at its end only.
        with packed.open(info) as data, target.open("xb") as file:
            left = info.file_size
            while block := data.read(1 << 20):
                left -= len(block)
                if left < 0:
                    raise zipfile.BadZipFile("it is longer than its header says")
                file.write(block)
        if os.path.getsize(target) != info.file_size:
            raise zipfile.BadZipFile("it is shorter than its header says")
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise InputError(f"{archive}: {info.filename}: is damaged ({error})") from None
