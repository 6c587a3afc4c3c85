"""Things with a name that are no files."""

from __future__ import annotations

import os
import socket
from pathlib import Path


def special(path: Path, kind: str) -> Path:
    """Make ``path`` a "pipe", a "socket", a "folder", or a link to an endless device ("zero")."""
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "socket":
        # Names of sockets are short.
        descriptor = os.open(path.parent, os.O_RDONLY)
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(f"/proc/self/fd/{descriptor}/{path.name}")
        os.close(descriptor)
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to("/dev/zero")
    return path
