"""Simulated events with the weights of all benchmarks, as a MadMiner file has them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from madminer_workflow.statistics.observed import Shifted
from madminer_workflow.statistics.setup import Setup


@dataclass(frozen=True)
class Sample:
    """Events: observables (n_events, n_observables) and weights (n_events, n_benchmarks) in pb.

    ``nuisance_weights``, (n_events, n_nuisance_benchmarks), are those at the nuisance benchmarks.
    Weights have MadMiner's meaning: the events drawn from one benchmark alone integrate to the
    cross-section. ``shares``, (n_events,), are the factors that make one sample of the union.
    ``sampling_ids`` holds the index of the benchmark each event was drawn from, -1 for events of
    processes without morphing; ``generated`` the number of events per benchmark, ``background``
    the number of events of the latter kind. ``shifted`` are the events at those nuisance benchmarks
    where other values are measured, with shares in their weights.
    """

    observables: list[str]
    observations: np.ndarray
    weights: np.ndarray
    nuisance_weights: np.ndarray
    shares: np.ndarray
    sampling_ids: np.ndarray
    generated: np.ndarray
    background: int
    shifted: Mapping[str, Shifted] = field(default_factory=dict)


def event_counts(sampling_ids: np.ndarray, setup: Setup) -> tuple[np.ndarray, int]:
    """Numbers of events drawn from each benchmark, (n_benchmarks,), and of background events."""
    signal = sampling_ids >= 0
    counts = np.bincount(sampling_ids[signal], minlength=len(setup.benchmark_names))
    return counts, int(np.sum(~signal))


_PER_EVENT = ("observations", "weights", "nuisance_weights", "shares", "sampling_ids")


def joined(samples: Iterable[Sample]) -> Sample:
    """All events of samples with the same observables, in their order.

    What is joined is forgotten one after the other, so that it is not there twice if nobody else
    keeps the samples.
    """
    columns: dict[str, Any] = {}
    nothing: dict[str, Any]
    rest = list(samples)
    sizes = [len(part.shares) for part in rest]
    for name in _PER_EVENT:
        columns[name] = np.concatenate([getattr(part, name) for part in rest])
        nothing = {name: np.empty(0)}
        rest = [replace(part, **nothing) for part in rest]
    generated = np.sum([part.generated for part in rest], axis=0)
    background = sum(part.background for part in rest)
    shifted = {
        benchmark: _joined_shifted([part.shifted[benchmark] for part in rest], sizes)
        for benchmark in rest[0].shifted
    }
    return replace(rest[0], **columns, generated=generated, background=background, shifted=shifted)


def _joined_shifted(parts: Sequence[Shifted], sizes: Sequence[int]) -> Shifted:
    """Shifted events of samples with so many events, in the order of all these."""
    starts = np.cumsum([0, *sizes[:-1]]).tolist()
    events = [
        np.where(part.event >= 0, part.event + start, -1)
        for part, start in zip(parts, starts, strict=True)
    ]
    columns: dict[str, Any] = {
        name: np.concatenate([getattr(part, name) for part in parts])
        for name in ("x", "weights", "event", "place")
    }
    return replace(parts[0], **columns).ordered(np.concatenate(events), sum(sizes))


def reordered_shifted(sample: Sample, order: np.ndarray) -> dict[str, Shifted]:
    """The shifted events of a sample whose events come in another order."""
    place = np.empty(len(order), dtype=int)
    place[order] = np.arange(len(order))
    return {
        benchmark: events.ordered(np.where(events.event >= 0, place[events.event], -1), len(order))
        for benchmark, events in sample.shifted.items()
    }


def without_observations(sample: Sample) -> Sample:
    """The same events, of which nothing is measured; shifted ones keep what is."""
    return replace(sample, observations=np.empty((len(sample.shares), 0)))


def madminer_shares(sampling_ids: np.ndarray, generated: np.ndarray) -> np.ndarray:
    """The factors MadMiner itself uses to join samples: their fractions of all signal events."""
    total = max(int(generated.sum()), 1)
    return np.append(generated / total, 1.0)[sampling_ids]
