"""Which file is meant by the name of a folder, and where the results of an analysis go."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path

from madminer_workflow.errors import InputError
from madminer_workflow.regular import MB, read_text

USUAL = "input.yml"
"""The name of the analysis file of a folder, where there are others beside it."""
USUAL_SWEEP = "sweep.yml"
"""The same of a sweep file."""
_ANALYSIS = re.compile(r"^(processes|observables):", re.MULTILINE)
"""What no other file of ours has."""
_SWEEP = re.compile(r"^(space|n_trials):", re.MULTILINE)


def analysis_file(place: Path) -> Path:
    """The analysis file that ``place`` is, or that is in it: its input.yml, or the only one.

    Any other place is what it is, and so is the input.yml that a folder without any should have:
    whoever reads it says what is wrong. Raises InputError if there are several to choose from.
    """
    return _file(place, USUAL, _ANALYSIS, "analysis")


def sweep_file(place: Path) -> Path:
    """The same of a sweep file, which is usually called sweep.yml."""
    return _file(place, USUAL_SWEEP, _SWEEP, "sweep")


def _file(place: Path, usual: str, sign: re.Pattern[str], kind: str) -> Path:
    if not place.is_dir() or (place / usual).exists():
        return place / usual if place.is_dir() else place
    files = sorted(f for end in ("yml", "yaml") for f in place.glob(f"*.{end}"))
    meant = [file for file in files if _has(file, sign)]
    if len(meant) > 1:
        names = ", ".join(file.name for file in meant)
        raise InputError(f"{place}: has several {kind} files, {names}; name one of them")
    return meant[0] if meant else place / usual


def results_name(file: Path) -> str:
    """The name of the folder of results of an analysis file, which no other file beside it has."""
    folder = file.resolve().parent.name
    return folder if file.name == USUAL else f"{folder}-{file.stem}"


def _has(file: Path, sign: re.Pattern[str]) -> bool:
    with suppress(InputError):
        return sign.search(read_text(file, MB)) is not None
    return False
