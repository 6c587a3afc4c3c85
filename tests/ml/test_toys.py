"""Toys: drawn, fitted, joined, and what they say about coverage."""

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
from scipy.stats import chi2

from madminer_workflow.errors import InputError
from madminer_workflow.files import write_json
from madminer_workflow.ml import toys as step
from madminer_workflow.ml.scan import scan
from madminer_workflow.ml.toys import toys
from madminer_workflow.products.problem import pose_problem
from madminer_workflow.products.toys import ToyJob, job_path, read_toys
from madminer_workflow.statistics.coverage import (
    coverage,
    critical_value,
    neyman_intervals,
    summarise_toys,
)
from madminer_workflow.statistics.limits import Grid, make_grid
from madminer_workflow.statistics.problem import Problem
from madminer_workflow.statistics.toys import ToyPoint, Toys, draw_toys, toy_points, toy_statistics
from tests.support import learning

AXIS = {"range": [-2.0, 2.0], "resolution": 25}
LIMITS = {
    **learning.EVALUATION["limits"],
    "grid": {"CWL2": AXIS, "CPWL2": AXIS},
    "toys": {"n_toys": 400, "points": [{"CWL2": 0.21, "CPWL2": -0.1}], "resolution": 5, "njobs": 2},
}

SETTINGS = learning.evaluation(limits=LIMITS).limits


@pytest.fixture(scope="module")
def problem(toy_file: Path) -> Problem:
    return pose_problem(learning.evaluation(), toy_file)


