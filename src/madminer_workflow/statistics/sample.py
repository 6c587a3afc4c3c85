"""Simulated events with the weights of all benchmarks, as a MadMiner file has them."""

from __future__ import annotations

from dataclasses import dataclass

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


def madminer_shares(sampling_ids: np.ndarray, generated: np.ndarray) -> np.ndarray:
    """The factors MadMiner itself uses to join samples: their fractions of all signal events."""
    total = max(int(generated.sum()), 1)
    return np.append(generated / total, 1.0)[sampling_ids]
