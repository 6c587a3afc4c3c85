"""Events of either sign, 30 % of them negative, as at next-to-leading order: limits cover.

The density is known: it is that of a process whose events are all positive. Of n signed events as
many tell as n (1 - 2 f)^2 positive ones, f being the share that is negative.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from madminer_workflow.ml.member import Member
from madminer_workflow.ml.methods import family_of
from madminer_workflow.ml.toys import statistics_of
from madminer_workflow.ml.training import fit
from madminer_workflow.products.samples import MemberNote, Samples
from madminer_workflow.statistics.events import Events
from madminer_workflow.statistics.limits import Grid
from madminer_workflow.statistics.problem import Problem
from madminer_workflow.statistics.quantiles import chi2_quantile
from madminer_workflow.statistics.toys import ToyPoint, draw_toys
from tests.support import learning
from tests.support.known_process import KnownProcess

EVENTS = 300
LEVELS = (0.6827, 0.95)
METHODS: dict[str, dict[str, Any]] = {
    "histogram": {"observables": ["x0", "x1"], "bins": {"x0": 6, "x1": 6}},
    "polynomial": {
        "network": {"n_hidden": [32, 32]},
        "training": {"n_epochs": 40, "n_steps": 700, "batch_size": 512},
    },
}


def signed(events: Events, seed: int) -> Events:
    """The same density with weights of either sign, more or less of them where x_0 is larger."""
    share = 0.3 + 0.1 * np.tanh(events.x[:, 0])
    minus = np.random.default_rng(seed).random(len(events)) < share
    factor = np.where(minus, -1.0, 1.0) / (1.0 - 2.0 * share)
    return replace(events, weights=events.weights * factor[:, None])


def test_a_signed_mixture_closes() -> None:
    """Its sums, and its means of functions, are those of the density, within their errors."""
    process = KnownProcess.of(1)
    plain, mixture = process.events(200_000, 1), signed(process.events(200_000, 2), 3)
    assert np.mean(mixture.weights_at(np.zeros(1)) < 0.0) == pytest.approx(0.3, abs=0.01)
    for function in (np.ones_like, np.sin, np.square):
        values = [function(e.x[:, 0])[:, None] * e.weights for e in (plain, mixture)]
        errors = [np.sqrt(np.square(v).sum(axis=0)) for v in values]
        difference = values[1].sum(axis=0) - values[0].sum(axis=0)
        assert np.all(np.abs(difference) < 4.0 * np.hypot(*errors))


def trained(train: Events, method: str, directory: Path, seed: int) -> Member:
    directory.mkdir(parents=True)
    chosen = learning.typed(learning.settings(method, **METHODS[method]))
    fingerprint = train.setup.fingerprint(train.observables)
    note = MemberNote(settings=chosen, member=0, seed=seed, fingerprint=fingerprint)
    drawn = family_of(chosen).draw(train, chosen, np.random.default_rng(seed))
    return Member(fit(Samples(note, drawn), chosen, directory), directory)


def covered(
    method: str, replica: int, truth: float, n_toys: int, directory: Path, dropped: bool = False
) -> np.ndarray:
    """How many of the toys, data of the known density, the intervals of a model cover.

    The model has learned from a signed sample of its own, or from what is left of it where negative
    events are ``dropped``.
    """
    process = KnownProcess.of(1)
    simulated = signed(process.events(60_000, 100 + replica), replica)
    if dropped:
        simulated = replace(simulated, weights=np.maximum(simulated.weights, 0.0))
    reference, theta = np.zeros(1), np.array([truth])
    nature = process.events(60_000, 1000 + replica)
    problem = Problem(
        setup=simulated.setup,
        everything=simulated,
        train=simulated,
        test=nature,
        theta_ref=reference,
        theta_true=theta,
        fisher_theta=reference,
        luminosity=EVENTS / process.cross_section,
        seed=1,
    )
    member = trained(simulated, method, directory / f"{replica}_{truth}", replica)
    toys = draw_toys(problem, theta, n_toys, np.random.default_rng(replica))
    grid = Grid(("p0",), [np.linspace(-1.5, 1.5, 61)])
    tested = statistics_of([member], problem, grid, [ToyPoint("", (truth,), None)], [toys])
    return np.array(
        [
            [(q[0] < chi2_quantile(level, 1)).sum() for level in LEVELS]
            for q in (tested.q[kind] for kind in sorted(tested.q))
        ]
    )


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("truth", [0.0, 0.3])
def test_limits_cover(method: str, truth: float, tmp_path: Path) -> None:
    n_replicas, n_toys = 16, 100
    counts = sum(covered(method, i, truth, n_toys, tmp_path) for i in range(n_replicas))
    share = counts / (n_replicas * n_toys)
    print(f"\n{method} at {truth}: {share.tolist()}")
    for level, of_level in zip(LEVELS, share.T, strict=True):
        # Toys of a replica share their model: its error is part of what is covered.
        error = np.sqrt(level * (1.0 - level) / (n_replicas * n_toys)) + 0.01
        assert np.all(np.abs(of_level - level) < 3.0 * error)


@pytest.mark.slow
def test_without_negative_events_they_do_not_cover(tmp_path: Path) -> None:
    """So that the test above can fail."""
    counts = sum(covered("histogram", i, 0.3, 100, tmp_path, dropped=True) for i in range(4))
    share = counts / 400
    print(f"\nhistogram at 0.3, negative events dropped: {share.tolist()}")
    assert share[:, 0].max() < 0.5
