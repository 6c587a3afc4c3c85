"""The built-in generator as the steps use it: integrate, then draw events into LHE files."""

from __future__ import annotations

import logging

import h5py
import numpy as np
import pytest
from scipy.stats import ks_2samp

from madminer_workflow.errors import InputError, StepError
from madminer_workflow.madminer_file import read_setup
from madminer_workflow.physics import generators
from madminer_workflow.physics.generators import builtin
from madminer_workflow.physics.generators.builtin import pdf, sampling, wbf_haa
from madminer_workflow.physics.generators.builtin.cross_section import CrossSection
from madminer_workflow.physics.generators.builtin.integrated import IntegratedProcess
from madminer_workflow.physics.generators.builtin.phase_space import DIMENSIONS
from madminer_workflow.physics.generators.builtin.sampling import maximum_weight
from madminer_workflow.physics.points import benchmark_values
from tests.support import parts
from tests.support.chain import rough_integration
from tests.support.lhe_arrays import read_arrays
from tests.support.parts import CPWL2, CWL2
from tests.support.paths import DATA
from tests.support.shared import shared

PROCESS = {"name": "wbf", "generator": "builtin", "process": "wbf_haa", "run": {}}
N_EVENTS = 20_000
SCALE = {"systematic_name": "mu", "effect": "scale", "scale": "mu", "scale_variations": [0.5, 2.0]}


def request(keys, parameters, points, seed, systematics=()) -> generators.Request:
    process = parts.process(**keys)
    return parts.request(process, parameters, points, seed=seed, systematics=systematics)


def benchmarks() -> dict[str, dict[str, float]]:
    return benchmark_values(read_setup(DATA / "madminer_config.h5"))


def integrate(directory):
    report = builtin.integrate(request(PROCESS, [CWL2, CPWL2], benchmarks(), 7), directory)
    return directory, report


@pytest.fixture(scope="session")
def integrated(tmp_path_factory):
    return shared(tmp_path_factory, "integrated", integrate)


@pytest.fixture
def roughly():
    with rough_integration():
        yield


@pytest.fixture(scope="module")
def sm_sample(integrated, tmp_path_factory):
    path = tmp_path_factory.mktemp("events") / "sm.lhe"
    report = builtin.generate_events(integrated[0], "sm", N_EVENTS, 11, path)
    return read_arrays(path), report


def transverse(p: np.ndarray) -> np.ndarray:
    return np.hypot(p[1], p[2])


def rapidity(p: np.ndarray) -> np.ndarray:
    return np.arcsinh(p[3] / np.sqrt(p[0] ** 2 - p[3] ** 2))


def observables(momenta: np.ndarray) -> dict[str, np.ndarray]:
    """Distributions that between them cover all of phase space."""
    higgs, up, down, photon = momenta[2], momenta[3], momenta[4], momenta[5]
    d_phi = np.arctan2(up[2], up[1]) - np.arctan2(down[2], down[1])
    return {
        "pt_j1": np.maximum(transverse(up), transverse(down)),
        "pt_j2": np.minimum(transverse(up), transverse(down)),
        "delta_phi": (d_phi + np.pi) % (2 * np.pi) - np.pi,
        "y_down": rapidity(down),
        "y_up": rapidity(up),
        "y_higgs": 0.5 * np.log((higgs[0] + higgs[3]) / (higgs[0] - higgs[3])),
        "pt_higgs": transverse(higgs),
        "pt_photon": transverse(photon),
        "phi_down": np.arctan2(down[2], down[1]),
    }


def test_standard_model_cross_section_agrees_with_madgraph(integrated):
    """MadGraph 3.1.1, 50k events, NNPDF2.3 LO, dynamical scale: 1.0386(15) fb."""
    value, error = integrated[1].cross_sections["sm"]
    assert error < 2e-6
    assert abs(value - 1.0386e-3) < 2.5 * np.hypot(error, 0.0015e-3)


def test_cross_section_at_large_coefficient(integrated):
    """CWL2 = 165.2 TeV^-2: 17.40 fb; MadGraph, 1000 events, 17.55 fb."""
    value, error = integrated[1].cross_sections["w"]
    assert value == pytest.approx(17.40e-3, rel=0.004)
    assert error < 0.003 * value


