"""A stand-in for ``madminer-workflow`` that publishes what the table of steps promises, at once.

The content of a product is a checksum of what the step reads. Toys are made in as many jobs as the
file ``toys`` beside the program says, by default none.
"""

from __future__ import annotations

import os
import pickle
import sys
from collections.abc import Sequence
from pathlib import Path

from madminer_workflow.graph import STEPS

METHODS = ["alices", "histogram", "sally"]

PROGRAM = f"""#!{sys.executable}
import argparse, hashlib, pickle, sys
from pathlib import Path
from madminer_workflow import graph

steps, methods = pickle.loads(Path(__file__).with_name("steps").read_bytes())
step = steps[sys.argv[1]]
parser = argparse.ArgumentParser()
for option in step.options:
    if option.word:
        parser.add_argument(option.word, default="", required=option.required)
    else:
        parser.add_argument("files", nargs="+")
parser.add_argument("--output", type=Path)
parser.add_argument("--tracking-uri")
arguments = vars(parser.parse_args(sys.argv[2:]))
output = arguments["output"]
toys = Path(__file__).with_name("toys")
numbers = {{
    "method": methods,
    "job": range(int(arguments.get("njobs", 0))),
    "member": range(int(arguments.get("ntrainsamples", 0))),
    "toys": range(int(toys.read_text()) if toys.exists() else 0),
}}
# Settings and the number of jobs or members do not count.
names = [*arguments.get("files", ())]
for option in step.options:
    if option.word and option.source not in ("settings", "njobs", "ntrainsamples"):
        names += arguments[option.name].split()
inputs = [Path(name).read_bytes() for name in names if Path(name).is_file()]
content = hashlib.sha256(b"".join(inputs)).hexdigest()
for published, file in step.products.items():
    file = f"{{file}}/limits.pdf" if "." not in file else file
    for key in graph.keys(graph.indices(file), lambda index, _: numbers[index]):
        name = file.format(**key)
        path = output / name
        path.parent.mkdir(parents=True, exist_ok=True)
        # A sample depends on its own settings only, so that other methods' settings do not show.
        text = name if published == "samples" else f"{{name}} {{content}}"
        path.write_text(f"{{step.name}} {{text}}\\n")
"""


def install(directory: Path, methods: Sequence[str] = METHODS) -> str:
    """Put the stand-in into ``directory``, and return the PATH that finds it there first."""
    directory.mkdir(exist_ok=True)
    (directory / "madminer-workflow").write_text(PROGRAM)
    (directory / "madminer-workflow").chmod(0o755)
    (directory / "steps").write_bytes(pickle.dumps((STEPS, methods)))
    return f"{directory}{os.pathsep}{os.environ['PATH']}"


def yadage_with(path: str) -> str:
    """A program that is ``yadage-run``, with this PATH for the steps of the plug-in."""
    return (
        "import sys; from madminer_workflow.engines.executors import local\n"
        "original = local.environment\n"
        f"local.environment = lambda: original() | {{'PATH': {path!r}}}\n"
        "from yadage.steering import main; main(sys.argv[1:])"
    )
