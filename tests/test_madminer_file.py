from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from madminer.analysis import DataAnalyzer
from madminer.utils.interfaces.hdf5 import load_events, load_madminer_settings

from madminer_workflow import hdf5_files, large_arrays
from madminer_workflow.errors import InputError
from madminer_workflow.large_arrays import release
from madminer_workflow.madminer_file import (
    read_definitions,
    read_report,
    read_sample,
    read_setup,
    write_sample,
)
from madminer_workflow.statistics.setup import Setup
from tests.support.paths import DATA

THETAS = st.lists(st.floats(-20.0, 20.0), min_size=2, max_size=2).map(np.array)


def test_benchmarks_are_reproduced_by_morphing(setup: Setup) -> None:
    np.testing.assert_allclose(
        setup.morphing_weights(setup.benchmarks), np.eye(len(setup.benchmark_names)), atol=1e-9
    )


@given(theta=THETAS)
def test_morphing_is_madminers(setup: Setup, toy_file: Path, theta: np.ndarray) -> None:
    morpher = DataAnalyzer(str(toy_file)).morpher
    np.testing.assert_allclose(
        setup.morphing_weights(theta), morpher.calculate_morphing_weights(theta), atol=1e-9
    )
    np.testing.assert_allclose(
        setup.morphing_gradients(theta),
        morpher.calculate_morphing_weight_gradient(theta),
        atol=1e-9,
    )


def test_shares_are_madminers_unless_stored(toy_file: Path, setup: Setup) -> None:
    sample = read_sample(toy_file)
    _, theirs = next(DataAnalyzer(str(toy_file)).event_loader(batch_size=None))
    np.testing.assert_allclose(sample.weights * sample.shares[:, None], theirs)


def test_madminer_reads_what_we_write(tmp_path: Path) -> None:
    original = DATA / "madminer_lhereader_oracle.h5"
    definitions = read_definitions(original)
    copy = tmp_path / "copy.h5"
    write_sample(copy, DATA / "madminer_config.h5", read_sample(original), definitions, {"n": [1]})
    assert read_report(copy) == {"n": [1]}
    assert read_report(original) == {}
    settings = load_madminer_settings(str(copy), include_nuisance_benchmarks=False)
    assert list(settings[0]) == ["CWL2", "CPWL2"]
    assert {name: obs.val_expression for name, obs in settings[5].items()} == definitions
    for ours, theirs in zip(
        next(load_events(str(copy), include_sampling_ids=True)),
        next(load_events(str(original), include_sampling_ids=True)),
        strict=True,
    ):
        np.testing.assert_array_equal(ours, theirs)


def test_same_content_gives_same_bytes(tmp_path: Path) -> None:
    sample = read_sample(DATA / "madminer_lhereader_oracle.h5")
    definitions = dict.fromkeys(sample.observables, "x")
    for name in ("a.h5", "b.h5"):
        write_sample(tmp_path / name, DATA / "madminer_config.h5", sample, definitions, {})
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()


def test_broken_files_are_named(tmp_path: Path) -> None:
    whole = (DATA / "madminer_lhereader_oracle.h5").read_bytes()
    truncated = tmp_path / "truncated.h5"
    truncated.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"truncated.h5: cannot be read as HDF5: truncated"):
        read_sample(truncated)
    with pytest.raises(InputError, match=r"none.h5: .*no such file"):
        read_setup(tmp_path / "none.h5")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = 1
    with pytest.raises(InputError, match=r"other.h5: is not a MadMiner file"):
        read_setup(tmp_path / "other.h5")
    with pytest.raises(InputError, match=r"madminer_config.h5: is not a MadMiner file"):
        read_sample(DATA / "madminer_config.h5")


def test_samples_left_in_the_file_are_the_same(toy_file: Path) -> None:
    sample, mapped = read_sample(toy_file), read_sample(toy_file, mapped_from=0)
    for name in ("observations", "weights", "nuisance_weights", "shares"):
        np.testing.assert_array_equal(getattr(mapped, name), getattr(sample, name))
    assert not mapped.observations.flags.owndata
    with pytest.raises(ValueError, match="read-only"):
        mapped.observations[:] = 0.0
    release(mapped.observations)
    np.testing.assert_array_equal(mapped.observations, sample.observations)


def test_weights_are_the_same_however_many_are_read_at_once(
    toy_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sample = read_sample(toy_file)
    monkeypatch.setattr(large_arrays, "ROWS", 7)
    for name in ("weights", "nuisance_weights"):
        ours, theirs = getattr(read_sample(toy_file), name), getattr(sample, name)
        np.testing.assert_array_equal(ours, theirs)
        assert ours.flags.f_contiguous and theirs.flags.f_contiguous


def test_seals_do_not_depend_on_how_much_is_read_at_once(
    toy_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with hdf5_files.opened(toy_file, "a MadMiner file") as file:
        whole = file.digest()
        monkeypatch.setattr(hdf5_files, "AT_ONCE", 1000)
        assert file.digest() == whole
        assert file.text(hdf5_files.SEAL) == whole


def test_files_written_in_pieces_are_the_same(toy_file: Path, tmp_path: Path) -> None:
    sample, definitions = read_sample(toy_file), read_definitions(toy_file)
    config = DATA / "madminer_config.h5"
    write_sample(tmp_path / "whole.h5", config, sample, definitions, {})
    without = replace(sample, observations=np.empty((len(sample.shares), 0)))
    pieces = np.array_split(sample.observations, 7)
    write_sample(tmp_path / "pieces.h5", config, without, definitions, {}, pieces)
    assert (tmp_path / "pieces.h5").read_bytes() == (tmp_path / "whole.h5").read_bytes()
