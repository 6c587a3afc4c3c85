"""The built-in processes: one row each, its module of that name in ``generators.builtin``."""

from __future__ import annotations

from typing import NamedTuple


class BuiltinEntry(NamedTuple):
    """What the analysis file has to know of a built-in process.

    ``couplings`` are those (lha_block, lha_id) that its squared matrix element depends on.
    """

    description: str
    couplings: frozenset[tuple[str, int]]


LIBRARY = {
    "wbf_haa": BuiltinEntry(
        "u d → u d h, h → γγ by W fusion, with dim6 2 (CWL2) and dim6 5 (CPWL2) of EWdim6",
        frozenset({("dim6", 2), ("dim6", 5)}),
    ),
}
