"""Four-momenta: awkward records named Momentum4D, with the methods of vector."""

from __future__ import annotations

import sys


def register_momenta() -> None:
    """Give arrays of Momentum4D the methods of vector.

    Where sympy is installed, as it is wherever torch is, vector imports it for symbolic vectors.
    Nobody needs these here, and every job would wait for it, a third of a second.
    """
    unwanted = not sys.modules.keys() & {"sympy", "vector"}
    if unwanted:
        sys.modules["sympy"] = None  # type: ignore[assignment]
    try:
        import vector
    finally:
        if unwanted:
            del sys.modules["sympy"]
    vector.register_awkward()
