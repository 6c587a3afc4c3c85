"""Coverage in toys as a check: what passes, what fails, and what would mend it."""

from __future__ import annotations

import numpy as np
import pytest

from madminer_workflow.statistics.checks.coverage import coverage_check, fluctuations
from madminer_workflow.statistics.coverage import summarise_point
from madminer_workflow.statistics.quantiles import chi2_quantile
from madminer_workflow.statistics.results import Check, Limits, ParameterError, ToySummary
from madminer_workflow.statistics.toys import ToyPoint, Toys

LEVELS = [0.6827, 0.95]
PARAMETERS = ["p0", "p1"]


def checked(
    scale: float, simulation: float | None, noise: float = 0.0, n_toys: int = 2000, seed: int = 1
) -> Check:
    """The check of toys whose errors are ``scale`` times too large, with a stated ``simulation``.

    That is in units of the statistical error, None for a method that does not know it.
    """
    deviations = scale * np.random.default_rng(seed).normal(size=(1, 2, n_toys))
    q, q_each = np.square(deviations).sum(axis=1), np.square(deviations)
    toys = Toys(
        [ToyPoint("sm", (0.0, 0.0), None)],
        {"shape": q, "rate_and_shape": q},
        {"shape": q_each, "rate_and_shape": q_each},
    )
    summary = ToySummary(
        n_toys=n_toys,
        points=[summarise_point(toys, 0, PARAMETERS, LEVELS)],
        intervals={},
        observed_intervals=None,
    )
    errors = None
    if simulation is not None:
        one = ParameterError(statistical=1.0, simulation=simulation, training=None)
        errors = dict.fromkeys(PARAMETERS, one)
    limits = Limits(best_fit=[0.0, 0.0], intervals={}, allowed_volume={}, errors=errors)
    return coverage_check(
        summary, {"shape": limits, "rate_and_shape": limits}, {"sm": noise}, n_simulated=10_000
    )


def test_what_covers_passes_and_so_does_what_covers_more() -> None:
    for seed in range(10):
        assert checked(1.0, 0.1, seed=seed).passed
    assert checked(0.7, 0.1).passed


def test_what_covers_too_little_fails_and_says_by_how_much() -> None:
    check = checked(1.3, 0.05)
    assert not check.passed
    assert check.value is not None and check.value < -0.1
    assert "More simulated events would not help" in check.sentence
    assert "7 more of 12" in check.sentence or "more of 12 is too small" in check.sentence


def test_it_says_how_many_events_would_mend_it() -> None:
    check = checked(1.3, 0.6)
    assert not check.passed
    # A variance of 1.69 is 0.69 too much; 0.055 more is what the joint region tolerates.
    assert "about" in check.sentence and "times as many simulated events" in check.sentence
    factor = float(check.sentence.split(" times as many")[0].split()[-1])
    assert factor == pytest.approx(0.69 / 0.055, rel=0.35)


def test_a_method_that_does_not_know_its_simulation_says_so() -> None:
    assert "it is not known whether more simulated events" in checked(1.3, None).sentence


def test_few_test_events_are_allowed_for() -> None:
    """Toys whose nature is off by what so many test events fluctuate by."""
    noise, n_toys = 0.1, 4000
    lost, spread = fluctuations(0.6827, 1, noise)
    rng = np.random.default_rng(3)
    offsets = np.sqrt(noise) * rng.normal(size=400)
    inside = [
        np.mean(np.square(rng.normal(size=n_toys) + offset) < chi2_quantile(0.6827, 1))
        for offset in offsets
    ]
    assert 0.6827 - np.mean(inside) == pytest.approx(lost, rel=0.15)
    assert np.std(inside) == pytest.approx(spread, rel=0.25)
    assert checked(np.sqrt(1.0 + noise), 0.1, noise).passed
