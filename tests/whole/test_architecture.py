"""Arrows of import point one way: see docs/architecture.md."""

from __future__ import annotations

import ast
from importlib import import_module

import pytest

from tests.support.paths import REPOSITORY

PACKAGE = REPOSITORY / "src" / "madminer_workflow"
BENCHMARKS = REPOSITORY / "benchmarks"
BASE = {
    *("__version__", "cores", "errors", "seeds", "versions"),
    *("archives", "array_files", "files", "hdf5_files", "large_arrays", "regular"),
}
BELOW_STEPS = {"analysis", "expressions", "madminer_file", "products", "statistics"}
ALLOWED = {
    "expressions": set(),
    "analysis": {"expressions"},
    "statistics": {"analysis", "expressions"},
    "madminer_file": {"analysis", "statistics"},
    "products": {"analysis", "madminer_file", "statistics"},
    "scaffold": {"analysis", "workflow_files"},
    "conversion": {"analysis"},
    "compare": {"analysis", "provenance", "report"},
    "provenance": {"archives", "graph"},
    "physics": BELOW_STEPS | {"madminer_fixes"},
    "ml": BELOW_STEPS | {"madminer_fixes", "tracking"},
    "report": BELOW_STEPS,
    "api": {"analysis", "ml", "products", "report", "statistics"},
    "inspection": BELOW_STEPS | {"physics"},
}


def imported(room: str) -> set[str]:
    """The other rooms that a room imports, also inside of functions."""
    files = (PACKAGE / room).rglob("*.py")
    rooms = set()
    for file in [PACKAGE / f"{room}.py"] if (PACKAGE / f"{room}.py").is_file() else files:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module == "madminer_workflow":
                rooms |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                package, _, module = node.module.partition(".")
                if package == "madminer_workflow":
                    rooms.add(module.partition(".")[0])
    return rooms - {room}


@pytest.mark.parametrize("room", ALLOWED)
def test_arrows_of_import_point_down(room: str) -> None:
    assert imported(room) <= ALLOWED[room] | BASE


@pytest.mark.parametrize("name", sorted(path.name for path in BENCHMARKS.glob("*.py")))
def test_benchmarks_import_what_there_is(name: str) -> None:
    """They run rarely, and types are only checked in the package."""
    for node in ast.walk(ast.parse((BENCHMARKS / name).read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("madminer_workflow"):
            module = import_module(node.module or "")
            for alias in node.names:
                if not hasattr(module, alias.name):
                    import_module(f"{node.module}.{alias.name}")
