"""The program as a process of its own, whose steps are the quick ones of a server (``sandbox``)."""

from __future__ import annotations

import os
import sys

from madminer_workflow.engines.executors import local as processes


def main(folder: str, words: list[str]) -> None:
    """Run the program with the steps of the server in a folder."""
    original = processes.environment
    processes.environment = lambda: (
        original() | {"PATH": f"{folder}{os.pathsep}{original().get('PATH', '')}"}
    )
    from madminer_workflow.cli import main as program

    program(words, prog_name="madminer-workflow")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