def test_maximum_weight_is_reliable_and_efficient(integrated):
    report = integrated[1]
    assert all(0 < f < 2e-3 for f in report.fraction_above_maximum.values())
    assert all(e > 0.02 for e in report.unweighting_efficiency.values())


def test_weights_add_up_to_the_cross_section(integrated, sm_sample):
    sample, report = sm_sample
    sigma = integrated[1].cross_sections["sm"][0]
    assert len(sample.event_weights) == N_EVENTS == report.n_events
    assert sample.event_weights.sum() == pytest.approx(sigma, rel=1e-8)
    np.testing.assert_allclose(sample.weights["sm"], sample.event_weights)
    assert sample.init.procInfo[0].xSection == pytest.approx(sigma, rel=1e-8)


def test_events_are_unweighted_but_for_those_above_the_maximum(sm_sample):
    sample, report = sm_sample
    smallest = sample.event_weights.min()
    share_above = (sample.event_weights - smallest).sum() / sample.event_weights.sum()
    assert np.mean(sample.event_weights > smallest * (1 + 1e-9)) < 0.01
    assert report.fraction_above_maximum == pytest.approx(share_above, abs=1e-8)


def test_trials_measure_the_efficiency(integrated, sm_sample):
    efficiency = N_EVENTS / sm_sample[1].n_trials
    assert efficiency == pytest.approx(integrated[1].unweighting_efficiency["sm"], rel=0.05)


@pytest.mark.parametrize(
    "observable",
    [
        *("pt_j1", "pt_j2", "delta_phi", "y_down", "y_up", "y_higgs"),
        *("pt_higgs", "pt_photon", "phi_down"),
    ],
)
def test_distributions_agree_with_madgraph(sm_sample, observable):
    madgraph = read_arrays(DATA / "wbf_madgraph_1000.lhe.gz")
    ours = observables(sm_sample[0].momenta)[observable]
    assert ks_2samp(ours, observables(madgraph.momenta)[observable]).pvalue > 0.003


def test_scales_agree_with_madgraph(sm_sample):
    madgraph = read_arrays(DATA / "wbf_madgraph_1000.lhe.gz")
    assert ks_2samp(sm_sample[0].scales, madgraph.scales).pvalue > 0.003


def test_events_are_physical(sm_sample):
    sample = sm_sample[0]
    up_in, down_in, higgs, up, down, *photons = sample.momenta
    expected_ids = [2, 1, 25, 2, 1, 22, 22]
    np.testing.assert_array_equal(sample.pdgids, np.tile(expected_ids, (N_EVENTS, 1)).T)
    for total in (higgs + up + down, up + down + photons[0] + photons[1]):
        np.testing.assert_allclose(total, up_in + down_in, atol=1e-6)
    assert np.all(up_in[3] > 0) and np.all(down_in[3] < 0)
    for mass, p in zip(sample.masses, sample.momenta, strict=True):
        mass2 = p[0] ** 2 - (p[1:] ** 2).sum(axis=0)
        assert np.all(np.abs(mass2 - mass**2) < 1e-9 * p[0] ** 2 + 1e-6)
    for jet in (up, down):
        assert np.all(transverse(jet) > 20 - 1e-6)
        assert np.all(np.abs(rapidity(jet)) < 5 + 1e-6)


def test_history_colours_and_spins(sm_sample):
    u_in, d_in, higgs, u_out, d_out, a1, a2 = sm_sample[0].first.particles
    assert [p.status for p in (u_in, d_in, higgs, u_out, d_out, a1, a2)] == [-1, -1, 2, 1, 1, 1, 1]
    assert all((p.mother1, p.mother2) == (1, 2) for p in (higgs, u_out, d_out))
    assert all((p.mother1, p.mother2) == (3, 3) for p in (a1, a2))
    # A W boson carries no colour: u -> d' and d -> u' keep theirs.
    assert u_in.color1 == d_out.color1 != d_in.color1 == u_out.color1
    assert all(p.color2 == 0 for p in (u_in, d_in, higgs, u_out, d_out, a1, a2))
    assert all(p.spin == -1 for p in (u_in, d_in, u_out, d_out))
    assert higgs.spin == 0 and a1.spin == a2.spin and abs(a1.spin) == 1


