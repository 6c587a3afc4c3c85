"""The text of MadGraph's cards: what may be in them, without a MadGraph to ask.

Readers raise InputError that lists everything wrong with a card, a line each; ``validate`` tells
it before anything runs.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path

from madminer_workflow.analysis.problems import show
from madminer_workflow.errors import InputError

_FORBIDDEN_OPTIONS = re.compile(
    r"run_mode|nb_core|cluster|.*_path|lhapdf|fastjet|timeout|auto_(update|convert_model)|"
    r"automatic_html_opening|notification_center|text_editor|web_browser|eps_viewer|stdout_level|"
    r"acknowledged_v3\.1_syntax|OLP|pineappl|samurai|ninja|collier"
)

DENSITIES = {
    "nn23lo": 246800,
    "nn23lo1": 247000,
    "nn23nlo": 244800,
    "cteq6_m": 10000,
    "cteq6_l": 10041,
    "cteq6l1": 10042,
}
"""The parton densities that MadGraph brings, and their numbers in LHAPDF."""

_RESERVED = {
    "nevents": "the analysis file sets the number of events",
    "iseed": "seeds are derived from the seed in the analysis file",
    "python_seed": "seeds are derived from the seed in the analysis file",
    "gseed": "seeds are derived from the seed in the analysis file",
    "gridpack": "the workflow integrates once and draws all events from the result",
    "event_norm": "weights always add up to the cross-section",
    "run_tag": "the workflow does not use run names",
    "use_syst": "list the systematics in the analysis file",
    "systematics_program": "list the systematics in the analysis file",
    "systematics_arguments": "list the systematics in the analysis file",
    "hel_recycling": "the workflow sets it, so that the code is valid at all benchmarks",
    "bias_module": "biased events are not supported",
    "bias_parameters": "biased events are not supported",
}

Place = tuple[str, tuple[int, ...]]
"""A block's name in lower case ("decay" for widths) and the integers of an entry."""

PARAM_CARD_ENTRY = re.compile(
    r"^(\s*(?:decay\s+)?)((?:-?\d+\s+)+)([^\s#]+|scan[^#]*?)(\s*(?:#.*)?)$", re.IGNORECASE
)
_MOST_TOLD = 20
_NO_NUMBERS = ("qnumbers", "spinfo", "dcinfo")


@dataclass(frozen=True)
class ProcessCard:
    """``model`` with its ``restriction`` ("-full" or "") and options, and all other commands."""

    model: str
    restriction: str
    model_options: str
    settings: tuple[str, ...]
    definitions: tuple[str, ...]

    def commands(self, model: Path, *outputs: str) -> list[str]:
        """MadGraph's commands, with the model from a folder, and ``outputs`` at the end."""
        line = f"import model {model}{self.restriction} {self.model_options}".rstrip()
        return [*self.settings, line, *self.definitions, *outputs]


def read_process_card(text: str, where: str) -> ProcessCard:
    """Read a process card: ``import model``, ``set``, ``define``, ``generate``, ``add process``."""
    models: list[str] = []
    settings: list[str] = []
    definitions: list[str] = []
    problems: list[str] = []
    for number, line in _commands(text):
        words, problem = line.split(), ""
        if words[:2] == ["import", "model"] and len(words) > 2:
            models.append(" ".join(words[2:]))
        elif words[0] == "set" and len(words) > 2:
            settings.append(line)
            if _FORBIDDEN_OPTIONS.fullmatch(words[1]):
                problem = (
                    f"'{words[1]}' cannot be set in the card: it controls how and where to run"
                )
        elif words[0] in ("define", "generate") or words[:2] == ["add", "process"]:
            definitions.append(line)
            if words[0] != "define" and "[" in line:
                problem = "[…] requests loops; only leading-order processes are supported"
        elif words[0] in ("output", "launch"):
            problem = f"'{words[0]}' is set by the workflow; leave it out"
        else:
            expected = "import model, set, define, generate or add process"
            problem = f"{show(line)} is not understood; expected {expected}"
        if problem:
            problems.append(f"line {number}: {problem}")
    if len(models) != 1:
        problems.append(f"has {len(models)} lines 'import model …'; expected one")
    if not any(line.startswith("generate") for line in definitions):
        problems.append("has no line 'generate …'")
    name, _, options = (models or [""])[0].partition(" ")
    if "/" in name:
        problems.append(f"imports the model {show(name)}; expected a name, without its folder")
    base, dash, restriction = name.partition("-")
    _refuse(where, problems)
    return ProcessCard(base, dash + restriction, options, tuple(settings), tuple(definitions))


