"""Events with weights at more benchmarks than terms, of a product of production and decay.

Their weights are exactly P(theta) D(theta), both squares of amplitudes, in tables with all digits.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from madminer.analysis import DataAnalyzer
from madminer.sampling import SampleAugmenter, morphing_point

from madminer_workflow.errors import StepError
from madminer_workflow.madminer_file import read_sample, read_setup
from madminer_workflow.ml.sampling import sampling
from madminer_workflow.physics import tasks
from madminer_workflow.products.combined import SurplusCheck, read_closure
from madminer_workflow.products.samples import read_samples, samples_path
from madminer_workflow.statistics.events import union
from tests.support.chain import TINY1, Physics, analysis_file, run_physics
from tests.support.shared import shared
from tests.support.tables import write_table

N = 400
CROSS_SECTION = 0.01
THETAS = {"sm": 0.0, "p1": 8.0, "n1": -7.0, "p2": 15.0, "n2": -16.0, "p3": 3.0, "n3": -2.5}
"""Five terms, up to the fourth power, and two benchmarks more."""


def cross_section(latents: np.ndarray, thetas: np.ndarray) -> np.ndarray:
    """P D of events (n, 2) at points (n_thetas,), of either a production and a decay amplitude."""
    z, t = latents[:, :, None], 0.1 * np.asarray(thetas)
    production = (1.0 + 0.3 * z[:, 0] * t) ** 2 + (0.4 * t) ** 2
    decay = (1.0 + 0.5 * t) ** 2 + (0.3 * z[:, 1] * t) ** 2
    return production * decay


def latents() -> np.ndarray:
    return np.random.default_rng(1).normal(size=(N, 2))


def weights() -> dict[str, np.ndarray]:
    values = cross_section(latents(), np.array([*THETAS.values()])) * CROSS_SECTION / N
    return dict(zip(THETAS, values.T, strict=True))


def analysis(folder: Path, columns: Mapping[str, np.ndarray]) -> Path:
    """An analysis of one table with these weights, drawn from the Standard Model."""
    z = latents()
    write_table(folder / "events.h5", {"x": z[:, 0] + 0.2 * z[:, 1], "y": z[:, 1], **columns})
    parameter = {
        "parameter_name": "c",
        "lha_block": "dim6",
        "lha_id": 2,
        "morphing_max_power": [2, 2],
        "parameter_range": [-20.0, 20.0],
    }
    process = {
        "name": "signal",
        "generator": "files",
        "files": {"sm": ["events.h5"]},
        "cross_section": {"sm": CROSS_SECTION},
    }
    return analysis_file(
        folder / "input.yml",
        TINY1,
        parameters=[parameter],
        benchmarks={name: {"c": theta} for name, theta in THETAS.items()},
        morphing={"max_overall_power": [2, 2]},
        processes=[process],
        observables=[{"name": n, "definition": n, "required": True} for n in ("x", "y")],
        cuts=[{"definition": "x > -2.0"}],
        ml=ML,
    )


ML: dict[str, Any] = {
    "test_split": 0.5,
    "methods": [{"name": "counts", "method": "histogram", "observables": ["x"], "bins": {"x": 3}}],
    "limits": {"grid": {"c": {"range": [-2.0, 2.0], "resolution": 5}}},
}


@pytest.fixture(scope="module")
def exact(tmp_path_factory: pytest.TempPathFactory) -> Physics:
    def make(directory: Path) -> Physics:
        (directory / "a").mkdir(parents=True)
        return run_physics(analysis(directory / "a", weights()), directory, njobs=1)

    return shared(tmp_path_factory, "surplus", make)


def check_of(directory: Path) -> SurplusCheck:
    (check,) = read_closure(directory / "closure.json").surplus
    return check


def test_noise_free_weights_close_to_the_last_digits(exact: Physics) -> None:
    check = check_of(exact.combined.parent)
    assert [point.benchmark for point in check.points] == [*THETAS]
    assert (check.closes, check.suspects, check.off, check.worst) == (True, (), 0, None)
    assert max(point.relative_error for point in check.points) < 1e-14
    assert max(point.deviation for point in check.points) < 1e-12
    for point in check.points:
        assert point.predicted == pytest.approx(point.given, rel=1e-12)


def test_the_polynomial_of_every_event_is_the_true_one(exact: Physics) -> None:
    """At any point, and its derivatives, from all benchmarks or from as many as are needed."""
    setup, sample = read_setup(exact.config), read_sample(exact.combined)
    assert setup.components.tolist() == [[0], [1], [2], [3], [4]]
    assert setup.morphing_matrix.shape == (7, 5)
    events = union(sample, setup)
    z1 = sample.observations[:, 1]
    z = np.column_stack([sample.observations[:, 0] - 0.2 * z1, z1])
    for theta in (-18.3, 0.7, 11.1):
        expected = cross_section(z, np.array([theta]))[:, 0] * CROSS_SECTION / N
        expected *= sample.weights[0, 0] / (cross_section(z[:1], np.zeros(1))[0, 0]) * N
        expected /= CROSS_SECTION
        found = events.weights_at(np.array([theta]))
        np.testing.assert_allclose(found, expected, rtol=1e-12)
        step = 1e-4
        up, down = (cross_section(z, np.array([theta + s]))[:, 0] for s in (step, -step))
        slope = (up - down) / (2.0 * step) * sample.weights[0, 0]
        np.testing.assert_allclose(
            events.gradients_at(np.array([theta]))[:, 0], slope, rtol=1e-5, atol=1e-12
        )


def test_madminer_reads_and_uses_the_fit(exact: Physics) -> None:
    setup, sample = read_setup(exact.config), read_sample(exact.combined)
    theta = np.array([6.5])
    theirs = DataAnalyzer(str(exact.combined), include_nuisance_parameters=False)
    assert list(theirs.benchmarks) == [*THETAS]
    expected = union(sample, setup).cross_section(theta)
    augmenter = SampleAugmenter(str(exact.combined), include_nuisance_parameters=False)
    _, cross_sections, _ = augmenter.cross_sections(morphing_point(theta))
    assert cross_sections[0] == pytest.approx(expected, rel=1e-12)
    np.testing.assert_allclose(
        theirs.morpher.calculate_morphing_weights(theta), setup.morphing_weights(theta), rtol=1e-12
    )


def test_methods_learn_from_the_fit(exact: Physics, tmp_path: Path) -> None:
    """MadMiner's morphing-aware network has as many outputs as terms, and so a basis of its own."""
    aware = {
        "method": "alice",
        "n_samples": 200,
        "estimator": "morphing_aware",
        "theta0": {"n_thetas": 5, "priors": {"c": {"prior": "flat", "min": -1.0, "max": 1.0}}},
    }
    methods = [*ML["methods"], aware, {"method": "polynomial"}]
    file = analysis_file(tmp_path / "input.yml", exact.input, ml={**ML, "methods": methods})
    (tmp_path / "events.h5").symlink_to(exact.input.parent / "events.h5")
    sampling(file, exact.combined, 1, tmp_path)
    shapes = {
        name: {key: array.shape for key, array in arrays.items()}
        for name in ("alice", "counts", "polynomial")
        for arrays in [read_samples(samples_path(tmp_path / "methods", name, 0)).arrays]
    }
    assert shapes["alice"]["morphing_matrix"] == (5, 5)
    assert shapes["counts"]["weights"][1] == 7
    assert shapes["polynomial"]["coefficients"][1] == 5
    setup = read_setup(exact.config)
    points = np.linalg.inv(setup.basis_matrix).T[:, 1]
    assert sorted(points) == pytest.approx(sorted(set(THETAS.values()) & set(points.round(9))))


