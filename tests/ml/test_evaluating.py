from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from madminer_workflow.errors import InputError
from madminer_workflow.files import pack, read_json, unpack, write_json
from madminer_workflow.ml.evaluating import evaluating
from madminer_workflow.ml.sampling import sampling
from madminer_workflow.ml.training import training
from madminer_workflow.products.problem import pose_problem
from madminer_workflow.statistics.information import truth
from tests.support import learning
from tests.support.chain import TINY1, Physics, run_physics


@pytest.fixture(scope="module")
def members(
    toy_file: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, tuple[Path, Path]]:
    return learning.members(toy_file, tmp_path_factory)


def check_finite(summary: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
    assert all(np.all(np.isfinite(array)) for array in arrays.values())
    matrix = np.array(summary["fisher_information"]["matrix"])
    assert np.allclose(matrix, matrix.T)
    assert np.all(np.linalg.eigvalsh(matrix) > 0.0)
    assert set(summary["limits"]) == {"shape", "rate_and_shape"}
    proven = np.array(summary["proven_information"]["matrix"])
    assert np.allclose(proven, proven.T)
    assert np.all(np.linalg.eigvalsh(proven) > 0.0)
    assert arrays["proven_information_replicas"].shape == (100, *proven.shape)


@pytest.mark.parametrize("method", learning.METHODS)
def test_one_and_two_members(
    toy_file: Path, members: dict[str, tuple[Path, Path]], tmp_path: Path, method: str
) -> None:
    pair = list(members[method])
    (one, one_arrays), (two, two_arrays) = (
        learning.results(toy_file, pair[: i + 1], tmp_path / str(i)) for i in range(2)
    )
    other, other_arrays = learning.results(toy_file, pair[1:], tmp_path / "other")
    for summary, arrays in ((one, one_arrays), (two, two_arrays)):
        check_finite(summary, arrays)
        assert summary["name"] == method
        assert arrays["q_shape"].shape == (25,)
        # The best fit need not be a node.
        assert min(arrays[name].min() for name in ("q_shape", "q_rate_and_shape")) >= 0.0
    assert (one["members"], two["members"]) == (1, 2)
    assert one_arrays["q_shape_members"].shape == (1, 25)
    # Those of members are without the error of the simulation.
    known = "q_statistical_shape" if "q_statistical_shape" in one_arrays else "q_shape"
    assert (known == "q_shape") == (method not in ("histogram", "sally", "polynomial"))
    stacked = [one_arrays[known], other_arrays[known]]
    np.testing.assert_allclose(two_arrays["q_shape_members"], stacked)
    information = [np.array(s["fisher_information"]["matrix"]) for s in (one, other, two)]
    # The mean score of two members varies less than either.
    mean = (information[0] + information[1]) / 2.0
    assert np.all(np.linalg.eigvalsh(mean - information[2]) > -1e-9 * np.trace(mean))
    np.testing.assert_allclose(two["fisher_information"]["members"], information[:2])
    assert np.all(np.array(one["fisher_information"]["ensemble_spread"]) == 0.0)
    spread = np.array(two["fisher_information"]["ensemble_spread"])
    np.testing.assert_allclose(
        spread, np.abs(information[0] - information[1]) / np.sqrt(2.0), atol=1e-9
    )
    # A histogram is the same for every member; networks are not.
    assert (method == "histogram") == bool(np.all(spread == 0.0))


@pytest.mark.parametrize("method", ["sally", "alices"])
def test_the_order_of_models_does_not_matter(
    toy_file: Path, members: dict[str, tuple[Path, Path]], tmp_path: Path, method: str
) -> None:
    write_json(tmp_path / "evaluation.json", learning.EVALUATION)
    texts = []
    for name, models in (("a", members[method]), ("b", members[method][::-1])):
        evaluating(tmp_path / "evaluation.json", toy_file, models, tmp_path / name)
        texts.append((tmp_path / name / "Results.tar.gz").read_bytes())
        assert [path.name for path in (tmp_path / name).iterdir()] == ["Results.tar.gz"]
    assert texts[0] == texts[1]


def test_luminosity_grid_and_levels_count(
    toy_file: Path, members: dict[str, tuple[Path, Path]], tmp_path: Path
) -> None:
    models = list(members["sally"][:1])
    first, arrays = learning.results(toy_file, models, tmp_path / "a")
    double, double_arrays = learning.results(
        toy_file, models, tmp_path / "b", luminosity=2.0 * learning.EVALUATION["luminosity"]
    )
    matrices = [np.array(s["fisher_information"]["matrix"]) for s in (first, double)]
    np.testing.assert_allclose(matrices[1], 2.0 * matrices[0])
    name = "q_statistical_shape"
    np.testing.assert_allclose(double_arrays[name], 2.0 * arrays[name])
    # Twice the data are compared with the same simulation.
    assert np.all(double_arrays["q_shape"] < double_arrays[name] + 1e-9)
    before, after = arrays["q_shape"] / arrays[name], double_arrays["q_shape"] / double_arrays[name]
    np.testing.assert_allclose(1.0 / after - 1.0, 2.0 * (1.0 / before - 1.0))
    assert double["expected_events"] == pytest.approx(2.0 * first["expected_events"])
    limits = {
        **learning.EVALUATION["limits"],
        "grid": {
            **learning.EVALUATION["limits"]["grid"],
            "CWL2": {"range": [0.0, 1.0], "resolution": 3},
        },
        "confidence_levels": [0.9],
    }
    other, other_arrays = learning.results(toy_file, models, tmp_path / "c", limits=limits)
    assert other_arrays["q_shape"].shape == (15,)
    assert list(other["limits"]["shape"]["intervals"]["CWL2"]) == ["0.9"]


@pytest.mark.slow
@pytest.mark.parametrize("method", ["sally", "alices"])
def test_information_lies_between_histogram_and_truth(
    toy_file: Path, tmp_path: Path, method: str
) -> None:
    chosen = {
        "sally": learning.settings(
            "sally", n_samples=40_000, network={"n_hidden": [30]}, training={"n_epochs": 10}
        ),
        "alices": learning.settings(
            "alices",
            n_samples=60_000,
            theta0={
                "n_thetas": 500,
                "priors": {
                    name: {"prior": "gaussian", "mean": 0.0, "std": 1.0}
                    for name in ("CWL2", "CPWL2")
                },
            },
            network={"n_hidden": [30]},
            training={"n_epochs": 10, "alpha": 5.0},
        ),
    }[method]
    coarse = learning.settings("histogram", observables=["x0"], bins={"x0": [-1.0, 0.0, 1.0]})
    found = {}
    for name, each in (("histogram", coarse), (method, chosen)):
        archive = learning.model(toy_file, each, tmp_path)
        summary, _ = learning.results(toy_file, [archive], tmp_path / f"results_{name}")
        found[name] = [
            np.array(summary["fisher_information"][key]) for key in ("matrix", "statistical_error")
        ]
    problem = pose_problem(learning.evaluation(), toy_file)
    ceiling = truth(problem.everything, problem.fisher_theta, problem.luminosity)
    (low, low_error), (matrix, error) = found["histogram"], found[method]
    for i in range(2):
        margin = 3.0 * np.hypot(error[i, i], ceiling.error[i, i])
        assert matrix[i, i] < ceiling.matrix[i, i] + margin
        assert matrix[i, i] > low[i, i] - 3.0 * np.hypot(error[i, i], low_error[i, i])
    # At zero the joint score is 0.2 z: with smearing by 0.5, 0.04 / 1.25 per event remains.
    expected = 3000.0 * 0.04 / 1.25
    assert np.all(np.abs(np.diag(matrix) - expected) < 0.1 * expected + 3.0 * np.diag(error))
    # The histogram knows nothing about the second parameter.
    assert low[1, 1] < 0.05 * matrix[1, 1]


def refused(data: Path, models: list[Path], directory: Path, message: str, **changes: Any) -> None:
    write_json(directory / "evaluation.json", {**learning.EVALUATION, **changes})
    (directory / "out").mkdir(exist_ok=True)
    (directory / "out/Results.tar.gz").write_text("previous")
    with pytest.raises(InputError, match=message):
        evaluating(directory / "evaluation.json", data, models, directory / "out")
    assert [path.read_text() for path in (directory / "out").iterdir()] == ["previous"]


def test_models_that_do_not_belong_together(
    toy_file: Path, members: dict[str, tuple[Path, Path]], tmp_path: Path
) -> None:
    sally, again = members["sally"]
    message = "is a model of alices with other settings than .*sally_0.Model.tar.gz"
    refused(toy_file, [sally, members["alices"][0]], tmp_path, message)
    message = "is member 0 of sally, like"
    refused(toy_file, [sally, again, sally], tmp_path, message)


def edited(model: Path, directory: Path, **changes: Any) -> Path:
    content = unpack(model, directory / "content")
    note = read_json(content / "method.json")
    note["fingerprint"] |= changes
    write_json(content / "method.json", note)
    pack(content, directory / "Edited.tar.gz")
    return directory / "Edited.tar.gz"


@pytest.mark.parametrize("what", ["parameters", "observables"])
def test_model_of_another_analysis(
    toy_file: Path, members: dict[str, tuple[Path, Path]], tmp_path: Path, what: str
) -> None:
    other = edited(members["sally"][0], tmp_path, **{what: ["x0", "other"]})
    message = f"Edited.tar.gz: belongs to another analysis: its {what} are x0, other"
    refused(toy_file, [other], tmp_path, message)


def test_data_of_another_analysis(
    members: dict[str, tuple[Path, Path]], mixed: Physics, tiny: Physics, tmp_path: Path
) -> None:
    models = [members["sally"][0]]
    refused(mixed.combined, models, tmp_path, "its parameters are CWL2; the limits grid names")
    message = "its benchmark w is at 10, 0; that of the data is at 15.2, 0.1"
    refused(tiny.combined, models, tmp_path, message)
    refused(tiny.data[0], models, tmp_path, "contains the events of only one job")


def test_settings_of_another_analysis(
    toy_file: Path, members: dict[str, tuple[Path, Path]], tmp_path: Path
) -> None:
    models = [members["sally"][0]]
    refused(toy_file, models, tmp_path, "no benchmark neg_w; .* sm, w", fisher_theta="neg_w")
    limits = {**learning.EVALUATION["limits"], "theta_true": {"CWL2": 0.0}}
    refused(toy_file, models, tmp_path, "values for CWL2; expected CWL2, CPWL2", limits=limits)
    refused(toy_file, models, tmp_path, "is not the file that sampling writes", extra=1)


def test_what_is_no_model(
    toy_file: Path, members: dict[str, tuple[Path, Path]], tmp_path: Path
) -> None:
    good = members["sally"][0].read_bytes()
    for name, text in (("empty", b""), ("half", good[: len(good) // 2]), ("end", good[:-9])):
        (tmp_path / name).write_bytes(text)
        refused(toy_file, [tmp_path / name], tmp_path, f"{name}: cannot be unpacked")
    (tmp_path / "other").mkdir()
    (tmp_path / "other/results.json").write_text("{}")
    pack(tmp_path / "other", tmp_path / "Results.tar.gz")
    message = "Results.tar.gz: is not the expected archive: it has no method.json"
    refused(toy_file, [tmp_path / "Results.tar.gz"], tmp_path, message)


def test_one_parameter(tmp_path: Path) -> None:
    physics = run_physics(TINY1, tmp_path / "physics", njobs=1)
    sampling(TINY1, physics.combined, 1, tmp_path)
    for method in ("counts", "sally", "alices"):
        folder = tmp_path / "methods" / method
        training(folder / f"Samples_{method}_0.npz", tmp_path / method)
        model = tmp_path / method / "Model.tar.gz"
        evaluating(folder / "evaluation.json", physics.combined, [model], tmp_path / method)
        directory = unpack(tmp_path / method / "Results.tar.gz", tmp_path / f"{method}_results")
        with np.load(directory / "arrays.npz") as arrays:
            assert arrays["q_shape"].shape == (5,)
            check = dict(arrays)
        summary = read_json(directory / "results.json")
        check_finite(summary, check)
        assert np.shape(summary["fisher_information"]["matrix"]) == (1, 1)
