"""What is in files: one file of an archive, and checksums."""

from __future__ import annotations

import hashlib
import tarfile
from pathlib import Path


def member_of(archive: Path, name: str) -> bytes:
    """The content of one file of a ``.tar.gz``."""
    with tarfile.open(archive) as tar:
        content = tar.extractfile(name)
        assert content is not None
        return content.read()


def checksum(file: Path) -> str:
    """The SHA-256 of a file."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
