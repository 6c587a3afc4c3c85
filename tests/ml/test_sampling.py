from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import yaml

from madminer_workflow import hdf5_files
from madminer_workflow.errors import InputError
from madminer_workflow.files import read_json
from madminer_workflow.ml.sampling import sampling
from madminer_workflow.products.samples import read_samples
from tests.support.chain import TINY, TINY1, Physics, analysis_file
from tests.support.chain import tiny as section


def products(directory: Path) -> dict[str, bytes]:
    files = (path for path in directory.rglob("*") if path.is_file())
    return {path.relative_to(directory).as_posix(): path.read_bytes() for path in files}


def with_method(path: Path, name: str, **changes: Any) -> Path:
    """The tiny analysis with other settings of one method."""
    ml = section("ml")
    next(method for method in ml["methods"] if method.get("name") == name).update(changes)
    return analysis_file(path, ml=ml)


def test_one_directory_per_method(tiny: Physics, tmp_path: Path) -> None:
    sampling(TINY, tiny.combined, 2, tmp_path)
    assert sorted(products(tmp_path)) == [
        "analysis.json",
        "methods/counts/Samples_counts_0.npz",
        "methods/counts/evaluation.json",
        "methods/ratio/Samples_ratio_0.npz",
        "methods/ratio/Samples_ratio_1.npz",
        "methods/ratio/evaluation.json",
        "methods/sally/Samples_sally_0.npz",
        "methods/sally/Samples_sally_1.npz",
        "methods/sally/evaluation.json",
    ]


def test_fewer_members_leave_none_behind(tiny: Physics, tmp_path: Path) -> None:
    sampling(TINY, tiny.combined, 3, tmp_path)
    sampling(TINY, tiny.combined, 1, tmp_path / "fresh")
    fresh = products(tmp_path / "fresh")
    sampling(TINY, tiny.combined, 1, tmp_path)
    again = {name: text for name, text in products(tmp_path).items() if "fresh" not in name}
    assert again == fresh


def test_members_differ_and_do_not_depend_on_their_number(tiny: Physics, tmp_path: Path) -> None:
    for n in (1, 3):
        sampling(TINY, tiny.combined, n, tmp_path / str(n))
    one, three = products(tmp_path / "1"), products(tmp_path / "3")
    assert one == {name: three[name] for name in one}
    names = [f"methods/sally/Samples_sally_{i}.npz" for i in range(3)]
    assert len({three[name] for name in names}) == 3


def test_only_what_a_method_depends_on_reaches_its_samples(tiny: Physics, tmp_path: Path) -> None:
    sampling(TINY, tiny.combined, 1, tmp_path / "a")
    changed = with_method(tmp_path / "b.yml", "sally", n_samples=401)
    sampling(changed, tiny.combined, 1, tmp_path / "b")
    before, after = products(tmp_path / "a"), products(tmp_path / "b")
    different = {name for name in before if before[name] != after[name]}
    assert different == {"analysis.json", "methods/sally/Samples_sally_0.npz"}


def test_another_seed_draws_other_samples(tiny: Physics, tmp_path: Path) -> None:
    for seed in (1, 2):
        sampling(
            analysis_file(tmp_path / "x.yml", seed=seed), tiny.combined, 1, tmp_path / str(seed)
        )
    for name in ("methods/sally/Samples_sally_0.npz", "methods/ratio/Samples_ratio_0.npz"):
        one, two = (read_samples(tmp_path / seed / name) for seed in ("1", "2"))
        assert one.note.seed != two.note.seed
        assert not np.array_equal(one.arrays["x"], two.arrays["x"])


@pytest.mark.parametrize("name", ["sally", "ratio"])
@pytest.mark.parametrize("n_samples", [100, 250])
def test_n_samples_counts_training_and_validation(
    tiny: Physics, tmp_path: Path, name: str, n_samples: int
) -> None:
    training = {"n_epochs": 2, "validation_split": 0.2}
    file = with_method(tmp_path / "x.yml", name, n_samples=n_samples, training=training)
    sampling(file, tiny.combined, 1, tmp_path)
    arrays = read_samples(tmp_path / f"methods/{name}/Samples_{name}_0.npz").arrays
    assert (len(arrays["x"]), len(arrays["x_val"])) == (0.8 * n_samples, 0.2 * n_samples)


@pytest.mark.parametrize("name", ["sally", "ratio"])
@pytest.mark.parametrize("features", [["deta_jj"], ["deta_jj", "pt_j1"], None])
def test_features_are_the_columns(
    tiny: Physics, tmp_path: Path, name: str, features: list[str] | None
) -> None:
    sampling(with_method(tmp_path / "x.yml", name, features=features), tiny.combined, 1, tmp_path)
    arrays = read_samples(tmp_path / f"methods/{name}/Samples_{name}_0.npz").arrays
    expected = features or ["pt_j1", "deta_jj"]
    assert arrays["x"].shape[1] == len(expected)
    column = arrays["x"][:, expected.index("deta_jj")]
    assert 0.0 <= column.min() <= column.max() < 15.0


