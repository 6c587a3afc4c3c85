"""Packages of REANA in the releases that its servers run, beside the installed ones."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

# What the engine of REANA 0.9 pins.
PACKTIVITY = "0.16.2"
# The first releases that check Gherkin files; REANA's client has the command from 0.95 on.
GHERKIN = ("reana-commons==0.95.0a26", "gherkin-official==39.1.0", "parse==1.22.1")


def install(directory: Path, *packages: str) -> str:
    """Install ``packages`` into ``directory``; the value is empty, or why that was impossible."""
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
    installed = subprocess.run(
        [*pip, "--target", str(directory), *packages], capture_output=True, text=True
    )
    return installed.stderr.strip()[-300:] if installed.returncode else ""
