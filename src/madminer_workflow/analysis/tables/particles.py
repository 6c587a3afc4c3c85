"""The particles that expressions find in tables of Delphes and in NanoAOD, and their columns."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from madminer_workflow.analysis.tables import DELPHES, NANOAOD, PLAIN, Table
from madminer_workflow.errors import InputError

LISTS = ("e", "mu", "a", "j")
"""Those that both have; ``l`` joins the first two."""

_SUMS = {"visible", "all"}
_COLLECTIONS: dict[str, dict[str, tuple[str, tuple[str, ...]]]] = {
    DELPHES: {
        "e": ("Electron", ("PT", "Eta", "Phi", "Charge")),
        "mu": ("Muon", ("PT", "Eta", "Phi", "Charge")),
        "a": ("Photon", ("PT", "Eta", "Phi", "E")),
        "j": ("Jet", ("PT", "Eta", "Phi", "Mass")),
    },
    NANOAOD: {
        "e": ("Electron", ("pt", "eta", "phi", "mass", "charge")),
        "mu": ("Muon", ("pt", "eta", "phi", "mass", "charge")),
        "a": ("Photon", ("pt", "eta", "phi")),
        "j": ("Jet", ("pt", "eta", "phi", "mass")),
    },
}
_TAGS = {"b_tag": "Jet_BTag", "tau_tag": "Jet_TauTag"}
_PROVIDED = {"charge", "pdgid", *_TAGS, "t_tag"}
MISSING = {DELPHES: ("MissingET",), NANOAOD: ("MET", "PuppiMET", "PFMET")}
"""The collections that may have the missing momentum, the first that is there is it."""
MISSING_PARTS = {DELPHES: ("MET", "Phi"), NANOAOD: ("pt", "phi")}
"""The size and the direction of the missing momentum."""


def lists_for(names: Collection[str]) -> set[str]:
    """Those of ``LISTS`` that the objects ``names`` are made of."""
    wanted = {name for name in LISTS if name in names or _SUMS & set(names)}
    return wanted | ({"e", "mu"} if "l" in names else set())


def columns_for(table: Table, names: Collection[str], attributes: Collection[str]) -> list[str]:
    """The columns that the particles and momenta ``names`` need, in a fixed order.

    ``attributes`` are what expressions ask particles for. Raises InputError for those that the
    table cannot give.
    """
    if not names:
        return []
    _refuse(table, names, attributes)
    wanted = [*_columns(table, names, attributes)]
    if absent := [name for name in wanted if name not in table.columns]:
        raise InputError(
            f"{table.path}: has no column '{absent[0]}', which the expressions need for "
            f"{', '.join(sorted(names))}"
        )
    return wanted


def _columns(table: Table, names: Collection[str], attributes: Collection[str]) -> Iterator[str]:
    for name in sorted(lists_for(names)):
        collection, parts = _COLLECTIONS[table.kind][name]
        yield from (f"{collection}_{part}" for part in parts)
        if name == "j":
            yield from (column for tag, column in _TAGS.items() if tag in attributes)
    if {"met", "all"} & set(names):
        size, direction = MISSING_PARTS[table.kind]
        there = [one for one in MISSING[table.kind] if f"{one}_{size}" in table.columns]
        collection = there[0] if there else MISSING[table.kind][0]
        yield from (f"{collection}_{size}", f"{collection}_{direction}")


def _refuse(table: Table, names: Collection[str], attributes: Collection[str]) -> None:
    if table.kind == PLAIN:
        raise InputError(
            f"{table.path}: '{min(names)}' are particles in expressions, but a plain table has "
            "only columns; rename any column with this name"
        )
    known = {*LISTS, "l", "met", *_SUMS}
    if other := sorted(set(names) - known):
        raise InputError(
            f"{table.path}: has no '{other[0]}'; it has {', '.join(sorted(known))} and its columns"
        )
    without = set(_TAGS) if table.kind == NANOAOD else set()
    if other := sorted(set(attributes) - (_PROVIDED - without)):
        raise InputError(
            f"{table.path}: does not contain the {other[0]} of particles; use a column that does"
        )
