"""The process card: what may be in it, and the commands that it becomes."""

from __future__ import annotations

import difflib
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from madminer_workflow.errors import InputError

_FORBIDDEN_OPTIONS = re.compile(
    r"run_mode|nb_core|cluster|.*_path|lhapdf|fastjet|timeout|auto_(update|convert_model)|"
    r"automatic_html_opening|notification_center|text_editor|web_browser|eps_viewer|stdout_level|"
    r"acknowledged_v3\.1_syntax|OLP|pineappl|samurai|ninja|collier"
)


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
    """Read a process card; InputError that lists everything wrong with it.

    Allowed are ``import model``, ``set``, ``define``, ``generate`` and ``add process``.
    """
    problems: list[str] = []
    models: list[str] = []
    settings: list[str] = []
    definitions: list[str] = []
    for number, line in _commands(text):
        words = line.split()
        problem = None
        if words[:2] == ["import", "model"] and len(words) > 2:
            models.append(" ".join(words[2:]))
        elif words[0] == "set" and len(words) > 2:
            if _FORBIDDEN_OPTIONS.fullmatch(words[1]):
                problem = f"'{words[1]}' is not the card's business: it says how and where to run"
            settings.append(line)
        elif words[0] in ("define", "generate") or words[:2] == ["add", "process"]:
            definitions.append(line)
            if words[0] != "define" and "[" in line:
                problem = "[…] asks for loops; only leading-order processes are supported"
        elif words[0] in ("output", "launch"):
            problem = f"'{words[0]}' is given by the workflow; leave it out"
        else:
            problem = (
                f"'{line}' is not understood; expected import model, set, define, generate or "
                "add process"
            )
        if problem:
            problems.append(f"line {number}: {problem}")
    if len(models) != 1:
        problems.append(f"has {len(models)} lines 'import model …'; expected one")
    if not any(line.startswith("generate") for line in definitions):
        problems.append("has no line 'generate …'")
    if problems:
        raise InputError("\n".join(f"{where}: {problem}" for problem in problems))
    name, _, options = models[0].partition(" ")
    base, dash, restriction = name.partition("-")
    return ProcessCard(base, dash + restriction, options, tuple(settings), tuple(definitions))


def copy_model(
    card: ProcessCard, own: str | None, models: Path, madgraph: Path, target: Path, where: str
) -> Path:
    """Copy the model, ``own`` from the analysis' ``models`` or MadGraph's, into ``target``.

    MadGraph writes into the folders of models. It would search the internet for one that it does
    not have; here that is an InputError.
    """
    if own is not None and Path(own).name != card.model:
        raise InputError(
            f"{where}: imports the model {card.model}, but the process brings {Path(own).name}; "
            f"expected 'import model {Path(own).name}' (with a restriction where there is one)"
        )
    folder = madgraph / "models" if own is None else models
    source = folder / card.model
    if not (source / "particles.py").is_file():
        known = sorted(path.parent.name for path in folder.glob("*/particles.py"))
        close = difflib.get_close_matches(card.model, known, n=1)
        hint = f"; did you mean {close[0]}?" if close else ""
        raise InputError(
            f"{where}: there is no UFO model {card.model} in {folder} (there are "
            f"{', '.join(known) or 'none'}){hint} A model of your own goes beside the analysis "
            "file and is named by ufo_model"
        )
    restriction = card.restriction.removeprefix("-")
    if restriction not in ("", "full") and not (source / f"restrict_{restriction}.dat").is_file():
        raise InputError(
            f"{where}: the model {card.model} has no restriction '{restriction}' "
            f"(restrict_{restriction}.dat)"
        )
    ignored = shutil.ignore_patterns("__pycache__", "*.pyc", "*.pkl", "*.log", ".git")
    shutil.copytree(source, target / card.model, ignore=ignored)
    return target / card.model


def _commands(text: str) -> list[tuple[int, str]]:
    """Line numbers and commands, without comments and with continued lines joined."""
    found = []
    begun, first = "", 0
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.split("#", 1)[0].strip()
        first = first if begun else number
        if line.endswith("\\"):
            begun += line[:-1] + " "
            continue
        for command in (begun + line).split(";"):
            if command.strip():
                found.append((first, " ".join(command.split())))
        begun = ""
    if begun.strip():
        found.append((first, " ".join(begun.split())))
    return found
