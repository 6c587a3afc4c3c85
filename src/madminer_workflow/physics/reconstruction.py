"""From final-state particles to observables: smearing, objects, observables, cuts, efficiencies.

The meaning of everything is that of MadMiner's ``LHEReader``, for all events at once.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import awkward as ak
import numpy as np
import vector
from particle import Particle

from madminer_workflow.observables import PARTICLE_LISTS, Expression, compile_expression
from madminer_workflow.physics.smearing import (
    ELEMENTARY_IDS,
    PARTICLE_NAMES,
    smear,
)


@dataclass(frozen=True)
class Reconstructed:
    """What is measured in each of n events.

    `observations` (n, n_observables) with defaults where undefined (NaN if the default is null),
    `passed` (n,) whether the event survives, `efficiency` (n,) the product of the efficiencies,
    `cut_flow` one entry a stage: `cut` (text), `passed` of the `of` events that reached it.
    """

    observations: np.ndarray
    passed: np.ndarray
    efficiency: np.ndarray
    cut_flow: list[dict[str, Any]]


def reconstruct(
    particles: ak.Array,
    settings: Mapping[str, Any],
    rng: np.random.Generator,
    event_variables: Mapping[str, np.ndarray] | None = None,
) -> Reconstructed:
    """Measure the events with the detector, observables, cuts and efficiencies of `settings`.

    `particles` (n, var) are Momentum4D [GeV] with pdgid and spin, in the file's order;
    `event_variables` (n,) are further numbers that expressions may use. As in MadMiner an event is
    dropped if a required observable is undefined (or not finite), if a cut is false, or if an
    efficiency is not positive; an undefined cut passes if it says ``required``. Cuts and
    efficiencies know the observables by name. Raises InputError for expressions or resolutions
    that make no sense.
    """
    vector.register_awkward()
    names = [observable["name"] for observable in settings["observables"]]
    observables = [compile_expression(entry["definition"]) for entry in settings["observables"]]
    cuts = [compile_expression(entry["definition"], names) for entry in settings["cuts"]]
    efficiencies = [
        compile_expression(entry["definition"], names) for entry in settings["efficiencies"]
    ]
    used = frozenset().union(*(each.names for each in (*observables, *cuts, *efficiencies)))

    detector = settings["detector"]
    smeared = smear(particles, detector["smearing"], rng)
    variables = build_objects(smeared, particles, detector["met_noise"], rng, used)
    variables |= event_variables or {}
    selection = _Selection(len(particles))
    observations = [
        _observe(entry, expression, variables, selection)
        for entry, expression in zip(settings["observables"], observables, strict=True)
    ]
    variables |= dict(zip(names, observations, strict=True))
    for entry, expression in zip(settings["cuts"], cuts, strict=True):
        value, undefined = expression.evaluate(variables)
        selection.require(expression.text, np.where(undefined, entry["required"], value != 0.0))
    efficiency = np.ones(len(particles))
    for entry, expression in zip(settings["efficiencies"], efficiencies, strict=True):
        value, undefined = expression.evaluate(variables)
        factor = np.where(undefined, entry["default"], value)
        selection.require(f"efficiency {expression.text}", factor > 0.0)
        efficiency = efficiency * factor
    return Reconstructed(
        observations=np.reshape(observations, (len(names), len(particles))).T,
        passed=selection.passed,
        efficiency=np.where(selection.passed, efficiency, 0.0),
        cut_flow=selection.flow,
    )


def build_objects(
    particles: ak.Array,
    truth: ak.Array,
    met_noise: Mapping[str, float] | None,
    rng: np.random.Generator,
    names: Collection[str] = PARTICLE_LISTS,
) -> dict[str, Any]:
    """Return the momenta and those lists of particles that `names` asks for.

    `particles` are the measured ones (n, var), `truth` those before smearing. Lists are sorted by
    descending pT. The missing momentum balances all visible particles, with Gaussian noise of width
    ``abs_ + rel * HT`` on each component.
    """
    measured = _identified(particles)
    counts = np.asarray(ak.num(measured, axis=1))
    flat = ak.flatten(measured, axis=1)
    kinds = np.abs(np.asarray(flat.pdgid))
    objects: dict[str, Any] = {"p": measured}
    if "p_truth" in names:
        objects["p_truth"] = _identified(truth)
    for name in PARTICLE_NAMES.keys() & names:
        chosen = measured[ak.unflatten(np.isin(kinds, PARTICLE_NAMES[name]), counts)]
        order = ak.argsort(chosen.pt, axis=1, ascending=False, stable=True)
        objects[name] = chosen[order]

    is_visible = np.isin(kinds, list(ELEMENTARY_IDS)) & ~np.isin(kinds, PARTICLE_NAMES["v"])
    seen, event = flat[is_visible], np.repeat(np.arange(len(counts)), counts)[is_visible]
    px, py, pz, e, ht = (
        np.bincount(event, np.asarray(getattr(seen, component)), minlength=len(counts))
        for component in ("px", "py", "pz", "e", "pt")
    )
    noise_x = noise_y = np.zeros(len(counts))
    if met_noise is not None:
        width = met_noise["abs_"] + met_noise["rel"] * ht
        noise_x, noise_y = rng.normal(0.0, width, (2, len(counts)))
    missing_x, missing_y = noise_x - px, noise_y - py
    missing_pt = np.sqrt(missing_x**2 + missing_y**2)
    met = _momentum(missing_x, missing_y, np.zeros(len(counts)), missing_pt)
    visible = _momentum(px, py, pz, e)
    return objects | {"met": met, "visible": visible, "all": visible.add(met)}


class _Selection:
    """The events that are left, and how many fell where."""

    def __init__(self, n_events: int):
        self.passed = np.ones(n_events, dtype=bool)
        self.flow: list[dict[str, Any]] = []

    def require(self, text: str, passes: np.ndarray) -> None:
        before = int(self.passed.sum())
        self.passed = self.passed & passes
        self.flow.append({"cut": text, "passed": int(self.passed.sum()), "of": before})


def _observe(
    observable: Mapping[str, Any],
    expression: Expression,
    variables: Mapping[str, Any],
    selection: _Selection,
) -> np.ndarray:
    """Evaluate an observable (n,), dropping events where it is required and undefined."""
    value, undefined = expression.evaluate(variables)
    if observable["required"]:
        selection.require(f"{observable['name']} is defined", ~undefined & np.isfinite(value))
    default = np.nan if observable["default"] is None else observable["default"]
    return np.broadcast_to(np.where(undefined, default, value), selection.passed.shape)


def _identified(particles: ak.Array) -> ak.Array:
    """Attach charge and tags, which follow from the PDG id."""
    flat = ak.flatten(particles, axis=1)
    pdgid = np.asarray(flat.pdgid)
    known, index = np.unique(pdgid, return_inverse=True)
    charges = np.array([_charge(int(i)) for i in known], dtype=float)
    fields = {name: flat[name] for name in particles.fields}
    fields |= {"charge": charges[index], "b_tag": np.abs(pdgid) == 5}
    fields |= {"t_tag": np.abs(pdgid) == 6, "tau_tag": np.abs(pdgid) == 15}
    identified = ak.zip(fields, with_name="Momentum4D")
    return ak.unflatten(identified, ak.num(particles, axis=1))


def _charge(pdgid: int) -> float:
    """Return the electric charge [e], 0 for particles that the PDG does not list."""
    try:
        return Particle.from_pdgid(pdgid).charge or 0.0
    except RuntimeError:
        return 0.0


def _momentum(px: np.ndarray, py: np.ndarray, pz: np.ndarray, e: np.ndarray) -> ak.Array:
    return ak.zip({"px": px, "py": py, "pz": pz, "e": e}, with_name="Momentum4D")
