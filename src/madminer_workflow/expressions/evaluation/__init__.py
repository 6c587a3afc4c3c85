"""What the accepted pieces of an expression compute, for all events at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

#: A value for every event, and where it is undefined (bool); either may be one for all events.
Result = tuple[Any, Any]
#: Computes a result from the variables that ``Expression.evaluate`` is given.
Run = Callable[[Mapping[str, Any]], Result]


@dataclass(frozen=True)
class Code:
    """What an accepted piece of an expression gives, and how to compute it.

    `kind` is "number", "particle" (any four-momentum) or "list". `attributes` computes what a
    particle has beyond its momentum: only what is used is ever computed.
    """

    kind: str
    run: Run
    attributes: Mapping[str, Run] = field(default_factory=dict)
