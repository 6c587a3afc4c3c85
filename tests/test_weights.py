from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from madminer_workflow.madminer_file import Setup
from madminer_workflow.physics.weights import balanced_shares


def toy_process(setup: Setup, events: dict[str, int], value: float) -> dict[str, Any]:
    return {"events": events, "cross_sections": {name: [value, 0.0] for name in events}}


def gaussian_sample(
    setup: Setup, sampled: str, n: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Events of a unit Gaussian at sm or at w, one unit apart, with the weights of both."""
    means = {"sm": 0.0, "w": 1.0}
    z = rng.normal(means[sampled], 1.0, n)
    density = {name: np.exp(-0.5 * (z - mean) ** 2) for name, mean in means.items()}
    weights = np.zeros((n, len(setup.benchmark_names)))
    for name in means:
        ratio = density[name] / density[sampled]
        weights[:, setup.benchmark_names.index(name)] = ratio / n
    return z, weights


def test_balanced_shares_of_two_gaussians(setup: Setup) -> None:
    """Unbiased, and no worse than the better single sample, for a tail of either density."""
    sizes = {"sm": 300, "w": 100}
    process = toy_process(setup, sizes, 1.0)
    rng = np.random.default_rng(5)
    for target, above, truth in (("sm", 1.0, 0.158655), ("w", 1.0, 0.5), ("w", -9.0, 1.0)):
        column = setup.benchmark_names.index(target)
        joined, single = [], {name: [] for name in sizes}
        for _ in range(1500):
            total = 0.0
            for name, n in sizes.items():
                z, weights = gaussian_sample(setup, name, n, rng)
                selected = weights[:, column] * (z > above)
                single[name].append(selected.sum())
                total += balanced_shares(weights, name, process, setup) @ selected
            joined.append(total)
        spread = np.std(joined)
        assert np.mean(joined) == pytest.approx(truth, abs=5.0 * spread / np.sqrt(1500))
        if truth < 1.0:
            best = min(np.std(values) for values in single.values())
            assert spread < 1.05 * best
        else:
            assert spread < np.std(single["sm"])


def test_balanced_shares_of_one_sample_are_one(setup: Setup) -> None:
    _, weights = gaussian_sample(setup, "sm", 50, np.random.default_rng(1))
    shares = balanced_shares(weights, "sm", toy_process(setup, {"sm": 50}, 1.0), setup)
    np.testing.assert_allclose(shares, 1.0)
