"""The code that a step runs: its module and all that it imports, directly or through others.

Found in the source, without importing anything, so that an import inside of a function counts too.
A change of any other module of the package leaves the step's products as they are.
"""

from __future__ import annotations

import ast
import hashlib
import re
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path

from madminer_workflow.files import checksum

# A module that looks for others by their names, or for files beside it, may use all that is there.
_PARSING = threading.Lock()
"""Python 3.11 counts the depth of all syntax trees together that threads are making."""
_ALL_BELOW = re.compile(r"\{__(name|package)__\}|__file__")
_DATA_BESIDE = re.compile(r"importlib(\.| import )resources")


def code_of(package: Path, module: str | None) -> list[Path]:
    """All files of ``package`` that ``module`` uses, sorted; all there are, for None."""
    files = used_files(package, module) if module else {*package.rglob("*.*")}
    return sorted(file for file in files if file.suffix != ".pyc" and file.is_file())


def code_checksum(package: Path, module: str | None) -> str:
    """The checksum of ``code_of`` a module."""
    return joint_checksum(package, code_of(package, module))


def joint_checksum(
    root: Path, files: Iterable[Path], of_file: Callable[[Path], str] = checksum
) -> str:
    """The checksum of ``files`` below ``root``, by name and content, in their order."""
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file.relative_to(root)}\0{of_file(file)}\n".encode())
    return digest.hexdigest()


def used_files(package: Path, module: str) -> set[Path]:
    """All files of ``package`` that a module of it uses."""
    known: set[Path] = set()
    waiting = _modules(package, module)
    while waiting:
        known |= waiting
        waiting = {used for file in waiting for used in _used(package, file)} - known
    return known


def imported_packages(package: Path, files: Iterable[Path]) -> set[str]:
    """The packages of others that any of these ``files`` imports, by the names of the imports."""
    names = {name.partition(".")[0] for f in files if f.suffix == ".py" for name in _names(f)}
    return names - sys.stdlib_module_names - {package.name}


@cache
def _names(file: Path) -> frozenset[str]:
    return frozenset(_imported(file.read_text("utf-8")))


@cache
def _used(package: Path, file: Path) -> frozenset[Path]:
    """The files of ``package`` that one of them uses itself."""
    if file.suffix != ".py":
        return frozenset()
    text = file.read_text("utf-8")
    used = {path for name in _names(file) for path in _modules(package, name)}
    if _ALL_BELOW.search(text):
        used |= {path for path in file.parent.rglob("*.*") if path.suffix != ".pyc"}
    if _DATA_BESIDE.search(text):
        used |= {path for path in file.parent.glob("*.*") if path.suffix != ".py"}
    return frozenset(used)


def _imported(text: str) -> Iterator[str]:
    """The names that a module may import; some are no modules."""
    with _PARSING:
        tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _modules(package: Path, name: str) -> set[Path]:
    """The files that are read for the import of ``name``, if it is in ``package``."""
    root, *parts = name.split(".")
    if root != package.name:
        return set()
    files = [package / "__init__.py", (package / "/".join(parts)).with_suffix(".py")]
    for i in range(len(parts)):
        files.append(package.joinpath(*parts[: i + 1], "__init__.py"))
        files.append(package.joinpath(*parts[: i + 1]).with_suffix(".py"))
    return {file for file in files if file.is_file()}
