"""Analyses of events that exist, from those of MadGraph in ``tests/data``."""

from __future__ import annotations

import gzip
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.support.chain import TINY, analysis_file
from tests.support.paths import DATA

REFERENCE = DATA / "wbf_madgraph_1000.lhe.gz"
BENCHMARKS = {
    "sm": {"CWL2": 0.0, "CPWL2": 0.0},
    "ten": {"CWL2": 10.0, "CPWL2": 0.0},
    "b2": {"CWL2": -7.398788288322979, "CPWL2": 2.45299313849255},
    "b3": {"CWL2": 5.826423661344318, "CPWL2": -6.785254803728076},
    "b4": {"CWL2": -4.94265350886155, "CPWL2": 7.7007932809855575},
    "b5": {"CWL2": -4.297876143754458, "CPWL2": -9.20087044927045},
}
"""The points that the reference events have weights for, under other names."""
IDS = ("w", *(f"morphing_basis_vector_{k}" for k in range(2, 6)))
"""The names of their weights, but for that of the Standard Model, from which they were drawn."""


def text() -> str:
    """The text of the reference file."""
    return gzip.decompress(REFERENCE.read_bytes()).decode()


def with_events(chosen: slice, norm: str = "average") -> str:
    """The text of the reference file with some of its events, whose weights average to sigma.

    Those of the whole file sum to it.
    """
    head, *events = re.split(r"(?=<event>)", text())
    events[-1] = events[-1].replace("</LesHouchesEvents>", "")
    scaled = [
        re.sub(
            r"(<wgt id='\w+'>) (\S+) |(?<=\n 7      1) (\S+)",
            lambda m: f"{m[1] or ''} {1000 * float(m[2] or m[3])!r} ",
            event,
        )
        for event in events[chosen]
    ]
    head = head.replace("sum = event_norm", f"{norm} = event_norm")
    return "".join([head, *scaled, "</LesHouchesEvents>\n"])


def analysis(
    folder: Path, files: dict[str, Sequence[str]] | None = None, sections: Any = None, **keys: Any
) -> Path:
    """Write an analysis of existing ``files`` into ``folder``, with other ``keys`` of its process.

    Without files the reference events are there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if files is None:
        (folder / REFERENCE.name).symlink_to(REFERENCE)
        files = {"sm": [REFERENCE.name]}
    process = {
        "name": "signal",
        "generator": "files",
        "files": {name: list(patterns) for name, patterns in files.items()},
        **keys,
    }
    return analysis_file(
        folder / "input.yml",
        TINY,
        **{"benchmarks": BENCHMARKS, "processes": [process], **(sections or {})},
    )
