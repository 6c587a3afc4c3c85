"""What a product was made from, piece by piece, so that a change can be named."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from madminer_workflow.files import write_json

FILE = "made_from.json"
"""In the notes of a step."""
_MOST = 3
"""Changes that are named; others are counted."""


class MadeFrom(msgspec.Struct, frozen=True, kw_only=True):
    """All that enters the key of a product.

    ``code`` is the checksum of the code, ``surroundings`` are versions of packages and variables,
    ``programs`` checksums of other programs' files. ``words`` are those of the command, with
    ``content`` in place of the paths in each; ``quotes`` are how the shell was told to read them.
    """

    code: str
    surroundings: Mapping[str, str]
    programs: Sequence[str]
    quotes: str
    words: Sequence[str]
    content: Sequence[str]

    @property
    def key(self) -> str:
        """The SHA-256 of everything but names and places."""
        surroundings = json.dumps(self.surroundings, sort_keys=True)
        parts = [self.code, surroundings, *self.programs, self.quotes]
        return hashlib.sha256("\n".join([*parts, json.dumps(self.content)]).encode()).hexdigest()

    def write(self, notes: Path) -> None:
        """Write it into the directory of a step's notes."""
        write_json(notes / FILE, msgspec.to_builtins(self))


def read_made_from(notes: Path) -> MadeFrom | None:
    """What was written into the notes of a step; None if that was nothing, or is damaged."""
    try:
        return msgspec.json.decode((notes / FILE).read_bytes(), type=MadeFrom)
    except (OSError, msgspec.MsgspecError):
        return None


def changes(then: MadeFrom, now: MadeFrom, places: Sequence[Path]) -> str:
    """What differs, in words; paths are relative to whichever of ``places`` they are in."""
    told = list(dict.fromkeys(_changes(then, now, places)))
    more = f" and {len(told) - _MOST} more changes" if len(told) > _MOST else ""
    return ", ".join(told[:_MOST]) + more


def _changes(then: MadeFrom, now: MadeFrom, places: Sequence[Path]) -> Iterator[str]:
    before, after = _by_option(then), _by_option(now)
    for label, (word, content) in after.items():
        old_word, old_content = before.get(label, ("", ""))
        if content != old_content:
            name, old_name = _shown(word, places), _shown(old_word, places)
            option = label[0].removeprefix("--")
            if word == content or old_word == old_content:
                yield f"{option} {old_name or '(none)'} → {name}".strip()
            else:
                yield f"{name} changed"
    for label, (word, _) in before.items():
        if label not in after:
            yield f"without {label[0].removeprefix('--')} {_shown(word, places)}"
    for name in sorted({*then.surroundings, *now.surroundings}):
        old, new = then.surroundings.get(name), now.surroundings.get(name)
        if old != new:
            yield f"{name} {old or '(none)'} → {new or '(none)'}"
    if then.code != now.code:
        yield "code of this package changed"
    if list(then.programs) != list(now.programs):
        yield "files of other programs changed"


def _by_option(made: MadeFrom) -> dict[tuple[str, int], tuple[str, str]]:
    """Words and contents by the option before them, and how many of it were before."""
    known: dict[tuple[str, int], tuple[str, str]] = {}
    option = ""
    for word, content in zip(made.words, made.content, strict=True):
        if word.startswith("--"):
            option = word
            continue
        number = sum(name == option for name, _ in known)
        known[option, number] = (word.strip(), content.strip())
        option = ""
    return known


def _shown(word: str, places: Sequence[Path]) -> str:
    for place in places:
        word = word.replace(f"{place}/", "")
    return Path(word).name if word.startswith("/") else word
