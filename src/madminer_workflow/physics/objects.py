"""What uncertainties do to the objects of events.

An uncertainty concerns some kinds of objects, perhaps in a range of transverse momentum and
pseudorapidity, as they are measured without it. Jets are those of any flavour; b-jets and taus are
what has the tag, which partons have for what they are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import awkward as ak
import numpy as np

from madminer_workflow.analysis.systematics import nuisance_parameters
from madminer_workflow.analysis.types import (
    EfficiencyVariation,
    EnergyResolutionVariation,
    EnergyScaleVariation,
    METScaleVariation,
    ObjectSystematic,
    ObjectVariation,
    ParticleVariation,
)
from madminer_workflow.physics.smearing import PARTICLE_NAMES, BlockRandom

TAGS = {"b": "b_tag", "tau": "tau_tag"}
SCALED = ("pt", "e", "mass")
"""Those components of momenta that have a unit, and change with a scale."""

LEAST_FACTOR = 0.01
"""On an energy that is smeared: the tail of a Gaussian has no meaning below zero."""

Streams = Callable[[str, str], np.random.Generator | BlockRandom]
"""Random numbers of a purpose by its names, the same for the same events."""


@dataclass(frozen=True)
class Shift:
    """What is measured at a nuisance ``benchmark``: ``sign`` standard deviations away."""

    benchmark: str
    variation: ObjectVariation
    sign: float

    @property
    def met_scale(self) -> float:
        """The factor on the missing momentum, beyond what it owes to the objects."""
        if isinstance(self.variation, METScaleVariation):
            return 1.0 + self.sign * self.variation.met_scale_variation
        return 1.0

    def of(self, objects: ak.Array, streams: Streams | None, place: str = "") -> ak.Array:
        """The ``objects`` (n_events, var) of a list as they are measured then, in their order.

        Directions stay. ``streams`` give random numbers by the name of an uncertainty, and by the
        ``place`` of objects if these are in several lists.
        """
        variation = self.variation
        if not isinstance(variation, EnergyScaleVariation | EnergyResolutionVariation):
            return objects
        flat, counts = ak.flatten(objects, axis=1), np.asarray(ak.num(objects, axis=1))
        if isinstance(variation, EnergyScaleVariation):
            factors = np.full(len(flat), 1.0 + self.sign * variation.energy_scale_variation)
        else:
            assert streams is not None, "a resolution needs random numbers"
            draws, event = np.empty(len(flat)), np.repeat(np.arange(len(counts)), counts)
            random = BlockRandom.of(streams(variation.systematic_name, place), len(counts))
            for rng, block in random.blocks(event):
                draws[block] = rng.normal(size=block.stop - block.start)
            widened = 1.0 + variation.energy_resolution_variation * draws
            factors = np.maximum(widened, LEAST_FACTOR)
        factors = np.where(concerned(flat, variation), factors, 1.0)
        fields = {
            name: flat[name] * factors if name in SCALED else flat[name] for name in flat.fields
        }
        return ak.unflatten(ak.zip(fields, with_name="Momentum4D"), counts)


def shifts_of(systematics: Sequence[ObjectSystematic]) -> list[Shift]:
    """Every benchmark at which other values are measured."""
    return [
        Shift(benchmark, entry.variation, sign)
        for entry in systematics
        for nuisance in nuisance_parameters([entry.variation])
        if nuisance.shifts
        for benchmark, sign in zip(nuisance.benchmarks, (1.0, -1.0), strict=False)
    ]


def concerned(flat: ak.Array, variation: ParticleVariation) -> np.ndarray:
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


def _number_concerned(objects: ak.Array, variation: EfficiencyVariation) -> np.ndarray:
    counts = np.asarray(ak.num(objects, axis=1))
    event = np.repeat(np.arange(len(counts)), counts)
    chosen = concerned(ak.flatten(objects, axis=1), variation)
    return np.bincount(event[chosen], minlength=len(counts))


def lists_of(systematics: Sequence[ObjectSystematic]) -> set[str]:
    """Those of the lists e, mu, a and j that hold what uncertainties concern."""
    names = _particles(systematics)
    places = {"l": {"e", "mu"}, "b": {"j"}, "tau": {"j"}}
    return set().union(*(places.get(name, {name}) for name in names))


def tags_of(systematics: Sequence[ObjectSystematic]) -> set[str]:
    """The tags by which these are told."""
    names = _particles(systematics)
    return {tag for name, tag in TAGS.items() if name in names}


def _particles(systematics: Sequence[ObjectSystematic]) -> set[str]:
    return {
        name
        for entry in systematics
        if isinstance(entry.variation, ParticleVariation)
        for name in entry.variation.particles
    }
