"""Uncertainties of objects: which they concern, and what they do to events."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import awkward as ak
import h5py
import msgspec
import numpy as np
import pytest
import yaml
from madminer.analysis import DataAnalyzer

from madminer_workflow import madminer_fixes
from madminer_workflow.analysis.file import problems
from madminer_workflow.analysis.types import ObjectSystematic, Systematic
from madminer_workflow.errors import InputError
from madminer_workflow.madminer_file import read_sample, read_setup
from madminer_workflow.physics.delphes import delphes
from madminer_workflow.physics.objects import concerned, efficiency_factors
from tests.support.chain import TINY_SYSTEMATICS, Physics, analysis_file, measure_again

CONTENT = yaml.safe_load(TINY_SYSTEMATICS.read_text())
JETS = {
    "systematic_name": "jet_id",
    "effect": "efficiency",
    "efficiency_variation": 0.02,
    "particles": ["j"],
    "pt_range": [30.0, 100.0],
}
OBSERVABLES = [*CONTENT["observables"], {"name": "pt_j2", "definition": "j[1].pt", "default": 0.0}]


def with_objects(path: Path, *systematics: dict[str, Any], **sections: Any) -> Path:
    """The tiny analysis with more uncertainties, which affect its signal alone."""
    sections = {"observables": OBSERVABLES, **sections}
    everything = [*CONTENT["systematics"], *systematics]
    return analysis_file(path, TINY_SYSTEMATICS, systematics=everything, **sections)


@pytest.fixture(scope="module")
def efficient(uncertain: Physics, tmp_path_factory: pytest.TempPathFactory) -> Physics:
    """The events of ``uncertain`` with an uncertain efficiency of jets."""
    directory = tmp_path_factory.mktemp("efficient")
    return measure_again(uncertain, with_objects(directory / "input.yml", JETS), directory)


def told(tmp_path: Path, **changes: Any) -> list[str]:
    """What is wrong with the uncertainty of jets after changes."""
    file = with_objects(tmp_path / "input.yml", {**JETS, **changes})
    return [str(problem).split(": ", 1)[1] for problem in problems(file)]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            {"particles": ["jet"]},
            "particles[0]: unknown particle 'jet' (expected one of e, mu, l, tau, a, j, b); did "
            "you mean 'j'?",
        ),
        ({"particles": ["v"]}, "particles[0]: unknown particle 'v' (expected one of e, mu, l"),
        ({"particles": []}, "particles: expected at least 1 entry, got 0"),
        ({"efficiency_variation": 1.0}, "efficiency_variation: expected less than 1, got 1.0"),
        ({"efficiency_variation": 0.0}, "efficiency_variation: expected more than 0, got 0.0"),
        ({"pt_range": [50.0, 20.0]}, "pt_range: expected [lower, upper], got [50.0, 20.0]"),
        ({"eta_range": [-2.5, 2.5]}, "eta_range[0]: expected at least 0, got -2.5"),
        ({"norm_variation": 1.1}, "norm_variation: not used by effect 'efficiency' (only by norm)"),
    ],
)
def test_each_mistake_is_told(tmp_path: Path, changes: dict[str, Any], says: str) -> None:
    assert any(line.startswith(f"systematics[3].{says}") for line in told(tmp_path, **changes))


def test_a_size_is_asked_for(tmp_path: Path) -> None:
    entry = {key: value for key, value in JETS.items() if key != "efficiency_variation"}
    lines = [str(problem) for problem in problems(with_objects(tmp_path / "input.yml", entry))]
    missing = "systematics[3]: missing key 'efficiency_variation' (Relative change"
    assert any(missing in line for line in lines)


def particles(*events: list[dict[str, float]]) -> ak.Array:
    """Particles with PDG id, pT, pseudorapidity and tags, in events."""
    plain = {"eta": 0.0, "phi": 0.0, "mass": 0.0, "b_tag": False, "tau_tag": False}
    counts = [len(event) for event in events]
    rows = [{**plain, **particle} for event in events for particle in event]
    fields = {name: np.array([row[name] for row in rows]) for name in [*rows[0]]}
    return ak.unflatten(ak.zip(fields, with_name="Momentum4D"), counts)


def typed(affects: tuple[str, ...] = ("signal",), **entry: Any) -> ObjectSystematic:
    plain = {"pt_range": None, "eta_range": None, **entry}
    return ObjectSystematic(variation=msgspec.convert(plain, Systematic), processes=affects)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"particles": ["j"]}, [1, 1, 0, 0, 0, 1]),
        ({"particles": ["b"]}, [0, 1, 0, 0, 0, 0]),
        ({"particles": ["tau"]}, [0, 0, 0, 0, 0, 1]),
        ({"particles": ["l"]}, [0, 0, 1, 1, 0, 0]),
        ({"particles": ["mu", "a"]}, [0, 0, 0, 1, 1, 0]),
        ({"particles": ["j", "a"], "pt_range": [30.0, 60.0]}, [1, 0, 0, 0, 0, 1]),
        ({"particles": ["j", "a"], "eta_range": [0.0, 2.0]}, [1, 0, 0, 0, 1, 1]),
    ],
)
def test_which_objects_are_concerned(settings: dict[str, Any], expected: list[int]) -> None:
    """A limit from below belongs to the range, one from above to the next."""
    [flat] = particles(
        [
            {"pdgid": 9, "pt": 30.0, "eta": 1.0},
            {"pdgid": 9, "pt": 60.0, "eta": 2.0, "b_tag": True},
            {"pdgid": -11, "pt": 45.0, "eta": -2.5},
            {"pdgid": 13, "pt": 45.0, "eta": 2.5},
            {"pdgid": 22, "pt": 20.0, "eta": -1.9},
            {"pdgid": 9, "pt": 50.0, "eta": 0.0, "tau_tag": True},
        ]
    )
    entry = {**JETS, "pt_range": None, **settings}
    assert concerned(flat, typed(**entry).variation).tolist() == [bool(one) for one in expected]


def test_the_efficiency_of_every_object_enters() -> None:
    events = particles(
        [{"pdgid": 9, "pt": 50.0}, {"pdgid": 9, "pt": 40.0}, {"pdgid": 22, "pt": 40.0}],
        [{"pdgid": 9, "pt": 150.0}],
        [{"pdgid": 9, "pt": 99.0}],
    )
    up, down = efficiency_factors([typed(**JETS)], [events]).values()
    np.testing.assert_allclose(up, [1.02**2, 1.0, 1.02])
    np.testing.assert_allclose(down, [0.98**2, 1.0, 0.98])


def varied_weights(physics: Physics) -> dict[str, np.ndarray]:
    """The weights of events by nuisance benchmark."""
    names, sample = read_setup(physics.combined).nuisance_benchmarks, read_sample(physics.combined)
    return dict(zip(names, sample.nuisance_weights.T, strict=True))


def test_efficiencies_change_weights(efficient: Physics, uncertain: Physics) -> None:
    """Those of the process that they affect, by the jets in range; nothing else differs."""
    setup, sample = read_setup(efficient.combined), read_sample(efficient.combined)
    before, varied = read_sample(uncertain.combined), varied_weights(efficient)
    for name in ("weights", "shares", "sampling_ids"):
        np.testing.assert_array_equal(getattr(sample, name), getattr(before, name))
    np.testing.assert_array_equal(sample.observations[:, :2], before.observations)
    for name, column in varied_weights(uncertain).items():
        np.testing.assert_array_equal(varied[name], column)
    pt = sample.observations[:, [0, 2]]
    number = ((pt >= 30.0) & (pt < 100.0)).sum(axis=1) * (sample.sampling_ids >= 0)
    assert {*number} == {0, 1, 2}
    assert [one.effect for one in setup.nuisance] == ["scale", "norm", "norm", "efficiency"]
    for name, factor in zip(setup.nuisance[-1].benchmarks, (1.02, 0.98), strict=True):
        expected = sample.weights[:, 0] * factor**number
        np.testing.assert_allclose(varied[name], expected, rtol=1e-12)


def test_madminer_reads_the_weights(efficient: Physics) -> None:
    madminer_fixes.apply()
    analyzer, sample = DataAnalyzer(str(efficient.combined)), read_sample(efficient.combined)
    assert list(analyzer.nuisance_parameters)[-1] == "jet_id_nuisance_param_0"
    assert analyzer.systematics["jet_id"].type.value == "norm"
    theirs, n = analyzer.weighted_events()[1], sample.weights.shape[1]
    shares = theirs[:, :1] / sample.weights[:, :1]
    np.testing.assert_allclose(theirs[:, n:], sample.nuisance_weights * shares)


def test_the_same_events_serve_every_uncertainty(
    efficient: Physics, uncertain: Physics, tmp_path: Path
) -> None:
    assert efficient.generation.read_bytes() == uncertain.generation.read_bytes()
    file = with_objects(tmp_path / "input.yml", {**JETS, "efficiency_variation": 0.03})
    again = measure_again(uncertain, file, tmp_path)
    assert again.config.read_bytes() == efficient.config.read_bytes()
    assert again.reconstruction.read_bytes() != efficient.reconstruction.read_bytes()
    name = read_setup(again.config).nuisance[-1].positive
    wide, narrow = (varied_weights(physics)[name] for physics in (again, efficient))
    assert np.max(wide / narrow) == pytest.approx((1.03 / 1.02) ** 2)


def test_settings_of_another_analysis(
    efficient: Physics, uncertain: Physics, tmp_path: Path
) -> None:
    mixed = functools.partial(delphes, events=uncertain.events[0], output=tmp_path / "out")
    words = "its systematic uncertainties|its nuisance parameters"
    for config, reconstruction in (
        (efficient.config, uncertain.reconstruction),
        (uncertain.config, efficient.reconstruction),
    ):
        with pytest.raises(InputError, match=f"reconstruction.json: belongs to another.*({words})"):
            mixed(config, reconstruction)
    assert not (tmp_path / "out").exists()


def test_effects_that_nobody_knows(efficient: Physics, tmp_path: Path) -> None:
    copy = tmp_path / "x.h5"
    copy.write_bytes(efficient.combined.read_bytes())
    with h5py.File(copy, "a") as file:
        effects = file["madminer_workflow/effects"][()].astype("S20")
        del file["madminer_workflow/effects"]
        file["madminer_workflow/effects"] = [*effects[:-1], b"miracle"]
    with pytest.raises(InputError, match=r"x.h5: .*madminer_workflow/effects: has an unknown"):
        read_setup(copy)