def test_a_wrong_column_is_named(tmp_path: Path) -> None:
    columns = weights()
    columns["n1"] = 1.05 * columns["n1"]
    with pytest.raises(StepError) as error:
        run_physics(analysis(tmp_path, columns), tmp_path, njobs=1)
    message = str(error.value)
    assert "the weights of signal are not a polynomial in the parameters" in message
    assert "without n1, all others agree: correct its weight" in message
    check = check_of(tmp_path / "combine")
    assert not check.closes and check.suspects == ("n1",) and check.off > 0.9 * N


def test_a_wrong_weight_of_one_event_is_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is warned of while all events together do not see it, and stops the analysis then."""
    columns = weights()
    columns["p2"][137] *= 1.03
    with caplog.at_level(logging.WARNING):
        run_physics(analysis(tmp_path, columns), tmp_path, njobs=1)
    assert (
        "1 of 400 events of signal have weights that are not a polynomial in the parameters; the "
        "worst is event 138 of those drawn at sm, whose weight at p2 is wrong"
    ) in caplog.text
    check = check_of(tmp_path / "combine")
    assert check.closes and check.off == 1
    assert check.worst is not None and check.worst.suspects == ("p2",)
    # In the second of blocks of 100 events it is the 138th as well.
    monkeypatch.setattr(tasks, "BLOCK", 100)
    columns["p2"][137] *= 2.0
    with pytest.raises(StepError, match=r"event 138 of those drawn at sm, whose weight at p2 is"):
        run_physics(analysis(tmp_path / "far", columns), tmp_path / "far", njobs=1)


def test_independent_events_at_each_benchmark_are_no_polynomial(tmp_path: Path) -> None:
    """Weights that are statistical estimates."""
    rng = np.random.default_rng(3)
    columns = {name: values * rng.exponential(size=N) for name, values in weights().items()}
    with pytest.raises(StepError, match="or the weights are statistical estimates"):
        run_physics(analysis(tmp_path, columns), tmp_path, njobs=1)
