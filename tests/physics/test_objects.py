"""Uncertainties of objects: which they concern, and what they do to events."""

from __future__ import annotations

import functools
from dataclasses import replace
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
from madminer_workflow.files import pack, read_json, write_json
from madminer_workflow.madminer_file import read_sample, read_setup
from madminer_workflow.physics.combine import combine
from madminer_workflow.physics.delphes import delphes
from madminer_workflow.physics.momenta import register_momenta
from madminer_workflow.physics.objects import (
    Shift,
    concerned,
    efficiency_factors,
    shifts_of,
)
from madminer_workflow.physics.readers.delphes_root import read_delphes
from madminer_workflow.physics.reconstruction import (
    _warn_of_threshold,
    reconstruct_delphes,
    warn_of_thresholds,
)
from madminer_workflow.physics.tasks import all_tasks, split_into_jobs
from madminer_workflow.products.jobs import write_jobs
from madminer_workflow.products.parts import read_generation
from madminer_workflow.statistics.events import union
from madminer_workflow.statistics.sample import Sample, joined, reordered_shifted
from tests.support import parts
from tests.support.chain import (
    TINY_SYSTEMATICS,
    Physics,
    analysis_file,
    measure_again,
    simulate,
)
from tests.support.paths import DATA

CONTENT = yaml.safe_load(TINY_SYSTEMATICS.read_text())
JETS = {
    "systematic_name": "jet_id",
    "effect": "efficiency",
    "efficiency_variation": 0.02,
    "particles": ["j"],
    "pt_range": [30.0, 100.0],
}
SCALE = {
    "systematic_name": "jes",
    "effect": "energy_scale",
    "energy_scale_variation": 0.05,
    "particles": ["j"],
}
RESOLUTION = {
    "systematic_name": "jer",
    "effect": "energy_resolution",
    "energy_resolution_variation": 0.1,
    "particles": ["j"],
}
COUNTS = CONTENT["ml"]["methods"][0]
MET = {"systematic_name": "soft", "effect": "met_scale", "met_scale_variation": 0.1}
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


CUT = 60.0
SHIFTED_OBSERVABLES = [*OBSERVABLES, {"name": "ptmiss", "definition": "met.pt"}]


def shifting(path: Path, **sections: Any) -> Path:
    """The tiny analysis with uncertain energies, of which that of jets leaves the background."""
    processes = [dict(process) for process in CONTENT["processes"]]
    processes[1]["systematics"] = ["scale", "lumi", "jer", "soft"]
    sections = {
        "processes": processes,
        "observables": SHIFTED_OBSERVABLES,
        "cuts": [{"definition": f"pt_j1 > {CUT}"}],
        **sections,
    }
    return with_objects(path, SCALE, RESOLUTION, MET, **sections)


@pytest.fixture(scope="module")
def shifted(uncertain: Physics, tmp_path_factory: pytest.TempPathFactory) -> Physics:
    """The events of ``uncertain`` with uncertain energies of jets and missing momentum."""
    directory = tmp_path_factory.mktemp("shifted")
    return measure_again(uncertain, shifting(directory / "input.yml"), directory)


@pytest.fixture(scope="module")
def fixed(uncertain: Physics, tmp_path_factory: pytest.TempPathFactory) -> Physics:
    """The same without these uncertainties."""
    directory = tmp_path_factory.mktemp("fixed")
    return measure_again(uncertain, without_shifts(directory / "input.yml"), directory)


def without_shifts(path: Path) -> Path:
    cuts = [{"definition": f"pt_j1 > {CUT}"}]
    return with_objects(path, observables=SHIFTED_OBSERVABLES, cuts=cuts)


def benchmark(physics: Physics, systematic: str, side: int = 0) -> str:
    [parameter] = [
        one for one in read_setup(physics.config).nuisance if one.systematic == systematic
    ]
    return parameter.benchmarks[side]


def test_what_is_measured_stays(shifted: Physics, fixed: Physics) -> None:
    """With the same random numbers; at their benchmarks the weights are the nominal ones."""
    ours, theirs = read_sample(shifted.combined), read_sample(fixed.combined)
    for name in ("observations", "weights", "shares", "sampling_ids", "generated"):
        np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name))
    before = varied_weights(fixed)
    for name, column in varied_weights(shifted).items():
        np.testing.assert_array_equal(column, before.get(name, ours.weights[:, 0]))
    setup = read_setup(shifted.config)
    assert [one.effect for one in setup.nuisance][3:] == [
        *["energy_scale", "energy_resolution", "met_scale"]
    ]
    assert [len(one.benchmarks) for one in setup.nuisance][3:] == [2, 1, 2]
    assert list(ours.shifted) == setup.shifted_benchmarks
    assert theirs.shifted == {}
    for path in (fixed.config, *fixed.data, fixed.combined):
        with h5py.File(path) as file:
            ours_alone = set(file.get("madminer_workflow", {}))
            assert not {"shifted", "effects"} & ours_alone
    assert "object_systematics" not in read_json(fixed.reconstruction)


