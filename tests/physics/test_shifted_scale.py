"""The energy scale of jets: shifted events against others, generated and scaled on their own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import yaml

from madminer_workflow.madminer_file import read_sample, read_setup
from tests.support.chain import TINY1, analysis_file, rough_integration, run_physics

N_EVENTS = 150_000
SIZE, CENTRAL, CUT = 0.06, 2.5, 40.0
COMPONENTS = {
    f"{component}_{name}{i}": f"{name}[{i}].{component}"
    for name in ("j", "a")
    for i in (0, 1)
    for component in ("px", "py", "pz", "e")
}
OBSERVABLES = {
    "pt_j1": "j[0].pt",
    "pt_j2": "j[1].pt",
    "m_jj": "(j[0] + j[1]).m",
    "eta_j1": "j[0].eta",
    "ptmiss": "met.pt",
}
SMEARING = [
    {"particles": ["j"], "energy_resolution_rel": 0.1, "pt_resolution_abs": None}
    | {"pt_resolution_rel": None},
]


def analysis(path: Path, seed: int, scale: bool) -> Path:
    content = yaml.safe_load(TINY1.read_text())
    process = {**content["processes"][0], "events": {"sm": N_EVENTS}, "systematics": []}
    expressions = OBSERVABLES if scale else COMPONENTS
    sections = {
        "seed": seed,
        "detector": {"smearing": SMEARING},
        "observables": [
            {"name": name, "definition": text, "required": True}
            for name, text in expressions.items()
        ],
    }
    if scale:
        process["systematics"] = ["jes"]
        sections["cuts"] = [{"definition": f"pt_j1 > {CUT} and ptmiss < 30.0"}]
        sections["systematics"] = [
            {
                "systematic_name": "jes",
                "effect": "energy_scale",
                "energy_scale_variation": SIZE,
                "particles": ["j"],
                "eta_range": [0.0, CENTRAL],
            }
        ]
    methods = [{"name": "h", "method": "histogram", "observables": [next(iter(expressions))]}]
    ml = {**content["ml"], "methods": [{**methods[0], "bins": {next(iter(expressions)): 3}}]}
    return analysis_file(path, TINY1, processes=[process], efficiencies=[], ml=ml, **sections)


def by_hand(components: np.ndarray, scale: float) -> tuple[np.ndarray, np.ndarray]:
    """The observables (n, 5) of jets and photons scaled by hand, and which events pass."""
    momenta = components.reshape(-1, 2, 2, 4)
    jets, photons = momenta[:, 0], momenta[:, 1]
    eta = np.arctanh(jets[..., 2] / np.sqrt(np.sum(jets[..., :3] ** 2, axis=-1)))
    jets = jets * np.where(np.abs(eta) < CENTRAL, scale, 1.0)[..., None]
    pt = np.hypot(jets[..., 0], jets[..., 1])
    order = np.argsort(-pt, axis=1)
    pt, eta = np.take_along_axis(pt, order, 1), np.take_along_axis(eta, order, 1)
    both = jets.sum(axis=1)
    mass = np.sqrt(both[:, 3] ** 2 - np.sum(both[:, :3] ** 2, axis=1))
    ptmiss = np.hypot(*(both + photons.sum(axis=1))[:, :2].T)
    x = np.stack([pt[:, 0], pt[:, 1], mass, eta[:, 0], ptmiss], axis=1)
    return x, (x[:, 0] > CUT) & (x[:, 4] < 30.0)


@dataclass(frozen=True)
class Kind:
    """Events with and without a shift; rows say which are the same, of ``total``."""

    total: int
    before: tuple[np.ndarray, np.ndarray, np.ndarray]
    after: tuple[np.ndarray, np.ndarray, np.ndarray]
    """Rows (n,), observables (n, 5) and weights (n,)."""

    def matrices(self, column: int, edges: np.ndarray) -> list[np.ndarray]:
        """What every event gives to every bin, (total, n_bins), before and after."""
        result = []
        for rows, x, weights in (self.before, self.after):
            given = np.zeros((self.total, len(edges) + 1))
            given[rows, np.searchsorted(edges, x[:, column])] = weights
            result.append(given)
        return result

    def shifted(self, column: int, edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Cross-sections of bins after the shift, and their errors."""
        _, after = self.matrices(column, edges)
        return after.sum(axis=0), np.sqrt(np.square(after).sum(axis=0))

    def ratio(self, column: int, edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Their ratio to those before it, of which most fluctuations cancel, and its errors."""
        before, after = self.matrices(column, edges)
        total = before.sum(axis=0)
        ratio = after.sum(axis=0) / total
        return ratio, np.sqrt(np.square(after - ratio * before).sum(axis=0)) / total


@pytest.mark.slow
def test_shifted_events_are_those_of_another_scale(tmp_path: Path) -> None:
    """Every bin of every observable, and its ratio to that without a shift."""
    with rough_integration():
        ours = run_physics(analysis(tmp_path / "a.yml", 1, True), tmp_path / "a", njobs=1)
        others = run_physics(analysis(tmp_path / "b.yml", 2, False), tmp_path / "b", njobs=1)
    sample, independent = read_sample(ours.combined), read_sample(others.combined)
    n, n_others = len(sample.shares), len(independent.shares)
    weights, their_weights = (
        events.weights[:, 0] * events.shares for events in (sample, independent)
    )

    def scaled(scale: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        x, passed = by_hand(independent.observations, scale)
        return np.flatnonzero(passed), x[passed], their_weights[passed]

    pulls, pulls_of_ratios = [], []
    [parameter] = read_setup(ours.config).nuisance
    for benchmark, scale in zip(parameter.benchmarks, (1.0 + SIZE, 1.0 - SIZE), strict=True):
        moved = sample.shifted[benchmark]
        fresh = moved.event < 0
        assert fresh.sum() > 300 and n - np.sum(~fresh) > 300, "events come and go"
        rows = np.where(fresh, n + np.arange(len(moved)), moved.event)
        same_events = Kind(
            n + len(moved),
            (np.arange(n), sample.observations, weights),
            (rows, moved.x, moved.weights[:, 0]),
        )
        other_events = Kind(n_others, scaled(1.0), scaled(scale))
        for column in range(len(OBSERVABLES)):
            edges = np.quantile(sample.observations[:, column], np.linspace(0.0, 1.0, 9)[1:-1])
            for found, how in ((pulls, Kind.shifted), (pulls_of_ratios, Kind.ratio)):
                (mine, error), (theirs, their_error) = (
                    how(kind, column, edges) for kind in (same_events, other_events)
                )
                found.append((mine - theirs) / np.hypot(error, their_error))
    for found in (pulls, pulls_of_ratios):
        assert np.size(found) == 80
        assert np.abs(found).max() < 4.5
        assert 0.7 < np.sqrt(np.mean(np.square(found))) < 1.3
