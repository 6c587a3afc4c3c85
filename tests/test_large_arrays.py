from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from madminer_workflow import array_files, large_arrays
from madminer_workflow.array_files import read_npz
from madminer_workflow.large_arrays import RowsFile, by_rows, columns, empty, pieces, release
from madminer_workflow.madminer_file import read_sample, read_setup
from madminer_workflow.statistics import information
from madminer_workflow.statistics.events import Events, union
from madminer_workflow.statistics.nuisance import varied_rates, varied_totals


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(large_arrays, "ROWS", 7)
    monkeypatch.setattr(large_arrays, "MAPPED_FROM", 1)
    monkeypatch.setattr(array_files, "MAPPED_FROM", 1)


def test_pieces_are_all_rows_once(small_pieces: None) -> None:
    for n in (0, 1, 6, 7, 8, 30):
        rows = [row for piece in pieces(n) for row in range(n)[piece]]
        assert rows == list(range(n))
    assert list(pieces(0)) == [slice(0, 0)]


def test_large_arrays_are_in_files_and_can_be_released(small_pieces: None) -> None:
    array = empty(20, 3)
    array[:] = np.arange(60.0).reshape(20, 3)
    release(array)
    np.testing.assert_array_equal(array, np.arange(60.0).reshape(20, 3))
    assert array.flags.f_contiguous and isinstance(array.base, np.memmap)
    doubled = by_rows(20, 3, lambda rows: 2.0 * array[rows])
    np.testing.assert_array_equal(doubled, 2.0 * array)
    np.testing.assert_array_equal(columns(array, [2, 0]), array[:, [2, 0]])


def test_few_rows_are_made_at_once() -> None:
    assert not isinstance(empty(20, 3).base, np.memmap)
    asked: list[slice] = []
    by_rows(20, 1, lambda rows: asked.append(rows) or np.zeros((20, 1)))
    assert asked == [slice(0, 20)]


def test_rows_of_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = np.random.default_rng(1).normal(size=(11, 3))
    for least in (1, 1 << 20):
        monkeypatch.setattr(large_arrays, "MAPPED_FROM", least)
        with RowsFile(tmp_path, 3) as file:
            file.append(rows[:4])
            file.append(rows[4:])
            np.testing.assert_array_equal(file.all(), rows)
            assert [len(some) for some in file.pieces(5)] == [5, 5, 1]
            mapped = file.mapped()
        np.testing.assert_array_equal(mapped, rows)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_left_in_archives_are_the_same(
    order: str, tmp_path: Path, small_pieces: None
) -> None:
    wanted = {
        "a": np.asarray(np.random.default_rng(1).normal(size=(9, 4)), order=order),
        "b": np.arange(5, dtype=np.uint8),
    }
    np.savez(tmp_path / "x.npz", **wanted)
    arrays = read_npz(tmp_path / "x.npz")
    for name, array in wanted.items():
        assert isinstance(arrays[name].base, np.memmap)
        np.testing.assert_array_equal(arrays[name], array)
        assert arrays[name].flags.f_contiguous == array.flags.f_contiguous
        assert arrays[name].dtype == array.dtype


def test_a_damaged_array_of_an_archive_is_not_left_there(
    tmp_path: Path, small_pieces: None
) -> None:
    np.savez(tmp_path / "x.npz", a=np.arange(100.0))
    data = bytearray((tmp_path / "x.npz").read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / "x.npz").write_bytes(data)
    with pytest.raises(array_files.DAMAGES):
        read_npz(tmp_path / "x.npz")


def sums_of(events: Events) -> list[np.ndarray]:
    theta = events.setup.theta(events.setup.reference)
    cells = np.arange(len(events)) % 3
    counts = information.histogram(events, cells, 3, theta, 1000.0, seed=1)
    partons = information.truth(events, theta, 1000.0)
    part = events.part(0.2, 0.7)
    return [
        counts.estimate,
        counts.replicas,
        partons.matrix,
        partons.error,
        varied_rates(part, cells[: len(part)], 3),
        varied_totals(part),
        part.weights,
        part.columns(events.observables[:1]),
        part.weights_at(theta),
    ]


def test_sums_do_not_depend_on_how_many_events_are_read_at_once(
    toy_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    setup = read_setup(toy_file)
    at_once = sums_of(union(read_sample(toy_file), setup))
    monkeypatch.setattr(large_arrays, "ROWS", 97)
    monkeypatch.setattr(large_arrays, "MAPPED_FROM", 1)
    information._drawn.cache_clear()
    in_pieces = sums_of(union(read_sample(toy_file), setup))
    information._drawn.cache_clear()
    for ours, theirs in zip(in_pieces, at_once, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-11, atol=1e-14)