@pytest.mark.parametrize(("side", "factor"), [(0, 1.05), (1, 0.95)])
def test_scaled_jets_and_what_follows(shifted: Physics, side: int, factor: float) -> None:
    sample = read_sample(shifted.combined)
    signal = sample.sampling_ids >= 0
    moved = sample.shifted[benchmark(shifted, "jes", side)]
    known = moved.event >= 0
    here = sample.observations[moved.event[known]]
    expected = np.where(signal[moved.event[known]], factor, 1.0)
    for column in (0, 2):
        np.testing.assert_allclose(moved.x[known, column], expected * here[:, column])
    np.testing.assert_allclose(moved.x[known, 1], here[:, 1])
    assert np.all(moved.x[:, 0] > CUT)
    # Without smearing and neutrinos, what is missing is what the jets gain.
    assert here[:, 3].max() < 1e-3
    assert np.median(moved.x[known, 3][signal[moved.event[known]]]) > 1.0
    assert moved.x[known, 3][~signal[moved.event[known]]].max() < 1e-3
    # Those that fail now, or failed before, are near the cut.
    lost = np.setdiff1d(np.arange(len(sample.weights)), moved.event)
    assert (len(lost) > 0) == (factor < 1.0) and (~known).any() == (factor > 1.0)
    assert np.all(factor * sample.observations[lost, 0] <= CUT)
    assert np.all(moved.x[~known, 0] <= factor * CUT)
    # The efficiency 0.5 + 0.5 * float(pt_j1 > 60.0) is 1 for all.
    full = (sample.weights * sample.shares[:, None])[moved.event[known]]
    np.testing.assert_allclose(moved.weights[known], full)


def test_missing_momentum_alone(shifted: Physics) -> None:
    sample = read_sample(shifted.combined)
    for side, factor in enumerate((1.1, 0.9)):
        moved = sample.shifted[benchmark(shifted, "soft", side)]
        np.testing.assert_array_equal(moved.event, np.arange(len(sample.weights)))
        np.testing.assert_array_equal(moved.x[:, :3], sample.observations[:, :3])
        np.testing.assert_allclose(moved.x[:, 3], factor * sample.observations[:, 3])


def test_a_resolution_widens(shifted: Physics) -> None:
    sample = read_sample(shifted.combined)
    moved = sample.shifted[benchmark(shifted, "jer")]
    known = moved.event >= 0
    assert np.any(~known) and len(np.setdiff1d(np.arange(len(sample.weights)), moved.event))
    far = sample.observations[moved.event[known], 0] > 1.5 * CUT
    change = moved.x[known, 0][far] / sample.observations[moved.event[known], 0][far] - 1.0
    # The harder of two jets that change places lies a little above.
    assert 0.07 < change.std() < 0.12 and abs(change.mean()) < 0.03


def test_places_of_events(shifted: Physics) -> None:
    """An event is on the same side of any split, however it is measured."""
    setup, sample = read_setup(shifted.combined), read_sample(shifted.combined)
    events, n = union(sample, setup), len(sample.weights)
    train, test = events.part(0.0, 0.7), events.part(0.7, 1.0)
    fresh: dict[float, set[str]] = {}
    for name, moved in events.shifted.items():
        known = moved.event >= 0
        np.testing.assert_array_equal(moved.place[known], (moved.event[known] + 0.5) / n)
        parts = [part.shifted[name] for part in (train, test)]
        assert sum(map(len, parts)) == len(moved)
        for part, of in zip(parts, (train, test), strict=True):
            mine = part.event >= 0
            assert part.event.max() < len(of)
            np.testing.assert_array_equal(part.place[mine], (part.event[mine] + 0.5) / len(of))
            assert np.all((part.place >= 0.0) & (part.place < 1.0))
        scales = [n / len(train), n / len(test)]
        whole = np.concatenate([p.weights / s for p, s in zip(parts, scales, strict=True)])
        np.testing.assert_allclose(whole, moved.weights)
        for place in moved.place[~known].tolist():
            fresh.setdefault(place, set()).add(name)
    # An event that fails is at one place wherever it passes.
    assert any(len(names) > 1 for names in fresh.values())


