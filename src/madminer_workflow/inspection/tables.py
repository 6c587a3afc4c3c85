"""The part of an analysis file that takes the events of a table; and Parquet files."""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterator
from pathlib import Path

from madminer_workflow.analysis.tables import DELPHES, NANOAOD, Table, open_table
from madminer_workflow.errors import InputError
from madminer_workflow.expressions import EVENT_VARIABLES, PARTICLE_LISTS
from madminer_workflow.inspection.summary import Column, Summary

MOST_OBSERVABLES = 20
_WEIGHT = re.compile(r"weight|wgt|xwgtup", re.IGNORECASE)
_NONE = re.compile(r"_size|_fBits|_fUniqueID|TauWeight|^n[A-Z]")
"""What only sounds like weights."""
_OWN = {DELPHES: "Event_Weight[0]", NANOAOD: "genWeight"}
_REWEIGHTED = "LHEReweightingWeight"
_OF_PARTICLES = {
    "pt_j1": "j[0].pt",
    "m_jj": "(j[0] + j[1]).m",
    "n_jets": "len(j)",
    "pt_miss": "met.pt",
}


def inspect(path: Path) -> Summary:
    """Look at the columns of a Parquet file; InputError if it is damaged."""
    table = open_table(path)
    columns = tuple(
        Column(name=column.place, number=i, meaning="lists" if column.is_list else "numbers")
        for i, column in enumerate(table.columns.values())
    )
    return Summary(
        file=str(path),
        format="Parquet",
        events=table.n_events,
        columns=columns,
        suggestion=suggest(path),
    )


def suggest(path: Path) -> str | None:
    """A process of this file, and observables; None if it is none of one table of events.

    Nothing in a table says which parameter points its weights are for.
    """
    try:
        table = open_table(path)
    except InputError:
        return None
    lines = [
        "processes:",
        "  - name: signal",
        "    generator: files",
        f"    files: {{sm: ['{path.name}']}}  # drawn from the benchmark sm",
        "    cross_section: {sm: 1.0}  # write that of all generated events, in pb",
        *_weights(table),
        "",
        "observables:",
        *(
            f"  - {{name: {name}, definition: '{definition}', default: 0.0}}"
            for name, definition in _observables(table).items()
        ),
    ]
    return "\n".join(lines) + "\n"


def _weights(table: Table) -> Iterator[str]:
    there = [one for one in table.columns if _WEIGHT.search(one) and not _NONE.search(one)]
    own = _OWN.get(table.kind)
    if own is None and there and "sm" not in table.columns:
        flat = [name for name in there if not table.columns[name].is_list]
        own = flat[0] if flat else f"{there[0]}[0]"
    yield f"    weights: {{{'' if own is None else f'sm: {own}'}}}"
    examples = {DELPHES: "w: Weight_Weight[1]", NANOAOD: f"w: {own}*{_REWEIGHTED}[0]"}
    example = examples.get(table.kind, "a column, or an expression in columns")
    yield f"    # one for each other benchmark: {example}"
    if there:
        yield f"    # columns that may be weights: {', '.join(there[:MOST_OBSERVABLES])}"


def _observables(table: Table) -> dict[str, str]:
    """Of particles, or the first columns of numbers that can be names of observables."""
    if table.kind in _OWN:
        return _OF_PARTICLES
    taken = {*PARTICLE_LISTS, *EVENT_VARIABLES}
    names = [
        name
        for name, column in table.columns.items()
        if not (column.is_list or _WEIGHT.search(name) or name in taken or keyword.iskeyword(name))
        and re.fullmatch(r"[A-Za-z_]\w*", name)
    ]
    return {name: name for name in names[:MOST_OBSERVABLES]}
