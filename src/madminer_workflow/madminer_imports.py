"""MadMiner's package without the imports of everything in it."""

from __future__ import annotations

import importlib.util
import sys
from typing import Any

PACKAGE = "madminer"


def defer_package_imports() -> None:
    """Let ``import madminer.<module>`` import that module and what it needs, nothing more.

    ``madminer/__init__.py`` imports all of MadMiner, whichever module is wanted: torch for the
    set-up, matplotlib's and scipy's larger parts for a network. That is 1.5 s more for every
    process that trains, 3 s for configure. With this, it runs as soon as the package itself is
    asked for one of its names, so that all uses of ``madminer`` work as ever. Does nothing
    if MadMiner is already imported, or not installed.
    """
    spec = None if PACKAGE in sys.modules else importlib.util.find_spec(PACKAGE)
    if spec is None or spec.loader is None:
        return
    package, loader = importlib.util.module_from_spec(spec), spec.loader

    def load(name: str) -> Any:
        del package.__dict__["__getattr__"]
        loader.exec_module(package)
        return getattr(package, name)

    package.__dict__["__getattr__"] = load
    sys.modules[PACKAGE] = package
