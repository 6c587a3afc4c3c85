"""What a first `make run` costs before the analysis starts: time, downloads and disk.

In a fresh clone of this repository, with a home of its own, so that nothing is there yet. Downloads
are what the machine receives meanwhile: nothing else should use the network. Uses git and make.

    python benchmarks/setup.py [TARGET]     # setup by default, or for example 'setup EXTRA=test'
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]


def received() -> int:
    """The bytes that this machine has received from others."""
    counts = Path("/sys/class/net").glob("*/statistics/rx_bytes")
    return sum(int(count.read_text()) for count in counts if count.parts[-3] != "lo")


def main(target: list[str]) -> None:
    with tempfile.TemporaryDirectory() as name:
        clone, home = Path(name, "clone"), Path(name, "home")
        home.mkdir()
        subprocess.run(["git", "clone", "--quiet", REPOSITORY, clone], check=True)
        # pip's settings for this user, which may be what reaches an index, but no caches.
        kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        settings = {"HOME": str(home), "XDG_CACHE_HOME": str(home)}
        started, before = time.monotonic(), received()
        subprocess.run(["make", *target], cwd=clone, env=kept | settings, check=True)
        seconds, megabytes = time.monotonic() - started, (received() - before) / 1e6
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        disk = subprocess.run(["du", "-sm", clone / ".venv"], capture_output=True, text=True)
        packages = len(list(clone.glob(".venv/lib/*/site-packages/*.dist-info")))
    print(
        f"{seconds:.0f} s, {used.ru_utime + used.ru_stime:.0f} s of CPU time, "
        f"{megabytes:.0f} MB received, {disk.stdout.split()[0]} MB on disk, {packages} packages"
    )


if __name__ == "__main__":
    main(sys.argv[1:] or ["setup"])
