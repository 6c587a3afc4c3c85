"""Damaged products: each is refused in one line that names the file and what is wrong with it."""

from __future__ import annotations

import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch

from madminer_workflow.array_files import read_npz
from madminer_workflow.errors import InputError
from madminer_workflow.files import pack, unpack, write_json
from madminer_workflow.hdf5_files import SEAL
from madminer_workflow.ml import methods
from madminer_workflow.ml.member import open_members
from madminer_workflow.ml.training import training
from madminer_workflow.products.problem import pose_problem, read_events
from madminer_workflow.products.results import read_results
from madminer_workflow.products.samples import read_samples
from tests.support import learning

METHODS = ["histogram", "sally", "alices", "polynomial"]


@pytest.fixture(scope="module")
def models(toy_file: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    place = tmp_path_factory.mktemp("models")
    return {name: learning.model(toy_file, learning.settings(name), place) for name in METHODS}


def refused(act: Callable[[], Any], name: str) -> str:
    """The line that an action is refused with, which has a name of a file in it."""
    with pytest.raises(InputError) as error:
        act()
    message = str(error.value)
    assert name in message
    assert message.isprintable()
    assert len(message) < 1000
    return message


class Payload:
    def __reduce__(self) -> Any:
        return os.mkdir, ("payload",)


def weights(change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], None]:
    """A change of the weights of a network."""

    def damage(directory: Path) -> None:
        file = directory / "model_state_dict.pt"
        state = torch.load(file, weights_only=True)
        torch.save(change(state) or state, file)

    return damage


def array(name: str, value: Any) -> Callable[[Path], None]:
    return lambda directory: np.save(directory / name, value, allow_pickle=True)


def arrays(file: str, **changes: Any) -> Callable[[Path], None]:
    """Other arrays in an archive; None for one that is left out."""

    def damage(directory: Path) -> None:
        known = {**read_npz(directory / file), **changes}
        left = {name: value for name, value in known.items() if value is not None}
        np.savez(directory / file, allow_pickle=True, **left)

    return damage


NAN = float("nan")
FIRST = "layers.0.weight"
MODELS: list[tuple[str, str, Callable[[Path], None]]] = [
    ("sally", "NaN or infinite", weights(lambda s: s[FIRST].fill_(NAN) is None)),
    (
        "sally",
        "NaN or infinite",
        weights(lambda s: s[FIRST].view(-1)[0].fill_(float("inf")) is None),
    ),
    ("sally", "has no layers.0.weight of", weights(lambda s: s | {FIRST: torch.ones(3)})),
    ("sally", "has no layers.0.weight of", weights(lambda s: {"other": torch.ones(3)})),
    ("sally", "is of the type", weights(lambda s: s | {FIRST: s[FIRST].to(torch.complex64)})),
    ("sally", "does not contain the weights", weights(lambda s: Payload())),
    ("sally", "zip", lambda d: (d / "model_state_dict.pt").write_bytes(pickle.dumps(Payload()))),
    ("sally", "model_x_means.npy", lambda d: (d / "model_x_means.npy").unlink()),
    ("sally", "x_means: has 3 entries", array("model_x_means.npy", np.zeros(3))),
    ("sally", "x_means.npy: is of the type complex", array("model_x_means.npy", np.zeros(2) * 1j)),
    ("sally", "of the type object", array("model_x_means.npy", np.array([Payload(), 1]))),
    ("sally", "x_stds: has a number below", array("model_x_stds.npy", np.zeros(2))),
    ("sally", "x_stds: 2 of 2 numbers are NaN", array("model_x_stds.npy", np.full(2, NAN))),
    (
        "sally",
        "breaks off|not that of its shape",
        lambda d: os.truncate(d / "model_x_stds.npy", 130),
    ),
    ("sally", "settings.json", lambda d: (d / "model_settings.json").unlink()),
    ("sally", "not valid JSON", lambda d: (d / "model_settings.json").write_text("[" * 100_000)),
    ("sally", "n_hidden", lambda d: write_json(d / "model_settings.json", {"n_hidden": [10**9]})),
    ("alices", "theta_means", lambda d: (d / "model_theta_means.npy").unlink()),
    ("histogram", "template", arrays("histogram.npz", template=None)),
    ("histogram", "template: has 2 entries", arrays("histogram.npz", template=np.ones((2, 6)))),
    ("histogram", "edges are not increasing", arrays("histogram.npz", edges_0=[3.0, 2.0, 4.0])),
    ("histogram", "edges_0: 1 of 3 numbers", arrays("histogram.npz", edges_0=[2.0, 3.0, NAN])),
    ("histogram", "observables", arrays("histogram.npz", observables=["x0", "x9"])),
    ("polynomial", "NaN or infinite", arrays("polynomial.npz", weights_0=np.full((2, 8), NAN))),
    ("polynomial", "weights_0: has 8 entries", arrays("polynomial.npz", weights_1=None)),
    ("polynomial", "biases_0: has 7 entries", arrays("polynomial.npz", biases_0=np.ones(7))),
    ("polynomial", "widths|units", arrays("polynomial.npz", widths=np.zeros(2))),
    ("polynomial", "of the type object", arrays("polynomial.npz", origin=np.array([{}, 1]))),
    ("polynomial", "coefficients", arrays("norm.npz", coefficients=np.ones(5))),
    ("polynomial", "powers", arrays("norm.npz", powers=np.full((6, 2), 10**9))),
    ("polynomial", "norm.npz", lambda d: (d / "norm.npz").unlink()),
]


