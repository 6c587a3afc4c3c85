"""Independent random streams from one analysis seed."""

from __future__ import annotations

import zlib

import numpy as np


def derive_seed(seed: int, *names: str | int) -> int:
    """A 31-bit seed for the stream called ``names``, e.g. ``(seed, "wbf_haa", "sm", 3)``.

    Streams of different names are independent (numpy's SeedSequence); the mapping is stable
    across processes and Python versions.
    """
    keys = [zlib.crc32(str(name).encode()) for name in names]
    return int(np.random.SeedSequence([seed, *keys]).generate_state(1)[0] >> 1)
