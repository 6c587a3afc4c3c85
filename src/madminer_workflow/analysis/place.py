"""Which file is meant by the name of a folder, and where the results of an analysis go."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path

from madminer_workflow.errors import InputError
from madminer_workflow.regular import MB, read_text

USUAL = "input.yml"
"""The name of the analysis file of a folder, where there are others beside it."""
_ANALYSIS = re.compile(r"^(processes|observables):", re.MULTILINE)
"""What no other file of ours has: a sweep file, for one."""


def analysis_file(place: Path) -> Path:
    """The analysis file that ``place`` is, or that is in it: its input.yml, or the only one.

    Any other place is what it is, and so is the input.yml that a folder without any should have:
    whoever reads it says what is wrong. Raises InputError if there are several to choose from.
    """
    if not place.is_dir() or (place / USUAL).exists():
        return place / USUAL if place.is_dir() else place
    files = sorted(f for end in ("yml", "yaml") for f in place.glob(f"*.{end}"))
    analyses = [file for file in files if _is_analysis(file)]
    if len(analyses) > 1:
        names = ", ".join(file.name for file in analyses)
        raise InputError(f"{place}: has several analysis files, {names}; name one of them")
    return analyses[0] if analyses else place / USUAL


def results_name(file: Path) -> str:
    """The name of the folder of results of an analysis file, which no other file beside it has."""
    folder = file.resolve().parent.name
    return folder if file.name == USUAL else f"{folder}-{file.stem}"


def _is_analysis(file: Path) -> bool:
    with suppress(InputError):
        return _ANALYSIS.search(read_text(file, MB)) is not None
    return False
