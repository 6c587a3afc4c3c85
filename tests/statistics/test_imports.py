"""Statistics knows arrays only: neither networks nor files, and nothing of the other rooms."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import madminer_workflow.statistics

ROOM = Path(madminer_workflow.statistics.__file__).parent
MODULES = sorted(ROOM.rglob("*.py"))

ROOMS = ("statistics", "analysis", "errors", "large_arrays")
"""Of the package, what statistics may import."""

BENEATH = {*ROOMS, "expressions", "madminer_imports"}
"""With what these import."""

FILES = {"h5py", "pathlib", "os", "io", "json", "zipfile", "tarfile", "tempfile", "shutil"}
FILE_CALLS = {"open", "load", "loadtxt", "genfromtxt", "save", "savez", "read_text", "write_text"}
HEAVY = {"torch", "h5py", "madminer", "matplotlib", "mlflow", "awkward", "uproot", "sympy"}


def imported(module: Path) -> set[str]:
    """The modules that the source of one imports."""
    nodes = list(ast.walk(ast.parse(module.read_text(encoding="utf-8"))))
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    return plain | {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(ROOM)))
def test_no_module_knows_files_or_other_rooms(module: Path) -> None:
    names = imported(module)
    assert not FILES & {name.partition(".")[0] for name in names}
    ours = {name.split(".")[1] for name in names if name.startswith("madminer_workflow.")}
    assert ours <= set(ROOMS)
    calls = [node for node in ast.walk(ast.parse(module.read_text())) if isinstance(node, ast.Call)]
    called = {node.func.id for node in calls if isinstance(node.func, ast.Name)}
    called |= {node.func.attr for node in calls if isinstance(node.func, ast.Attribute)}
    assert not FILE_CALLS & called


def test_nothing_that_is_imported_does() -> None:
    package = ROOM.parent.parent
    names = [".".join(path.relative_to(package).with_suffix("").parts) for path in MODULES]
    code = "\n".join(
        [
            "import sys",
            *(f"import {name.removesuffix('.__init__')}" for name in names),
            "print(*sys.modules)",
        ]
    )
    run = [sys.executable, "-c", code]
    loaded = subprocess.run(run, capture_output=True, text=True, check=True).stdout.split()
    assert not HEAVY & {name.partition(".")[0] for name in loaded}
    ours = {name.split(".")[1] for name in loaded if name.startswith("madminer_workflow.")}
    assert ours <= BENEATH
