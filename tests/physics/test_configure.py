from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from madminer.core import MadMiner
from madminer.utils.morphing import PhysicsMorpher

from madminer_workflow.errors import InputError
from madminer_workflow.files import read_json
from madminer_workflow.madminer_file import read_setup
from madminer_workflow.physics.configure import configure
from madminer_workflow.statistics.monomials import Monomials
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


def test_more_benchmarks_than_terms_are_all_fitted(tiny: Physics, tmp_path: Path) -> None:
    """MadMiner takes the fit, and as many benchmarks as terms stay what they were."""
    more = {"x": {"CWL2": 3.0, "CPWL2": 4.0}, "y": {"CWL2": -3.0, "CPWL2": 7.0}}
    benchmarks = {**tiny.benchmarks(), **more, "z": {"CWL2": 9.0, "CPWL2": -7.0}}
    configure(analysis_file(tmp_path / "input.yml", benchmarks=benchmarks), tmp_path)
    setup = read_setup(tmp_path / "config.h5")
    assert setup.benchmark_names == [*benchmarks]
    coefficients = np.random.default_rng(1).normal(size=(10, 6))
    weights = coefficients @ Monomials(setup.components).values(setup.benchmarks).T
    np.testing.assert_allclose(weights @ setup.morphing_matrix, coefficients, atol=1e-11)
    miner = MadMiner()
    miner.load(str(tmp_path / "config.h5"))
    np.testing.assert_array_equal(miner.morpher.morphing_matrix.T, setup.morphing_matrix)


@pytest.mark.parametrize("powers", [([2, 0], [0, 2]), ([2, 2], [0, 2])])
def test_production_and_decay_are_those_of_madminer(
    tmp_path: Path, powers: tuple[list[int], list[int]]
) -> None:
    """MadMiner's couplings, with those of the Standard Model set to 1, in the same polynomial.

    It has these as couplings of production alone (gp), of decay alone (gd) or of both (gs), all in
    powers that add up to 4.
    """
    parameters = [
        {**entry, "morphing_max_power": power}
        for entry, power in zip(section("parameters"), powers, strict=True)
    ]
    morphing = {"max_overall_power": [2, 2], "n_trials": 10, "n_test_thetas": 10}
    file = analysis_file(tmp_path / "input.yml", parameters=parameters, morphing=morphing)
    configure(file, tmp_path)
    setup = read_setup(tmp_path / "config.h5")
    both = sum(min(power) > 0 for power in powers)
    theirs = PhysicsMorpher(parameter_max_power=[4, 4], parameter_range=[(-1.0, 1.0)] * 2)
    components = theirs.find_components(Np=2 - both, Nd=2, Ns=both)
    # In its order: in decay that of the Standard Model and ours, in production, then in both.
    wanted = np.unique(components[:, [3, 1]], axis=0)
    assert sorted(setup.components.tolist()) == wanted.tolist()
    if not both:
        assert len(wanted) == theirs.get_min_basis(Np=2, Nd=2)
        points = setup.benchmarks.T
        ones = np.ones(len(setup.benchmarks))
        theirs.set_basis(basis_p=np.array([ones, points[0]]), basis_d=np.array([ones, points[1]]))
        theta = np.array([1.5, -2.5])
        expected = theirs.calculate_morphing_weights(
            theta_p=np.array([1.0, theta[0]]), theta_d=np.array([1.0, theta[1]])
        )
        np.testing.assert_allclose(setup.morphing_weights(theta), expected, rtol=1e-6)


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
