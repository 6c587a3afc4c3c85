"""What uncertainties do to the objects of events.

An uncertainty concerns some kinds of objects, perhaps in a range of transverse momentum and
pseudorapidity, as they are measured without it. Jets are those of any flavour; b-jets and taus are
what has the tag, which partons have for what they are.
"""

from __future__ import annotations

from collections.abc import Sequence

import awkward as ak
import numpy as np

from madminer_workflow.analysis.systematics import nuisance_parameters
from madminer_workflow.analysis.types import (
    EfficiencyVariation,
    ObjectSystematic,
    ObjectVariation,
)
from madminer_workflow.physics.smearing import PARTICLE_NAMES

TAGS = {"b": "b_tag", "tau": "tau_tag"}


def concerned(flat: ak.Array, variation: ObjectVariation) -> np.ndarray:
    """Which of some particles (n,) an uncertainty concerns; they have PDG ids and tags."""
    kinds = np.abs(np.asarray(flat.pdgid))
    chosen = np.zeros(len(kinds), dtype=bool)
    for name in variation.particles:
        if name in TAGS:
            chosen |= np.asarray(flat[TAGS[name]], dtype=bool)
        else:
            chosen |= np.isin(kinds, PARTICLE_NAMES[name])
    for values, limits in (
        (flat.pt, variation.pt_range),
        (np.abs(np.asarray(flat.eta)), variation.eta_range),
    ):
        if limits is not None:
            chosen &= (np.asarray(values) >= limits[0]) & (np.asarray(values) < limits[1])
    return chosen


def efficiency_factors(
    systematics: Sequence[ObjectSystematic], lists: Sequence[ak.Array]
) -> dict[str, np.ndarray]:
    """The factors on the weights of events, (n_events,), by nuisance benchmark.

    ``lists`` (n_events, var) hold every object once. The efficiency of each that is concerned
    enters once, as in the scale factors of experiments.
    """
    factors = {}
    for variation in (entry.variation for entry in systematics):
        if not isinstance(variation, EfficiencyVariation):
            continue
        number = np.sum([_number_concerned(objects, variation) for objects in lists], axis=0)
        [nuisance] = nuisance_parameters([variation])
        for benchmark, sign in zip(nuisance.benchmarks, (1.0, -1.0), strict=True):
            factors[benchmark] = (1.0 + sign * variation.efficiency_variation) ** number
    return factors


def _number_concerned(objects: ak.Array, variation: ObjectVariation) -> np.ndarray:
    counts = np.asarray(ak.num(objects, axis=1))
    event = np.repeat(np.arange(len(counts)), counts)
    chosen = concerned(ak.flatten(objects, axis=1), variation)
    return np.bincount(event[chosen], minlength=len(counts))


def lists_of(systematics: Sequence[ObjectSystematic]) -> set[str]:
    """Those of the lists e, mu, a and j that hold what uncertainties concern."""
    names = {name for entry in systematics for name in entry.variation.particles}
    places = {"l": {"e", "mu"}, "b": {"j"}, "tau": {"j"}}
    return set().union(*(places.get(name, {name}) for name in names))


def tags_of(systematics: Sequence[ObjectSystematic]) -> set[str]:
    """The tags by which these are told."""
    names = {name for entry in systematics for name in entry.variation.particles}
    return {tag for name, tag in TAGS.items() if name in names}