def same(ours: Sample, theirs: Sample) -> None:
    for name, moved in ours.shifted.items():
        for column, values in vars(moved).items():
            np.testing.assert_array_equal(values, getattr(theirs.shifted[name], column))


def reordered(sample: Sample, order: np.ndarray) -> Sample:
    return replace(sample, shifted=reordered_shifted(sample, order))


def test_order_and_number_of_jobs_do_not_matter(shifted: Physics, tmp_path: Path) -> None:
    first = shifted.combined.read_bytes()
    combine(shifted.config, shifted.generation, shifted.data[::-1], tmp_path / "out")
    assert (tmp_path / "out/combined_delphes.h5").read_bytes() == first
    write_jobs(tmp_path, split_into_jobs(all_tasks(read_generation(shifted.generation)), 1))
    one = replace(shifted, jobs=sorted((tmp_path / "jobs").iterdir()))
    data = simulate(one, tmp_path / "one").data
    combine(shifted.config, shifted.generation, data, tmp_path / "again")
    assert (tmp_path / "again/combined_delphes.h5").read_bytes() == first


def test_joining_and_reordering_keep_events_together(shifted: Physics) -> None:
    parts = [read_sample(path) for path in shifted.data]
    order = np.random.default_rng(1).permutation(sum(len(part.shares) for part in parts))
    together = joined(parts)
    same(
        reordered(joined([joined(parts[:2]), parts[2]]), order),
        reordered(together, order),
    )
    back = np.argsort(order)
    same(reordered(reordered(together, order), back), together)


def test_madminer_reads_the_rest(shifted: Physics, fixed: Physics) -> None:
    madminer_fixes.apply()
    ours, theirs = (DataAnalyzer(str(physics.combined)) for physics in (shifted, fixed))
    (x, weights), (expected_x, expected) = ours.weighted_events(), theirs.weighted_events()
    np.testing.assert_array_equal(x, expected_x)
    names = list(ours.benchmarks)
    for name, column in zip(theirs.benchmarks, expected.T, strict=True):
        np.testing.assert_array_equal(weights[:, names.index(name)], column)
    np.testing.assert_array_equal(ours.xsecs()[0][:3], theirs.xsecs()[0][:3])


@pytest.mark.parametrize(
    ("dataset", "value", "says"),
    [
        ("weights", np.nan, "weights: .* numbers are NaN or infinite"),
        ("weights", 1e40, "weights: up to 1e[+]40 pb, more than any event has"),
        ("events", 1, "events: expected distinct numbers of the"),
        ("events", 10**6, "events: expected distinct numbers of the"),
        ("events", -2, "events: has a number below -1"),
        ("places", 1.0, "places: do not match its events, or are not in ascending order"),
        ("places", 0.5, "places: do not match its events, or are not in ascending order"),
        ("places", None, "it has no madminer_workflow/shifted/.*/places"),
        ("observations", None, "it has no madminer_workflow/shifted/.*/observations"),
        ("observations", "short", "observations: has 3 entries along axis 0"),
    ],
)
def test_damaged_events(
    shifted: Physics, tmp_path: Path, dataset: str, value: Any, says: str
) -> None:
    copy = tmp_path / "x.h5"
    copy.write_bytes(shifted.combined.read_bytes())
    with h5py.File(copy, "a") as file:
        name = f"madminer_workflow/shifted/{benchmark(shifted, 'jes')}/{dataset}"
        if value is None:
            del file[name]
        elif isinstance(value, str):
            some = file[name][:3]
            del file[name]
            file[name] = some
        else:
            file[name][:2] = value
    with pytest.raises(InputError, match=f"x.h5: is not a MadMiner file, or damaged .*{says}"):
        read_sample(copy)


