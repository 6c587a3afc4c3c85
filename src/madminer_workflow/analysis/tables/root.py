"""Trees of ROOT files, read by uproot: those of Delphes, NanoAOD, and others."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from madminer_workflow.analysis.tables import (
    DELPHES,
    NANOAOD,
    PLAIN,
    Table,
    Values,
    chosen,
    flat,
    named,
    reading,
)
from madminer_workflow.errors import InputError

_KINDS = {"Delphes": DELPHES, "Events": NANOAOD}
_OF_NANOAOD = {"genWeight", "Jet_pt", "Electron_pt", "Muon_pt", "Photon_pt"}
"""Columns of which a NanoAOD file has one at least: other trees are called Events, too."""
_RUNS, _SUM = "Runs", "genEventSumw"
_WHAT = "a ROOT file"
_PLAIN = (
    r"(?:std::)?(?:bool|float|double|(?:unsigned )?(?:char|short|int|long)|u?int\d+_t)"
    r"|Float16_t|Double32_t"
)
_NUMBER = rf"(?:{_PLAIN}|ROOT::RNTupleCardinality<(?:{_PLAIN})>)"
_LIST = rf"{_NUMBER}\[\d*\]|(?:std::)?(?:vector|array)<{_NUMBER}(?:, ?\d+)?>"
_RVEC = rf"(?:ROOT::(?:VecOps::)?)?RVec<{_NUMBER}>"
"""What RDataFrame writes, and an RNTuple of NanoAOD has."""
_TYPE = re.compile(rf"{_NUMBER}|{_LIST}|{_RVEC}")


def opened(path: Path, table: str | None) -> Table:
    """The tree ``table``, or that of Delphes or NanoAOD, or the only one; InputError if none."""
    import uproot

    with reading(path, _WHAT), uproot.open(path) as file:
        if (size := path.stat().st_size) < file.file.fEND:
            raise InputError(f"{path}: truncated: it has {size} of {file.file.fEND} bytes")
        classes = file.classnames(cycle=False)
        trees = [name for name, kind in classes.items() if kind in ("TTree", "ROOT::RNTuple")]
        known = [name for name in _KINDS if name in trees]
        name = table or known[0] if known else chosen(path, trees, table, "tree")
        name = chosen(path, trees, name, "tree")
        tree = file[name]
        places = dict(_numbers(tree))
        kind = _KINDS.get(name, PLAIN)
        if kind == NANOAOD and not _OF_NANOAOD & places.keys():
            kind = PLAIN
        total = None
        if kind == NANOAOD and _RUNS in trees and _SUM in file[_RUNS].keys():  # noqa: SIM118
            total = float(file[_RUNS][_SUM].array(library="np").sum())
        n_events = int(tree.num_entries)

    def pieces(places: Sequence[str], size: int) -> Iterator[Mapping[str, Values]]:
        # Nothing is read twice: what uproot would keep is memory only.
        with reading(path, _WHAT), uproot.open(path, array_cache=None) as file:
            tree = file[name]
            for start in range(0, n_events, size):
                stop = min(start + size, n_events)
                with reading(path, _WHAT, (start, stop)):
                    piece = {place: _values(tree[place], start, stop) for place in places}
                yield piece

    return Table(path, kind, n_events, named(places), pieces, total)


def _numbers(tree: Any) -> Iterator[tuple[str, bool]]:
    """The branches that hold numbers, and whether an event has a list of these."""
    # The branches of a TTree may have some of their own; the fields of an RNTuple are these.
    recursive = tree.classname == "TTree"
    for branch in tree.itervalues(recursive=recursive):
        kind = type_of(branch)
        # Of one that has branches, the number is that of its objects.
        if _TYPE.fullmatch(kind) and not (recursive and len(branch.branches)):
            yield branch.name, not re.fullmatch(_NUMBER, kind)


def type_of(branch: Any) -> str:
    """The type of what a branch holds, in C++; nothing if the library does not know it."""
    try:
        return str(branch.typename)
    except Exception:
        # uproot raises whatever its interpretation of the branch does.
        return ""


def _values(branch: Any, start: int, stop: int) -> Values:
    values = branch.array(entry_start=start, entry_stop=stop, library="ak")
    if len(values) != stop - start:
        raise ValueError(f"{branch.name} has {len(values)} of {stop - start} entries")
    return values if values.ndim > 1 else flat(values, stop - start)
