"""Checks of ratios where limits end, of perfect and wrong ratios of processes that are known."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from madminer_workflow.statistics.checks.directions import LEAST, named, seen_check
from madminer_workflow.statistics.checks.positivity import positivity_checks
from madminer_workflow.statistics.checks.reach import EstimatedRatio
from tests.support.known_process import KnownProcess, problem_of

PROCESSES = {
    "squares": KnownProcess.of(2),
    "four": KnownProcess.of(4),
    "interference": KnownProcess.interference(2),
    "cubic": KnownProcess.cubic(),
    "no interference": KnownProcess(
        alpha=np.array([[1.0, 0.0], [0.0, 0.2]]),
        beta=np.array([[[0.0], [0.0]], [[0.0], [0.5]]]),
        smearing=0.3,
    ),
    "square of what is not observed": KnownProcess.blind(cut=None),
}


def exact(
    process: KnownProcess,
    size: int,
    n_events: float,
    seed: int = 1,
    theta: np.ndarray | None = None,
) -> EstimatedRatio:
    """The true ratio of the observables, with ``size`` test events."""
    problem = problem_of(process.events(4 * size, seed), n_events, theta)
    rows = process.coefficients(problem.test.x)
    rows /= rows[:, :1]
    totals = problem.everything.weights.sum(axis=0) @ problem.setup.morphing_matrix
    return EstimatedRatio(rows, totals / totals[0], process.monomials, problem)


@pytest.mark.parametrize("name", PROCESSES)
def test_limits_end_where_the_exact_likelihood_says(name: str) -> None:
    """The distance along an axis against the divergence of events from the truth."""
    ratio = exact(PROCESSES[name], 10_000, 100.0)
    axis = np.eye(len(ratio.theta))[:1]
    [end] = ratio.ends(axis, q=2.0)
    here, there = (
        np.maximum(ratio.rows @ ratio.monomials.values(p), 1e-12) for p in (0 * end, end)
    )
    lost = ratio.weights @ (there * np.log(there) - there + 1.0) / (ratio.weights @ here)
    assert 100.0 * lost == pytest.approx(1.0, rel=0.05)


@pytest.mark.parametrize("name", PROCESSES)
def test_what_the_events_show_is_what_the_exact_ratio_claims(name: str) -> None:
    ratio = exact(PROCESSES[name], 20_000, 100.0)
    for point in ratio.surroundings():
        proof = ratio.proof(point[None])
        assert abs(proof.share - 1.0) < 4.0 * proof.share_error
        assert proof.significance > 5.0


@pytest.mark.parametrize("name", PROCESSES)
def test_perfect_ratios_pass_with_few_events(name: str) -> None:
    """As few as are asked for, 4 for every one expected."""
    seen = [seen_check(exact(PROCESSES[name], 240, 60.0, seed)).passed for seed in range(10)]
    assert all(seen)


def noisy(process: KnownProcess, noise: float, size: int = 5_000) -> EstimatedRatio:
    """A perfect ratio with a little information on the second parameter that is not there."""
    ratio = exact(process, size, 300.0)
    claimed = noise * np.sin(ratio.problem.test.x @ np.array([3.0, 2.0]))
    rows = ratio.rows.copy()
    rows[:, 2] += claimed
    if process.beta[1, 0, 2]:
        rows[:, 1] -= claimed
    return replace(ratio, rows=rows)


@pytest.mark.parametrize("noise", [0.02, 0.2])
@pytest.mark.parametrize(
    ("combined", "name"), [(False, "p1"), (True, "the direction (p0 : p1|p1 : p0) = 1 : −(.*)")]
)
def test_a_direction_that_observables_do_not_show_is_named(
    noise: float, combined: bool, name: str
) -> None:
    process = KnownProcess.blind(combined)
    check = seen_check(noisy(process, noise))
    assert not check.passed
    assert check.value is not None and abs(check.value) < LEAST
    said = re.match(
        f"The test events show no sensitivity to {name}: they prove only", check.sentence
    )
    assert said is not None
    if combined:
        assert float(said[2]) == pytest.approx(1.0, abs=0.1)


def test_all_that_observables_do_not_show_is_named() -> None:
    """Two parameters that interfere with what is not observed, each with its own."""
    one = KnownProcess.blind()
    beta = np.zeros((4, 2, 4))
    beta[:3, :, :3] = one.beta
    beta[3, 0, 3] = 0.5
    process = replace(one, alpha=one.alpha[[0, 1, 2, 2]], beta=beta)
    ratio = exact(process, 5_000, 300.0)
    rows = ratio.rows.copy()
    rows[:, 2:] += 0.02 * np.sin(ratio.problem.test.x @ np.array([[3.0, 5.0], [2.0, -1.0]]))
    check = seen_check(replace(ratio, rows=rows))
    assert not check.passed
    assert check.sentence.startswith(
        "The test events show no sensitivity to p1 and p2: they prove only"
    )


def test_without_limits_nothing_is_claimed() -> None:
    ratio = exact(KnownProcess.of(1), 500, 100.0)
    nothing = np.zeros_like(ratio.rows)
    nothing[:, 0] = 1.0
    check = seen_check(replace(ratio, rows=nothing, norm=nothing[0]))
    assert check.passed and check.value is None


def test_what_not_even_partons_show_is_blind() -> None:
    """Both parameters do the same: their difference does nothing."""
    one = KnownProcess.of(1)
    process = replace(one, alpha=one.alpha[[0, 1, 1]], beta=one.beta[[0, 1, 1]])
    ratio = exact(process, 2_000, 100.0)
    assert seen_check(ratio).value is not None
    rows = ratio.rows.copy()
    rows[:, 1] += 0.05 * np.sin(3.0 * ratio.problem.test.x[:, 0])
    check = seen_check(replace(ratio, rows=rows))
    assert not check.passed
    assert check.value == pytest.approx(0.0, abs=1e-3)


def test_directions_without_interference_are_told_apart() -> None:
    """Squares of the sum of two parameters and, of another latent, of their difference."""
    beta = np.zeros((3, 2, 3))
    beta[1:, 1, 0], beta[1:, 1, 2] = 0.5, [0.5, -0.5]
    alpha = np.array([[1.0, 0.0], [0.0, 0.0], [0.0, 0.0]])
    ratio = exact(KnownProcess(alpha, beta, 0.5, n_observed=2), 10_000, 100.0)
    least, most = ratio.principal()
    assert least[1] / least[0] == pytest.approx(-1.0, abs=0.1)
    assert most[1] / most[0] == pytest.approx(1.0, abs=0.1)


def test_directions_are_named_in_parameters() -> None:
    scales = np.array([1.0, 10.0, 1.0])
    names = ["a", "b", "c"]
    a, b, c, both = np.array([[1.0, 0, 0], [0, 10.0, 0], [0.02, 0, -1.0], [0, -4.0, 0.3]])
    assert named([c], scales, names) == "c"
    assert named([both], scales, names) == "the direction b : c = 1 : −0.075"
    assert named([both, b], scales, names) == "b and c"
    assert named([both, a], scales, names) == "the direction b : c = 1 : −0.075 and a"


def test_a_positive_ratio_passes() -> None:
    ratio = exact(KnownProcess.interference(2), 5_000, 500.0)
    positive, calibrated = positivity_checks(ratio)
    assert positive.passed and calibrated.passed
    assert positive.value == 0.0
    assert "not the square of an amplitude" in positive.sentence
    assert "not the square of an amplitude" in positive.proves


def test_limits_that_reach_negative_ratios_are_refused() -> None:
    """With ten events interference alone makes limits where densities are negative."""
    ratio = exact(KnownProcess.interference(1), 5_000, 10.0)
    positive, _ = positivity_checks(ratio)
    assert not positive.passed
    ends = ratio.ends(ratio.units * np.array([[1.0], [-1.0]]))
    negative = max(np.mean(ratio.rows @ ratio.monomials.values(end) <= 0.0) for end in ends)
    assert positive.value == pytest.approx(10.0 * negative, rel=0.5)


def test_expected_data_whose_limits_end_at_a_negative_ratio_are_refused() -> None:
    """Here the upper 95 % limit on p0 is where an event's ratio is 0."""
    at_zero, apart = (
        exact(KnownProcess.interference(2), 10_000, 312.0, theta=np.array(theta))
        for theta in ([0.0, 0.0], [0.1, -0.05])
    )
    assert positivity_checks(at_zero)[0].passed
    refused = positivity_checks(apart)[0]
    assert not refused.passed
    assert refused.value is not None and 0.01 < refused.value < 1.0


@pytest.mark.parametrize(("factor", "passed"), [(0.7, False), (1.02, True), (1.3, False)])
def test_ratios_that_are_wrong_where_limits_end_are_caught(factor: float, passed: bool) -> None:
    ratio = exact(KnownProcess.cubic(), 20_000, 300.0)
    rows = ratio.rows * np.where(np.arange(4) > 0, factor, 1.0)
    norm = ratio.norm * np.where(np.arange(4) > 0, factor, 1.0)
    _, calibrated = positivity_checks(replace(ratio, rows=rows, norm=norm))
    assert calibrated.passed == passed
    assert calibrated.value == pytest.approx(1.0 / factor, rel=0.1)
