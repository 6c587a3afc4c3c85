"""Where things lie."""

from __future__ import annotations

import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
DATA = REPOSITORY / "tests" / "data"
REANA_CLIENT = next(
    (
        place / "reana-client"
        for place in (Path(sys.executable).parent, REPOSITORY / ".venv-reana/bin")
        if (place / "reana-client").is_file()
    ),
    None,
)
"""REANA's client in this environment, or in that of ``make test-reana``; None without one."""
NO_REANA = "REANA's client is not installed, it has to be compiled: make test-reana"
