"""The particles that expressions find in tables of Delphes and in NanoAOD."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import awkward as ak
import numpy as np

from madminer_workflow.analysis.tables import DELPHES, NANOAOD
from madminer_workflow.analysis.tables.particles import MISSING, MISSING_PARTS, lists_for
from madminer_workflow.physics.momenta import register_momenta
from madminer_workflow.physics.readers.delphes_root import Detected, detected_in
from madminer_workflow.products.columns import ColumnEvents

_COLLECTIONS = {"e": "Electron", "mu": "Muon", "a": "Photon", "j": "Jet"}
_PARTICLES = {"e": 11, "mu": 13, "a": 22, "j": 9}


def found_objects(
    events: ColumnEvents,
    names: Collection[str],
    attributes: Collection[str],
    acceptance: Mapping[str, float | None],
) -> dict[str, Any]:
    """The particles and momenta ``names``, as ``Detected`` has them; InputError if it cannot be."""
    if not names:
        return {}
    if events.kind == DELPHES:
        columns = events.columns
        return detected_in(events.path, columns, names, attributes, acceptance).objects
    register_momenta()
    lists = {name: _list(events.columns, name) for name in lists_for(names)}
    missing = _missing(events.columns) if {"met", "all"} & set(names) else None
    number = np.arange(len(events))
    return Detected(frozenset(names), number, lists, missing, dict(acceptance)).objects


def _list(columns: Mapping[str, Any], name: str) -> ak.Array:
    """The particles of NanoAOD's collection, with what it says of them."""
    collection = _COLLECTIONS[name]
    pt, eta, phi = (_real(columns[f"{collection}_{part}"]) for part in ("pt", "eta", "phi"))
    mass = ak.zeros_like(pt) if name == "a" else _real(columns[f"{collection}_mass"])
    charge, pdgid = ak.zeros_like(pt), ak.full_like(pt, _PARTICLES[name], dtype=np.int64)
    if name in ("e", "mu"):
        charge = _real(columns[f"{collection}_charge"])
        pdgid = ak.where(charge >= 0.0, -pdgid, pdgid)
    fields = {"pt": pt, "eta": eta, "phi": phi, "mass": mass, "charge": charge, "pdgid": pdgid}
    fields |= {"b_tag": False, "tau_tag": False, "t_tag": False}
    return ak.zip(fields, with_name="Momentum4D")


def _missing(columns: Mapping[str, Any]) -> ak.Array:
    size, direction = MISSING_PARTS[NANOAOD]
    [name] = [one for one in MISSING[NANOAOD] if f"{one}_{direction}" in columns][:1]
    pt, phi = (np.asarray(columns[f"{name}_{part}"], dtype=float) for part in (size, direction))
    zero = np.zeros(len(pt))
    return ak.zip({"pt": pt, "phi": phi, "eta": zero, "mass": zero}, with_name="Momentum4D")


def _real(values: Any) -> ak.Array:
    return ak.values_astype(values, np.float64)
