"""Generator particles as the objects of the expression language: smearing, lists, momenta, tags.

The meaning of everything is that of MadMiner's ``LHEReader``, for all events at once.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import awkward as ak
import numpy as np
from particle import Particle

from madminer_workflow.analysis.types import METNoise
from madminer_workflow.expressions import PARTICLE_LISTS
from madminer_workflow.physics.smearing import ELEMENTARY_IDS, PARTICLE_NAMES, BlockRandom


def build_objects(
    measured: ak.Array,
    truth: ak.Array,
    met_noise: METNoise,
    met_draws: np.ndarray,
    names: Collection[str] = PARTICLE_LISTS,
    met_scale: float = 1.0,
) -> dict[str, Any]:
    """Return the momenta and those lists of particles that `names` asks for.

    `measured` are the ``identified`` particles (n, var), `truth` those before smearing. Lists are
    sorted by descending pT. The missing momentum balances all visible particles, with Gaussian
    noise of width ``abs_ + rel * HT`` on each component: the standard normal numbers `met_draws`
    (2, n) times that. It is measured times `met_scale`.
    """
    counts = np.asarray(ak.num(measured, axis=1))
    flat = ak.flatten(measured, axis=1)
    kinds = np.abs(np.asarray(flat.pdgid))
    objects: dict[str, Any] = {"p": measured}
    if "p_truth" in names:
        objects["p_truth"] = identified(truth)
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
    width = met_noise.abs_ + met_noise.rel * ht
    noise_x, noise_y = width * met_draws
    missing_x, missing_y = met_scale * (noise_x - px), met_scale * (noise_y - py)
    missing_pt = np.sqrt(missing_x**2 + missing_y**2)
    met = _momentum(missing_x, missing_y, np.zeros(len(counts)), missing_pt)
    visible = _momentum(px, py, pz, e)
    return objects | {"met": met, "visible": visible, "all": visible.add(met)}


def draw_met(n_events: int, random: np.random.Generator | BlockRandom) -> np.ndarray:
    """The standard normal numbers behind the noise of missing momenta, (2, n_events)."""
    draws = np.empty((2, n_events))
    for rng, block in BlockRandom.of(random, n_events).blocks(np.arange(n_events)):
        draws[:, block] = rng.normal(size=draws[:, block].shape)
    return draws


def identified(particles: ak.Array) -> ak.Array:
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
