"""The run card: the user's settings, MadGraph's defaults, and what is ours to set."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path

from madminer_workflow.errors import InputError
from madminer_workflow.files import read_json
from madminer_workflow.physics.generators.madgraph.workplace import Workplace

DENSITIES = {
    "nn23lo": 246800,
    "nn23lo1": 247000,
    "nn23nlo": 244800,
    "cteq6_m": 10000,
    "cteq6_l": 10041,
    "cteq6l1": 10042,
}
"""The parton densities that MadGraph brings, and their numbers in LHAPDF."""

_OWN = {
    "nevents": "the analysis file says how many events there are",
    "iseed": "seeds follow from the seed of the analysis file",
    "python_seed": "seeds follow from the seed of the analysis file",
    "gseed": "seeds follow from the seed of the analysis file",
    "gridpack": "the workflow integrates once and draws events from that",
    "event_norm": "weights always add up to the cross-section",
    "run_tag": "runs have no names here",
    "use_syst": "list the systematics in the analysis file",
    "systematics_program": "list the systematics in the analysis file",
    "systematics_arguments": "list the systematics in the analysis file",
    "hel_recycling": "the workflow chooses it, for code that is right at all benchmarks",
    "bias_module": "biased events are not supported",
    "bias_parameters": "biased events are not supported",
}


def read_run_card(text: str | None, where: str) -> dict[str, str]:
    """Read ``value = key`` lines; InputError that lists malformed, repeated and reserved ones.

    Events are drawn with the parton densities that MadGraph brings, so that jobs need no others.
    """
    settings: dict[str, str] = {}
    problems = []
    for number, raw in enumerate((text or "").splitlines(), 1):
        line = raw.split("#", 1)[0].split("!", 1)[0].strip()
        if not line:
            continue
        value, equals, key = (part.strip() for part in line.rpartition("="))
        key = key.lower()
        if not (value and equals and key) or " " in key:
            problems.append(f"line {number}: '{line}'; expected 'value = key'")
        elif key in _OWN:
            problems.append(f"line {number}: '{key}' cannot be set: {_OWN[key]}")
        elif key == "pdlabel" and value not in DENSITIES:
            known = ", ".join(DENSITIES)
            problems.append(f"line {number}: pdlabel is '{value}'; expected one of {known}")
        elif key in settings:
            problems.append(f"line {number}: '{key}' is set twice")
        else:
            settings[key] = value
    if problems:
        raise InputError("\n".join(f"{where}: {problem}" for problem in problems))
    return settings


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
    return f"'{key}' is not a setting that MadGraph's run card knows{hint}"
