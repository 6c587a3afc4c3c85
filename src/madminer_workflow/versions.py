"""Versions of what computes, without importing it."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

PACKAGES = ("madminer", "torch", "numpy", "scipy", "matplotlib")


def versions() -> dict[str, str]:
    """Versions of Python and of the packages behind the numbers."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
