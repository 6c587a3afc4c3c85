"""From the objects of an event to observables: observables, cuts, efficiencies.

The objects are those of smeared partons or of Delphes; from there on all is the same. The meaning
is that of MadMiner's ``LHEReader``, for all events at once.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import awkward as ak
import msgspec
import numpy as np

from madminer_workflow.analysis.types import (
    Cut,
    Efficiency,
    EnergyResolutionVariation,
    EnergyScaleVariation,
    ObjectSystematic,
    Observable,
    Reconstruction,
)
from madminer_workflow.errors import InputError, StepError
from madminer_workflow.expressions import (
    MOMENTA,
    PARTICLE_LISTS,
    Expression,
    compile_expression,
)
from madminer_workflow.physics.momenta import register_momenta
from madminer_workflow.physics.objects import (
    Streams,
    efficiency_factors,
    lists_of,
    shifts_of,
    tags_of,
)
from madminer_workflow.physics.parton_level import build_objects, draw_met, identified
from madminer_workflow.physics.readers.delphes_root import Detected, read_delphes
from madminer_workflow.physics.readers.table_objects import found_objects
from madminer_workflow.physics.smearing import BlockRandom, smear
from madminer_workflow.products.columns import ColumnEvents
from madminer_workflow.products.measured import Stage

ROUNDING = 1e-9
"""By how much a probability may exceed 1."""

LEAST_OBJECTS = 100
"""Of which some are below a limit if there are any."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Reconstructed:
    """What is measured in each of n events.

    `observations` (n, n_observables) with defaults where undefined (NaN if the default is null),
    `passed` (n,) whether the event survives, `efficiency` (n,) the product of the efficiencies,
    `stages` the cuts in their order, with which events are left (n,). `factors` (n,) are those on
    the weight at benchmarks of uncertain efficiencies, `shifted` is what is measured in the same
    events at benchmarks of other uncertainties of objects.
    """

    observations: np.ndarray
    passed: np.ndarray
    efficiency: np.ndarray
    stages: list[tuple[str, np.ndarray]]
    factors: Mapping[str, np.ndarray] = field(default_factory=dict)
    shifted: Mapping[str, Reconstructed] = field(default_factory=dict)

    def part(self, events: slice) -> Reconstructed:
        """What is measured in some of the events."""
        return Reconstructed(
            self.observations[events],
            self.passed[events],
            self.efficiency[events],
            [(cut, left[events]) for cut, left in self.stages],
            {benchmark: factors[events] for benchmark, factors in self.factors.items()},
            {benchmark: shifted.part(events) for benchmark, shifted in self.shifted.items()},
        )

    @property
    def cut_flow(self) -> list[Stage]:
        """How many events fall where."""
        flow = []
        before = len(self.passed)
        for cut, left in self.stages:
            passed = int(left.sum())
            flow.append(Stage(cut=cut, passed=passed, of=before))
            before = passed
        return flow


def reconstruct(
    particles: ak.Array,
    settings: Reconstruction,
    random: np.random.Generator | BlockRandom,
    event_variables: Mapping[str, np.ndarray] | None = None,
    streams: Streams | None = None,
) -> Reconstructed:
    """Measure events at parton level, with the smearing of `settings`.

    `particles` (n, var) are Momentum4D [GeV] with pdgid and spin, in the file's order;
    `event_variables` (n,) are further numbers that expressions may use. What is measured with
    uncertain objects has the same `random` numbers; those that a resolution needs beyond come from
    `streams`. Raises InputError for expressions or resolutions that make no sense.
    """
    register_momenta()
    measurement = Measurement.compile(settings)
    detector, n_events = settings.detector, len(particles)
    seen = identified(smear(particles, detector.smearing, random))
    met_draws = draw_met(n_events, random)

    def measure(seen: ak.Array, met_scale: float = 1.0) -> Reconstructed:
        objects = build_objects(
            seen, particles, detector.met_noise, met_draws, measurement.names, met_scale
        )
        return measurement.measure(objects | dict(event_variables or {}), n_events)

    return replace(
        measure(seen),
        factors=efficiency_factors(settings.object_systematics, [seen]),
        shifted={
            shift.benchmark: measure(shift.of(seen, streams), shift.met_scale)
            for shift in shifts_of(settings.object_systematics)
        },
    )


