"""ROOT files: trees, branches, and where weights are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from madminer_workflow.analysis.tables import DELPHES, NANOAOD, PLAIN
from madminer_workflow.analysis.tables.histograms import histograms_in
from madminer_workflow.analysis.tables.root import type_of
from madminer_workflow.errors import InputError
from madminer_workflow.inspection.summary import Column, Summary
from madminer_workflow.inspection.tables import suggest, table_in, weights

EVENTS, RUNS = ("Delphes", "Events", "CollectionTree", "EventData"), "Runs"
FORMATS = {DELPHES: "ROOT of Delphes", NANOAOD: "ROOT, NanoAOD", PLAIN: "ROOT"}
HEPMC = "hepmc3_tree"
HEPMC_NOT_READ = (
    "HepMC events in ROOT files are not read; write them as text (Asciiv3), for example with "
    "HepMC3's converter"
)
_WEIGHTS = ("LHEReweightingWeight", "LHEWeight_originalXWGTUP", "genWeight", "LHEScaleWeight")
MOST_BRANCHES = 200
MOST_BINS = 30
"""Of a histogram that may be a cut flow."""


def inspect(path: Path) -> Summary:
    """Look at the trees of a file, not at the events; InputError if it is damaged."""
    import uproot

    try:
        with uproot.open(path) as file:
            trees = {
                name: file[name]
                for name, kind in file.classnames(cycle=False).items()
                if kind in ("TTree", "ROOT::RNTuple")
            }
            facts = {f"tree {name}": f"{tree.num_entries} entries" for name, tree in trees.items()}
            main = max(trees, key=lambda name: trees[name].num_entries, default=None)
            main = next((name for name in EVENTS if name in trees), main)
            if main is None:
                return Summary(file=str(path), format="ROOT, without trees")
            tree = trees[main]
            branches = [(one.name, type_of(one) or "unknown") for one in _branches(tree)]
            if RUNS in trees and "genEventSumw" in trees[RUNS]:
                total = trees[RUNS]["genEventSumw"].array(library="np").sum()
                facts["sum of weights before cuts"] = f"{total:.8g} (Runs/genEventSumw)"
            for name in _WEIGHTS:
                if f"n{name}" in tree.keys():  # noqa: SIM118
                    number = int(tree[f"n{name}"].array(entry_stop=1, library="np")[0])
                    facts[name] = f"{number} weights in the first event"
    except InputError:
        raise
    except Exception as error:
        # What uproot raises for a damaged file depends on where it is damaged.
        reason = str(error).strip().split("\n")[0]
        raise InputError(f"{path}: cannot be read as a ROOT file ({reason})") from None
    for name, bins in histograms_in(path).items():
        if len(bins) <= MOST_BINS:
            filled = [f"{label or i}: {value:.8g}" for i, (label, value) in enumerate(bins)]
            facts[f"histogram {name}"] = ", ".join(filled)
    chosen = None if len(trees) == 1 or main in EVENTS[:2] else main
    table = table_in(path, chosen)
    notes = [HEPMC_NOT_READ] if main == HEPMC else []
    if len(branches) > MOST_BRANCHES:
        notes.append(f"({len(branches) - MOST_BRANCHES} branches more)")
    return Summary(
        file=str(path),
        format=FORMATS[table.kind if table else PLAIN],
        events=int(tree.num_entries),
        facts=facts,
        weights=weights(table) if table else (),
        columns=tuple(
            Column(name=name, number=i, meaning=what)
            for i, (name, what) in enumerate(branches[:MOST_BRANCHES])
        ),
        columns_are=f"branch of {main}",
        suggestion=None if main == HEPMC or table is None else suggest(table, chosen),
        notes=tuple(notes),
    )


def _branches(tree: Any) -> list[Any]:
    """Those of a TTree, or the fields of an RNTuple but for its nameless collections."""
    if tree.classname == "TTree":
        return list(tree.branches)
    return [field for field in tree.itervalues(recursive=False) if type_of(field)]
