"""Smearing against MadMiner's: the same distributions, and its rules to the letter."""

import awkward as ak
import numpy as np
import pytest
import vector
from madminer.utils.interfaces.lhe import _smear_particles, get_elementary_pdg_ids
from madminer.utils.particle import MadMinerParticle
from scipy.stats import ks_2samp

from madminer_workflow.errors import InputError
from madminer_workflow.physics.smearing import ELEMENTARY_IDS, smear
from tests.support import parts
from tests.support.madminer_events import as_particles, random_events


def resolution(particles=None, **changes):
    zero = {
        f"{q}_resolution_{p}": 0.0 for q in ("energy", "pt", "eta", "phi") for p in ("abs", "rel")
    }
    return parts.smearing({"particles": particles, **zero, **changes})


ON_SHELL_PT = {"pt_resolution_abs": None, "pt_resolution_rel": None}
ON_SHELL_E = {"energy_resolution_abs": None, "energy_resolution_rel": None}
WIDE = {"eta_resolution_abs": 0.1, "eta_resolution_rel": 0.05, "phi_resolution_abs": 2.0}


def one(n, pdgid=11, px=3.0, py=-4.0, pz=2.0, e=6.0):
    particle = {"px": px, "py": py, "pz": pz, "e": e, "spin": 1.0, "pdgid": pdgid}
    return as_particles([[particle]] * n)


def madminer_smeared(setting, n, seed, px, py, pz, e, pdgid=11):
    """The same particle through MadMiner's function n times: pt, phi, eta, e."""
    tables = [
        {pdgid: tuple(getattr(setting, f"{q}_resolution_{part}") for part in ("abs", "rel"))}
        for q in ("energy", "pt", "eta", "phi")
    ]
    particle = MadMinerParticle.from_xyzt(px, py, pz, e)
    particle.set_pdgid(pdgid)
    np.random.seed(seed)
    smeared = [_smear_particles([particle], *tables)[0] for _ in range(n)]
    return np.array([[p.pt, p.phi, p.eta, p.e] for p in smeared])


@pytest.mark.parametrize(
    "changes",
    [
        {"energy_resolution_rel": 0.4, **ON_SHELL_PT, **WIDE},
        {"energy_resolution_abs": 5.0, **ON_SHELL_PT},
        {"pt_resolution_abs": 4.0, "pt_resolution_rel": 0.1, **ON_SHELL_E, **WIDE},
        {"energy_resolution_rel": 0.1, "pt_resolution_rel": 0.2, **WIDE},
        {"phi_resolution_rel": 0.3},
    ],
)
def test_same_distributions_as_madminer(changes):
    setting, n = resolution([11], **changes), 1500
    momentum = {"px": 3.0, "py": -4.0, "pz": 2.0, "e": 6.0}
    theirs = madminer_smeared(setting, n, 7, **momentum)
    ours = ak.flatten(smear(one(n, **momentum), [setting], np.random.default_rng(8)), axis=1)
    for column, name in enumerate(("pt", "phi", "eta", "e")):
        values = np.asarray(ours[name])
        if np.ptp(theirs[:, column]) < 1e-9:
            np.testing.assert_allclose(values, theirs[0, column], rtol=1e-12)
        else:
            assert ks_2samp(values, theirs[:, column]).pvalue > 0.01, name


def test_ids_are_madminers():
    assert set(get_elementary_pdg_ids()) == ELEMENTARY_IDS


def test_without_resolutions_only_phi_is_wrapped():
    particles = as_particles(random_events(50, seed=3))
    smeared = smear(particles, [], np.random.default_rng(0))
    for name in ("px", "py", "pz", "e", "mass"):
        np.testing.assert_allclose(
            ak.flatten(getattr(smeared, name)), ak.flatten(getattr(particles, name)), atol=1e-9
        )
    assert ak.all(smeared.phi >= 0.0) and ak.all(smeared.phi < 2 * np.pi)
    assert ak.all(smeared.pdgid == particles.pdgid)


def test_on_shell_conditions_keep_the_mass():
    particles = one(500, e=7.0)
    mass = float(ak.flatten(particles.m)[0])
    for changes in (
        {"energy_resolution_rel": 0.1, **ON_SHELL_PT},
        {"pt_resolution_rel": 0.3, **ON_SHELL_E, "eta_resolution_abs": 0.2},
    ):
        smeared = smear(particles, [resolution(**changes)], np.random.default_rng(1))
        assert np.std(ak.flatten(smeared.e)) > 0.1
        np.testing.assert_allclose(ak.flatten(smeared.m), mass, rtol=1e-9)


def test_energies_below_the_mass_and_negative_pt_are_drawn_again():
    wide = resolution(energy_resolution_abs=50.0, **ON_SHELL_PT)
    smeared = smear(one(2000), [wide], np.random.default_rng(2))
    assert ak.all(smeared.e > ak.flatten(one(1).m)[0]) and ak.all(smeared.pt > 0.0)
    wide = resolution(pt_resolution_abs=50.0)
    assert ak.all(smear(one(2000), [wide], np.random.default_rng(2)).pt > 0.0)


def test_last_entry_for_a_particle_holds():
    electron, positron = one(300, pdgid=11), one(300, pdgid=-11)
    entries = [resolution(None, phi_resolution_abs=0.1), resolution([11])]
    assert np.std(ak.flatten(smear(electron, entries, np.random.default_rng(0)).phi)) < 1e-12
    assert np.std(ak.flatten(smear(positron, entries, np.random.default_rng(0)).phi)) > 0.05
    by_name = [*entries, resolution(["e"])]
    assert np.std(ak.flatten(smear(positron, by_name, np.random.default_rng(0)).phi)) < 1e-12


def test_unknown_particles_are_dropped_unless_given_a_resolution():
    exotic = one(3, pdgid=9000006)
    assert ak.num(smear(exotic, [], np.random.default_rng(0))).tolist() == [0, 0, 0]
    kept = smear(exotic, [resolution([9000006])], np.random.default_rng(0))
    assert ak.num(kept).tolist() == [1, 1, 1]


def test_particles_along_the_beam_are_lost():
    vector.register_awkward()
    beam = one(2, px=0.0, py=0.0, pz=5.0, e=5.0)
    assert ak.num(smear(beam, [], np.random.default_rng(0))).tolist() == [0, 0]


def test_impossible_settings_are_refused():
    unphysical = one(1, px=1.0, py=0.0, pz=0.0, e=-900.0)
    with pytest.raises(InputError, match="never gives more than"):
        smear(unphysical, [resolution(energy_resolution_abs=1.0)], np.random.default_rng(0))
