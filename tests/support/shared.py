"""What is made once for all workers of a test run, whichever of them needs it first."""

from __future__ import annotations

import fcntl
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest

Made = TypeVar("Made")


def shared(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], Made]) -> Made:
    """What ``make(directory)`` returned, in this worker or in another.

    Whoever comes first makes it in a directory of the whole run; the others wait and read. What is
    returned must survive pickling and is not to be changed: it belongs to all tests.
    """
    base = factory.getbasetemp()
    root = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "shared"
    root.mkdir(exist_ok=True)
    directory, result = root / name, root / f"{name}.pickle"
    directory.mkdir(exist_ok=True)
    with (root / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not result.exists():
            made = make(directory)
            result.write_bytes(pickle.dumps(made))
    return pickle.loads(result.read_bytes())