@pytest.mark.parametrize(("method", "says", "damage"), MODELS)
def test_models(
    models: dict[str, Path],
    toy_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    method: str,
    says: str,
    damage: Callable[[Path], None],
) -> None:
    monkeypatch.chdir(tmp_path)
    directory = unpack(models[method], tmp_path / "x")
    damage(directory)
    # A new archive, with the checksums of what is in it now.
    pack(directory, tmp_path / "Model.tar.gz")
    problem = pose_problem(learning.evaluation(), toy_file)

    def ask() -> None:
        place = tmp_path / "y"
        members = open_members([tmp_path / "Model.tar.gz"], place, problem.everything)
        methods.family_of(members[0].note.settings).fisher_scores(members, problem)

    message = refused(ask, "Model.tar.gz")
    assert any(word in message for word in says.split("|")), message
    assert str(tmp_path / "y") not in message
    assert not (tmp_path / "payload").exists()


def test_what_was_changed_after_it_was_packed(models: dict[str, Path], tmp_path: Path) -> None:
    import tarfile

    with tarfile.open(models["sally"]) as old, tarfile.open(tmp_path / "x.tar.gz", "w:gz") as new:
        for member in old:
            new.addfile(
                member, old.extractfile("model_x_stds.npy" if "means" in member.name else member)
            )
    message = refused(lambda: unpack(tmp_path / "x.tar.gz", tmp_path / "x"), "x.tar.gz")
    assert "model_x_means.npy was changed after it was packed" in message


def dataset(name: str, value: Any, **options: Any) -> Callable[[h5py.File], None]:
    def damage(file: h5py.File) -> None:
        del file[name]
        if value is not None or options:
            file.create_dataset(name, data=value, **options)

    return damage


def link(name: str, target: Any) -> Callable[[h5py.File], None]:
    def damage(file: h5py.File) -> None:
        del file[name]
        file[name] = target

    return damage


def scaled(name: str, change: Callable[[np.ndarray], Any]) -> Callable[[h5py.File], None]:
    def damage(file: h5py.File) -> None:
        value = change(file[name][()])
        del file[name]
        file[name] = value

    return damage


