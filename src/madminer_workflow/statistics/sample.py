"""Simulated events with the weights of all benchmarks, as a MadMiner file has them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from madminer_workflow.statistics.setup import Setup


@dataclass(frozen=True)
class Sample:
    """Events: observables (n_events, n_observables) and weights (n_events, n_benchmarks) in pb.

    ``nuisance_weights``, (n_events, n_nuisance_benchmarks), are those at the nuisance benchmarks.
    Weights have MadMiner's meaning: the events drawn from one benchmark alone integrate to the
    cross-section. ``shares``, (n_events,), are the factors that make one sample of the union.
    ``sampling_ids`` holds the index of the benchmark each event was drawn from, -1 for events of
    processes without morphing; ``generated`` the number of events per benchmark, ``background``
    the number of events of the latter kind.
    """

    observables: list[str]
    observations: np.ndarray
    weights: np.ndarray
    nuisance_weights: np.ndarray
    shares: np.ndarray
    sampling_ids: np.ndarray
    generated: np.ndarray
    background: int


def event_counts(sampling_ids: np.ndarray, setup: Setup) -> tuple[np.ndarray, int]:
    """Numbers of events drawn from each benchmark, (n_benchmarks,), and of background events."""
    signal = sampling_ids >= 0
    counts = np.bincount(sampling_ids[signal], minlength=len(setup.benchmark_names))
    return counts, int(np.sum(~signal))


_PER_EVENT = ("observations", "weights", "nuisance_weights", "shares", "sampling_ids")


def joined(samples: Sequence[Sample]) -> Sample:
    """All events of samples with the same observables, in their order."""
    columns: dict[str, Any] = {
        name: np.concatenate([getattr(part, name) for part in samples]) for name in _PER_EVENT
    }
    generated = np.sum([part.generated for part in samples], axis=0)
    background = sum(part.background for part in samples)
    return replace(samples[0], **columns, generated=generated, background=background)


def reordered(sample: Sample, order: np.ndarray) -> Sample:
    """The same events in another order."""
    columns: dict[str, Any] = {name: getattr(sample, name)[order] for name in _PER_EVENT}
    return replace(sample, **columns)


def madminer_shares(sampling_ids: np.ndarray, generated: np.ndarray) -> np.ndarray:
    """The factors MadMiner itself uses to join samples: their fractions of all signal events."""
    total = max(int(generated.sum()), 1)
    return np.append(generated / total, 1.0)[sampling_ids]