@pytest.fixture(scope="module")
def files(toy_file: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two jobs with toys of a histogram."""
    directory = tmp_path_factory.mktemp("toys")
    settings = learning.settings("histogram", bins={"x0": 6, "x1": 6})
    model = learning.model(toy_file, settings, directory)
    # With more events, fluctuations of the few simulated ones would count, too.
    evaluation = {**learning.EVALUATION, "limits": LIMITS, "luminosity": 3e5}
    write_json(directory / "evaluation.json", evaluation)
    paths = []
    for job in range(2):
        output = directory / str(job)
        write_json(job_path(directory, job), ToyJob(job=job, njobs=2))
        toys(directory / "evaluation.json", toy_file, job_path(directory, job), [model], output)
        paths.append(output / "Toys.npz")
    return paths


def test_jobs_share_the_toys() -> None:
    def jobs(n_toys: int) -> int:
        return msgspec.structs.replace(SETTINGS.toys, n_toys=n_toys, njobs=4).jobs

    assert (jobs(0), jobs(3), jobs(9)) == (0, 3, 4)


def test_toys_follow_the_expectation(problem: Problem) -> None:
    theta = np.array([0.3, -0.2])
    drawn = draw_toys(problem, theta, 300, np.random.default_rng(1))
    sizes = drawn.multiplicities.sum(axis=1)
    expected = problem.expected_events(theta)
    assert sizes.mean() == pytest.approx(expected, abs=5.0 * np.sqrt(expected / 300))
    assert sizes.std() == pytest.approx(np.sqrt(expected), rel=0.2)
    weights = problem.test.weights_at(theta)
    mean = weights @ problem.test.x[:, 0] / weights.sum()
    found = drawn.multiplicities.sum(axis=0) @ problem.test.x[:, 0] / sizes.sum()
    assert found == pytest.approx(mean, abs=5.0 * problem.test.x[:, 0].std() / np.sqrt(sizes.sum()))
    again = draw_toys(problem, theta, 300, np.random.default_rng(1))
    assert (again.multiplicities != drawn.multiplicities).nnz == 0


def test_points_are_nodes_along_every_parameter(problem: Problem) -> None:
    grid = make_grid(SETTINGS.grid, problem.setup.parameters)
    points = toy_points(SETTINGS, problem, grid)
    assert [point.name for point in points if point.axis is None] == ["sm", "CWL2=0.21, CPWL2=-0.1"]
    along = [list(point.theta) for point in points if point.axis == "CPWL2"]
    np.testing.assert_allclose(along, [[0.0, value] for value in (-2.0, -1.0, 0.0, 1.0, 2.0)])


@pytest.mark.parametrize("dimensions", [1, 2, 3, 4])
def test_statistics_of_gaussian_likelihoods(dimensions: int) -> None:
    """q of all parameters and of each is a sum, and a single, of squared pulls."""
    grid = Grid([f"p{i}" for i in range(dimensions)], [np.linspace(-2.0, 2.0, 9)] * dimensions)
    best = np.random.default_rng(2).uniform(-1.0, 1.0, (20, dimensions))
    steps = grid.thetas()[None, :, :] - best[:, None, :]
    theta = np.full(dimensions, 0.5)
    joint, each = toy_statistics(-0.5 * np.sum(steps**2, axis=2), grid, theta)
    np.testing.assert_allclose(joint, np.sum((theta - best) ** 2, axis=1), atol=1e-9)
    np.testing.assert_allclose(each.T, (theta - best) ** 2, atol=1e-9)


def covered(problem: Problem, directory: Path) -> dict[str, np.ndarray]:
    """Coverage at 68 and 95 %, (2 levels, all and each of 2 parameters), by kind, of 1500 toys."""
    settings = learning.settings("histogram", bins={"x0": 6, "x1": 6})
    member = learning.trained(problem.train, settings, directory)
    grid = make_grid(SETTINGS.grid, problem.setup.parameters)
    drawn = draw_toys(problem, problem.theta_true, 1500, np.random.default_rng(3))
    [found] = scan([member], problem, grid.thetas(), [drawn])
    result = {}
    for kind, rows in found.items():
        joint, each = toy_statistics(rows[0], grid, problem.theta_true)
        result[kind] = np.array(
            [
                [
                    coverage(q, float(chi2.ppf(level, dof)))[0]
                    for q, dof in ((joint, 2), (each[0], 1), (each[1], 1))
                ]
                for level in (0.6827, 0.95)
            ]
        )
    return result


def test_coverage_is_nominal_with_a_perfect_model(problem: Problem, tmp_path: Path) -> None:
    """Toys from the very events that templates are made of follow Wilks' theorem."""
    everything = problem.everything
    perfect = replace(problem, train=everything, test=everything, luminosity=3e5)
    for rows in covered(perfect, tmp_path).values():
        np.testing.assert_allclose(rows[0], 0.6827, atol=4.0 * 0.012)
        np.testing.assert_allclose(rows[1], 0.95, atol=4.0 * 0.0057)


def test_too_few_simulated_events_cost_coverage(problem: Problem, tmp_path: Path) -> None:
    """Ten times as many expected events as simulated ones make the limits fluctuations."""
    for rows in covered(problem, tmp_path).values():
        assert np.all(rows[0, 0] < 0.5)


def test_summary_of_toys(files: list[Path]) -> None:
    found = read_toys(files)["histogram"].toys
    assert found.q["shape"].shape == (12, 400)
    assert found.q_profiled["shape"].shape == (12, 2, 400)
    assert np.all(found.q["shape"] >= 0.0)
    grid = make_grid(SETTINGS.grid, ["CWL2", "CPWL2"])
    parabola = np.sum((grid.thetas() / 0.2) ** 2, axis=1)
    q = {"shape": parabola, "rate_and_shape": parabola}
    summary = summarise_toys(found, q, q, grid, [0.6827, 0.95])
    assert summary.n_toys == 400
    assert [point.name for point in summary.points] == ["sm", "CWL2=0.21, CPWL2=-0.1"]
    for i, point in enumerate(summary.points):
        own = point.kinds["rate_and_shape"]
        joint = found.q["rate_and_shape"][i]
        assert sum(own.q) == 400
        assert own.coverage["0.95"].value == np.mean(joint <= chi2.ppf(0.95, 2))
        assert own.critical["0.95"].value == pytest.approx(np.quantile(joint, 0.95))
        second = found.q_profiled["rate_and_shape"][i, 1]
        each = own.parameters["CPWL2"]
        assert each.coverage["0.6827"].value == np.mean(second <= chi2.ppf(0.6827, 1))
    assert summary.observed_intervals == summary.intervals


def test_neymans_intervals_use_the_thresholds_of_toys() -> None:
    """Twice the threshold makes a parabola's interval wider by the root of two."""
    grid = Grid(["p"], [np.linspace(-1.0, 1.0, 81)])
    q = (grid.axes[0] / 0.2) ** 2
    level, wilks = 0.95, chi2.ppf(0.95, 1)
    normal = chi2.ppf((np.arange(4000) + 0.5) / 4000, 1)
    for scale in (1.0, 2.0):
        points = [ToyPoint("", (value,), "p") for value in (-1.0, 1.0)]
        each = np.tile(scale * normal, (2, 1, 1))
        [[low, high]] = neyman_intervals(
            Toys(points, {}, {"shape": each}), "shape", q, grid, [level]
        )["p"][str(level)]
        assert high == pytest.approx(0.2 * np.sqrt(scale * wilks), rel=0.02) == -low


def test_all_jobs_are_needed_once(files: list[Path], tmp_path: Path) -> None:
    joined = read_toys(files)["histogram"].toys
    again = read_toys(files[::-1])["histogram"].toys
    np.testing.assert_array_equal(again.q["shape"], joined.q["shape"])
    with pytest.raises(InputError, match="is one of 2 jobs with toys of histogram, but only 1"):
        read_toys(files[:1])
    with pytest.raises(InputError, match="has the toys of job 0 of histogram, like"):
        read_toys([files[0], files[0]])
    (tmp_path / "no.npz").write_text("nothing")
    with pytest.raises(InputError, match=r"no.npz: contains no toys from the step toys"):
        read_toys([tmp_path / "no.npz"])


def test_what_a_note_says_more_is_ignored(files: list[Path], tmp_path: Path) -> None:
    with np.load(files[0]) as file:
        arrays = dict(file)
    note = {**json.loads(str(arrays.pop("content"))), "parameters": ["CWL2", "CPWL2"]}
    np.savez(tmp_path / "older.npz", content=np.array(json.dumps(note)), **arrays)
    found = read_toys([tmp_path / "older.npz", files[1]])["histogram"].toys
    np.testing.assert_array_equal(found.q["shape"], read_toys(files)["histogram"].toys.q["shape"])


def test_toys_of_other_models(files: list[Path], tmp_path: Path) -> None:
    with np.load(files[1]) as file:
        arrays = dict(file)
    content: dict[str, Any] = json.loads(str(arrays.pop("content")))
    content["settings"]["bins"] = {"x0": 3, "x1": 3}
    np.savez(tmp_path / "other.npz", content=np.array(json.dumps(content)), **arrays)
    with pytest.raises(InputError, match="its toys of histogram are for other models than"):
        read_toys([files[0], tmp_path / "other.npz"])


def test_scans_that_do_not_fit_into_memory_are_split(
    problem: Problem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    binning = {"kind": "adaptive", "bins": 4}
    settings = learning.settings("sally", binning=binning, n_samples=2000)
    member = learning.trained(problem.train, settings, tmp_path)
    grid = make_grid(SETTINGS.grid, problem.setup.parameters)
    points = toy_points(SETTINGS, problem, grid)[:3]
    rng = np.random.default_rng(3)
    drawn = [draw_toys(problem, np.array(point.theta), 10, rng) for point in points]
    whole = step.statistics_of([member], problem, grid, points, drawn)
    monkeypatch.setattr(step, "LARGEST_SCAN", 7 * len(whole.q) * len(grid.thetas()))
    split = step.statistics_of([member], problem, grid, points, drawn)
    for kind in whole.q:
        np.testing.assert_array_equal(split.q[kind], whole.q[kind])
        np.testing.assert_array_equal(split.q_profiled[kind], whole.q_profiled[kind])


@given(st.lists(st.integers(1, 20), max_size=6), st.integers(1, 15))
def test_batches_have_room_and_everything_once(sizes: list[int], room: int) -> None:
    found = list(step.batches(sizes, room))
    lengths = [[rows.stop - rows.start for _, rows in batch] for batch in found]
    assert all(0 < sum(batch) <= room for batch in lengths)
    assert all(sum(batch) == room for batch in lengths[:-1])
    everything = [(i, k) for batch in found for i, rows in batch for k in range(*rows.indices(20))]
    assert everything == [(i, k) for i, size in enumerate(sizes) for k in range(size)]


@given(st.integers(1, 500), st.floats(0.05, 0.99))
def test_coverage_and_critical_values_agree(n: int, level: float) -> None:
    q = np.random.default_rng(n).chisquare(1, n)
    value, error = critical_value(q, level)
    assert q.min() <= value <= q.max() and error >= 0.0
    covered, spread = coverage(q, value)
    assert covered == pytest.approx(level, abs=1.5 / n)
    assert 0.0 < spread <= 0.5


def test_errors_of_critical_values() -> None:
    """The spread of quantiles over repetitions is what the ranks of one say."""
    rng = np.random.default_rng(4)
    many = [critical_value(rng.chisquare(1, 500), 0.95) for _ in range(200)]
    values, errors = np.array(many).T
    assert errors.mean() == pytest.approx(values.std(), rel=0.2)
    assert values.mean() == pytest.approx(chi2.ppf(0.95, 1), rel=0.03)
