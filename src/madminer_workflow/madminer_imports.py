"""MadMiner's package without the imports of everything in it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from importlib.util import find_spec
from types import ModuleType
from typing import Any

PACKAGE = "madminer"


def defer_package_imports() -> None:
    """Let ``import madminer.<module>`` import that module and what it needs, nothing more.

    ``madminer/__init__.py`` imports all of MadMiner, whichever module is wanted: torch for the
    set-up, matplotlib's and scipy's larger parts for a network. That is 1.5 s more for every
    process that trains, 3 s for configure. With this, it runs as soon as the package itself is
    asked for one of its names, so that all uses of ``madminer`` work as ever.
    """
    sys.meta_path.insert(0, _Finder())


class _Finder(MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != PACKAGE:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is None or not isinstance(spec.loader, SourceFileLoader):
            return None
        spec.loader = _Loader(fullname, spec.loader.path)
        return spec


class _Loader(SourceFileLoader):
    def exec_module(self, module: ModuleType) -> None:
        execute = super().exec_module

        def load(name: str) -> Any:
            # MadMiner's modules import each other like this, while they are being imported.
            if find_spec(f"{PACKAGE}.{name}") is not None:
                return import_module(f"{PACKAGE}.{name}")
            del module.__dict__["__getattr__"]
            execute(module)
            return getattr(module, name)

        module.__dict__["__getattr__"] = load
