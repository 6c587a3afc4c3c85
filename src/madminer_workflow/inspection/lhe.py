"""LHE files: weights with their points, particles, and an analysis of these events."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import cast

import awkward as ak
import numpy as np
from particle import Particle

from madminer_workflow.analysis.lhe_files import XWGTUP, LHEStart, as_number, read_start
from madminer_workflow.analysis.lhe_files import Weight as DeclaredWeight
from madminer_workflow.inspection.suggestion import suggest
from madminer_workflow.inspection.summary import Column, Summary, Sums
from madminer_workflow.physics.readers.lhe import read_events
from madminer_workflow.physics.readers.lhe_chunks import read_chunks

LISTS = {
    "a": (22,),
    "j": (1, 2, 3, 4, 5, 21),
    "e": (11,),
    "mu": (13,),
    "tau": (15,),
    "v": (12, 14, 16),
}
"""The PDG ids of the lists of the expression language."""

OF_SCALES = {"MUR", "MUF", "PDF", "DYN_SCALE"}
"""Attributes of weights with other scales or parton densities."""

_SCALE = re.compile(r"mu_?[rf]|(?:ren|fac)sc\w*|(?:lha)?pdf\w*|dyn_?scale\w*|member(?:id)?", re.I)
"""What the header says of these is said of no theory."""

_MEANINGS = {
    "mgrwt": " (from which MadGraph's SysCalc computes weights)",
    "scales": " (scales of the event)",
    "clustering": " (how jets were merged)",
}

Coupling = tuple[str, int]


def inspect(path: Path) -> Summary:
    """Read all events of a file; InputError if it is damaged."""
    start = read_start(path)
    names = (XWGTUP, *start.weights)
    sums, final, least = Sums(len(names)), Counter[int](), dict[str, int]()
    for chunk in read_chunks(path):
        events = chunk.read(lambda texts: read_events(path, texts, 1.0, start.declared))
        if events.weight_names != start.weights:
            raise chunk.wrong(0, "its weights differ from those of the first event of the file")
        sums.add(np.column_stack([events.event_weight, events.weights]))
        flat = np.asarray(ak.flatten(events.particles.pdgid))
        kinds, numbers = np.unique(flat, return_counts=True)
        final.update(dict(zip(kinds.tolist(), numbers.tolist(), strict=True)))
        for name, ids in LISTS.items():
            fewest = int(np.min(ak.sum(_is_one_of(events.particles.pdgid, ids), axis=1)))
            least[name] = min(least.get(name, fewest), fewest)
    points = declared(start)
    same = [n for n, equal in zip(start.weights, sums.as_first[1:], strict=True) if equal]
    return Summary(
        file=str(path),
        format="Les Houches events",
        events=sums.n_events,
        facts=_facts(start),
        weights=tuple(
            sums.weight(i, name, _point(points.get(name)) or _scales(start, name))
            for i, name in enumerate(names)
        ),
        columns=tuple(
            Column(name=_name(kind), number=n / sums.n_events, meaning=f"PDG id {kind}, per event")
            for kind, n in final.most_common()
        ),
        columns_are="final state",
        suggestion=suggest(path, start, points, same[0] if same else None, least),
    )


def declared(start: LHEStart) -> dict[str, dict[Coupling | str, float]]:
    """The points that weights are at: entries of the parameter card that are set, or names."""
    theory = {
        name: weight
        for name, weight in start.declared.items()
        if name in start.weights and not scales(weight)
    }
    changes = {name: weight.changes for name, weight in theory.items()}
    couplings = sorted({coupling for changed in changes.values() for coupling in changed})
    original = start.couplings
    points: dict[str, dict[Coupling | str, float]] = {}
    if couplings and all(coupling in original for coupling in couplings):
        points[XWGTUP] = {coupling: original[coupling] for coupling in couplings}
    for name, changed in changes.items():
        card = {**original, **changed}
        if changed and all(coupling in card for coupling in couplings):
            points[name] = {coupling: card[coupling] for coupling in couplings}
        elif not couplings and theory[name].assignments:
            points[name] = cast(dict[Coupling | str, float], dict(theory[name].assignments))
    # Of one theory, that is.
    return points if len({frozenset(point) for point in points.values()}) == 1 else {}


def scales(weight: DeclaredWeight) -> dict[str, float]:
    """The scales and parton densities that a weight is at, by name; none for a theory's."""
    said = {name: text for name, text in weight.attributes.items() if name in OF_SCALES}
    named = {name: v for name, v in weight.assignments.items() if _SCALE.fullmatch(name)}
    return named if not said else {name: as_number(text) for name, text in said.items()}


def _point(point: dict[Coupling | str, float] | None) -> dict[str, float] | None:
    if point is None:
        return None
    return {n if isinstance(n, str) else f"{n[0]} {n[1]}": value for n, value in point.items()}


def _scales(start: LHEStart, name: str) -> dict[str, float] | None:
    weight = start.declared.get(name)
    return (scales(weight) if weight else None) or None


def _is_one_of(pdgid: ak.Array, kinds: tuple[int, ...]) -> ak.Array:
    flat = np.isin(np.abs(np.asarray(ak.flatten(pdgid))), kinds)
    return ak.unflatten(flat, ak.num(pdgid))


def _name(kind: int) -> str:
    try:
        return Particle.from_pdgid(kind).name
    except RuntimeError:
        return str(kind)


def _facts(start: LHEStart) -> dict[str, str]:
    facts = {}
    if start.cross_section is not None:
        value, error = start.cross_section
        facts["cross-section"] = f"{value:.6g} ± {error:.2g} pb (<init>)"
    if norm := start.run_card.get("event_norm"):
        facts["event_norm"] = norm
    if start.init:
        facts["beams"] = f"{' '.join(start.init[0][:2])} at {' '.join(start.init[0][2:4])} GeV"
        facts["subprocesses"] = ", ".join(words[-1] for words in start.init[1:])
    if start.version:
        facts["version"] = start.version
    if start.groups:
        facts["groups of weights"] = ", ".join(f"{name} ({n})" for name, n in start.groups)
    if start.others:
        facts["without weights"] = ", ".join(
            f"<{tag}>{_MEANINGS.get(tag, '')}" for tag in start.others
        )
    if version := start.card("MGVersion"):
        facts["MadGraph"] = version.strip()
    generated = [
        line.strip()
        for line in (start.card("MG5ProcCard") or "").splitlines()
        if line.strip().startswith(("generate", "add process", "import model"))
    ]
    if generated:
        facts["process"] = "; ".join(generated)
    return facts
