from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from madminer.analysis import DataAnalyzer
from madminer.sampling import combine_and_shuffle

import tests.support.chain
from madminer_workflow.errors import InputError
from madminer_workflow.files import read_json
from madminer_workflow.madminer_file import (
    read_report,
    read_sample,
    read_setup,
)
from madminer_workflow.ml.sampling import sampling
from madminer_workflow.physics.combine import combine
from madminer_workflow.physics.shuffling import rows_in_order
from madminer_workflow.physics.tasks import all_tasks, split_into_jobs
from madminer_workflow.products.jobs import write_jobs
from madminer_workflow.products.parts import read_generation
from madminer_workflow.statistics.sample import Sample
from tests.support.chain import Physics, analysis_file, run_physics, simulate
from tests.support.paths import DATA

PRODUCTS = ["closure.json", "combined_delphes.h5", "cutflow.json"]


def combined(physics: Physics, data: list[Path], output: Path) -> dict[str, bytes]:
    combine(physics.config, physics.generation, data, output)
    return {path.name: path.read_bytes() for path in output.iterdir()}


def rows(sample: Sample) -> list[tuple[float, ...]]:
    """The events, sorted."""
    columns = (sample.observations, sample.weights, sample.sampling_ids[:, None])
    return sorted(map(tuple, np.concatenate(columns, axis=1).tolist()))


@pytest.mark.parametrize("njobs", [1, 2, 7, 40])
def test_njobs_does_not_matter(tiny: Physics, tmp_path: Path, njobs: int) -> None:
    tasks = all_tasks(read_generation(tiny.generation))
    write_jobs(tmp_path, split_into_jobs(tasks, njobs))
    jobs = sorted((tmp_path / "jobs").iterdir())
    other = simulate(
        Physics(**{**vars(tiny), "jobs": jobs}),
        tmp_path,
    )
    assert len(other.data) == njobs
    first = {path.name: path.read_bytes() for path in tiny.combined.parent.iterdir()}
    assert sorted(first) == PRODUCTS
    assert combined(tiny, other.data, tmp_path / "out") == first


def test_order_of_files_does_not_matter(tiny: Physics, mixed: Physics, tmp_path: Path) -> None:
    for physics in (tiny, mixed):
        out = tmp_path / physics.combined.parent.parent.name
        first = combined(physics, physics.data, out)
        assert combined(physics, physics.data[::-1], out) == first
        assert sorted(first) == PRODUCTS


