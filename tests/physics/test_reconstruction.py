"""Event analysis against MadMiner's LHEReader, event by event and, with smearing, statistically."""

import logging
import shutil
from itertools import pairwise

import h5py
import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from madminer.lhe import LHEReader
from scipy.stats import ks_2samp

from madminer_workflow.analysis.types import Reconstruction
from madminer_workflow.errors import InputError
from madminer_workflow.physics.readers.lhe import read_lhe
from madminer_workflow.physics.reconstruction import reconstruct
from madminer_workflow.physics.smearing import BlockRandom
from madminer_workflow.products.measured import Stage
from tests.support import parts
from tests.support.madminer_events import NO_NOISE, as_particles, random_events
from tests.support.paths import DATA
from tests.support.properties import examples

LHE = DATA / "wbf_madgraph_1000.lhe.gz"
CUTS = ["(a[0] + a[1]).m > 122.0", "(a[0] + a[1]).m < 128.0", "pt_j1 > 20.0"]


def observable(name, definition, required=False, default=None):
    return {"name": name, "definition": definition, "required": required, "default": default}


def cut(definition, required=False):
    return {"definition": definition, "required": required}


def analysis(
    observables=(), cuts=(), efficiencies=(), smearing=(), met_noise=NO_NOISE
) -> Reconstruction:
    return parts.reconstruction(
        {"smearing": list(smearing), "met_noise": msgspec.to_builtins(met_noise)},
        observables=list(observables),
        cuts=list(cuts),
        efficiencies=list(efficiencies),
    )


def run(particles, seed=0, **parts):
    return reconstruct(particles, analysis(**parts), np.random.default_rng(seed))


def oracle():
    with h5py.File(DATA / "madminer_lhereader_oracle.h5") as file:
        texts = [
            [text.decode() for text in file[f"{group}"][()]]
            for group in ("observables/names", "observables/definitions", "benchmarks/names")
        ]
        return *texts, file["samples/observations"][()], file["samples/weights"][()]


def test_identical_to_madminers_reader_event_by_event():
    names, definitions, benchmarks, observations, weights = oracle()
    events = read_lhe(LHE, benchmarks, "sm")
    observables = [
        observable(*pair, required=True) for pair in zip(names, definitions, strict=True)
    ]
    ours = run(events.particles, observables=observables, cuts=[cut(text) for text in CUTS])
    assert len(observations) == ours.passed.sum()
    # MadMiner shuffles what it saves: pT of the first jet identifies an event.
    order, theirs = np.argsort(ours.observations[ours.passed, 0]), np.argsort(observations[:, 0])
    single = np.finfo(np.float32).eps
    np.testing.assert_allclose(
        ours.observations[ours.passed][order], observations[theirs], rtol=single, atol=single
    )
    np.testing.assert_allclose(
        events.weights[ours.passed][order], weights[theirs], rtol=single, atol=0.0
    )


JET_SMEARING = {
    "energy_resolution_abs": 0.0,
    "energy_resolution_rel": 0.1,
    "pt_resolution_abs": None,
    "pt_resolution_rel": None,
    "eta_resolution_abs": 0.1,
    "eta_resolution_rel": 0.0,
    "phi_resolution_abs": 0.1,
    "phi_resolution_rel": 0.0,
}
PHOTON_SMEARING = {
    "energy_resolution_abs": None,
    "energy_resolution_rel": None,
    "pt_resolution_abs": 1.0,
    "pt_resolution_rel": 0.03,
    "eta_resolution_abs": 0.02,
    "eta_resolution_rel": 0.01,
    "phi_resolution_abs": 0.02,
    "phi_resolution_rel": 0.01,
}
SMEARED = {
    "pt_j1": "j[0].pt",
    "eta_j2": "j[1].eta",
    "phi_j1": "j[0].phi",
    "delta_phi_jj": "j[0].deltaphi(j[1])",
    "m_jj": "(j[0] + j[1]).m",
    "m_aa": "(a[0] + a[1]).m",
    "pt_a2": "a[1].pt",
    "met": "met.pt",
    "met_phi": "met.phi",
}


