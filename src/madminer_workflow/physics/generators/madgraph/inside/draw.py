"""Draw unweighted events from an integrated process.

Instructions: ``madgraph`` (directory), ``directory`` (the process), ``n_events`` and ``seed``.
"""

from __future__ import annotations

import json
import sys
from importlib import import_module


def main(path: str) -> None:
    """Follow the instructions in the file ``path``."""
    with open(path) as file:
        settings = json.load(file)
    sys.path.insert(0, settings["madgraph"])
    import_module("madgraph.interface.madevent_interface").GridPackCmd(
        me_dir=settings["directory"],
        nb_event=str(settings["n_events"]),
        seed=str(settings["seed"]),
        gran="1",
    )


if __name__ == "__main__":
    main(sys.argv[1])
