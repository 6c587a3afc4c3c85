"""A folder with a small analysis as a starting point, with comments on every section."""

from __future__ import annotations

import re
import shutil
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from madminer_workflow.analysis.schema import schema
from madminer_workflow.errors import InputError
from madminer_workflow.workflow_files import workflow_files

WIDTH = 100
_KEY = re.compile(r"(  )?(\w+):")
_NAME = re.compile(r"[\w-]{1,64}", re.ASCII)
"""The names that the schema allows for an analysis."""
_IN_FOLDER = re.compile(r"(?<=^name: ).*$", re.MULTILINE)


@dataclass(frozen=True)
class Start:
    """An analysis to start from: its folder, which of its files, and what to do next."""

    folder: Callable[[], Path]
    patterns: tuple[str, ...]
    next: str


STARTS = {
    "wbf": Start(
        lambda: workflow_files() / "inputs/wbf",
        ("*.yml",),
        "Edit {file}, then:",
    ),
    "madgraph": Start(
        lambda: Path(__file__).parent / "madgraph",
        ("input.yml", "cards/*.dat"),
        "Put your process into {folder}/cards, and its parameters and observables into {file}. Set "
        "the path of MadGraph (export MG5_DIR=...; see docs/madgraph.md), then:",
    ),
    "files": Start(
        lambda: workflow_files() / "inputs/files-example",
        ("input.yml", "events/*.lhe.gz"),
        "Replace {folder}/events by your own event files. `madminer-workflow inspect FILE` prints "
        "the lines to write into {file} (see docs/events.md). Then:",
    ),
}


def new_analysis(folder: Path, start: str = "wbf") -> str:
    """Make ``folder`` with a copy of one of the STARTS; return what to do next, in words.

    The copy is named after its folder where that can be a name. Raises InputError if there is
    something in the folder.
    """
    if folder.is_dir() and any(folder.iterdir()):
        raise InputError(f"{folder}: is not empty; expected an empty or new folder")
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder}: is a file; expected an empty or new folder")
    chosen = STARTS[start]
    source = chosen.folder()
    for pattern in chosen.patterns:
        for file in sorted(source.glob(pattern)):
            copy = folder / file.relative_to(source)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, copy)
    file = folder / "input.yml"
    name = folder.resolve().name
    text = "\n".join(_with_comments(file.read_text("utf-8").splitlines()))
    if _NAME.fullmatch(name):
        text = _IN_FOLDER.sub(name, text, count=1)
    file.write_text(f"{text}\n", "utf-8")
    return chosen.next.format(folder=folder, file=file)


def _with_comments(lines: list[str]) -> Iterator[str]:
    """The lines of an analysis file, with the description from the schema before every section."""
    sections = schema()["properties"]
    known = sections
    for line in lines:
        match = _KEY.match(line)
        if match and not match[1]:
            known = sections[match[2]].get("properties", {})
        part = (known if match and match[1] else sections).get(match[2]) if match else None
        if part:
            indent = match[1] or "" if match else ""
            yield from textwrap.wrap(
                part["description"],
                WIDTH,
                initial_indent=f"{indent}# ",
                subsequent_indent=f"{indent}# ",
            )
        yield line
