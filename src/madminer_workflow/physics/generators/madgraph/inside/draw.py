"""Draw unweighted events from an integrated process.

Instructions: ``madgraph`` (directory), ``directory`` (the process), ``n_events`` and ``seed``.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any


def main(settings: dict[str, Any]) -> None:
    """Follow the instructions."""
    sys.path.insert(0, settings["madgraph"])
    import_module("madgraph.interface.madevent_interface").GridPackCmd(
        me_dir=settings["directory"],
        nb_event=str(settings["n_events"]),
        seed=str(settings["seed"]),
        gran="1",
    )