def reconstruct_delphes(
    file: Path,
    settings: Reconstruction,
    n_generated: int,
    event_variables: Mapping[str, np.ndarray],
    streams: Streams | None = None,
) -> tuple[Reconstructed, np.ndarray]:
    """Measure the events of Delphes's ROOT `file`; return with them their numbers (n,).

    An event's number is its index among the `n_generated` events that were showered;
    `event_variables` (n_generated,) are further numbers of these that expressions may use, and
    `streams` give random numbers for uncertain resolutions. Raises InputError for a damaged file
    and for expressions that it has nothing for, StepError if the numbers are not those of the
    generated events.
    """
    measurement = Measurement.compile(settings)
    if "spin" in measurement.attributes:
        raise InputError(
            "an expression uses the spin of a particle, which Delphes does not provide"
        )
    detector, uncertain = settings.detector, settings.object_systematics
    detected = read_delphes(
        file,
        measurement.names | lists_of(uncertain),
        measurement.attributes | tags_of(uncertain),
        detector.use_generator_truth,
        msgspec.to_builtins(detector.acceptance),
    )
    numbers = detected.numbers
    if len(np.unique(numbers)) != len(numbers) or np.any((numbers < 0) | (numbers >= n_generated)):
        raise StepError(
            f"{file}: its event numbers are not distinct numbers of the {n_generated} generated "
            "events, so weights cannot be assigned to events"
        )
    variables = {name: values[numbers] for name, values in event_variables.items()}

    def measure(objects: Mapping[str, Any]) -> Reconstructed:
        return measurement.measure({**objects, **variables}, len(numbers))

    warn_of_thresholds(detected, uncertain)
    objects = detected.objects
    lists = [objects[name] for name in sorted(lists_of(uncertain))]
    measured = replace(
        measure(objects),
        factors=efficiency_factors(uncertain, lists),
        shifted={
            shift.benchmark: measure(detected.shifted(shift, streams).objects)
            for shift in shifts_of(uncertain)
        },
    )
    return measured, numbers


def reconstruct_columns(events: ColumnEvents, settings: Reconstruction) -> Reconstructed:
    """Measure events whose columns are what was measured.

    Raises InputError for expressions that they have nothing for.
    """
    measurement = Measurement.compile(settings)
    particles = {*PARTICLE_LISTS, *MOMENTA} & measurement.objects
    objects = found_objects(
        events, particles, measurement.attributes, msgspec.to_builtins(settings.detector.acceptance)
    )
    return measurement.measure({**events.columns, **objects}, len(events))


def warn_of_thresholds(detected: Detected, systematics: Sequence[ObjectSystematic]) -> None:
    """Warn if Delphes wrote no objects below the acceptance that energies might move into it.

    Then events could only lose them.
    """
    for entry in systematics:
        if not isinstance(entry.variation, EnergyScaleVariation | EnergyResolutionVariation):
            continue
        for name in sorted(lists_of([entry])):
            pt = np.asarray(ak.flatten(detected.lists[name].pt))
            limit = detected.acceptance.get(f"pt_min_{name}") or 0.0
            if len(pt) >= LEAST_OBJECTS and pt.min() >= limit:
                _warn_of_threshold(entry.variation.systematic_name, f"pt_min_{name}", limit)


@functools.cache
def _warn_of_threshold(systematic: str, key: str, limit: float) -> None:
    """Once, however many files are read."""
    _log.warning(
        "detector.acceptance.%s: %g GeV, but Delphes writes nothing below it that %s could move "
        "into the acceptance; set a limit that exceeds Delphes's own by more than the "
        "uncertainty",
        key,
        limit,
        systematic,
    )