def test_smearing_agrees_with_madminers_reader_statistically(tmp_path):
    for name in ("madminer_config.h5", LHE.name):
        shutil.copy(DATA / name, tmp_path / name)
    logging.disable(logging.WARNING)
    reader = LHEReader(str(tmp_path / "madminer_config.h5"))
    reader.add_sample(str(tmp_path / LHE.name), "sm")
    reader.set_smearing([s * i for i in (1, 2, 3, 4, 5, 6) for s in (1, -1)] + [21], **JET_SMEARING)
    reader.set_smearing([22], **PHOTON_SMEARING)
    reader.set_met_noise(10.0, 0.05)
    for name, definition in SMEARED.items():
        reader.add_observable(name, definition, required=True)
    np.random.seed(1)
    reader.analyse_samples()
    logging.disable(logging.NOTSET)

    smearing = [{"particles": ["j"], **JET_SMEARING}, {"particles": ["a"], **PHOTON_SMEARING}]
    ours = run(
        read_lhe(LHE).particles,
        seed=2,
        observables=[observable(*pair, required=True) for pair in SMEARED.items()],
        smearing=smearing,
        met_noise={"abs_": 10.0, "rel": 0.05},
    )
    for i, name in enumerate(SMEARED):
        assert ks_2samp(ours.observations[:, i], reader.observations[name]).pvalue > 0.01, name
    truth = run(read_lhe(LHE).particles, observables=[observable("met", "met.pt")])
    assert ks_2samp(truth.observations[:, 0], reader.observations["met"]).pvalue < 1e-6


def jets(*pts):
    return [{"px": pt, "py": 0.0, "pz": 1.0, "e": pt + 10.0, "spin": 0.0, "pdgid": 1} for pt in pts]


EVENTS = as_particles([jets(50.0, 30.0), jets(40.0), [], jets(10.0)])


def test_defaults_and_required_observables():
    ours = run(
        EVENTS,
        observables=[
            observable("pt1", "j[0].pt", required=True, default=-1.0),
            observable("pt2", "j[1].pt", default=7.0),
            observable("pt3", "j[1].pt"),
            observable("one", "1"),
        ],
    )
    np.testing.assert_allclose(
        ours.observations,
        [[50, 30, 30, 1], [40, 7, np.nan, 1], [-1, 7, np.nan, 1], [10, 7, np.nan, 1]],
    )
    assert ours.passed.tolist() == [True, True, False, True]
    assert ours.cut_flow == [Stage(cut="pt1 is defined", passed=3, of=4)]


def test_cuts_see_observables_with_their_defaults():
    observables = [observable("pt2", "j[1].pt", default=35.0), observable("raw", "j[1].pt")]
    assert run(EVENTS, observables=observables, cuts=[cut("pt2 > 32")]).passed.tolist() == [
        False, True, True, True,
    ]  # fmt: skip
    undefined_is_nan = run(EVENTS, observables=observables, cuts=[cut("raw > 0", required=True)])
    assert undefined_is_nan.passed.tolist() == [True, False, False, False]


def test_undefined_cut_passes_only_if_it_says_required():
    assert run(EVENTS, cuts=[cut("j[1].pt > 40")]).passed.tolist() == [False] * 4
    ours = run(EVENTS, cuts=[cut("j[1].pt > 40", required=True)])
    assert ours.passed.tolist() == [False, True, True, True]


@pytest.mark.parametrize("definition", ["2.0", "-0.5", "1e300"])
def test_efficiencies_are_probabilities(definition):
    says = r"efficiencies\[1\]: the efficiency .* in event 1, and not between 0 and 1 in 4 of 4"
    with pytest.raises(InputError, match=says):
        run(
            EVENTS,
            efficiencies=[{"definition": text, "default": 1.0} for text in ("1", definition)],
        )
    never = cut("len(p) < 0")
    ours = run(EVENTS, cuts=[never], efficiencies=[{"definition": definition, "default": 1.0}])
    assert not ours.passed.any()


def test_efficiencies_multiply_and_select():
    efficiencies = [
        {"definition": "j[0].pt / 100", "default": 0.5},
        {"definition": "j[0].pt > 20", "default": 1.0},
    ]
    ours = run(EVENTS, efficiencies=efficiencies)
    np.testing.assert_allclose(ours.efficiency, [0.5, 0.4, 0.5, 0.0])
    assert ours.passed.tolist() == [True, True, True, False]
    assert [step.passed for step in ours.cut_flow] == [4, 3]