W, X = "samples/weights", "samples/observations"
HDF5: list[tuple[str, Callable[[h5py.File], None]]] = [
    ("it has no samples/weights", dataset(W, None)),
    ("NaN or infinite", scaled(W, lambda w: np.where(np.arange(len(w))[:, None] == 3, np.nan, w))),
    ("cross-section of 0 pb", scaled(W, lambda w: 0.0 * w)),
    ("cross-section of -", scaled(W, lambda w: -w)),
    ("more than any event has", scaled(W, lambda w: w * 1e300)),
    ("is of the type complex", scaled(W, lambda w: w + 0j)),
    ("is of the type complex", scaled(X, lambda x: x + 0j)),
    ("has 2 dimensions|has 1 dim", scaled(X, lambda x: x.ravel())),
    ("entries along axis 0", scaled(X, lambda x: x[:-1])),
    ("has the shape", scaled(W, lambda w: np.hstack([w, w[:, :1]]))),
    ("not a data set", link(W, h5py.SoftLink("/samples"))),
    ("link to another place", link(W, h5py.SoftLink("/samples/weights"))),
    ("link to another place", link(W, h5py.ExternalLink("other.h5", W))),
    ("link to another place", link("samples", h5py.ExternalLink("other.h5", "samples"))),
    (
        "in another file",
        dataset(
            W, None, shape=(9, 6), dtype=float, external=[("/etc/passwd", 0, h5py.h5f.UNLIMITED)]
        ),
    ),
    ("more than fits into the file", dataset(W, None, shape=(10**9, 10**6), chunks=(10, 10))),
    ("is of the type object", dataset(W, h5py.Reference(), dtype=h5py.ref_dtype)),
    ("neither true nor false", dataset("benchmarks/is_nuisance", [7] * 6)),
    ("impossible powers", scaled("morphing/components", lambda c: c + 10**9)),
    ("NaN or infinite", scaled("morphing/morphing_matrix", lambda m: m * np.nan)),
    (
        "numbers that are not those of a benchmark",
        scaled("samples/sampling_benchmarks", lambda i: i + 99),
    ),
    ("expected distinct names", scaled("benchmarks/names", lambda n: [n[0]] * len(n))),
    ("expected distinct names", scaled("parameters/names", lambda n: [b"a\nb", b"c"])),
    ("changed after it was written", scaled(X, lambda x: x + 1e-9)),
    ("changed after it was written", scaled("benchmarks/values", lambda v: 2.0 * v)),
]


@pytest.mark.parametrize(("says", "damage"), HDF5)
def test_madminer_files(
    toy_file: Path, tmp_path: Path, says: str, damage: Callable[[h5py.File], None]
) -> None:
    data = tmp_path / "data.h5"
    shutil.copyfile(toy_file, data)
    with h5py.File(data, "a") as file:
        assert SEAL in file
        damage(file)
    message = refused(lambda: read_events(data), "data.h5")
    assert any(word in message for word in (*says.split("|"), "link to another place")), message


SAMPLES: list[tuple[str, str, dict[str, Any]]] = [
    ("histogram", "x: 9 of 9 numbers are NaN", {"x": np.full((3, 3), NAN)}),
    ("histogram", "no events", {}),
    ("sally", "it has no t_xz", {"t_xz": None}),
    ("sally", "it has no x_val", {"x_val": None}),
    ("sally", "more", {"more": np.ones(3)}),
    ("alices", "y: is of the type complex", {"y": np.ones((600, 1)) * 1j}),
    ("alices", "r_xz: ", {"r_xz": np.full((600, 1), np.inf)}),
    ("polynomial", "powers", {"powers": np.ones((5, 2), dtype=int)}),
]


@pytest.mark.parametrize(("method", "says", "changes"), SAMPLES)
def test_samples(
    toy_file: Path, tmp_path: Path, method: str, says: str, changes: dict[str, Any]
) -> None:
    good = learning.samples(toy_file, learning.settings(method), tmp_path)
    known = read_npz(good)
    sealed = {**known, "x": known["x"] + 1.0}
    np.savez(tmp_path / "sealed.npz", **sealed)
    assert "changed after it was written" in refused(
        lambda: read_samples(tmp_path / "sealed.npz"), "sealed.npz"
    )
    # Without a checksum, as others might write it.
    known["content"] = np.array(str(known["content"]).replace('"sha256"', '"other"'))
    if not changes:
        changes = {name: known[name][:0] for name in ("x", "weights", "reference_weights")}
    left = {name: value for name, value in {**known, **changes}.items() if value is not None}
    np.savez(tmp_path / "bad.npz", **left)
    message = refused(lambda: training(tmp_path / "bad.npz", tmp_path / "out"), "bad.npz")
    assert says in message or "dimensions" in message or "entries" in message


def test_results_of_nothing(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    write_json(tmp_path / "x" / "results.json", {})
    pack(tmp_path / "x", tmp_path / "Results.tar.gz")
    message = refused(lambda: read_results(tmp_path / "Results.tar.gz"), "Results.tar.gz")
    assert "contains no results of a method from evaluating (it has no arrays.npz)" in message