def test_a_change_of_shifted_events_is_seen(shifted: Physics, tmp_path: Path) -> None:
    copy = tmp_path / "x.h5"
    copy.write_bytes(shifted.data[0].read_bytes())
    with h5py.File(copy, "a") as file:
        file[f"madminer_workflow/shifted/{benchmark(shifted, 'jes')}/observations"][0, 0] += 1.0
    with pytest.raises(InputError, match=r"x.h5: is damaged: its content changed"):
        combine(shifted.config, shifted.generation, [copy, *shifted.data[1:]], tmp_path / "out")


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        (MET, "changes nothing that is measured: no observable, cut or efficiency uses all or met"),
        ({**SCALE, "particles": ["mu"]}, "changes nothing that is measured: no observable, cut"),
        (
            {**RESOLUTION, "particles": ["b"]},
            "changes nothing that is measured: no observable, cut or efficiency uses all or j or "
            "met or p or visible; leave it out",
        ),
    ],
)
def test_what_nobody_measures(tmp_path: Path, entry: dict[str, Any], says: str) -> None:
    others = [{"name": "photon", "definition": "a[0].pt"}]
    ml = {
        **CONTENT["ml"],
        "methods": [{**COUNTS, "observables": ["photon"], "bins": {"photon": 3}}],
    }
    nothing = {"observables": others, "efficiencies": [], "ml": ml}
    [problem] = problems(with_objects(tmp_path / "input.yml", entry, **nothing))
    assert f"systematics[3].effect: {says}" in str(problem)
    sections = {"observables": [*OBSERVABLES, {"name": "all_of", "definition": "all.pt"}]}
    assert problems(with_objects(tmp_path / "input.yml", entry, **sections)) == []


def test_one_scale_of_each_size() -> None:
    scales = [typed(**SCALE, pt_range=None, eta_range=[0.0, 2.0]), typed(**RESOLUTION)]
    events = particles([{"pdgid": 9, "pt": 50.0}, {"pdgid": 9, "pt": 40.0, "eta": 3.0}])
    up, down, _ = shifts_of(scales)
    for shift, factor in ((up, 1.05), (down, 0.95)):
        scaled = shift.of(events, None)
        assert ak.to_list(scaled.pt)[0] == pytest.approx([factor * 50.0, 40.0])


def test_delphes_objects_move_together() -> None:
    """Jets are sorted, in the acceptance and balanced as they are measured then."""
    register_momenta()
    names = {"j", "a", "met", "all"}
    acceptance = {"pt_min_j": 30.0}
    file = DATA / "ttbar_delphes_20.root"
    tags = {"b_tag", "charge", "tau_tag"}
    found = read_delphes(file, names, tags, acceptance=acceptance)
    # Those tagged are made so much softer that they come last, or leave the acceptance.
    shift = Shift("down", typed(**{**SCALE, "particles": ["b"]}).variation, -10.0)
    moved = found.shifted(shift, None)
    before, after = found.objects, moved.objects
    everything = found.lists["j"]
    tagged = everything.b_tag
    factors = ak.where(tagged, 0.5, 1.0)
    expected = [
        sorted((pt for pt in event if pt >= 30.0), reverse=True)
        for event in ak.to_list(everything.pt * factors)
    ]
    assert [pytest.approx(event) for event in expected] == ak.to_list(after["j"].pt)
    assert ak.sum(ak.num(after["j"])) < ak.sum(ak.num(before["j"]))
    lost = {
        name: ak.sum(getattr(everything, name) * ak.where(tagged, 0.5, 0.0), axis=1)
        for name in ("px", "py")
    }
    for name, gained in lost.items():
        np.testing.assert_allclose(
            getattr(after["met"], name), getattr(before["met"], name) + gained, atol=1e-6
        )
    np.testing.assert_array_equal(ak.flatten(after["a"].pt), ak.flatten(before["a"].pt))
    np.testing.assert_allclose(
        np.asarray(after["all"].px), np.asarray(after["visible"].px + after["met"].px)
    )


def test_a_resolution_depends_on_the_events_alone() -> None:
    register_momenta()
    [shift] = shifts_of([typed(**RESOLUTION)])
    found = read_delphes(DATA / "ttbar_delphes_20.root", {"j", "a"})

    def streams(*names: str) -> np.random.Generator:
        return np.random.default_rng([len(names), *map(len, names)])

    first, again = (found.shifted(shift, streams).lists["j"].pt for _ in range(2))
    assert ak.to_list(first) == ak.to_list(again)
    ratios = np.asarray(ak.flatten(first / found.lists["j"].pt))
    assert abs(ratios.mean() - 1.0) < 0.05 and 0.05 < ratios.std() < 0.15
    np.testing.assert_array_equal(
        ak.flatten(found.shifted(shift, streams).lists["a"].pt), ak.flatten(found.lists["a"].pt)
    )


