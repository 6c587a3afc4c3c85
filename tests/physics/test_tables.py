"""Events that exist in tables: what they measure, their weights, and errors that say where."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest

from madminer_workflow.analysis import tables
from madminer_workflow.madminer_file import read_sample, read_setup
from madminer_workflow.ml.evaluating import evaluating
from madminer_workflow.ml.sampling import sampling
from madminer_workflow.ml.training import training
from madminer_workflow.physics import tasks
from madminer_workflow.physics.points import benchmark_values
from madminer_workflow.physics.readers.delphes_root import read_delphes
from madminer_workflow.products.results import read_results
from madminer_workflow.statistics.sample import Sample
from tests.support.chain import TINY, TINY1, Physics, analysis_file, measure_again, run_physics
from tests.support.chain import tiny as section
from tests.support.paths import DATA
from tests.support.tables import FORMATS, write_nanoaod, write_table


def generated(physics: Physics, scratch: Path) -> dict[str, dict[str, np.ndarray]]:
    """What all events of the tiny run measure, and their weights, by benchmark."""
    whole = analysis_file(scratch / "input.yml", TINY, cuts=[])
    again = measure_again(physics, whole, scratch)
    setup, samples = read_setup(physics.config), [*map(read_sample, again.data)]
    tables = {}
    for i, benchmark in enumerate(section("benchmarks")):
        parts = [(sample, sample.sampling_ids == i) for sample in samples]
        observed = np.concatenate([sample.observations[chosen] for sample, chosen in parts])
        weights = np.concatenate([sample.weights[chosen] for sample, chosen in parts])
        columns = dict(zip(samples[0].observables, observed.T, strict=True))
        tables[benchmark] = columns | dict(zip(setup.benchmark_names, weights.T, strict=True))
    return tables


def of_tables(physics: Physics, folder: Path) -> Path:
    """The analysis of the tiny run with its events as tables in ``folder``, two a benchmark.

    Those of each benchmark have another format.
    """
    suffixes = dict(zip(section("benchmarks"), 2 * FORMATS, strict=False))
    found = physics.cross_sections()["signal"]
    (folder / "whole").mkdir(parents=True)
    for name, table in generated(physics, folder / "whole").items():
        half = len(table[name]) // 2
        for number, part in enumerate((slice(0, half), slice(half, None))):
            columns = {sixth(key): values[part] for key, values in table.items()}
            place = folder / "events" / f"{name}_{number}.{suffixes[name]}"
            write_table(place, columns, as_rntuple=number == 1)
    values = {name: found[name][0] for name in suffixes}
    process = {
        "name": "signal",
        "generator": "files",
        "files": {name: [f"events/{name}_?.{suffix}"] for name, suffix in suffixes.items()},
        "cross_section": values,
        "sum_of_weights": values,
    }
    added = benchmark_values(read_setup(physics.config))
    observables = [
        {"name": "pt_j1", "definition": "pt_j1", "required": True, "range": [0.0, 500.0]},
        {"name": "deta_jj", "definition": "deta_jj", "default": 0.0},
    ]
    return analysis_file(
        folder / "input.yml",
        TINY,
        benchmarks={sixth(name): point for name, point in added.items()},
        processes=[process],
        detector={},
        observables=observables,
    )


def sixth(name: str) -> str:
    """Names that MadMiner gives are not for people."""
    return name.replace("morphing_basis_vector_5", "sixth")


def test_events_of_a_run_come_back_from_tables(tiny: Physics, tmp_path: Path) -> None:
    """The same observables, weights and limits; shares have the digits of the cross-sections."""
    file = of_tables(tiny, tmp_path)
    again = run_physics(file, tmp_path, njobs=2)
    before, after = read_sample(tiny.combined), read_sample(again.combined)
    np.testing.assert_array_equal(after.observations, before.observations)
    np.testing.assert_allclose(after.weights, before.weights, rtol=1e-12)
    np.testing.assert_allclose(after.shares, before.shares, rtol=1e-9)
    np.testing.assert_array_equal(after.sampling_ids, before.sampling_ids)
    limits = [limits_of(one, tmp_path / str(i)) for i, one in enumerate((tiny, again))]
    np.testing.assert_allclose(limits[1], limits[0], rtol=1e-8, atol=1e-8)


def limits_of(physics: Physics, directory: Path) -> np.ndarray:
    """The test statistic of the histogram on the grid."""
    ml = {**section("ml"), "methods": section("ml")["methods"][:1]}
    directory.mkdir(exist_ok=True)
    file = analysis_file(directory / "histogram.yml", physics.input, ml=ml)
    sampling(file, physics.combined, 1, directory)
    evaluation = directory / "methods/counts/evaluation.json"
    training_file = sorted((directory / "methods/counts").glob("Samples_*"))[0]
    training(training_file, directory)
    evaluating(evaluation, physics.combined, [directory / "Model.tar.gz"], directory)
    arrays = read_results(directory / "Results.tar.gz").arrays
    return np.concatenate([arrays[name].ravel() for name in sorted(arrays) if name[:2] == "q_"])


PARAMETER = {"CWL2": 0.0}, {"CWL2": 1.0}, {"CWL2": -1.0}
POINTS = dict(zip(("sm", "w", "neg_w"), PARAMETER, strict=True))


def one_parameter(
    path: Path, observables: dict[str, str], cuts: list[str], acceptance: Any = None, **keys: Any
) -> Path:
    """An analysis of one parameter with tables at three points of it."""
    return analysis_file(
        path,
        TINY1,
        benchmarks=POINTS,
        processes=[{"name": "signal", "generator": "files", **keys}],
        detector={"acceptance": acceptance or {}},
        observables=[{"name": n, "definition": d, "default": -1.0} for n, d in observables.items()],
        cuts=[{"definition": definition} for definition in cuts],
    )


def sorted_rows(sample: Sample) -> np.ndarray:
    """Observables and weights of all events, in an order that depends on them only."""
    rows = np.column_stack([sample.observations, sample.weights * sample.shares[:, None]])
    return in_order(rows)


def in_order(rows: Any) -> np.ndarray:
    array = np.asarray(rows)
    return array[np.lexsort(array.T)]


NANO = {
    "n_jets": "len(Jet_pt)",
    "pt_j1": "Jet_pt[0]",
    "pt_last": "Jet_pt[-1]",
    "m_jj": "(j[0] + j[1]).m",
    "met": "MET_pt",
    "phi_met": "met.phi",
}


@pytest.mark.parametrize("as_rntuple", [False, True])
def test_nanoaod_with_weights_of_an_effective_theory(
    as_rntuple: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weights relative to genWeight, sums from Runs, jagged branches, and pieces of all sizes."""
    monkeypatch.setattr(tables, "AT_ONCE", 70)
    monkeypatch.setattr(tasks, "BLOCK", 64)
    written = write_nanoaod(tmp_path / "a/nano.root", 200, 1000.0, as_rntuple)
    file = one_parameter(
        tmp_path / "a/input.yml",
        NANO,
        ["MET_pt > 10.0 and len(Jet_pt) >= 1"],
        files={"sm": ["nano.root"]},
        cross_section={"sm": 2.0},
        weights={
            "w": "genWeight*LHEReweightingWeight[1]",
            "neg_w": "genWeight*LHEReweightingWeight[2]",
        },
    )
    sample = read_sample(run_physics(file, tmp_path).combined)
    jets, met = written["Jet"], written["MET_pt"]
    passes = (met > 10.0) & (ak.num(jets) >= 1)
    first, pairs = jets[passes][:, 0], ak.pad_none(jets[passes], 2)
    mass = ak.to_numpy(ak.fill_none(mass_of(pairs[:, 0], pairs[:, 1]), -1.0))
    relative = ak.to_numpy(written["LHEReweightingWeight"])[passes]
    expected = np.column_stack(
        [
            ak.num(jets)[passes],
            first.pt,
            jets[passes][:, -1].pt,
            mass,
            met[passes],
            written["MET_phi"][passes],
            2.0 / 1000.0 * written["genWeight"][passes, None] * relative,
        ]
    )
    np.testing.assert_allclose(sorted_rows(sample), in_order(expected), rtol=1e-9, atol=1e-12)


