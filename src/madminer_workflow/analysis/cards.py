"""The files that an analysis refers to: cards, models and events, beside the analysis file."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from madminer_workflow.analysis import event_files
from madminer_workflow.analysis.madgraph_cards import (
    read_param_card,
    read_process_card,
    read_run_card,
)
from madminer_workflow.analysis.problems import AnalysisError, Finding, KeyPath
from madminer_workflow.analysis.reading import read
from madminer_workflow.analysis.sound import Sound
from madminer_workflow.analysis.tables.definitions import columns_used
from madminer_workflow.analysis.types import (
    Analysis,
    Columns,
    FilesProcess,
    Generation,
    ObjectVariation,
    Reconstruction,
)
from madminer_workflow.errors import InputError
from madminer_workflow.regular import MB, read_text, what_else

LARGEST_CARD = 10 * MB
LARGEST_MODEL = 500 * MB
PROCESS_CARDS = ("proc_card", "run_card", "param_card", "pythia8_card")
_READERS: dict[str, Callable[[str, str], object]] = {
    "proc_card": read_process_card,
    "run_card": read_run_card,
    "param_card": read_param_card,
}
"""What reads the text of a card; what is wrong with others only their programs know."""
MODELS_PAGE = "see docs/ufo-model.md for how to get one"
IGNORED = ("__pycache__", "*.pyc", "py3_model.pkl", "model.pkl")
"""Files in the folder of a model that differ from run to run: what Python compiled."""
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
        if process["generator"] == "files":
            yield from event_files.check(path, process, sound, folder)
    card = sound.get("detector", "delphes_card")
    shipped = (
        card is not None and _DELPHES_CARD.fullmatch(card) and not os.path.lexists(folder / card)
    )
    if card is not None and not shipped:
        yield from _card(("detector", "delphes_card"), folder / card)


def _card(key: KeyPath, card: Path) -> Iterator[Finding]:
    try:
        text = read_text(card, LARGEST_CARD)
    except InputError as error:
        yield Finding(key, f"cannot read {card}: {error}")
        return
    if reader := _READERS.get(str(key[-1])):
        try:
            reader(text, str(card))
        except InputError as error:
            yield from (Finding(key, line) for line in str(error).splitlines())


def _model(key: KeyPath, folder: Path) -> Iterator[Finding]:
    missing = [name for name in ("__init__.py", "particles.py") if not (folder / name).is_file()]
    if not folder.is_dir():
        message = f"there is no folder {folder}; expected the folder of a UFO model: {MODELS_PAGE}"
        yield Finding(key, message)
    elif missing:
        yield Finding(key, f"{folder} is not a UFO model: it has no {' and no '.join(missing)}")
    else:
        for place, target in loops(folder):
            yield Finding(
                key, f"{place}: is a link to {target}, the folder that contains it; remove it"
            )
        yield from _model_files(key, folder)


def _model_files(key: KeyPath, folder: Path) -> Iterator[Finding]:
    """Find what is in the folder of a model and cannot be copied with it."""
    size = 0
    for place, names, _ in walk(folder):
        for file in (place / name for name in names):
            if other := what_else(file):
                yield Finding(key, f"{file} is {other}; expected files only in a UFO model")
            elif not file.exists():
                yield Finding(key, f"{file} is a broken link; remove it")
            elif not os.access(file, os.R_OK):
                yield Finding(key, f"cannot read {file}: Permission denied")
            else:
                size += file.stat().st_size
    if size > LARGEST_MODEL:
        yield Finding(key, f"{folder} has more than {LARGEST_MODEL / MB:.0f} MB; not a UFO model")


def loops(folder: Path) -> Iterator[tuple[Path, Path]]:
    """Links below ``folder`` to directories that they lie in themselves, with these."""
    for place, *_ in walk(folder):
        for link in (path for path in place.iterdir() if path.is_symlink() and path.is_dir()):
            target = link.resolve()
            if place.resolve().is_relative_to(target):
                yield link, target


def walk(folder: Path) -> Iterator[tuple[Path, list[str], Path]]:
    """Every directory below ``folder`` with the names of its files; links are followed.

    With them comes the place where the same directory was first seen: only then it is entered, so
    that loops end.
    """
    seen: dict[tuple[int, int], Path] = {}
    ignored = shutil.ignore_patterns(*IGNORED)
    for name, folders, files in os.walk(folder, followlinks=True):
        place, status = Path(name), os.stat(name)
        first = seen.setdefault((status.st_dev, status.st_ino), place)
        if first != place:
            folders.clear()
            files.clear()
        ignore = ignored(name, [*folders, *files])
        folders[:] = sorted(set(folders) - ignore)
        yield place, sorted(set(files) - ignore), first


def mentioned_files(file: Path) -> list[Path]:
    """The existing cards, models and event files of an analysis file in a fixed order.

    There are none if it has no sense.

    Nothing is checked: this serves to notice that one of them has changed.
    """
    try:
        content = Sound(read(file).data, [])
    except AnalysisError:
        return []
    mentions = [*(entry for _, entry in content.entries("processes")), content.get("detector")]
    names = [
        entry[key]
        for entry in mentions
        if isinstance(entry, dict)
        for key in (*PROCESS_CARDS, "ufo_model", "delphes_card")
        if isinstance(entry.get(key), str)
    ]
    places = [file.parent / name for name in dict.fromkeys(names)]
    for entry in mentions:
        if isinstance(entry, dict) and isinstance(entry.get("files"), dict):
            places += _events_mentioned(entry["files"], file.parent)
    return [place for place in dict.fromkeys(places) if place.exists()]


def _events_mentioned(files: dict[Any, Any], folder: Path) -> Iterator[Path]:
    for patterns in files.values():
        for pattern in patterns if isinstance(patterns, list) else ():
            with suppress(InputError):
                yield from event_files.found(folder, [str(pattern)])


def parts(analysis: Analysis, folder: Path) -> tuple[Generation, Reconstruction]:
    """What the generation of events depends on, and what their reconstruction depends on.

    Labels are in neither, so that a change of plots or methods leaves the physics untouched. Cards,
    which lie in ``folder``, are there with their text, a UFO model with the name of its folder.
    Uncertainties of objects are in the second part alone: the same events serve all of them. Events
    that exist are there with their places in ``Models.tar.gz``, and with their numbers as counted;
    of tables the first part has the columns that expressions use.
    """
    plain = msgspec.to_builtins(analysis)
    of_objects = {
        entry.systematic_name: {
            "variation": plain["systematics"][i],
            "processes": [
                process.name
                for process in analysis.processes
                if entry.systematic_name in process.systematics
            ],
        }
        for i, entry in enumerate(analysis.systematics)
        if isinstance(entry, ObjectVariation)
    }
    plain["object_systematics"] = list(of_objects.values())
    plain["systematics"] = [
        entry for entry in plain["systematics"] if entry["systematic_name"] not in of_objects
    ]
    for process in plain["processes"]:
        process["systematics"] = [name for name in process["systematics"] if name not in of_objects]
    for process in plain["processes"]:
        for key in PROCESS_CARDS:
            if process.get(key) is not None:
                process[key] = (folder / process[key]).read_text("utf-8")
        if process["generator"] == "files":
            places = event_files.packed_places(process["name"], process["files"], folder)
            process["files"] = {sampled: list(named) for sampled, named in places.items()}
        if process.get("ufo_model") is not None:
            process["ufo_model"] = (folder / process["ufo_model"]).resolve().name
    if analysis.detector.delphes_card is not None:
        file = folder / analysis.detector.delphes_card
        text = file.read_text("utf-8") if file.is_file() else None
        plain["detector"]["delphes_card"] = {"name": file.name, "text": text}
    if any(isinstance(one, FilesProcess) and one.has_tables for one in analysis.processes):
        plain["columns"], plain["tables"] = msgspec.to_builtins(_columns(analysis)), True
    return msgspec.convert(plain, Generation), msgspec.convert(plain, Reconstruction)


def _columns(analysis: Analysis) -> Columns:
    """What the expressions of an analysis use of tables."""
    return columns_used(
        [entry.definition for entry in analysis.observables],
        [
            *(cut.definition for cut in analysis.cuts),
            *(e.definition for e in analysis.efficiencies),
        ],
        analysis.observable_names,
    )
