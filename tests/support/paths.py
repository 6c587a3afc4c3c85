"""Where things lie, and which version of Pythia is there."""

from __future__ import annotations

import importlib.metadata
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
REANA_CLIENT_95 = next(
    (
        place / "bin/reana-client"
        for place in (Path(f"{sys.prefix}95"), REPOSITORY / ".venv-reana95")
        if (place / "bin/reana-client").is_file()
    ),
    None,
)
"""REANA's client 0.95, beside the environment of the other one; None without it."""
NO_REANA = "REANA's client is not installed, it has to be compiled: make test-reana"
PYTHIA_VERSION = importlib.metadata.version("pythia8mc").rpartition(".")[0]
"""As Pythia itself says it; the wheel has a third number."""