def test_showered_events_with_other_energies() -> None:
    """From Delphes's file to observables, cuts and weights."""
    observables = [
        {"name": name, "definition": text, "required": False, "default": 0.0}
        for name, text in (("pt_a1", "a[0].pt"), ("n_j", "len(j)"), ("ptmiss", "met.pt"))
    ]
    settings = parts.reconstruction(
        {"delphes_card": {"name": "card.tcl", "text": None}, "acceptance": {"pt_min_j": 30.0}},
        observables=observables,
        cuts=[{"definition": "pt_a1 > 70.0", "required": False}],
        object_systematics=[
            {"variation": {**entry, "pt_range": None, "eta_range": None}, "processes": ["signal"]}
            for entry in ({**SCALE, "particles": ["a"]}, {**JETS, "systematic_name": "id"})
        ],
    )
    file, scale = DATA / "wbf_delphes_60.root", {"scale": np.ones(10**6)}
    measured, numbers = reconstruct_delphes(file, settings, 10**6, scale)
    up, down = measured.shifted.values()
    found = read_delphes(file, {"a", "j", "met"}, acceptance={"pt_min_j": 30.0})
    photons = found.objects["a"]
    leading = np.asarray(ak.fill_none(ak.firsts(photons.pt), 0.0))
    together = {name: np.asarray(ak.sum(getattr(photons, name), axis=1)) for name in ("px", "py")}
    met = found.objects["met"]
    for moved, factor in ((measured, 1.0), (up, 1.05), (down, 0.95)):
        np.testing.assert_allclose(moved.observations[:, 0], factor * leading)
        np.testing.assert_array_equal(moved.observations[:, 1], measured.observations[:, 1])
        np.testing.assert_array_equal(moved.passed, factor * leading > 70.0)
        px, py = (
            np.asarray(getattr(met, name)) - (factor - 1.0) * total
            for name, total in together.items()
        )
        np.testing.assert_allclose(moved.observations[:, 2], np.hypot(px, py), rtol=1e-6)
    assert up.passed.sum() > measured.passed.sum() > down.passed.sum() > 0
    assert len(numbers) == len(leading) == 60
    more, _ = measured.factors.values()
    np.testing.assert_allclose(more, 1.02 ** measured.observations[:, 1])


@pytest.mark.parametrize(("limit", "told"), [(None, True), (20.0, True), (30.0, False)])
def test_jets_that_delphes_does_not_write_cannot_come(limit, told, caplog) -> None:
    """Its card finds jets above 20 GeV."""
    variation = {**SCALE, "pt_range": None, "eta_range": None}
    entry = msgspec.convert({"variation": variation, "processes": ["signal"]}, ObjectSystematic)
    found = read_delphes(DATA / "wbf_delphes_60.root", {"j"}, acceptance={"pt_min_j": limit})
    _warn_of_threshold.cache_clear()
    for _ in range(2):
        warn_of_thresholds(found, [entry])
    assert len(caplog.messages) == told
    if told:
        [message] = caplog.messages
        assert message.startswith(f"detector.acceptance.pt_min_j: {limit or 0:g} GeV, but Delphes ")


def test_a_job_whose_events_pass_when_shifted_only(shifted: Physics, tmp_path: Path) -> None:
    """And one without any events at all."""
    settings = read_json(shifted.reconstruction)
    pt = read_sample(shifted.data[0]).observations[:, 0].max()
    settings["cuts"] = [{"definition": f"pt_j1 > {pt + 1e-3}", "required": False}]
    write_json(tmp_path / "reconstruction.json", settings)
    delphes(shifted.config, tmp_path / "reconstruction.json", shifted.events[0], tmp_path)
    sample = read_sample(tmp_path / "delphes_data.h5")
    moved = sample.shifted[benchmark(shifted, "jes")]
    assert len(sample.shares) == 0 and moved.event.tolist() == [-1] * len(moved) != []
    (tmp_path / "empty").mkdir()
    write_json(tmp_path / "empty/events.json", {"index": 9, "tasks": [], "processes": {}})
    pack(tmp_path / "empty", tmp_path / "Events.tar.gz")
    delphes(shifted.config, shifted.reconstruction, tmp_path / "Events.tar.gz", tmp_path)
    nothing = read_sample(tmp_path / "delphes_data.h5")
    assert [len(one) for one in nothing.shifted.values()] == [0] * 5
    both = joined([nothing, sample, read_sample(shifted.data[1])])
    assert len(both.shifted[benchmark(shifted, "jes")]) > len(moved)
