from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import yaml
from madminer.analysis import DataAnalyzer
from madminer.core import MadMiner
from madminer.utils.interfaces.lhe import extract_nuisance_parameters_from_lhe_file, parse_lhe_file

from madminer_workflow import madminer_fixes
from madminer_workflow.analysis.file import problems
from madminer_workflow.analysis.systematics import Nuisance, nuisance_parameters, weight_variations
from madminer_workflow.files import read_json, unpack
from madminer_workflow.madminer_file import read_sample, read_setup
from tests.support import parts
from tests.support.chain import TINY_SYSTEMATICS, Physics, analysis_file, run_physics
from tests.support.parts import NORM, PDF, SCALE


def test_names_are_madminers() -> None:
    scale, norm = nuisance_parameters(parts.systematics([SCALE, NORM]))
    name = "scale_nuisance_param_0"
    assert scale == Nuisance(name, "scale", "scale", f"{name}_benchmark_0", f"{name}_benchmark_1")
    name = "lumi_nuisance_param_0"
    assert norm == Nuisance(name, "lumi", "norm", f"{name}_benchmark_0", None)


@pytest.mark.parametrize(("error_type", "sides"), [("hessian", [2, 2]), ("symmhessian", [1] * 4)])
def test_members_of_a_pdf_set(error_type: str, sides: list[int]) -> None:
    pdf = parts.systematics([{**PDF, "pdf_error_type": error_type}])
    assert [len(n.benchmarks) for n in nuisance_parameters(pdf)] == sides
    variations = weight_variations(pdf)
    assert [v.pdf_member for v in variations] == [0, 1, 2, 3, 4]
    assert {v.pdf_set for v in variations} == {"SET"}
    assert variations[0].benchmark == "pdf_nuisance_central"
    names = [b for n in nuisance_parameters(pdf) for b in n.benchmarks]
    assert [v.benchmark for v in variations[1:]] == names


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, [(2.0, 2.0), (0.5, 0.5)]),
        ({"scale": "muf"}, [(1.0, 2.0), (1.0, 0.5)]),
        ({"scale": "mur", "scale_variations": [2.0]}, [(2.0, 1.0)]),
    ],
)
def test_factors_on_the_scales(changes: dict[str, Any], expected: list[tuple]) -> None:
    norm, scale = parts.systematics([NORM, {**SCALE, **changes}])
    variations = weight_variations([norm, scale])
    assert [(v.mur, v.muf) for v in variations] == expected
    names = [b for n in nuisance_parameters([scale]) for b in n.benchmarks]
    assert [v.benchmark for v in variations] == names


@pytest.fixture(autouse=True)
def fixed_madminer() -> None:
    madminer_fixes.apply()


def test_madminer_reads_the_systematics(uncertain: Physics) -> None:
    miner = MadMiner()
    miner.load(str(uncertain.config))
    assert [(s.name, s.type.value, s.value) for s in miner.systematics.values()] == [
        ("scale", "scale", "0.5,1.0,2.0"),
        ("lumi", "norm", 1.02),
        ("signal_norm", "norm", 1.05),
    ]
    assert list(miner.benchmarks) == ["sm", "w", "neg_w"]


def test_madminer_reads_the_nuisance_parameters(uncertain: Physics) -> None:
    analyzer, setup = DataAnalyzer(str(uncertain.combined)), read_setup(uncertain.combined)
    theirs = [
        (p.name, p.systematic, p.benchmark_pos, p.benchmark_neg)
        for p in analyzer.nuisance_parameters.values()
    ]
    assert theirs == [(n.name, n.systematic, n.positive, n.negative) for n in setup.nuisance]
    assert analyzer.reference_benchmark == setup.reference == "sm"
    sample = read_sample(uncertain.combined)
    analyzer_weights = analyzer.weighted_events()[1]
    assert analyzer_weights.shape[1] == len(setup.benchmark_names) + len(setup.nuisance_benchmarks)
    assert sample.nuisance_weights.shape == (700, 4)