def test_weights_follow_from_the_momenta(sm_sample):
    sample = sm_sample[0]
    squared = wbf_haa.squared_amplitude(*sample.momenta[[0, 1, 4, 3]])
    for name, point in benchmarks().items():
        values = 16.52 * np.array([point["CWL2"], point["CPWL2"]])
        ratio = wbf_haa.monomials(values) @ squared / squared[0]
        np.testing.assert_allclose(
            sample.weights[name] / sample.weights["sm"], ratio, rtol=1e-6, err_msg=name
        )


@pytest.mark.parametrize("drawn", ["w", "morphing_basis_vector_5"])
def test_one_benchmark_reproduces_the_others(integrated, tmp_path, drawn):
    directory, report = integrated
    builtin.generate_events(directory, drawn, 5000, 3, tmp_path / "events.lhe")
    for name, weights in read_arrays(tmp_path / "events.lhe").weights.items():
        value, error = report.cross_sections[name]
        statistical = np.sqrt(len(weights)) * weights.std()
        assert abs(weights.sum() - value) < 4 * np.hypot(statistical, error) + 1e-6 * value, name


def test_same_seed_same_bytes_other_seed_other_events(integrated, tmp_path):
    np.random.seed(0)
    before = np.random.get_state()[1].copy()
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        builtin.generate_events(integrated[0], "w", 50, seed, tmp_path / name)
    a, b, c = ((tmp_path / name).read_bytes() for name in "abc")
    assert a == b != c
    np.testing.assert_array_equal(before, np.random.get_state()[1])


