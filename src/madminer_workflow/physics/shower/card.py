"""The card of Pythia settings that belongs to a process.

A line is ``key = value`` in Pythia's own language, or a comment. Cards as MadGraph writes them are
accepted: the lines in which it asks to be left alone say nothing and are skipped.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from madminer_workflow.errors import InputError

_PLACEHOLDERS = {
    "main:numberofevents": ("-1",),
    "hepmcoutput:file": ("auto", "autoremove", "hepmc.gz"),
    "jetmatching:qcut": ("-1", "-1.0"),
    "jetmatching:doshowerkt": ("off",),
    "jetmatching:njetmax": ("-1",),
    "merging:tms": ("-1", "-1.0"),
    "merging:process": ("<set_by_user>",),
    "merging:njetmax": ("-1",),
    "syscalc:fullcutvariation": ("off",),
}
"""What MadGraph's default card says without meaning it."""

_OURS = {
    "beams:": "the beams come from the LHE file",
    "main:": "the number of events comes from the LHE file",
    "random:": "the seed is derived from that of the analysis",
    "hepmcoutput:": "the workflow sets where events are written",
    "lhefinputs:": "the workflow sets the LHE file",
    "jetmatching:": "matched samples are not supported: the shower would change their weights",
    "merging:": "merged samples are not supported: the shower would change their weights",
    "syscalc:": "matched samples are not supported: the shower would change their weights",
}
"""Families of settings that a card must leave alone, and why."""

_TRUTHS = ("on", "off", "yes", "no", "true", "false", "ok", "1", "0")


@dataclass(frozen=True)
class Card:
    """The settings of a card, and whether they leave multiparton interactions on."""

    lines: tuple[str, ...]
    interactions: bool


def read_card(text: str, name: str = "pythia8_card") -> Card:
    """Check the text of a card, setting by setting.

    Raises InputError, naming `name` and the line, for settings that Pythia does not know or whose
    value it refuses, and for those that are not the card's business.
    """
    from pythia8mc import Pythia

    pythia = Pythia("", False)
    lines = []
    for number, key, value in _settings(text, name):
        where, folded = f"{name}: line {number}: '{key} = {value}'", key.lower()
        if value.lower() in _PLACEHOLDERS.get(folded, ()):
            continue
        for family, reason in _OURS.items():
            if folded.startswith(family):
                raise InputError(f"{where} must be left out: {reason}")
        _check(pythia, key, value, where)
        lines.append(f"{key} = {value}")
    return Card(tuple(lines), pythia.flag("PartonLevel:MPI"))


def _settings(text: str, name: str) -> Iterator[tuple[int, str, str]]:
    """The number, key and value of every line that is not a comment."""
    for number, line in enumerate(text.splitlines(), 1):
        # Pythia, too, takes a line for a comment that starts with anything but a letter or digit.
        setting = line.strip()
        if not setting[:1].isalnum():
            continue
        key, separator, value = setting.partition("=")
        value = value.split("!")[0].strip()
        if not separator or not value:
            raise InputError(f"{name}: line {number}: '{setting}': expected 'key = value'")
        yield number, key.strip(), value


def _check(pythia: Any, key: str, value: str, where: str) -> None:
    if pythia.settings.isFlag(key) and value.lower() not in _TRUTHS:
        # Pythia takes whatever is not true for off.
        raise InputError(f"{where}: expected on or off")
    if not pythia.readString(f"{key} = {value}", False):
        kinds = ("isFlag", "isMode", "isParm", "isWord")
        known = any(getattr(pythia.settings, is_kind)(key) for is_kind in kinds)
        problem = "Pythia refuses this value" if known else "Pythia does not know this setting"
        raise InputError(f"{where}: {problem}")