@dataclass(frozen=True)
class Measurement:
    """The expressions of an analysis: each with its entry in the settings."""

    observables: list[tuple[Observable, Expression]]
    cuts: list[tuple[Cut, Expression]]
    efficiencies: list[tuple[Efficiency, Expression]]

    @classmethod
    def compile(cls, settings: Reconstruction) -> Measurement:
        """Compile the expressions; cuts and efficiencies know the observables by name."""
        names = [observable.name for observable in settings.observables]
        compiled = functools.partial(compile_expression, columns=settings.tables)
        return cls(
            [(entry, compiled(entry.definition)) for entry in settings.observables],
            [(entry, compiled(entry.definition, names)) for entry in settings.cuts],
            [(entry, compiled(entry.definition, names)) for entry in settings.efficiencies],
        )

    @property
    def names(self) -> frozenset[str]:
        """Everything that the expressions use."""
        return frozenset().union(*(expression.names for _, expression in self._pairs))

    @property
    def objects(self) -> frozenset[str]:
        """The same without the observables that cuts and efficiencies use."""
        observables = frozenset(entry.name for entry, _ in self.observables)
        return frozenset().union(
            *(expression.names for _, expression in self.observables),
            *(one.names - observables for _, one in (*self.cuts, *self.efficiencies)),
        )

    @property
    def attributes(self) -> frozenset[str]:
        """What the expressions ask particles for, beyond their momentum."""
        return frozenset().union(*(expression.attributes for _, expression in self._pairs))

    @property
    def _pairs(self) -> list[tuple[Any, Expression]]:
        return [*self.observables, *self.cuts, *self.efficiencies]

    def measure(self, variables: Mapping[str, Any], n_events: int) -> Reconstructed:
        """Evaluate all expressions for the objects and numbers of `n_events` events.

        As in MadMiner an event is dropped if a required observable is undefined (or not finite), if
        a cut is false, or if an efficiency is not positive; an undefined cut passes if it says
        ``required``. Raises InputError if an expression uses a variable that is not in `variables`.
        """
        selection = _Selection(n_events)
        observations = [
            _observe(entry, expression, variables, selection)
            for entry, expression in self.observables
        ]
        names = [observable.name for observable, _ in self.observables]
        variables = {**variables, **dict(zip(names, observations, strict=True))}
        for cut, expression in self.cuts:
            value, undefined = expression.evaluate(variables)
            selection.require(expression.text, np.where(undefined, cut.required, value != 0.0))
        efficiency = np.ones(n_events)
        for i, (acceptance, expression) in enumerate(self.efficiencies):
            value, undefined = expression.evaluate(variables)
            factor = np.where(undefined, acceptance.default, value)
            factor = np.broadcast_to(factor, selection.passed.shape)
            _require_probability(f"efficiencies[{i}]", expression.text, factor, selection.passed)
            selection.require(f"efficiency {expression.text}", factor > 0.0)
            efficiency = efficiency * factor
        return Reconstructed(
            observations=np.reshape(observations, (len(names), n_events)).T,
            passed=selection.passed,
            efficiency=np.where(selection.passed, efficiency, 0.0),
            stages=selection.stages,
        )


def _require_probability(key: str, definition: str, factor: np.ndarray, passed: np.ndarray) -> None:
    """Raise InputError if an efficiency (n,) of events that ``passed`` so far is no probability."""
    wrong = np.flatnonzero(passed & ~((factor >= 0.0) & (factor <= 1.0 + ROUNDING)))
    if len(wrong):
        raise InputError(
            f"{key}: the efficiency {definition!r} is {factor[wrong[0]]:.6g} in event "
            f"{wrong[0] + 1}, and not between 0 and 1 in {len(wrong)} of {int(passed.sum())} "
            "events; correct its definition in the analysis file"
        )


class _Selection:
    """The events that are left, after all stages and after each."""

    def __init__(self, n_events: int):
        self.passed = np.ones(n_events, dtype=bool)
        self.stages: list[tuple[str, np.ndarray]] = []

    def require(self, text: str, passes: np.ndarray) -> None:
        self.passed = self.passed & passes
        self.stages.append((text, self.passed))


def _observe(
    observable: Observable,
    expression: Expression,
    variables: Mapping[str, Any],
    selection: _Selection,
) -> np.ndarray:
    """Evaluate an observable (n,), dropping events where it is required and undefined."""
    value, undefined = expression.evaluate(variables)
    if observable.required:
        selection.require(f"{observable.name} is defined", ~undefined & np.isfinite(value))
    default = np.nan if observable.default is None else observable.default
    return np.broadcast_to(np.where(undefined, default, value), selection.passed.shape)