def test_integration_is_reproducible(roughly, tmp_path):
    points = {"sm": {"CWL2": 0.0}}
    reports = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        reports.append(builtin.integrate(request(PROCESS, [CWL2], points, 5), tmp_path / name))
    assert reports[0] == reports[1]
    for file in ("integration.json", "integration.npz"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_cross_sections_do_not_depend_on_cores(integrated):
    process = IntegratedProcess.load(integrated[0])
    unit = np.random.default_rng(1).random((25_001, DIMENSIONS))
    at_once = CrossSection(wbf_haa, process.settings, process.densities)._evaluate(unit)
    for cores in (1, 3):
        chunks = CrossSection(wbf_haa, process.settings, process.densities, cores).evaluate(unit)
        for whole, joined in zip(at_once[::2], chunks[::2], strict=True):
            np.testing.assert_array_equal(whole, joined)
        for name, values in vars(at_once[1]).items():
            np.testing.assert_array_equal(values, getattr(chunks[1], name))


def test_generation_cuts_and_fixed_scale(roughly, tmp_path):
    run = {
        "ptj": 50.0,
        "etaj": 4.0,
        "drjj": 1.0,
        "mmjj": 500.0,
        "deltaeta": 3.0,
        "ebeam1": 7000.0,
        "fixed_fac_scale": True,
        "scale": 80.0,
    }
    builtin.integrate(
        request({**PROCESS, "run": run}, [CPWL2], {"sm": {"CPWL2": 0.0}}, 1), tmp_path
    )
    builtin.generate_events(tmp_path, "sm", 500, 2, tmp_path / "events.lhe")
    sample = read_arrays(tmp_path / "events.lhe")
    up, down = sample.momenta[3], sample.momenta[4]
    pair = up + down
    assert min(transverse(up).min(), transverse(down).min()) >= 50 - 1e-6
    assert max(np.abs(rapidity(up)).max(), np.abs(rapidity(down)).max()) <= 4 + 1e-6
    assert np.abs(rapidity(up) - rapidity(down)).min() >= 3 - 1e-6
    assert (pair[0] ** 2 - (pair[1:] ** 2).sum(axis=0)).min() >= 500**2 * (1 - 1e-6)
    assert np.all(sample.scales == 80.0)
    assert sample.init.initInfo.energyA == 7000.0


def test_parameters_that_the_process_does_not_know():
    """A background does not depend on the parameters of a signal of another kind."""
    known = [
        parts.parameter(**CWL2),
        parts.parameter(**{**CWL2, "lha_id": 3, "parameter_name": "CB"}),
    ]
    values = builtin.coefficients(wbf_haa, known, {"w": {"CWL2": 10.0, "CB": 7.0}})
    np.testing.assert_allclose(values, [[165.2, 0.0]])


def test_transform_without_a_value(tmp_path):
    broken = {**CWL2, "param_card_transform": "1/theta"}
    with pytest.raises(InputError, match=r"CWL2.param_card_transform: '1/theta' has no finite"):
        builtin.integrate(request(PROCESS, [broken], {"sm": {"CWL2": 0.0}}, 1), tmp_path)


@pytest.mark.parametrize("run", [{"ptj": 7000.0}, {"deltaeta": 11.0}, {"ebeam1": 1.0}])
def test_no_phase_space(roughly, run, tmp_path):
    with pytest.raises(InputError, match="leave no phase space"):
        builtin.integrate(
            request({**PROCESS, "run": run}, [CWL2], {"sm": {"CWL2": 0.0}}, 1), tmp_path
        )


def test_cuts_too_tight_to_integrate(tmp_path):
    process = {**PROCESS, "run": {"mmjj": 9000.0}}
    with pytest.raises(StepError, match=r"benchmark w: its cross-section, .* cannot be"):
        builtin.integrate(request(process, [CWL2], {"w": {"CWL2": 15.0}}, 1), tmp_path)


def test_maximum_weight_that_is_too_low(roughly, tmp_path, monkeypatch):
    monkeypatch.setattr(sampling, "FRACTION_ABOVE_MAXIMUM", 0.1)
    with pytest.raises(StepError, match=r"benchmark sm: .*% of the cross-section is above"):
        builtin.integrate(request(PROCESS, [CWL2], {"sm": {"CWL2": 0.0}}, 1), tmp_path)


def test_unknown_names(integrated, tmp_path):
    with pytest.raises(InputError, match="sampling benchmark 'nope'"):
        builtin.generate_events(integrated[0], "nope", 10, 1, tmp_path / "x.lhe")
    with pytest.raises(InputError, match="n_events: is 0"):
        builtin.generate_events(integrated[0], "sm", 0, 1, tmp_path / "x.lhe")
    with pytest.raises(InputError, match="no integrated process"):
        builtin.generate_events(tmp_path, "sm", 10, 1, tmp_path / "x.lhe")
    assert not (tmp_path / "x.lhe").exists()
    assert generators.get("builtin") is builtin


def test_weight_above_the_maximum_is_reported(integrated, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(builtin, "LARGEST_FRACTION_ABOVE_MAXIMUM", -1.0)
    with caplog.at_level(logging.WARNING):
        builtin.generate_events(integrated[0], "sm", 10, 1, tmp_path / "x.lhe")
    assert "of the weight lies above the maximum" in caplog.text


def test_maximum_weight_leaves_the_fraction_above():
    weights = np.random.default_rng(4).exponential(size=100_000)
    maximum = maximum_weight(weights, 0.01)
    above = np.maximum(weights - maximum, 0.0).sum() / weights.sum()
    assert above <= 0.01
    assert above == pytest.approx(0.01, rel=0.01)
    assert maximum_weight(weights, 0.0) == weights.max()


def test_madminer_reads_the_events(integrated, tmp_path):
    from madminer.lhe import LHEReader

    path = tmp_path / "events.lhe"
    builtin.generate_events(integrated[0], "w", 20, 1, path)
    reader = LHEReader(str(DATA / "madminer_config.h5"))
    reader.add_sample(str(path), sampled_from_benchmark="w", is_background=False)
    reader.add_observable("pt_j1", "j[0].pt", required=True)
    reader.add_observable("m_aa", "(a[0] + a[1]).m", required=True)
    reader.analyse_samples()
    reader.save(str(tmp_path / "data.h5"))
    sample = read_arrays(path)
    with h5py.File(tmp_path / "data.h5") as file:
        observations = file["samples/observations"][()]
        weights = file["samples/weights"][()]
        names = [name.decode() for name in file["benchmarks/names"][()]]
    expected = observables(sample.momenta)["pt_j1"]
    # MadMiner shuffles events when it saves them.
    order, ours = np.argsort(observations[:, 0]), np.argsort(expected)
    np.testing.assert_allclose(observations[order, 0], expected[ours], rtol=1e-6)
    np.testing.assert_allclose(observations[order, 1], sample.masses[2][ours], rtol=1e-5)
    for name, column in zip(names, weights[order].T, strict=True):
        np.testing.assert_allclose(column, sample.weights[name][ours], rtol=1e-6, err_msg=name)


def ratio_of_densities(momenta: np.ndarray, mu2: np.ndarray, factor: float) -> np.ndarray:
    """xf(u) xf(d) at ``factor`` times muF over that at muF, by Pythia itself."""
    proton = pdf.initialised_pythia().getPDFPtr(2212)
    product = np.ones(momenta.shape[-1])
    for flavour, parton, own in zip((2, 1), momenta[:2], mu2, strict=True):
        x = parton[0] / 6500.0
        product *= [
            proton.xf(flavour, *point) / proton.xf(flavour, point[0], point[1] / factor**2)
            for point in zip(x, factor**2 * own, strict=True)
        ]
    return product


@pytest.mark.parametrize(("scale", "fixed"), [("mu", False), ("muf", True)])
def test_scale_variations_change_the_parton_densities(roughly, tmp_path, scale, fixed):
    process = {**PROCESS, "run": {"fixed_fac_scale": fixed, "scale": 80.0}}
    points = {"sm": {"CWL2": 0.0}, "w": {"CWL2": 15.2}}
    systematics = [{**SCALE, "scale": scale}]
    builtin.integrate(request(process, [CWL2], points, 1, systematics), tmp_path)
    builtin.generate_events(tmp_path, "w", 500, 2, tmp_path / "events.lhe")
    sample = read_arrays(tmp_path / "events.lhe")
    mu2 = wbf_haa.factorisation_scales(*sample.momenta[[0, 1, 4, 3]])
    if fixed:
        mu2 = np.full_like(mu2, 80.0**2)
    for k, factor in enumerate((2.0, 0.5)):
        varied = sample.weights[f"mu_nuisance_param_0_benchmark_{k}"] / sample.weights["sm"]
        expected = ratio_of_densities(sample.momenta, mu2, factor)
        np.testing.assert_allclose(varied, expected, rtol=5e-4)
    assert list(sample.weights)[:2] == ["sm", "w"]


def test_madgraph_varies_scales_in_the_same_way():
    """200 events of MadGraph 3.1.1 with the weights of its own systematics program (LHAPDF)."""
    sample = read_arrays(DATA / "wbf_madgraph_scales_200.lhe.gz")
    mu2 = wbf_haa.factorisation_scales(*sample.momenta[[0, 1, 4, 3]])
    np.testing.assert_allclose(np.sqrt(mu2.max(axis=0)), sample.scales, rtol=1e-5)
    for name, factor in (("1", 0.5), ("2", 2.0)):
        theirs = sample.weights[name] / sample.event_weights
        assert theirs.std() > 0.03
        ours = ratio_of_densities(sample.momenta, mu2, factor)
        np.testing.assert_allclose(ours, theirs, rtol=1e-4)


def test_a_background_varies_its_own_weight(roughly, tmp_path):
    """It has no weight at the reference benchmark."""
    points = {"w": {"CWL2": 15.2}}
    builtin.integrate(request(PROCESS, [CWL2], points, 1, [SCALE]), tmp_path)
    builtin.generate_events(tmp_path, "w", 50, 2, tmp_path / "events.lhe")
    sample = read_arrays(tmp_path / "events.lhe")
    ratio = sample.weights["mu_nuisance_param_0_benchmark_0"] / sample.event_weights
    mu2 = wbf_haa.factorisation_scales(*sample.momenta[[0, 1, 4, 3]])
    np.testing.assert_allclose(ratio, ratio_of_densities(sample.momenta, mu2, 2.0), rtol=5e-4)
