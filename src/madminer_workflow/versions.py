"""Versions of what computes, without importing it."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version

LEARNING = ("madminer", "torch", "numpy", "scipy")
"""Packages behind the numbers of models and of what they are worth."""
REPORTING = ("numpy", "scipy", "matplotlib")
"""Packages behind what plotting adds."""
PACKAGES = (*LEARNING, "matplotlib")
"""All of them."""


def versions(packages: Iterable[str] = PACKAGES) -> dict[str, str]:
    """Versions of Python and of those ``packages`` that are installed."""
    found = {"python": platform.python_version()}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def joined(several: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """The versions that have worked together, all there were of each."""
    everywhere = list(several)
    return {
        name: ", ".join(dict.fromkeys(one[name] for one in everywhere if name in one))
        for name in ("python", *PACKAGES)
        if any(name in one for one in everywhere)
    }