@pytest.mark.parametrize("which", ["tiny", "mixed"])
def test_events_are_madminers_combination(
    which: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    physics: Physics = request.getfixturevalue(which)
    theirs = tmp_path / "madminer.h5"
    combine_and_shuffle([str(path) for path in physics.data], str(theirs))
    ours, reference = read_sample(physics.combined), read_sample(theirs)
    assert rows(ours) == rows(reference)
    np.testing.assert_array_equal(ours.generated, reference.generated)
    assert ours.background == reference.background
    assert ours.observables == reference.observables


def test_shuffled(tiny: Physics) -> None:
    ids = read_sample(tiny.combined).sampling_ids
    assert np.count_nonzero(np.diff(ids)) > len(ids) / 3


@pytest.mark.parametrize("which", ["tiny", "mixed"])
def test_cut_flow_adds_up(which: str, request: pytest.FixtureRequest) -> None:
    physics: Physics = request.getfixturevalue(which)
    flows = read_json(physics.combined.parent / "cutflow.json")
    sample, names = read_sample(physics.combined), read_setup(physics.config).benchmark_names
    generation = read_json(physics.generation)
    asked = {
        (process["name"], name): n
        for process in generation["processes"]
        for name, n in process["events"].items()
    }
    assert {(f["process"], f["sampling_benchmark"]): f["generated"] for f in flows} == asked
    for flow in flows:
        passed = [step["passed"] for step in flow["steps"]]
        assert sorted([flow["generated"], *passed], reverse=True) == [flow["generated"], *passed]
        id_ = -1 if flow["is_background"] else names.index(flow["sampling_benchmark"])
        assert passed[-1] == np.count_nonzero(sample.sampling_ids == id_)


def test_background_does_not_depend_on_the_parameters(mixed: Physics) -> None:
    sample, setup = read_sample(mixed.combined), read_setup(mixed.config)
    weights = sample.weights[sample.sampling_ids == -1]
    assert sample.background == len(weights) > 0
    assert sample.generated.sum() == len(sample.weights) - len(weights)
    np.testing.assert_array_equal(weights, np.repeat(weights[:, :1], weights.shape[1], axis=1))
    np.testing.assert_allclose(setup.morphing_weights(np.array([0.7])).sum(), 1.0)
    np.testing.assert_array_equal(sample.shares[sample.sampling_ids == -1], 1.0)


@pytest.mark.parametrize("which", ["tiny", "mixed"])
def test_madminer_reads_the_same_cross_sections(
    which: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """With its own shares, MadMiner finds what our file says; with ours, it agrees in errors."""
    physics: Physics = request.getfixturevalue(which)
    sample, setup = read_sample(physics.combined), read_setup(physics.config)
    found, uncertainties = DataAnalyzer(str(physics.combined)).xsecs()
    shares = np.where(
        sample.sampling_ids < 0,
        1.0,
        (sample.generated / sample.generated.sum())[sample.sampling_ids],
    )
    np.testing.assert_allclose(found, shares @ sample.weights, rtol=1e-6)
    ours = sample.shares @ sample.weights
    spread = np.sqrt(sample.shares**2 @ sample.weights**2)
    assert np.all(np.abs(found - ours) < 5.0 * np.hypot(uncertainties, spread))
    assert len(found) == len(setup.benchmark_names)


def test_report_says_how_the_events_came_about(tiny: Physics) -> None:
    report = read_report(tiny.combined)
    assert report["cut_flow"] == read_json(tiny.combined.parent / "cutflow.json")
    assert report["closure"] == read_json(tiny.combined.parent / "closure.json")
    assert report["cross_sections"] == tiny.cross_sections()


def refused(physics: Physics, data: list[Path], tmp_path: Path, error: type, message: str) -> None:
    output = tmp_path / "out"
    output.mkdir()
    for name in PRODUCTS:
        (output / name).write_text("previous")
    with pytest.raises(error, match=message):
        combine(physics.config, physics.generation, data, output)
    assert sorted(path.name for path in output.iterdir()) == PRODUCTS
    assert {path.read_text() for path in output.iterdir()} == {"previous"}


def test_missing_job(tiny: Physics, tmp_path: Path) -> None:
    message = r"\d of 5 blocks of events are missing, e.g. block 0 of signal sampled from"
    refused(tiny, tiny.data[:-1], tmp_path, InputError, message)


def test_doubled_job(tiny: Physics, tmp_path: Path) -> None:
    message = r"\d of 5 blocks of events are given twice or unknown, e.g. block 0 of signal"
    refused(tiny, [*tiny.data, tiny.data[0]], tmp_path, InputError, message)


def test_no_files(tiny: Physics, tmp_path: Path) -> None:
    refused(tiny, [], tmp_path, InputError, "no data files")


def test_data_of_another_analysis(tiny: Physics, mixed: Physics, tmp_path: Path) -> None:
    data = [*tiny.data[:-1], mixed.data[0]]
    refused(tiny, data, tmp_path, InputError, "belongs to another analysis: its parameters")


def edited(path: Path, copy: Path, dataset: str, values: object) -> Path:
    copy.write_bytes(path.read_bytes())
    with h5py.File(copy, "a") as file:
        file[dataset][...] = values
    return copy


def test_other_observables(tiny: Physics, tmp_path: Path) -> None:
    other = edited(tiny.data[0], tmp_path / "x.h5", "observables/names", [b"pt_j1", b"dphi_jj"])
    refused(tiny, [other, *tiny.data[1:]], tmp_path, InputError, "different observables")


def test_other_benchmark_values(tiny: Physics, tmp_path: Path) -> None:
    values = read_setup(tiny.data[0]).benchmarks + 0.1
    other = edited(tiny.data[0], tmp_path / "x.h5", "benchmarks/values", values)
    message = r"x.h5: belongs to another analysis: its benchmark sm is at 0.1, 0.1; that of .* 0, 0"
    refused(tiny, [other, *tiny.data[1:]], tmp_path, InputError, message)


def test_other_morphing(tiny: Physics, tmp_path: Path) -> None:
    matrix = 2.0 * read_setup(tiny.data[0]).morphing_matrix.T
    other = edited(tiny.data[0], tmp_path / "x.h5", "morphing/morphing_matrix", matrix)
    message = r"x.h5: belongs to another analysis: the order of its benchmarks or its morphing is"
    refused(tiny, [other, *tiny.data[1:]], tmp_path, InputError, message)


def test_a_file_that_is_not_from_delphes(tiny: Physics, tmp_path: Path) -> None:
    for path in (tiny.combined, DATA / "madminer_lhereader_oracle.h5"):
        with pytest.raises(InputError, match="is not a delphes_data"):
            combine(tiny.config, tiny.generation, [path], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_truncated_data(tiny: Physics, tmp_path: Path) -> None:
    (tmp_path / "x.h5").write_bytes(tiny.data[0].read_bytes()[:-100])
    data = [tmp_path / "x.h5", *tiny.data[1:]]
    refused(tiny, data, tmp_path, InputError, "x.h5: cannot be read as HDF5: truncated")


def test_backgrounds_alone_make_events_and_nothing_to_learn(tmp_path: Path) -> None:
    process = {
        **tests.support.chain.tiny("processes")[0],
        "is_background": True,
        "events": {"sm": 150},
    }
    file = analysis_file(tmp_path / "input.yml", processes=[process])
    physics = run_physics(file, tmp_path / "run", njobs=2)
    sample = read_sample(physics.combined)
    assert sample.background == len(sample.weights) > 100
    assert read_json(physics.combined.parent / "closure.json")["checks"] == []
    with pytest.raises(InputError, match="processes: all are backgrounds"):
        sampling(file, physics.combined, 1, tmp_path / "sampling")


def test_rows_are_put_in_order_across_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(1)
    arrays = [rng.normal(size=(n, 3)) for n in (5, 0, 12, 1, 0)]
    order = rng.permutation(18)
    expected = np.concatenate(arrays)[order]
    [rows] = rows_in_order(arrays, order, tmp_path)
    np.testing.assert_array_equal(rows, expected)
    for module in ("large_arrays", "physics.shuffling"):
        monkeypatch.setattr(f"madminer_workflow.{module}.ROWS", 4)
    pieces = list(rows_in_order(arrays, order, tmp_path))
    assert [len(some) for some in pieces] == [4, 4, 4, 4, 2]
    np.testing.assert_array_equal(np.concatenate(pieces), expected)
