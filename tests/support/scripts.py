"""Scripts of the repository as modules."""

from __future__ import annotations

import importlib.util
from types import ModuleType

from tests.support.paths import REPOSITORY


def script(name: str) -> ModuleType:
    """The module that ``scripts/NAME`` is."""
    spec = importlib.util.spec_from_file_location(
        name.removesuffix(".py"), REPOSITORY / "scripts" / name
    )
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
