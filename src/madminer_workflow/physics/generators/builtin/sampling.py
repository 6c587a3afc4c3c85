"""Adaptive integration of one benchmark, and unweighted events from the adapted map.

The map is that of Vegas (Lepage, arXiv:2009.05112). The maximum for unweighting is lower than the
largest weight ever seen: the few events above it keep a weight above one, so nothing is cut off.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import vegas

from madminer_workflow.analysis.types import RunSettings
from madminer_workflow.errors import InputError, StepError
from madminer_workflow.physics.generators.builtin.cross_section import CrossSection
from madminer_workflow.physics.generators.builtin.hard_process import HardProcess

FRACTION_ABOVE_MAXIMUM = 5e-4
"""The share of the cross-section that may lie above the maximum."""

LARGEST_FRACTION_ABOVE_MAXIMUM = 0.01
"""Beyond this a sample is no longer unweighted in any useful sense."""

_LARGEST_RELATIVE_ERROR = 0.02
_ADAPTATION = {"nitn": 10, "neval": 50_000}
_INTEGRATION = {"nitn": 10, "neval": 100_000}
_INCREMENTS = 1000
_SURVEY = 300_000
_LARGEST_BATCH = 100_000
_PATIENCE = 20
"""Times the trials that are expected, which is more than chance ever asks for."""


@dataclass(frozen=True)
class Channel:
    """What is known about one benchmark: cross-section and error in pb, and how to sample it.

    ``grid`` (n_dimensions, n_increments + 1) is the Vegas map, ``maximum`` [pb] the weight that
    counts as one event; ``efficiency`` and ``fraction_above_maximum`` are expectations.
    """

    grid: np.ndarray
    cross_section: float
    error: float
    maximum: float
    efficiency: float
    fraction_above_maximum: float

    def points(self, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Random points of the unit hypercube (n, n_dimensions) and their inverse density (n,)."""
        shape = n, len(self.grid)
        points, inverse_density = np.empty(shape), np.empty(n)
        vegas.AdaptiveMap(self.grid).map(rng.random(shape), points, inverse_density)
        return points, inverse_density


def require_phase_space(
    process: HardProcess, settings: RunSettings, rng: np.random.Generator
) -> None:
    """Raise InputError if the generation cuts leave (next to) nothing."""
    inside, _ = process.final_states(rng.random((_SURVEY, process.DIMENSIONS)), settings)
    if np.count_nonzero(inside) < 20:
        entries = msgspec.structs.asdict(settings).items()
        listed = ", ".join(f"{name} = {value}" for name, value in entries)
        raise InputError(f"run: these beams and cuts leave no phase space ({listed}); loosen them")


def integrate_channel(
    name: str, cross_section: CrossSection, monomials: np.ndarray, rng: np.random.Generator
) -> Channel:
    """Adapt a map to one parameter point, integrate, and set the maximum weight.

    Raises StepError if integral or maximum cannot be determined well; ``name`` says where.
    """

    @vegas.lbatchintegrand
    def integrand(unit: np.ndarray) -> np.ndarray:
        return cross_section.weights(unit, monomials)

    region = [[0.0, 1.0]] * cross_section.process.DIMENSIONS
    integrator = vegas.Integrator(region, ran_array_generator=rng.random)
    integrator(integrand, **_ADAPTATION)
    integral = integrator(integrand, adapt=False, **_INTEGRATION)
    if not integral.sdev < _LARGEST_RELATIVE_ERROR * integral.mean:
        raise StepError(
            f"benchmark {name}: its cross-section, {integral} pb, cannot be integrated to "
            f"{_LARGEST_RELATIVE_ERROR:.0%}; loosen the generator-level cuts"
        )
    # Vegas chooses the number of increments axis by axis; equal numbers make one array.
    integrator.map.adapt(ninc=_INCREMENTS)
    grid = np.array(integrator.map.extract_grid())

    draft = Channel(grid, float(integral.mean), float(integral.sdev), 0.0, 0.0, 0.0)
    first, second = (
        inverse_density * cross_section.weights(points, monomials)
        for points, inverse_density in (draft.points(_SURVEY, rng) for _ in range(2))
    )
    maximum = maximum_weight(first, FRACTION_ABOVE_MAXIMUM)
    # Judged on events that the maximum was not chosen on.
    accepted = np.minimum(second / maximum, 1.0).mean()
    above = np.maximum(second - maximum, 0.0).sum() / second.sum()
    if above > LARGEST_FRACTION_ABOVE_MAXIMUM:
        raise StepError(
            f"benchmark {name}: {above:.1%} of the cross-section is above the maximum weight for "
            "unweighting; loosen the generator-level cuts"
        )
    return Channel(grid, draft.cross_section, draft.error, maximum, float(accepted), float(above))


def maximum_weight(weights: np.ndarray, fraction: float) -> float:
    """The lowest of ``weights`` above which lies at most ``fraction`` of their sum."""
    descending = np.sort(weights)[::-1]
    above = np.cumsum(descending) - np.arange(1, len(weights) + 1) * descending
    allowed = np.searchsorted(above, fraction * descending.sum(), side="right")
    return float(descending[allowed - 1])


@dataclass(frozen=True)
class UnweightedEvents:
    """Final states, their ``polynomials`` (n_monomials, n) and ``multiplicities`` (n,).

    These are one, or above. ``n_trials`` is the number of points tried.
    """

    states: Any
    polynomials: np.ndarray
    multiplicities: np.ndarray
    n_trials: int


def unweight(
    cross_section: CrossSection,
    channel: Channel,
    monomials: np.ndarray,
    n_events: int,
    rng: np.random.Generator,
) -> UnweightedEvents:
    """Draw exactly ``n_events`` events of the channel.

    Raises StepError if this takes many more trials than its efficiency lets expect.
    """
    kept_states, kept_polynomials, kept_weights = [], [], []
    missing, n_trials = n_events, 0
    patience = _PATIENCE * n_events / channel.efficiency + _SURVEY
    while missing > 0:
        if n_trials > patience:
            raise StepError(
                f"drew {n_events - missing} of {n_events} events from {n_trials} points, instead "
                f"of the expected {n_events / channel.efficiency:.0f} points; the integration "
                "does not belong to this process: run generate again"
            )
        n = min(int(1.1 * missing / channel.efficiency) + 100, _LARGEST_BATCH)
        points, inverse_density = channel.points(n, rng)
        inside, states, polynomials = cross_section.evaluate(points)
        weights = inverse_density[inside] * (monomials @ polynomials) / channel.maximum
        accepted = np.flatnonzero(weights > rng.random(len(weights)))[:missing]
        missing -= len(accepted)
        # Trials beyond the last event that was needed do not count.
        n_trials += n if missing else int(np.flatnonzero(inside)[accepted[-1]]) + 1
        kept_states.append(states.select(accepted))
        kept_polynomials.append(polynomials[:, accepted])
        kept_weights.append(weights[accepted])
    return UnweightedEvents(
        kept_states[0].concatenate(kept_states),
        np.concatenate(kept_polynomials, axis=1),
        np.maximum(np.concatenate(kept_weights), 1.0),
        n_trials,
    )
