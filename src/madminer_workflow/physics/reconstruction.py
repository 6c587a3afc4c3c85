"""From the objects of an event to observables: observables, cuts, efficiencies.

The objects are those of smeared partons or of Delphes; from there on all is the same. The meaning
is that of MadMiner's ``LHEReader``, for all events at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np

from madminer_workflow.errors import InputError, StepError
from madminer_workflow.expressions import Expression, compile_expression
from madminer_workflow.physics.momenta import register_momenta
from madminer_workflow.physics.parton_level import smeared_objects
from madminer_workflow.physics.readers.delphes_root import read_delphes


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
    """Measure events at parton level, with the smearing of `settings`.

    `particles` (n, var) are Momentum4D [GeV] with pdgid and spin, in the file's order;
    `event_variables` (n,) are further numbers that expressions may use. Raises InputError for
    expressions or resolutions that make no sense.
    """
    register_momenta()
    measurement = Measurement.compile(settings)
    variables = smeared_objects(particles, settings["detector"], rng, measurement.names)
    return measurement.measure(variables | dict(event_variables or {}), len(particles))


def reconstruct_delphes(
    file: Path,
    settings: Mapping[str, Any],
    n_generated: int,
    event_variables: Mapping[str, np.ndarray],
) -> tuple[Reconstructed, np.ndarray]:
    """Measure the events of Delphes's ROOT `file`; return with them their numbers (n,).

    An event's number is its index among the `n_generated` events that were showered;
    `event_variables` (n_generated,) are further numbers of these that expressions may use. Raises
    InputError for a damaged file and for expressions that it has nothing for, StepError if the
    numbers are not those of the generated events.
    """
    measurement = Measurement.compile(settings)
    if "spin" in measurement.attributes:
        raise InputError("an expression uses the spin of a particle, which Delphes does not give")
    detector = settings["detector"]
    events = read_delphes(
        file,
        measurement.names,
        measurement.attributes,
        detector["use_generator_truth"],
        detector["acceptance"],
    )
    numbers = events.numbers
    if len(np.unique(numbers)) != len(numbers) or np.any((numbers < 0) | (numbers >= n_generated)):
        raise StepError(
            f"{file}: its event numbers are not different ones of the {n_generated} generated "
            "events, so that nobody knows which weight belongs to which event"
        )
    own = {name: values[numbers] for name, values in event_variables.items()}
    return measurement.measure(events.objects | own, len(events)), numbers


@dataclass(frozen=True)
class Measurement:
    """The expressions of an analysis: each with its entry in the settings."""

    observables: list[tuple[Mapping[str, Any], Expression]]
    cuts: list[tuple[Mapping[str, Any], Expression]]
    efficiencies: list[tuple[Mapping[str, Any], Expression]]

    @classmethod
    def compile(cls, settings: Mapping[str, Any]) -> Measurement:
        """Compile the expressions; cuts and efficiencies know the observables by name."""
        names = [entry["name"] for entry in settings["observables"]]
        observables, cuts, efficiencies = (
            [(entry, compile_expression(entry["definition"], known)) for entry in settings[section]]
            for section, known in (("observables", ()), ("cuts", names), ("efficiencies", names))
        )
        return cls(observables, cuts, efficiencies)

    @property
    def names(self) -> frozenset[str]:
        """Everything that the expressions use."""
        return frozenset().union(*(each.names for each in self._expressions()))

    @property
    def attributes(self) -> frozenset[str]:
        """What the expressions ask particles for, beyond their momentum."""
        return frozenset().union(*(each.attributes for each in self._expressions()))

    def _expressions(self) -> list[Expression]:
        return [each for _, each in (*self.observables, *self.cuts, *self.efficiencies)]

    def measure(self, variables: Mapping[str, Any], n_events: int) -> Reconstructed:
        """Evaluate all expressions for the objects and numbers of `n_events` events.

        As in MadMiner an event is dropped if a required observable is undefined (or not finite), if
        a cut is false, or if an efficiency is not positive; an undefined cut passes if it says
        ``required``. Raises InputError if an expression uses what `variables` lack.
        """
        selection = _Selection(n_events)
        observations = [
            _observe(entry, expression, variables, selection)
            for entry, expression in self.observables
        ]
        names = [entry["name"] for entry, _ in self.observables]
        variables = {**variables, **dict(zip(names, observations, strict=True))}
        for entry, expression in self.cuts:
            value, undefined = expression.evaluate(variables)
            selection.require(expression.text, np.where(undefined, entry["required"], value != 0.0))
        efficiency = np.ones(n_events)
        for entry, expression in self.efficiencies:
            value, undefined = expression.evaluate(variables)
            factor = np.where(undefined, entry["default"], value)
            selection.require(f"efficiency {expression.text}", factor > 0.0)
            efficiency = efficiency * factor
        return Reconstructed(
            observations=np.reshape(observations, (len(names), n_events)).T,
            passed=selection.passed,
            efficiency=np.where(selection.passed, efficiency, 0.0),
            cut_flow=selection.flow,
        )


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
