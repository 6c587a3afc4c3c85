from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from madminer.core import MadMiner

from madminer_workflow.errors import InputError
from madminer_workflow.files import read_json
from madminer_workflow.madminer_file import read_setup
from madminer_workflow.physics.configure import configure
from tests.support.chain import TINY, Physics, analysis_file
from tests.support.chain import tiny as section

PRODUCTS = ["Models.tar.gz", "analysis.json", "config.h5", "generation.json", "reconstruction.json"]


def products(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def test_products_are_the_same_every_time(tiny: Physics, tmp_path: Path) -> None:
    first = products(tiny.config.parent)
    assert sorted(first) == PRODUCTS
    for _ in range(2):
        configure(TINY, tmp_path)
        assert products(tmp_path) == first


def test_madminer_reads_the_set_up(tiny: Physics) -> None:
    miner = MadMiner()
    miner.load(str(tiny.config))
    declared = section("benchmarks")
    assert list(miner.parameters) == ["CWL2", "CPWL2"]
    assert list(miner.benchmarks)[: len(declared)] == list(declared)
    for name, values in declared.items():
        assert miner.benchmarks[name].values == values


def test_madminer_is_given_nothing_to_evaluate(tmp_path: Path) -> None:
    """It would hand a transform to Python's eval; generators have the values."""
    transforms = ["(1 if theta == theta else 1000)*theta", "theta"]
    parameters = [
        {**entry, "param_card_transform": text}
        for entry, text in zip(section("parameters"), transforms, strict=True)
    ]
    configure(analysis_file(tmp_path / "input.yml", parameters=parameters), tmp_path)
    with h5py.File(tmp_path / "config.h5") as file:
        assert set(file["parameters/transforms"][()].tolist()) == {b"_"}


def test_morphing_reproduces_every_benchmark(tiny: Physics) -> None:
    setup = read_setup(tiny.config)
    weights = setup.morphing_weights(setup.benchmarks)
    np.testing.assert_allclose(weights, np.eye(len(weights)), atol=1e-9)


@pytest.mark.parametrize(
    ("change", "changed"),
    [
        ({"title": "Another title"}, {"analysis.json"}),
        ({"cuts": [{"definition": "pt_j1 > 30.0"}]}, {"analysis.json", "reconstruction.json"}),
        (
            {"morphing": {"max_overall_power": 2, "n_trials": 11, "n_test_thetas": 10}},
            {"analysis.json", "generation.json"},
        ),
    ],
)
def test_a_change_reaches_only_what_depends_on_it(
    tiny: Physics, tmp_path: Path, change: dict, changed: set[str]
) -> None:
    configure(analysis_file(tmp_path / "input.yml", **change), tmp_path / "new")
    before, after = products(tiny.config.parent), products(tmp_path / "new")
    assert {name for name in PRODUCTS if before[name] != after[name]} == changed


def test_plot_labels_are_in_neither_physics_part(tiny: Physics) -> None:
    for path in (tiny.generation, tiny.reconstruction):
        assert "latex" not in path.read_text()
    assert "ml" not in read_json(tiny.generation)


def test_refusal_leaves_previous_products(tiny: Physics, tmp_path: Path) -> None:
    configure(TINY, tmp_path / "out")
    before = products(tmp_path / "out")
    bad = analysis_file(tmp_path / "bad.yml", benchmarks={"sm": {"CWL2": 0.0, "CPWL3": 0.0}})
    with pytest.raises(InputError, match=r"CPWL3.*CPWL2"):
        configure(bad, tmp_path / "out")
    assert products(tmp_path / "out") == before
