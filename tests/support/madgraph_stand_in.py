"""A stand-in for MadGraph's installation: just enough for tests of what is around it."""

from __future__ import annotations

import sys
from pathlib import Path

BANNER = """
import json

class RunCardLO(dict):
    def __init__(self, path):
        super().__init__(json.load(open(path)))

    def set(self, key, text, user, raiseerror):
        self[key] = type(self[key])(text)

    def write(self, path, template):
        json.dump(self, open(path, "w"))
"""


def install_stand_in(directory: Path, monkeypatch, mg5: str = "", interface: str = "") -> None:
    """Install ``mg5_aMC`` (a Python script) and the modules that our scripts import."""
    for folder in ("bin", "models", "madgraph/various", "madgraph/interface"):
        (directory / folder).mkdir(parents=True)
    (directory / "VERSION").write_text("version = 3.1.1\n")
    (directory / "bin" / "mg5_aMC").write_text(mg5)
    (directory / "madgraph" / "various" / "banner.py").write_text(BANNER)
    (directory / "madgraph" / "interface" / "madevent_interface.py").write_text(interface)
    monkeypatch.setenv("MG5_DIR", str(directory))
    monkeypatch.setenv("MG5_PYTHON", sys.executable)
