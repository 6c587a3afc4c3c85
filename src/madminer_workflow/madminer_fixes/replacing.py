"""How a function of MadMiner is replaced: once, and with the original at hand."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

FIXES = "madminer_workflow_fixes"


def fix(owner: Any, name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Replace ``owner.name`` by the decorated function, which gets the original first.

    Doing it again changes nothing; ``inspect.unwrap`` gives back MadMiner's own.
    """

    def install(function: Callable[..., Any]) -> Callable[..., Any]:
        original = getattr(owner, name)
        installed = getattr(original, FIXES, ())
        if function.__qualname__ not in installed:

            @functools.wraps(original)
            def fixed(*args: Any, **kwargs: Any) -> Any:
                return function(original, *args, **kwargs)

            setattr(fixed, FIXES, (*installed, function.__qualname__))
            setattr(owner, name, fixed)
        return function

    return install
