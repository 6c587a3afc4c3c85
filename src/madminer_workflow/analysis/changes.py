"""Settings of methods, changed from the command line: ``sally.training.n_epochs=20``."""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from typing import Any

import msgspec
import yaml

from madminer_workflow.analysis import schema
from madminer_workflow.analysis.problems import Entry, unknown
from madminer_workflow.analysis.types import TRAINING, Method, Part
from madminer_workflow.errors import InputError


def change_training(method: Method, changes: Sequence[str]) -> Method:
    """The settings of one method with ``KEY=VALUE`` changed, in its network or training.

    Raises InputError for what the analysis file could not say either, and for other settings.
    """
    settings = plain(method)
    for change in changes:
        section = change.partition("=")[0].partition(".")[0]
        if section not in TRAINING:
            raise InputError(
                f"--set {change}: only {' and '.join(TRAINING)} can be changed now: all other "
                "settings were fixed when the samples were drawn"
            )
        settings = changed_settings(settings, change, change)
    return msgspec.convert(settings, Method)


def split_changes(text: Sequence[str]) -> list[str]:
    """The single changes in texts that hold any number of them, separated by blanks."""
    return [change for part in text for change in part.split()]


def plain(part: Part) -> Entry:
    """A part of an analysis as the file has it: mappings, lists, text and numbers."""
    return msgspec.json.decode(msgspec.json.encode(part))


def has_setting(settings: Entry, assignment: str) -> bool:
    """Whether a method has the setting of ``KEY=VALUE``: a histogram has no epochs."""
    section, _, name = assignment.partition("=")[0].rpartition(".")
    place = settings.get(section, {}) if section else settings
    return isinstance(place, dict) and name in place


def change_setting(settings: Entry, key: str, value: Any) -> Entry:
    """A copy of a method's ``settings`` with another value of the one with the dotted name ``key``.

    It leaves out keys that had a meaning only with the old value: after a change of the optimizer,
    the momentum of the old one does not apply. Raises InputError if the section of ``key`` does not
    exist.
    """
    return _put(schema.fill(_put(settings, key, value), schema.method_part()), key, value)


def _put(settings: Entry, key: str, value: Any) -> Entry:
    settings = copy.deepcopy(settings)
    *sections, last = key.split(".")
    place = settings
    for section in sections:
        inner = place.get(section)
        if not isinstance(inner, dict):
            known = [name for name, value in place.items() if isinstance(value, dict)]
            raise InputError(unknown("section", section, known))
        place = inner
    place[last] = copy.deepcopy(value)
    return settings


def changed_settings(settings: Entry, assignment: str, change: str) -> Entry:
    """``settings`` after one ``KEY=VALUE``, checked as the analysis file's are."""
    key, equals, text = assignment.partition("=")
    if not (key and equals):
        raise InputError(f"--set {change}: expected KEY=VALUE")
    try:
        settings = change_setting(settings, key, _value(text))
    except InputError as error:
        raise InputError(f"--set {change}: {error}") from None
    part = schema.method_part()
    findings = schema.check(settings, part)
    if findings:
        lines = (f"--set {change}: {'.'.join(map(str, f.path))}: {f.message}" for f in findings)
        raise InputError("\n".join(lines))
    return schema.fill(settings, part)


def _value(text: str) -> Any:
    # JSON knows 1e-3, which YAML 1.1 takes for text; YAML knows [relu, tanh].
    for read in (json.loads, yaml.safe_load):
        try:
            value = read(text)
            # Neither NaN nor Infinity, nor a number that becomes it.
            json.dumps(value, allow_nan=False)
            return value
        except (ValueError, TypeError, RecursionError, yaml.YAMLError):
            continue
    return text
