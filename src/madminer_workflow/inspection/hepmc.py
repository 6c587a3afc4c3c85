"""HepMC files, versions 2 and 3, as text: events and the names of their weights."""

from __future__ import annotations

import re
from pathlib import Path

from madminer_workflow import archives
from madminer_workflow.errors import InputError
from madminer_workflow.inspection.summary import Column, Summary

_EVENT = re.compile(rb"^E ", re.MULTILINE)
_WEIGHTS_2 = re.compile(r'^N \d+ (".*")', re.MULTILINE)
_WEIGHTS_3 = re.compile(r"^W (.*)", re.MULTILINE)
_PIECE = 1 << 22


def inspect(path: Path) -> Summary:
    """Count the events of a file; InputError if it is damaged or does not end."""
    n, start, last = 0, b"", b""
    try:
        with archives.opened(path) as stream:
            while data := stream.read(_PIECE):
                start = start or data
                # A line may lie across two pieces.
                text = last + data
                cut = text.rfind(b"\n") + 1
                n += len(_EVENT.findall(text[:cut]))
                last = text[cut:] if cut else text
                ending = text[-200:]
    except archives.ArchiveError as error:
        raise InputError(f"{path}: cannot be read ({error})") from None
    head = start[:100_000].decode(errors="replace")
    version = re.search(r"HepMC::Version (\S+)", head)
    is_three = "HepMC::Asciiv3" in head
    found = (_WEIGHTS_3 if is_three else _WEIGHTS_2).search(head)
    names = re.findall(r'"([^"]*)"', found[1]) if found and not is_three else []
    names = found[1].split() if found and is_three else names
    whole = b"END_EVENT_LISTING" in ending
    return Summary(
        file=str(path),
        format=f"HepMC{3 if is_three else 2} as text",
        events=n,
        facts={"version": version[1] if version else "unknown"},
        columns=tuple(
            Column(name=name, number=i, meaning="a weight") for i, name in enumerate(names)
        ),
        columns_are="weight",
        notes=() if whole else ("It does not end as HepMC files do: it may be truncated.",),
    )
