"""MadMiner's package without the imports of everything in it, and on every Python that we know."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.abc import MetaPathFinder
from importlib.machinery import FileFinder, ModuleSpec, PathFinder, SourceFileLoader
from importlib.util import LazyLoader, find_spec
from types import ModuleType
from typing import Any

PACKAGE = "madminer"
UNUSED = "sympy"
UPROOT3_CLASSES = "uproot3_methods.classes"


def arrange_imports() -> None:
    """Let MadMiner be imported in parts, and with the reader of Delphes that it uses."""
    sys.meta_path.insert(0, _Finder(PACKAGE, _PackageOnDemand))
    # MadMiner imports it for networks, too, and uses it nowhere: half a second.
    sys.meta_path.insert(0, _Finder(UNUSED, _on_demand))
    # Python 3.12 has no ``FileFinder.find_module`` any more, which uproot3's last release asks.
    if not hasattr(FileFinder, "find_module"):
        sys.meta_path.insert(0, _Finder(UPROOT3_CLASSES, _WithFindModule))


class _Finder(MetaPathFinder):
    """Finds one module as ever, but to be loaded by ``loader``."""

    def __init__(self, module: str, loader: Callable[[str, str], Any]) -> None:
        self._module, self._loader = module, loader

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != self._module:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is None or not isinstance(spec.loader, SourceFileLoader):
            return None
        spec.loader = self._loader(fullname, spec.loader.path)
        return spec


class _PackageOnDemand(SourceFileLoader):
    """Lets ``import madminer.<module>`` import that module and what it needs, nothing more.

    ``madminer/__init__.py`` imports all of MadMiner, whichever module is wanted: torch for the
    set-up, matplotlib's and scipy's larger parts for a network. That is 1.5 s more for every
    process that trains, 3 s for configure. With this, it runs as soon as the package itself is
    asked for one of its names, so that all uses of ``madminer`` work as ever.
    """

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


def _on_demand(name: str, path: str) -> LazyLoader:
    """Executes a module as soon as one of its names is wanted."""
    return LazyLoader(SourceFileLoader(name, path))


class _WithFindModule(SourceFileLoader):
    """Executes a module while the finders of files have ``find_module``."""

    def exec_module(self, module: ModuleType) -> None:
        def find_module(finder: FileFinder, name: str) -> Any:
            spec = finder.find_spec(name)
            return spec and spec.loader

        finders: Any = FileFinder
        finders.find_module = find_module
        try:
            super().exec_module(module)
        finally:
            del finders.find_module
