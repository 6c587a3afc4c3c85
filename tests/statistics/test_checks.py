"""Checks of models: exact truth passes, known mistakes fail, whatever the statistics."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kstwobign, norm

from madminer_workflow.analysis.types import FlatPrior, GaussianPrior
from madminer_workflow.madminer_file import read_sample, read_setup
from madminer_workflow.ml import methods
from madminer_workflow.products.problem import pose_problem
from madminer_workflow.statistics import checks
from madminer_workflow.statistics.checks import families
from madminer_workflow.statistics.checks.closure import closure_check
from madminer_workflow.statistics.checks.ensemble import spread_check
from madminer_workflow.statistics.checks.extrapolation import extrapolation_check, prior_range
from madminer_workflow.statistics.checks.reliability import reliability_check, reliability_curve
from madminer_workflow.statistics.checks.reweighting import (
    largest_difference,
    reweighting_check,
    supremum_allowance,
)
from madminer_workflow.statistics.checks.score import (
    calibration_check,
    information_check,
    mean_check,
    nuisance_check,
)
from madminer_workflow.statistics.checks.simulation import bins_check, size_check, truth_check
from madminer_workflow.statistics.events import Events, union
from madminer_workflow.statistics.monomials import Monomials
from madminer_workflow.statistics.polynomial import scores
from madminer_workflow.statistics.results import Check
from madminer_workflow.statistics.setup import Setup
from madminer_workflow.statistics.weights import effective_size, normalised, weighted_mean
from tests.conftest import toy_sample
from tests.support import learning
from tests.support.known_process import KnownProcess, setup_of
from tests.support.properties import examples

SM = np.zeros(2)
POINTS = 5.0 * np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]])

KEYS = {"check", "value", "error", "expected", "passed", "meaning", "reason", "sentence", "proves"}


def toy(setup: Setup, size: int, seed: int) -> Events:
    return union(toy_sample(setup, {"sm": 4 * size // 5, "w": size // 5}, seed), setup)


@pytest.fixture(scope="module")
def events(toy_file: Path) -> Events:
    return union(read_sample(toy_file), read_setup(toy_file))


def exact_log_ratios(x: np.ndarray) -> np.ndarray:
    """log r(x | POINTS, SM) of the toy: z given x is normal, and the amplitude linear in it."""
    mean, variance = x / 1.25, 0.2
    rows = [
        np.log((1.0 + 0.1 * mean @ theta) ** 2 + 0.01 * variance * theta @ theta)
        - np.log(1.0 + 0.01 * theta @ theta)
        for theta in POINTS
    ]
    return np.array(rows)


def exact_scores(x: np.ndarray) -> np.ndarray:
    return 0.2 * x / 1.25


def ratio_checks(events: Events, log_ratios: np.ndarray) -> list[Check]:
    denominator = events.weights_at(SM)
    numerators = np.array([events.weights_at(theta) for theta in POINTS])
    return [
        closure_check(log_ratios, denominator, POINTS),
        reliability_check(log_ratios, numerators, denominator, POINTS),
        reweighting_check(log_ratios, numerators, denominator, events.x, events.observables),
    ]


def score_checks(events: Events, scores: np.ndarray) -> list[Check]:
    weights, joint = events.weights_at(SM), events.scores_at(SM)
    return [
        mean_check(scores, weights),
        calibration_check(scores, joint, weights),
        information_check(scores, joint, weights),
    ]


def passed(found: list[Check]) -> list[bool]:
    return [check.passed for check in found]


def test_the_exact_truth_passes(events: Events) -> None:
    found = [
        *ratio_checks(events, exact_log_ratios(events.x)),
        *score_checks(events, exact_scores(events.x)),
    ]
    assert all(passed(found))
    for check in found:
        assert msgspec.to_builtins(check).keys() >= KEYS
        assert check.sentence.endswith(".") and check.reason[-1] != "."
        json.dumps(msgspec.to_builtins(check), allow_nan=False)
        assert msgspec.convert(msgspec.to_builtins(check), Check) == check


def test_a_factor_of_all_amplitudes_has_no_score_to_check() -> None:
    """p1 multiplies every cross-section by (1 + p1)^2: whatever a network says of it is noise."""
    process, theta = KnownProcess.of(1), np.zeros(2)
    alone = process.events(4000, seed=1)
    coefficients = alone.weights @ alone.setup.morphing_matrix
    both = Monomials(np.array([[a, b] for a in range(3) for b in range(3)]))
    setup = setup_of(both)
    products = (coefficients[:, :, None] * np.array([1.0, 2.0, 1.0])).reshape(-1, 9)
    # Files have so many digits.
    weights = (products @ both.values(setup.benchmarks).T).astype(np.float32).astype(float)
    events = replace(alone, setup=setup, weights=weights)
    exact = scores(process.coefficients(events.x), process.monomials, np.zeros(1))
    exact -= events.weights_at(theta) @ exact / events.weights_at(theta).sum()
    noise = 1e-3 + 1e-3 * np.sin(events.x[:, :1])
    log_ratios = np.zeros((1, len(events)))
    found = [
        *families.score_checks(np.hstack([exact, noise]), events, theta),
        *families.ratio_checks(log_ratios, np.hstack([exact, noise]), events, theta, theta[None]),
    ]
    assert [check.name for check in found if not check.passed] == []
    assert len([check for check in found if check.name == "calibration of the score"]) == 2
    wrong = families.score_checks(np.hstack([2.0 * exact, noise]), events, theta)
    assert "calibration of the score" in [check.name for check in wrong if not check.passed]
    none = families.score_checks(0.0 * exact, replace(events, setup=rate_only(setup)), theta[:1])
    assert [check.name for check in none] == ["information below the truth's"]


def rate_only(setup: Setup) -> Setup:
    """The same benchmarks as events with p1 alone."""
    chosen = np.flatnonzero(setup.components[:, 0] == 0)
    return replace(
        setup,
        parameters=["p1"],
        benchmarks=setup.benchmarks[:, 1:],
        components=setup.components[chosen][:, 1:],
        morphing_matrix=setup.morphing_matrix[:, chosen],
    )


@pytest.mark.parametrize("size", [50, 500])
def test_the_exact_truth_passes_with_few_events(setup: Setup, size: int) -> None:
    for seed in range(25):
        few = toy(setup, size, seed)
        found = [
            *ratio_checks(few, exact_log_ratios(few.x)),
            *score_checks(few, exact_scores(few.x)),
        ]
        assert all(passed(found)), (
            seed,
            [check.name for check in found if not check.passed],
        )


@pytest.mark.parametrize(
    ("mistake", "expected"),
    [
        (lambda log_r: log_r + np.log(1.2), [False, False, True]),
        (lambda log_r: log_r - np.log(1.2), [False, False, True]),
        # Overconfident, and too cautious.
        (lambda log_r: 1.5 * log_r, [False, False, False]),
        (lambda log_r: 0.6 * log_r, [True, False, False]),
        # It has learned nothing: what it says is true, but useless.
        (lambda log_r: 0.0 * log_r, [True, True, False]),
        (lambda log_r: log_r[[1, 0, 2, 3]], [True, False, False]),
        (lambda log_r: np.where(np.arange(len(log_r[0])) == 7, np.nan, log_r), [False] * 3),
        (
            lambda log_r: np.where(np.arange(len(log_r[0])) == 7, 1000.0, log_r),
            [False, True, False],
        ),
    ],
)
def test_wrong_ratios_are_caught(events: Events, mistake: Any, expected: list[bool]) -> None:
    assert passed(ratio_checks(events, mistake(exact_log_ratios(events.x)))) == expected


def test_reliability_tells_bold_from_cautious(events: Events) -> None:
    log_r = exact_log_ratios(events.x)
    values = [ratio_checks(events, slope * log_r)[1].value for slope in (1.5, 0.6)]
    assert values[0] > 0.025 and values[1] < -0.05
    # A little too flat a ratio is still honest, a little too steep a one is not.
    assert ratio_checks(events, 0.85 * log_r)[1].passed


def test_noise_in_the_ratio_is_caught(events: Events) -> None:
    noise = np.random.default_rng(1).normal(0.0, 0.5, (4, len(events)))
    log_r = exact_log_ratios(events.x) + noise - 0.125
    assert passed(ratio_checks(events, log_r)) == [True, False, True]


@pytest.mark.parametrize(
    ("mistake", "expected"),
    [
        (lambda t: t + 0.2 * t.std(axis=0), [False, True, True]),
        # What is learned has 0.8 of the information of the truth: 1.4^2 of that is too much.
        (lambda t: 1.4 * t, [True, False, False]),
        (lambda t: 0.7 * t, [True, False, True]),
        (lambda t: t[:, ::-1], [True, False, True]),
        (lambda t: t * [1.0, 1.4], [True, False, False]),
        (lambda t: 0.0 * t, [False, False, True]),
        (lambda t: t * np.nan, [False, False, False]),
    ],
)
def test_wrong_scores_are_caught(events: Events, mistake: Any, expected: list[bool]) -> None:
    assert passed(score_checks(events, mistake(exact_scores(events.x)))) == expected


def test_the_information_is_compared_in_the_worst_direction(events: Events) -> None:
    weights, joint = events.weights_at(SM), events.scores_at(SM)
    # Nobody can know the sum of the two better than the partons, however little of each.
    estimated = 0.8 * joint.sum(axis=1, keepdims=True) @ np.ones((1, 2))
    check = information_check(estimated, joint, weights)
    assert check.value == pytest.approx(2.0 * 2.0 * 0.64, rel=0.02)
    assert not check.passed
    assert information_check(joint, joint, weights).value == pytest.approx(1.0)
    assert information_check(joint, joint, weights).passed


def test_an_unknown_direction_has_no_ratio(events: Events) -> None:
    weights, joint = events.weights_at(SM), events.scores_at(SM)
    joint = joint[:, :1] @ np.ones((1, 2))
    assert information_check(joint, joint, weights).value == pytest.approx(1.0)


@examples(25)
@given(
    st.lists(st.floats(-2.0, 2.0), min_size=4, max_size=4).filter(
        lambda m: abs(np.linalg.det(np.reshape(m, (2, 2)))) > 0.1
    ),
    st.integers(0, 2**31),
)
def test_the_information_ratio_knows_no_coordinates(entries: list[float], seed: int) -> None:
    rng = np.random.default_rng(seed)
    joint = rng.normal(size=(200, 2))
    scores = 0.5 * joint + rng.normal(scale=0.3, size=(200, 2))
    weights = rng.uniform(0.1, 1.0, 200)
    matrix = np.reshape(entries, (2, 2))
    one, other = (information_check(scores @ m, joint @ m, weights) for m in (np.eye(2), matrix))
    assert other.value == pytest.approx(one.value, rel=1e-6)
    assert other.error == pytest.approx(one.error, rel=1e-4)


@examples(25)
@given(st.integers(0, 2**31), st.floats(1e-6, 1e6))
def test_units_and_order_of_weights_do_not_matter(seed: int, unit: float) -> None:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(300, 2)).round(1)
    log_r, numerators = rng.normal(size=(3, 300)), rng.uniform(0.5, 1.5, (3, 300))
    denominator, order = rng.uniform(0.5, 1.5, 300), rng.permutation(300)
    for function in (
        lambda lr, p0, p1, x: closure_check(lr, p1, POINTS),
        lambda lr, p0, p1, x: reliability_check(lr, p0, p1, POINTS),
        lambda lr, p0, p1, x: reweighting_check(lr, p0, p1, x, ["a", "b"]),
    ):
        one = function(log_r, numerators, denominator, x)
        other = function(
            log_r[:, order], unit * numerators[:, order], 3.0 * denominator[order], x[order]
        )
        assert one.passed == other.passed
        np.testing.assert_allclose(
            [other.value, other.error], [one.value, one.error], rtol=1e-6, atol=1e-9
        )


@examples(25)
@given(st.integers(0, 2**31))
def test_the_largest_difference_is_that_of_the_distributions(seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 6, 40).astype(float)
    q, p = (normalised(rng.uniform(size=40)) for _ in range(2))
    value, error = largest_difference(x, q, p)
    assert value == pytest.approx(max(abs(np.sum((q - p)[x <= t])) for t in range(6)))
    assert largest_difference(x, p, q) == pytest.approx((value, error))
    assert largest_difference(np.exp(x), q, p) == pytest.approx((value, error))
    assert largest_difference(x, q, q) == pytest.approx((0.0, 0.0), abs=1e-9)
    # The influence of every event, written out.
    influences = [
        q * ((x <= t) - np.sum(q[x <= t])) - p * ((x <= t) - np.sum(p[x <= t])) for t in range(6)
    ]
    assert error == pytest.approx(np.sqrt(np.max(np.sum(np.square(influences), axis=1))))


def test_the_error_of_the_largest_difference_is_its_scatter() -> None:
    rng = np.random.default_rng(4)
    excess = []
    for _ in range(400):
        x = rng.normal(size=800)
        # Half of the events each: as two samples, whose law is Kolmogorov's.
        first = rng.random(800) < 0.5
        found = largest_difference(x, normalised(1.0 * first), normalised(1.0 * ~first))
        assert found[1] == pytest.approx(0.5 * np.sqrt(2.0 / 400), rel=0.1)
        excess.append(found[0] / found[1] / 2.0)
    assert np.mean(np.array(excess) > kstwobign.isf(0.3)) == pytest.approx(0.3, abs=0.07)


def test_the_allowance_keeps_false_alarms_rare() -> None:
    assert checks.allowance(1) == pytest.approx(3.0, abs=1e-3)
    assert checks.allowance(10) == pytest.approx(norm.isf(0.000135))
    for n in (1, 50):
        level = n * kstwobign.sf(supremum_allowance(n) / 2.0)
        assert level == pytest.approx(checks.CHANCE, rel=0.01)


def test_weighted_mean_knows_that_one_event_is_none() -> None:
    mean, error = weighted_mean(np.array([1.0, 3.0]), np.array([1.0, 1.0]))
    # The standard error of the mean of two: sqrt(2 / 2).
    assert (mean, error) == pytest.approx((2.0, 1.0))
    assert not np.isfinite(weighted_mean(np.array([1.0]), np.array([1.0]))[1])


def test_a_bin_that_one_event_fills_proves_nothing() -> None:
    predicted = np.array([0.1, 0.9])
    weights = np.array([1.0, 0.0])
    _, _, errors = reliability_curve(predicted, weights, weights)
    assert np.all(np.isinf(errors))


def test_reliability_bins_hold_equal_shares() -> None:
    rng = np.random.default_rng(1)
    predicted = rng.uniform(size=20_000)
    # Labels drawn as predicted: the weights are the labels.
    label = rng.random(20_000) < predicted
    p1, p0 = normalised(1.0 * label), normalised(1.0 * ~label)
    mean, true, error = reliability_curve(predicted, p0, p1)
    np.testing.assert_allclose(mean, np.arange(0.05, 1.0, 0.1), atol=0.01)
    assert np.all(np.abs(mean - true) < 4.0 * error)
    fractions = mean * (1.0 - mean)
    np.testing.assert_allclose(error, np.sqrt(fractions / 2000), rtol=0.2)


def test_too_few_simulated_events_are_caught() -> None:
    equal = np.ones(4000)
    assert size_check(1000.0, {"the truth": equal}).passed
    assert size_check(1000.0, {"the truth": equal}).value == pytest.approx(0.25)
    check = size_check(1001.0, {"the truth": equal, "p0 = 1": np.append(equal[:-1], 1000.0)})
    assert not check.passed
    assert "at p0 = 1" in check.sentence
    # N / n = 1: the errors are sqrt(2) times as large.
    assert "41.4 % larger" in size_check(4000.0, {"the truth": equal}).sentence


def test_a_best_fit_far_from_the_truth_is_caught() -> None:
    # The truth comes last; q there is twice what the best point has more.
    assert truth_check(np.array([-3.0, -1.0, -1.2])).passed
    far = truth_check(np.array([-3.0, -1.0, -3.0]))
    assert not far.passed and "is 2 standard deviations" in far.sentence
    assert not truth_check(np.array([np.nan, 0.0])).passed


def test_thinly_filled_bins_are_caught() -> None:
    assert bins_check(np.array([100.0, 25.0]), np.array([100.0, 25.0])).passed
    check = bins_check(np.array([100.0, 10.0]), np.array([100.0, 10.0]))
    assert (check.passed, check.value) == (False, 10.0)
    # What holds less than a permille moves nothing.
    assert bins_check(np.array([5000.0, 1.0]), np.array([5000.0, 1.0])).passed


GAUSSIAN = GaussianPrior(mean=1.0, std=2.0)
FLAT = FlatPrior(min=-1.0, max=1.0)


def test_prior_ranges() -> None:
    assert prior_range(FLAT, 0.99) == (-1.0, 1.0)
    assert prior_range(GAUSSIAN, 0.6827) == pytest.approx((-1.0, 3.0), abs=1e-3)


def test_a_region_outside_of_the_prior_is_caught() -> None:
    axis = np.linspace(-4.0, 4.0, 41)
    thetas = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)

    def region(radius: float) -> np.ndarray:
        return np.sum(thetas**2, axis=1) < radius**2

    arguments = (thetas, [GAUSSIAN, FLAT], ["p0", "p1"])
    inside = extrapolation_check(region(1.01), *arguments)
    assert (inside.passed, inside.value) == (True, 0.0)
    outside = extrapolation_check(region(2.0), *arguments)
    # Two caps of a circle of radius 2 beyond 1: 1 - (2 pi / 3 + sqrt(3) / 2) / pi of it.
    assert outside.value == pytest.approx(2.0 / 3.0 - np.sqrt(3.0) / 2.0 / np.pi, abs=0.06)
    assert not outside.passed and "along p1." in outside.sentence
    assert not extrapolation_check(region(0.0), *arguments).passed


def test_a_prior_that_ends_with_the_grid_covers_it() -> None:
    thetas = np.linspace(-0.3, 0.3, 7)[:, None]
    prior = FlatPrior(min=-0.1 * 3, max=0.1 * 3)
    assert extrapolation_check(np.ones(7, dtype=bool), thetas, [prior], ["p0"]).value == 0.0


ENDS = {"p": [-9.0, 9.0]}


def test_members_that_disagree_are_caught() -> None:
    # An interval of 2 * 1.96 sigma, with sigma = 1.
    half = norm.isf(0.025)
    ensemble = {"p": [(-half, half)]}

    def spread(shift: float, k: int) -> Check:
        shifts = shift * np.resize([-1.0, 1.0], k)
        members = [[(-half + s, half + s)] for s in shifts]
        return spread_check(ensemble, {"p": members}, 0.95, ENDS)

    # The standard error of the mean of +-s is s for two members, s / sqrt(k - 1) for k.
    assert spread(0.45, 2).value == pytest.approx(0.45)
    assert spread(0.45, 2).passed and not spread(0.55, 2).passed
    assert spread(0.55, 10).value == pytest.approx(0.55 / 3.0)
    assert not spread_check(ensemble, {"p": [[(-1.0, 1.0)], []]}, 0.95, ENDS).passed


def test_one_member_is_no_failure_but_unknown() -> None:
    check = spread_check({"p": [(-1.0, 1.0)]}, {"p": [[(-1.0, 1.0)]]}, 0.95, ENDS)
    assert check.passed and check.value is None
    assert "unknown" in check.sentence


def test_edges_beyond_the_grid_are_unknown() -> None:
    def spread(*members: tuple[float, float]) -> Check:
        own = [[interval] for interval in members]
        return spread_check({"p": [(-9.0, 9.0)]}, {"p": own}, 0.95, ENDS)

    both = spread((-9.0, 9.0), (-9.0, 9.0))
    assert both.passed and both.value is None and "grid" in both.sentence
    assert spread((-9.0, 9.0), (-9.0, 1.0)).value > 0.5


def test_all_checks_of_limits_have_to_pass() -> None:
    good = checks.make(
        "good", 0.0, None, True, expected="", meaning="", reason="", proves="", sentence=""
    )
    bad = msgspec.structs.replace(good, passed=False)
    # A value that is not known is no failure.
    unknown = msgspec.structs.replace(good, value=None)
    assert checks.believed([good, unknown]) and not checks.believed([good, bad])
    assert checks.believed([good, msgspec.structs.replace(bad, concerns="something else")])


def test_nuisance_parameters_without_a_shape_are_not_checked(events: Events) -> None:
    weights, joint = events.weights_at(SM), events.scores_at(SM)
    estimated = exact_scores(events.x)
    assert nuisance_check(estimated, 0.0 * joint, weights) == []
    [check] = nuisance_check(estimated * [1.0, 9.0], joint * [1.0, 0.0], weights)
    assert check.passed and check.concerns == "profiled Fisher information"


WIDE = {name: {"prior": "gaussian", "mean": 0.0, "std": 5.0} for name in ("CWL2", "CPWL2")}


def trained(toy_file: Path, directory: Path, method: str, well: bool) -> dict[str, Check]:
    """Checks by name of a model that has learned, or of one that has hardly."""
    chosen = learning.settings(
        method,
        n_samples=40_000 if well else 1000,
        network={"n_hidden": [30]},
        training={"n_epochs": 8, "batch_size": 200, "initial_lr": 0.01, "final_lr": 3e-4}
        if well
        else {"n_epochs": 1},
    )
    if method != "sally":
        chosen["theta0"] = {"n_thetas": 2000 if well else 100, "priors": WIDE}
        chosen["training"]["alpha"] = 1.0
    archive = learning.model(toy_file, chosen, directory / f"{well}")
    model = learning.opened(archive, directory / f"model_{well}")
    problem = pose_problem(learning.evaluation(), toy_file)
    found = methods.family_of(model.note.settings).diagnostics([model], problem)
    return {check.name: check for check in found}


@pytest.mark.parametrize("method", ["alices", "sally"])
def test_a_model_that_has_learned_passes(toy_file: Path, tmp_path: Path, method: str) -> None:
    found = trained(toy_file, tmp_path, method, well=True)
    assert [name for name, check in found.items() if not check.passed] == []


@pytest.mark.parametrize(
    ("method", "failing"),
    [
        ("alices", {"closure of reweighting", "calibration of the score"}),
        ("sally", {"calibration of the score"}),
    ],
)
def test_a_model_that_has_hardly_learned_fails(
    toy_file: Path, tmp_path: Path, method: str, failing: set[str]
) -> None:
    found = trained(toy_file, tmp_path, method, well=False)
    assert failing <= {name for name, check in found.items() if not check.passed}


def test_results_say_whether_to_believe_an_ensemble(toy_file: Path, tmp_path: Path) -> None:
    chosen = learning.settings("alices", n_samples=1000, training={"n_epochs": 1})
    chosen["theta0"] = {"n_thetas": 100, "priors": WIDE}
    models = [learning.model(toy_file, chosen, tmp_path, i) for i in range(2)]
    summary, _ = learning.results(toy_file, models, tmp_path / "two", luminosity=3e5)
    found = {check["check"]: check for check in summary["checks"]}
    assert not summary["believed"] and not found["calibration of the score"]["passed"]
    sizes = found["effective sample size"]
    # The truth, and two edges of two intervals.
    assert sizes["plot"]["points"][0] == "the assumed truth"
    assert len(sizes["plot"]["points"]) == 5
    problem = pose_problem(learning.evaluation(luminosity=3e5), toy_file)
    simulated = effective_size(problem.test.weights_at(SM))
    assert sizes["plot"]["size"][0] == pytest.approx(simulated)
    expected = float(problem.expected_events(SM))
    assert sizes["value"] == pytest.approx(expected / min(sizes["plot"]["size"]))
    # The grid is well within the prior.
    assert found["region within the prior"]["value"] == 0.0
    # Nothing is excluded on this grid.
    assert found["agreement of the ensemble"]["value"] is None
    # Members are put to what can be asked of one.
    alone = {check["check"] for check in summary["diagnostics"][1]}
    assert found.keys() - alone == {
        "effective sample size",
        "agreement of the ensemble",
        "region within the prior",
    }
    one, _ = learning.results(toy_file, models[:1], tmp_path / "one", luminosity=3e7)
    found = {check["check"]: check for check in one["checks"]}
    assert "single member" in found["agreement of the ensemble"]["sentence"]
    assert not found["effective sample size"]["passed"]
