"""Event weights: how the samples of a process join."""

from __future__ import annotations

from typing import Any

import numpy as np

from madminer_workflow.madminer_file import Setup


def balanced_shares(
    weights: np.ndarray, sampled: str, process: dict[str, Any], setup: Setup
) -> np.ndarray:
    """The factor on the weights of events drawn from benchmark ``sampled``, shape (n_events,).

    With it, all samples of the process together are one sample from the mixture of their
    densities: the weight of an event becomes dsigma(theta) / sum_b n_b dsigma(b) / sigma(b), the
    balance heuristic for combining importance samples (Veach and Guibas, SIGGRAPH 1995, eq. 9),
    instead of MadMiner's constant fraction of events. Its variance is never much above that of
    the best single sample, wherever in phase space an event lies. ``weights`` has shape
    (n_events, n_benchmarks); ``process`` holds the events and cross-sections by benchmark.
    """
    events, cross_sections = process["events"], process["cross_sections"]
    own = weights[:, setup.benchmark_names.index(sampled)]
    density = np.zeros(len(weights))
    for name, n in events.items():
        ratio = weights[:, setup.benchmark_names.index(name)] / own
        density += n * ratio / cross_sections[name][0]
    return events[sampled] / cross_sections[sampled][0] / density