def _commands(text: str) -> list[tuple[int, str]]:
    """Line numbers and commands, without comments and with continued lines joined."""
    commands = []
    begun, first = "", 0
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.split("#", 1)[0].strip()
        first = first if begun else number
        if line.endswith("\\"):
            begun += line[:-1] + " "
            continue
        for command in (begun + line).split(";"):
            if command.strip():
                commands.append((first, " ".join(command.split())))
        begun = ""
    if begun.strip():
        commands.append((first, " ".join(begun.split())))
    return commands


def read_run_card(text: str | None, where: str) -> dict[str, str]:
    """Read ``value = key`` lines; malformed, repeated and reserved ones are wrong.

    Which keys and values there are, MadGraph knows. Events are drawn with the parton densities that
    it brings, so that jobs need no others.
    """
    settings: dict[str, str] = {}
    problems = []
    for number, raw in enumerate((text or "").splitlines(), 1):
        line = raw.split("#", 1)[0].split("!", 1)[0].strip()
        if not line:
            continue
        value, equals, key = (part.strip() for part in line.rpartition("="))
        key = key.lower()
        if not (value and equals and key) or " " in key or "=" in value:
            problems.append(f"line {number}: {show(line)}; expected 'value = key'")
        elif key in _RESERVED:
            problems.append(f"line {number}: '{key}' cannot be set: {_RESERVED[key]}")
        elif key == "pdlabel" and value not in DENSITIES:
            known = ", ".join(DENSITIES)
            problems.append(f"line {number}: pdlabel is {show(value)}; expected one of {known}")
        elif key in settings:
            problems.append(f"line {number}: '{key}' is set twice")
        else:
            settings[key] = value
    _refuse(where, problems)
    return settings


def read_param_card(text: str, where: str) -> dict[Place, float]:
    """All numbers of a card; anything that is not a number (Auto, scan) is wrong."""
    values: dict[Place, float] = {}
    problems = []
    entries = param_card_entries(text)
    for number, place, value in entries:
        try:
            number_there = float(value.lower().replace("d", "e"))
        except ValueError:
            problems.append(
                f"line {number}: {show(value)} is not a number; widths must be computed "
                "beforehand (MadGraph: compute_widths), and scans are not supported"
            )
            continue
        if not math.isfinite(number_there):
            problems.append(f"line {number}: {show(value)} is not a finite number")
        values[place] = number_there
    if not entries:
        problems.append("is not a parameter card: it has no block with an entry")
    _refuse(where, problems)
    return values


def param_card_entries(text: str) -> list[tuple[int, Place, str]]:
    """Line number, place and text of all entries."""
    entries, block = [], ""
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split("#", 1)[0].lower().split()
        if words[:1] == ["block"] and len(words) > 1:
            block = "" if words[1] in _NO_NUMBERS else words[1]
            continue
        match = PARAM_CARD_ENTRY.match(line)
        if match is None:
            continue
        is_width = words[0] == "decay"
        if is_width:
            # Branching ratios follow, which are no parameters.
            block = ""
        elif not block:
            continue
        ids = tuple(int(word) for word in match.group(2).split())
        entries.append((number, ("decay" if is_width else block, ids), match.group(3)))
    return entries


def _refuse(where: str, problems: list[str]) -> None:
    if len(problems) > _MOST_TOLD:
        problems = [*problems[:_MOST_TOLD], f"and {len(problems) - _MOST_TOLD} more problems"]
    if problems:
        raise InputError("\n".join(f"{where}: {problem}" for problem in problems))
