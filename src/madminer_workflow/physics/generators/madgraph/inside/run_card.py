"""Merge a user's settings into MadGraph's default run card, with MadGraph's own parser.

Instructions: ``madgraph`` (directory), ``default`` (run card), ``changes`` (key -> text),
``output`` (the merged card) and ``report``: JSON that gets ``problems`` and all ``values``.
"""

from __future__ import annotations

import json
import sys
from importlib import import_module
from typing import Any


def main(settings: dict[str, Any]) -> None:
    """Follow the instructions."""
    sys.path.insert(0, settings["madgraph"])
    card = import_module("madgraph.various.banner").RunCardLO(settings["default"])
    problems = []
    for key, text in settings["changes"].items():
        if key.lower() not in card:
            problems.append([key, "unknown"])
            continue
        try:
            card.set(key, text, user=True, raiseerror=True)
        except Exception as error:
            problems.append([key, f"is '{text}', which MadGraph refuses ({error})"])
    if not problems:
        card.write(settings["output"], template=settings["default"])
    with open(settings["report"], "w") as file:
        values = {key: str(card[key]) for key in list(card)}
        json.dump({"problems": problems, "values": values}, file)
