"""The files that an analysis refers to: cards and models, beside the analysis file."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

from madminer_workflow.analysis.madgraph_cards import (
    param_card_problems,
    process_card_problems,
    run_card_problems,
)
from madminer_workflow.analysis.problems import AnalysisError, Entry, Finding, KeyPath
from madminer_workflow.analysis.reading import read
from madminer_workflow.analysis.sound import Sound

PROCESS_CARDS = ("proc_card", "run_card", "param_card", "pythia8_card")
_PROBLEMS: dict[str, Callable[[str], list[str]]] = {
    "proc_card": process_card_problems,
    "run_card": run_card_problems,
    "param_card": param_card_problems,
}
"""What is wrong with the text of a card; of the others only their programs know."""
#: A card without a folder and of this kind may be one that Delphes ships.
_DELPHES_CARD = re.compile(r"[\w.-]+\.tcl")


def check_files(sound: Sound, folder: Path) -> Iterator[Finding]:
    """Find files that do not exist in ``folder``, or cannot be what they are named for."""
    for path, process in sound.entries("processes"):
        for key in PROCESS_CARDS:
            if process.get(key) is not None:
                yield from _card((*path, key), folder / process[key])
        if process.get("ufo_model") is not None:
            yield from _model((*path, "ufo_model"), folder / process["ufo_model"])
    card = sound.get("detector", "delphes_card")
    if card is not None and not (_is_shipped(card) and not (folder / card).exists()):
        yield from _card(("detector", "delphes_card"), folder / card)


def _is_shipped(card: str) -> bool:
    return _DELPHES_CARD.fullmatch(card) is not None


def _card(key: KeyPath, card: Path) -> Iterator[Finding]:
    try:
        text = card.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a text file"
        yield Finding(key, f"cannot read {card}: {reason}")
        return
    find_problems = _PROBLEMS.get(str(key[-1]))
    for problem in find_problems(text) if find_problems else ():
        yield Finding(key, f"{card}: {problem}")


def _model(key: KeyPath, folder: Path) -> Iterator[Finding]:
    missing = [name for name in ("__init__.py", "particles.py") if not (folder / name).is_file()]
    if not folder.is_dir():
        yield Finding(key, f"there is no folder {folder}; expected that of a UFO model")
    elif missing:
        yield Finding(key, f"{folder} is no UFO model: it has no {' and no '.join(missing)}")


def mentioned_files(file: Path) -> list[Path]:
    """The existing cards and models of an analysis file in a fixed order; none if it has no sense.

    Nothing is checked: this serves to notice that one of them has changed.
    """
    try:
        data = read(file).data
    except AnalysisError:
        return []
    data = data if isinstance(data, dict) else {}
    processes = data.get("processes")
    mentions = [
        *(processes if isinstance(processes, list) else []),
        data.get("detector"),
    ]
    keys = (*PROCESS_CARDS, "ufo_model", "delphes_card")
    names = [
        entry[key]
        for entry in mentions
        if isinstance(entry, dict)
        for key in keys
        if isinstance(entry.get(key), str)
    ]
    places = [file.parent / name for name in dict.fromkeys(names)]
    return [place for place in places if place.exists()]


def inline(analysis: Entry, folder: Path) -> Entry:
    """A copy of a valid ``analysis`` with the text of its cards in place of their names.

    ``ufo_model`` becomes the name of the model's folder, ``detector.delphes_card`` a mapping of
    its ``name`` and ``text``, which is null for a card that Delphes ships.
    """
    processes = []
    for process in analysis["processes"]:
        texts = {
            key: (folder / process[key]).read_text("utf-8")
            for key in PROCESS_CARDS
            if process.get(key) is not None
        }
        if process.get("ufo_model") is not None:
            texts["ufo_model"] = (folder / process["ufo_model"]).resolve().name
        processes.append({**process, **texts})
    detector = dict(analysis["detector"])
    if (card := detector["delphes_card"]) is not None:
        file = folder / card
        text = file.read_text("utf-8") if file.is_file() else None
        detector["delphes_card"] = {"name": file.name, "text": text}
    return {**analysis, "processes": processes, "detector": detector}