def test_theta0_and_theta1_reach_the_samples(tiny: Physics, tmp_path: Path) -> None:
    theta0 = {
        "n_thetas": 7,
        "priors": {
            "CWL2": {"prior": "flat", "min": 3.0, "max": 4.0},
            "CPWL2": {"prior": "gaussian", "mean": -2.0, "std": 0.001},
        },
    }
    file = with_method(tmp_path / "x.yml", "ratio", theta0=theta0, theta1="w")
    sampling(file, tiny.combined, 1, tmp_path / "w")
    arrays = read_samples(tmp_path / "w/methods/ratio/Samples_ratio_0.npz").arrays
    assert len(np.unique(arrays["theta"], axis=0)) == 7
    assert 3.0 <= arrays["theta"][:, 0].min() <= arrays["theta"][:, 0].max() <= 4.0
    np.testing.assert_allclose(arrays["theta"][:, 1], -2.0, atol=0.01)
    file = with_method(tmp_path / "x.yml", "ratio", theta0=theta0, theta1="sm")
    sampling(file, tiny.combined, 1, tmp_path / "sm")
    others = read_samples(tmp_path / "sm/methods/ratio/Samples_ratio_0.npz").arrays
    assert not np.allclose(arrays["r_xz"], others["r_xz"])


def test_test_events_are_not_drawn(tiny: Physics, tmp_path: Path) -> None:
    sampling(TINY, tiny.combined, 1, tmp_path)
    with h5py.File(tiny.combined) as file:
        x = file["samples/observations"][()].astype(np.float32)
    held_back = {row.tobytes() for row in x[round(0.5 * len(x)) :]}
    arrays = read_samples(tmp_path / "methods/sally/Samples_sally_0.npz").arrays
    drawn = {row.tobytes() for name in ("x", "x_val") for row in arrays[name]}
    assert not drawn & held_back


def refused(input_file: Path, data: Path, n: int, output: Path, message: str) -> None:
    output.mkdir()
    (output / "analysis.json").write_text("previous")
    with pytest.raises(InputError, match=message):
        sampling(input_file, data, n, output)
    assert products(output) == {"analysis.json": b"previous"}


@pytest.mark.parametrize("n", [0, -3])
def test_no_members(tiny: Physics, tmp_path: Path, n: int) -> None:
    refused(
        TINY, tiny.combined, n, tmp_path / "out", rf"ntrainsamples: is {n}; expected at least 1"
    )


def test_the_size_of_a_methods_ensemble_is_its_own(tiny: Physics, tmp_path: Path) -> None:
    sampling(TINY, tiny.combined, 2, tmp_path / "usual")
    sampling(TINY, tiny.combined, 2, tmp_path / "own", ["sally.n_estimators=3"])
    before, after = (
        {name: data for name, data in products(tmp_path / folder).items() if "Samples" in name}
        for folder in ("usual", "own")
    )
    # The members that there are already stay what they are: they need no other training.
    assert after.pop("methods/sally/Samples_sally_2.npz")
    assert after == before
    sampling(TINY, tiny.combined, 2, tmp_path / "one", ["ratio.n_estimators=1"])
    assert "methods/ratio/Samples_ratio_1.npz" not in products(tmp_path / "one")


def test_data_with_other_parameters(tiny: Physics, mixed: Physics, tmp_path: Path) -> None:
    message = "another analysis: its parameters are CWL2, CPWL2; expected CWL2"
    refused(TINY1, tiny.combined, 1, tmp_path / "a", message)
    message = "another analysis: its parameters are CWL2; expected CWL2, CPWL2"
    refused(TINY, mixed.combined, 1, tmp_path / "b", message)


def test_data_with_other_observables(tiny: Physics, tmp_path: Path) -> None:
    observables = [*section("observables"), {"name": "met", "definition": "met.pt", "default": 0.0}]
    file = analysis_file(tmp_path / "x.yml", observables=observables)
    message = "its observables are pt_j1, deta_jj; expected pt_j1, deta_jj, met"
    refused(file, tiny.combined, 1, tmp_path / "out", message)


def test_data_with_other_benchmarks(tiny: Physics, tmp_path: Path) -> None:
    benchmarks = section("benchmarks")
    moved = {**benchmarks, "w": {"CWL2": 15.3, "CPWL2": 0.1}}
    file = analysis_file(tmp_path / "x.yml", benchmarks=moved)
    message = r"its benchmark w is at 15.2, 0.1; expected 15.3, 0.1"
    refused(file, tiny.combined, 1, tmp_path / "a", message)
    text = yaml.safe_load(TINY.read_text())
    text["benchmarks"]["up"] = text["benchmarks"].pop("w")
    text["processes"][0]["events"]["up"] = text["processes"][0]["events"].pop("w")
    file.write_text(yaml.safe_dump(text, sort_keys=False))
    refused(file, tiny.combined, 1, tmp_path / "b", "another analysis: no benchmark up")


def test_events_of_one_job_only(tiny: Physics, tmp_path: Path) -> None:
    message = "contains the events of only one job"
    refused(TINY, tiny.data[0], 1, tmp_path / "out", message)


def test_undefined_observables_are_named(tiny: Physics, tmp_path: Path) -> None:
    copy = tmp_path / "nan.h5"
    copy.write_bytes(tiny.combined.read_bytes())
    with h5py.File(copy, "a") as file:
        file["samples/observations"][2:5, 1] = np.nan
        hdf5_files.seal(file)
    message = r"the observable deta_jj is undefined in 3 of \d+ events, .* method sally"
    refused(TINY, copy, 1, tmp_path / "out", message)


def test_evaluation_holds_what_its_method_needs_only(tiny: Physics, tmp_path: Path) -> None:
    sampling(TINY, tiny.combined, 1, tmp_path)
    keys = {"analysis", "luminosity", "theta_ref", "test_split", "limits", "fisher_theta", "seed"}
    assert read_json(tmp_path / "methods/sally/evaluation.json").keys() == keys
