"""Les Houches events as plain arrays, by pylhe, for comparison with the code under test."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pylhe


@dataclass(frozen=True)
class LHEArrays:
    momenta: np.ndarray  # (n_particles, 4, n_events) as E, px, py, pz
    masses: np.ndarray  # (n_particles, n_events)
    pdgids: np.ndarray  # (n_particles, n_events)
    weights: dict[str, np.ndarray]
    event_weights: np.ndarray
    scales: np.ndarray
    alpha_s: np.ndarray
    init: pylhe.LHEInit
    first: pylhe.LHEEvent


def read_arrays(path: Path) -> LHEArrays:
    file = pylhe.LHEFile.fromfile(str(path))
    events = list(file.events)
    particles = [[(p.e, p.px, p.py, p.pz, p.m, p.id) for p in e.particles] for e in events]
    columns = np.array(particles).transpose(1, 2, 0)
    return LHEArrays(
        momenta=columns[:, :4],
        masses=columns[:, 4],
        pdgids=columns[:, 5].astype(int),
        weights={n: np.array([e.weights[n] for e in events]) for n in events[0].weights},
        event_weights=np.array([e.eventinfo.weight for e in events]),
        scales=np.array([e.eventinfo.scale for e in events]),
        alpha_s=np.array([e.eventinfo.aqcd for e in events]),
        init=file.init,
        first=events[0],
    )
