"""The run card: the user's settings, MadGraph's defaults, and what is ours to set."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path

from madminer_workflow.errors import InputError
from madminer_workflow.files import read_json
from madminer_workflow.physics.generators.madgraph.workplace import Workplace


def merge_run_card(
    workplace: Workplace,
    default: Path,
    settings: Mapping[str, str],
    own: Mapping[str, str],
    where: str,
) -> dict[str, str]:
    """Replace the card ``default`` by one with ``settings`` and our ``own``; return all values.

    MadGraph itself reads and writes the card. Raises InputError for keys that it does not know and
    values that it refuses.
    """
    merged, report = workplace.directory / "run_card.dat", workplace.directory / "run_card_report"
    instructions = {
        "madgraph": str(workplace.program.directory),
        "default": str(default),
        "changes": {**settings, **own},
        "output": str(merged),
        "report": str(report),
    }
    workplace.run_inside("run_card", instructions, workplace.directory)
    answer = read_json(report)
    problems = [_problem(key, text, answer["values"]) for key, text in answer["problems"]]
    if problems:
        raise InputError("\n".join(f"{where}: {problem}" for problem in problems))
    merged.replace(default)
    return answer["values"]


def _problem(key: str, text: str, known: Mapping[str, str]) -> str:
    if text != "unknown":
        return f"'{key}' {text}"
    close = difflib.get_close_matches(key, known, n=1)
    hint = f"; did you mean {close[0]}?" if close else ""
    return f"'{key}' is not a setting of MadGraph's run card{hint}"


def our_settings(seed: int, single: bool, varied: bool) -> dict[str, str]:
    """What the workflow sets in the run card.

    Recycled helicity amplitudes are those that do not vanish at one point: code for several points
    must have them all. Events that are ``varied`` must say where they come from; MadGraph itself
    computes no uncertainties.
    """
    return {
        "gridpack": "True",
        "event_norm": "sum",
        "use_syst": str(varied),
        "systematics_program": "none",
        "iseed": str(seed),
        # The seed of Python's random numbers: the same.
        "python_seed": "-2",
        "hel_recycling": str(single),
    }


def entries(text: str) -> dict[str, str]:
    """The card without its comments."""
    lines = (line.split("#", 1)[0].split("!", 1)[0].rpartition("=") for line in text.splitlines())
    return {key.strip(): value.strip() for value, equals, key in lines if equals}
