"""The part of an analysis file that takes the events of a table; and Parquet files."""

from __future__ import annotations

import keyword
import math
import re
from collections.abc import Iterator
from pathlib import Path

import awkward as ak
import numpy as np

from madminer_workflow.analysis.tables import DELPHES, NANOAOD, Table, open_table
from madminer_workflow.analysis.tables.definitions import require
from madminer_workflow.errors import InputError
from madminer_workflow.expressions import EVENT_VARIABLES, PARTICLE_LISTS, compile_expression
from madminer_workflow.inspection.summary import Column, Summary, Sums, Weight

MOST_OBSERVABLES = 20
MOST_WEIGHTS = 200
_WEIGHT = re.compile(r"weight|wgt|xwgtup", re.IGNORECASE)
_NONE = re.compile(r"_size|_fBits|_fUniqueID|TauWeight|^n[A-Z]")
"""What only sounds like weights."""
_OWN = {DELPHES: "Event_Weight[0]", NANOAOD: "genWeight"}
_REWEIGHTED = "LHEReweightingWeight"
_OF_PARTICLES = {
    "pt_j1": "j[0].pt",
    "m_jj": "(j[0] + j[1]).m",
    "n_jets": "len(j)",
    "pt_mu1": "mu[0].pt",
    "pt_e1": "e[0].pt",
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
        weights=weights(table),
        columns=columns,
        suggestion=suggest(table),
    )


def table_in(path: Path, chosen: str | None = None) -> Table | None:
    """The table of a file, or the one that is ``chosen``; None if the file is not one table."""
    try:
        return open_table(path, chosen)
    except InputError:
        return None


def weights(table: Table) -> tuple[Weight, ...]:
    """Sums of what may be weights, by name or place.

    Those of lists are with the factor that NanoAOD's have.
    """
    try:
        texts = _candidates(table)
        if not texts:
            return ()
        expressions = [compile_expression(text, particles=False, columns=True) for text in texts]
        sums = Sums(len(texts))
        names = sorted(frozenset[str]().union(*(one.names for one in expressions)))
        for entries, columns in table.chunks(names):
            values = [np.broadcast_to(one(columns), len(entries)) for one in expressions]
            sums.add(np.stack(values, axis=1))
    except InputError:
        return ()
    found = (sums.weight(i, text, None) for i, text in enumerate(texts))
    # A place that some events do not have is none of a weight.
    return tuple(weight for weight in found if math.isfinite(weight.total))


def _candidates(table: Table) -> list[str]:
    """The expressions that may be weights, at most ``MOST_WEIGHTS``."""
    names = [name for name in _named_as_weights(table) if name not in ("Event_Weight", "genWeight")]
    own = _own(table)
    texts = [own] if own else []
    lists = [name for name in names if table.columns[name].is_list]
    first = next(table.chunks(lists))[1] if lists else {}
    for name in names:
        if name not in first:
            texts.append(name)
            continue
        factor = f"{own}*" if name == _REWEIGHTED and texts else ""
        least = int(ak.min(ak.num(first[name], axis=1)))
        texts += [f"{factor}{name}[{i}]" for i in range(min(least, MOST_WEIGHTS))]
    return texts[:MOST_WEIGHTS]


def _own(table: Table) -> str | None:
    """The weight that events of such files were drawn with, if this one has it."""
    own = _OWN.get(table.kind)
    return own if own and own.partition("[")[0] in table.columns else None


def _named_as_weights(table: Table) -> list[str]:
    return [one for one in table.columns if _WEIGHT.search(one) and not _NONE.search(one)]


def suggest(table: Table, chosen: str | None = None) -> str:
    """A process of a table, which is the one that is ``chosen`` in its file, and observables.

    Nothing in a table says which parameter points its weights are for.
    """
    lines = [
        "processes:",
        "  - name: signal",
        "    generator: files",
        f"    files: {{sm: ['{table.path.name}']}}  # drawn at the benchmark sm",
        "    cross_section: {sm: 1.0}  # replace by the cross-section of all generated "
        "events, in pb",
        *([] if chosen is None else [f"    table: '{chosen}'"]),
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
    there = _named_as_weights(table)
    own = _own(table)
    if own is None and there and "sm" not in table.columns:
        flat = [name for name in there if not table.columns[name].is_list]
        own = flat[0] if flat else f"{there[0]}[0]"
    yield f"    weights: {{{'' if own is None else f'sm: {own}'}}}"
    example = "a column, or an expression in columns"
    if "Weight_Weight" in table.columns:
        example = "w: Weight_Weight[2]"
    elif own and _REWEIGHTED in table.columns:
        example = f"w: {own}*{_REWEIGHTED}[0]"
    yield f"    # one for every other benchmark: {example}"
    if there:
        yield f"    # columns that may be weights: {', '.join(there[:MOST_OBSERVABLES])}"


def _observables(table: Table) -> dict[str, str]:
    """Of particles, or the first columns of numbers that can be names of observables."""
    if table.kind in _OWN:
        return {name: text for name, text in _OF_PARTICLES.items() if _defined(table, text)}
    taken = {*PARTICLE_LISTS, *EVENT_VARIABLES}
    names = [
        name
        for name, column in table.columns.items()
        if not (column.is_list or _WEIGHT.search(name) or name in taken or keyword.iskeyword(name))
        and re.fullmatch(r"[A-Za-z_]\w*", name)
    ]
    return {name: name for name in names[:MOST_OBSERVABLES]}


def _defined(table: Table, definition: str) -> bool:
    try:
        require(table, compile_expression(definition, columns=True))
    except InputError:
        return False
    return True
