"""Run a script of this directory; its name and the file of its instructions are the arguments."""

from __future__ import annotations

import json
import sys
from importlib import import_module

if __name__ == "__main__":
    with open(sys.argv[2]) as file:
        import_module(sys.argv[1]).main(json.load(file))