def test_event_variables_and_no_events():
    settings = analysis([observable("mu", "scale")])
    rng = np.random.default_rng(0)
    ours = reconstruct(EVENTS, settings, rng, {"scale": np.arange(4.0)})
    assert ours.observations[:, 0].tolist() == [0.0, 1.0, 2.0, 3.0]
    empty = reconstruct(EVENTS[:0], analysis([observable("pt1", "j[0].pt")]), rng)
    assert empty.observations.shape == (0, 1)


def test_same_seed_same_events():
    particles = as_particles(random_events(50, seed=4))
    parts = {
        "observables": [observable("met", "met.pt"), observable("pt", "p[0].pt")],
        "smearing": [{"particles": None, **JET_SMEARING}],
    }
    first, again, other = (run(particles, seed, **parts).observations for seed in (5, 5, 6))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other, equal_nan=True)


PARTS = {
    "observables": [
        observable("pt_j1", "j[0].pt", required=True),
        observable("m", "(p[0] + p[-1]).m", default=0.0),
        observable("missing", "met.pt"),
        observable("n_l", "len(l)"),
    ],
    "cuts": [
        cut("pt_j1 > 30"),
        cut("j[1].pt < 80", required=True),
        cut("n_l < 3 and missing > 10"),
    ],
    "efficiencies": [{"definition": "min(1, l[0].pt / 50)", "default": 0.9}],
}


MIXED = as_particles(random_events(30, seed=6))


@examples(10)
@given(order=st.permutations(range(30)))
def test_events_are_independent_of_their_order(order):
    straight, mixed = run(MIXED, **PARTS), run(MIXED[list(order)], **PARTS)
    np.testing.assert_array_equal(mixed.observations, straight.observations[list(order)])
    np.testing.assert_array_equal(mixed.passed, straight.passed[list(order)])
    np.testing.assert_array_equal(mixed.efficiency, straight.efficiency[list(order)])
    assert mixed.cut_flow == straight.cut_flow


texts = st.builds(
    lambda name, sign, value: f"{name} {sign} {value}",
    st.sampled_from(["pt_j1", "j[1].pt", "len(p)", "met.pt", "l[0].eta"]),
    st.sampled_from(["<", ">"]),
    st.integers(0, 100),
)


@examples(10)
@given(st.lists(st.builds(cut, texts, st.booleans()), max_size=5))
def test_cut_flow_only_falls_and_ends_at_what_passed(cuts):
    ours = run(MIXED, observables=PARTS["observables"], cuts=cuts)
    assert [step.cut for step in ours.cut_flow[1:]] == [entry["definition"] for entry in cuts]
    left = len(MIXED)
    for step in ours.cut_flow:
        assert step.of == left >= step.passed
        left = step.passed
    assert left == ours.passed.sum()


@pytest.mark.parametrize("n_jobs", [2, 7])
def test_cuts_commute_with_splitting_the_events(n_jobs):
    particles = as_particles(random_events(41, seed=8))
    whole = run(particles, **PARTS)
    edges = np.linspace(0, 41, n_jobs + 1).astype(int)
    pieces = [run(particles[a:b], **PARTS) for a, b in pairwise(edges)]
    joined = np.concatenate([part.observations for part in pieces])
    np.testing.assert_array_equal(joined, whole.observations)
    passed = [sum(part.cut_flow[i].passed for part in pieces) for i in range(5)]
    assert passed == [step.passed for step in whole.cut_flow]


def test_blocks_of_events_at_once_are_those_one_by_one():
    """Each block has random numbers of its own, whatever is analysed with it."""
    particles, sizes = as_particles(random_events(60, seed=9)), [25, 0, 35]
    smeared = [{"particles": None, **JET_SMEARING}, {"particles": ["a"], **PHOTON_SMEARING}]
    settings = analysis(**PARTS, smearing=smeared, met_noise={"abs_": 10.0, "rel": 0.05})
    generators = [np.random.default_rng(seed) for seed in range(3)]
    at_once = reconstruct(particles, settings, BlockRandom(generators, sizes))
    for seed, (size, end) in enumerate(zip(sizes, np.cumsum(sizes), strict=True)):
        events = slice(end - size, end)
        block = reconstruct(particles[events], settings, np.random.default_rng(seed))
        part = at_once.part(events)
        for name in ("observations", "passed", "efficiency"):
            np.testing.assert_array_equal(getattr(part, name), getattr(block, name))
        assert part.cut_flow == block.cut_flow