def test_toys_are_drawn_between_measurements_that_are_known_on_both_sides(tmp_path: Path) -> None:
    ml = yaml.safe_load(TINY_SYSTEMATICS.read_text())["ml"]
    ml["limits"]["toys"] = {"n_toys": 10, "nuisance_parameters": "prior"}
    systematics = yaml.safe_load(TINY_SYSTEMATICS.read_text())["systematics"]
    told = []
    for effect in ("energy_scale", "energy_resolution"):
        systematics.append(
            {
                "systematic_name": f"of_{effect}",
                "effect": effect,
                f"{effect}_variation": 0.03,
                "particles": ["j"],
            }
        )
        changes = {"ml": ml, "systematics": systematics}
        path = analysis_file(tmp_path / "input.yml", TINY_SYSTEMATICS, **changes)
        told.append([str(problem) for problem in problems(path)])
    assert not told[0]
    [refusal] = told[1]
    assert (
        "nuisance_parameters: of_energy_resolution (energy_resolution) is known only at +1"
        in refusal
    )


def test_every_process_has_its_own_uncertainties(uncertain: Physics) -> None:
    setup, sample = read_setup(uncertain.combined), read_sample(uncertain.combined)
    ratios = sample.nuisance_weights / sample.weights[:, [0]]
    columns = dict(zip(setup.nuisance_benchmarks, ratios.T, strict=True))
    signal = sample.sampling_ids >= 0
    own = columns["signal_norm_nuisance_param_0_benchmark_0"]
    np.testing.assert_allclose(own, np.where(signal, 1.05, 1.0), rtol=1e-12)
    np.testing.assert_allclose(columns["lumi_nuisance_param_0_benchmark_0"], 1.02, rtol=1e-12)
    up, down = (columns[f"scale_nuisance_param_0_benchmark_{k}"] for k in range(2))
    for chosen in (signal, ~signal):
        assert np.mean(up[chosen]) < 0.99 and np.mean(down[chosen]) > 1.01
        assert np.std(up[chosen]) > 0.01


def test_uncertainties_only_add_columns(uncertain: Physics, tmp_path: Path) -> None:
    """Without them the events and their weights are the same, to the last bit."""
    processes = yaml.safe_load(TINY_SYSTEMATICS.read_text())["processes"]
    for process in processes:
        process.pop("systematics", None)
    input_file = analysis_file(
        tmp_path / "input.yml", TINY_SYSTEMATICS, systematics=[], processes=processes
    )
    plain = run_physics(input_file, tmp_path)
    for path in (plain.config, plain.combined):
        with h5py.File(path) as file:
            assert not {"systematics", "nuisance_parameters"} & file.keys()
            assert not file["benchmarks/is_nuisance"][()].any()
            assert not file["benchmarks/is_reference"][()].any()
    ours, theirs = read_sample(uncertain.combined), read_sample(plain.combined)
    for name in ("observations", "weights", "shares", "sampling_ids"):
        np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name))
    assert theirs.nuisance_weights.shape == (700, 0)


def test_madminer_reads_the_varied_weights(uncertain: Physics, tmp_path: Path) -> None:
    """Its own reader of LHE files finds the weights in the header, and their values."""
    miner = MadMiner()
    miner.load(str(uncertain.config))
    scale = OrderedDict(scale=miner.systematics["scale"])
    content = unpack(uncertain.events[0], tmp_path)
    task = read_json(content / "events.json")["tasks"][0]
    file = str(content / task["file"])
    found = extract_nuisance_parameters_from_lhe_file(file, scale)
    names = [f"scale_nuisance_param_0_benchmark_{k}" for k in range(2)]
    assert found == {"scale": {"scale_nuisance_param_0": (*zip(names, names, strict=True), None)}}
    observables = OrderedDict(miner_observable())
    _, weights = parse_lhe_file(
        filename=file,
        sampling_benchmark="sm",
        benchmark_names=list(miner.benchmarks),
        observables=observables,
        systematics_dict=found,
    )
    text = Path(file).read_text()
    for name in names:
        printed = [line.split()[2] for line in text.splitlines() if f"<wgt id='{name}'>" in line]
        np.testing.assert_allclose(weights[name], np.array(printed, dtype=float))


def miner_observable() -> dict[str, Any]:
    from madminer.models import Observable

    return {"pt": Observable("pt", "j[0].pt")}