def mass_of(one: Any, other: Any) -> Any:
    """The invariant mass of two particles."""
    px, py, pz, e = (0.0, 0.0, 0.0, 0.0)
    for p in (one, other):
        x, y, z = p.pt * np.cos(p.phi), p.pt * np.sin(p.phi), p.pt * np.sinh(p.eta)
        px, py, pz = px + x, py + y, pz + z
        e = e + np.sqrt(x**2 + y**2 + z**2 + p.mass**2)
    return np.sqrt(e**2 - px**2 - py**2 - pz**2)


def test_what_delphes_has_written(tmp_path: Path) -> None:
    """Particles as after our own Delphes, and branches beside them."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a/delphes.root").symlink_to(DATA / "wbf_delphes_60.root")
    file = one_parameter(
        tmp_path / "a/input.yml",
        {"pt_j1": "j[0].pt", "met": "met.pt", "same": "Jet_PT[0]", "tags": "j[0].b_tag"},
        ["len(a) >= 1"],
        {"pt_min_a": 60.0},
        files={"sm": ["delphes.root"]},
        cross_section={"sm": 2.0},
        weights={"w": "1.3*Event_Weight[0]", "neg_w": "1.1*Event_Weight[0]"},
    )
    sample = read_sample(run_physics(file, tmp_path).combined)
    found = read_delphes(DATA / "wbf_delphes_60.root", {"j", "a", "met"}).objects
    passes = ak.any(found["a"].pt >= 60.0, axis=1)
    assert 0 < ak.sum(passes) < ak.sum(ak.num(found["a"]) >= 1)
    pt = ak.to_numpy(ak.fill_none(ak.pad_none(found["j"].pt, 1)[:, 0], -1.0))
    expected = np.column_stack([pt, found["met"].pt])[passes]
    chosen = sample.observations[:, :2]
    np.testing.assert_allclose(in_order(chosen), in_order(expected), rtol=1e-6)
    np.testing.assert_allclose(sample.observations[:, 0], sample.observations[:, 2], rtol=1e-6)
    np.testing.assert_allclose(sample.weights[:, 1], 1.3 * sample.weights[:, 0], rtol=1e-12)
    assert sample.weights[:, 0].mean() == pytest.approx(2.0 / 60, rel=1e-6)
