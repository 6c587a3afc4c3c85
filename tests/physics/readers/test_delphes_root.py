"""Delphes's ROOT files against MadMiner's DelphesReader, event by event."""

import json
from pathlib import Path

import h5py
import numpy as np
import pytest

from madminer_workflow.errors import InputError, StepError
from madminer_workflow.physics.readers.delphes_root import read_delphes
from madminer_workflow.physics.reconstruction import Reconstructed, reconstruct_delphes
from tests.support import parts
from tests.support.paths import DATA

WBF = DATA / "wbf_delphes_60.root"
TTBAR = DATA / "ttbar_delphes_20.root"
CUTS = ["(a[0] + a[1]).m > 122.0", "(a[0] + a[1]).m < 128.0", "pt_j1 > 20.0"]
SINGLE = np.finfo(np.float32).eps


def observable(name, definition, required=False, default=None):
    return {"name": name, "definition": definition, "required": required, "default": default}


def run(file=WBF, observables=(), cuts=(), truth=False, n_generated=10**6, **acceptance):
    settings = parts.reconstruction(
        {"use_generator_truth": truth, "acceptance": acceptance},
        observables=[observable(*entry) for entry in observables],
        cuts=[{"definition": text, "required": False} for text in cuts],
    )
    scale = np.arange(n_generated, dtype=float)
    return reconstruct_delphes(file, settings, n_generated, {"scale": scale})


def measured(**settings) -> Reconstructed:
    return run(**settings)[0]


def test_identical_to_madminers_reader_event_by_event() -> None:
    with h5py.File(DATA / "madminer_delphesreader_oracle.h5") as file:
        names, definitions = (
            [text.decode() for text in file[f"observables/{key}"][()]]
            for key in ("names", "definitions")
        )
        expected = file["samples/observations"][()]
    observables = [(*pair, True) for pair in zip(names, definitions, strict=True)]
    ours = measured(observables=observables, cuts=CUTS)
    assert len(expected) == ours.passed.sum() == 27
    # MadMiner shuffles what it saves: pT of the first jet identifies an event.
    order, theirs = np.argsort(ours.observations[ours.passed, 0]), np.argsort(expected[:, 0])
    for i, (name, definition) in enumerate(zip(names, definitions, strict=True)):
        # MadMiner adds momenta in single precision, and differences lose what sums have.
        tolerance = 1e-4 if "+" in definition else 4.0 * SINGLE
        np.testing.assert_allclose(
            ours.observations[ours.passed, i][order],
            expected[theirs, i],
            rtol=tolerance,
            err_msg=name,
        )


@pytest.fixture(scope="module")
def oracle():
    """What MadMiner's functions, run with numpy 1.26 and uproot3, make of the events in TTBAR.

    Top pairs that decay to leptons, through Delphes's CMS card: the results of
    ``parse_delphes_root_file`` (-999 where undefined), and lists of (pt, eta, phi, e, pdgid,
    charge, b_tag, tau_tag). In generator truth its functions were given the final state only, and
    the acceptance that belongs to each list.
    """
    return json.loads((DATA / "ttbar_delphes_oracle.json").read_text())


@pytest.mark.parametrize("where", ["reconstructed", "reconstructed in acceptance"])
def test_leptons_tags_and_acceptance_as_in_madminer(oracle, where: str) -> None:
    expected = oracle[where]
    observables = [(name, text, False, -999.0) for name, text in oracle["expressions"].items()]
    acceptance = oracle["acceptance"] if where.endswith("acceptance") else {}
    ours = measured(file=TTBAR, observables=observables, **acceptance).observations
    assert len(ours) == 20
    for i, (name, definition, *_) in enumerate(observables):
        tolerance = 1e-4 if "+" in definition or "m" in name or "vis" in name else 4.0 * SINGLE
        np.testing.assert_allclose(ours[:, i], expected[name], rtol=tolerance, err_msg=name)
    # The events have what is compared.
    for name in ("n_e", "n_mu", "b1", "b2", "tau1", "n_a"):
        assert len(set(expected[name])) > 1, name


def rows(particles):
    """Particles of one event as in the oracle."""
    columns = (particles.pt, particles.eta, particles.phi, particles.e, particles.pdgid)
    tags = (particles.charge, particles.b_tag, particles.tau_tag)
    return np.array([np.asarray(column, dtype=float) for column in (*columns, *tags)]).T


def test_generator_truth_as_in_madminer(oracle) -> None:
    expected = oracle["truth in acceptance"]
    names = ["e", "mu", "l", "a", "j", "met"]
    tags = ("b_tag", "tau_tag")
    ours = read_delphes(TTBAR, names, tags, True, oracle["truth acceptance"]).objects
    for name in ("e", "mu", "l", "a", "j"):
        for event, (mine, theirs) in enumerate(zip(ours[name], expected[name], strict=True)):
            # MadMiner keeps the order of the file.
            ordered = sorted(theirs, key=lambda row: -row[0])
            np.testing.assert_allclose(
                rows(mine),
                np.reshape(ordered, (len(ordered), 8)).astype(float),
                rtol=4.0 * SINGLE,
                atol=4.0 * SINGLE,
                err_msg=f"{name} in event {event}",
            )
    met = np.array([event[0][:3] for event in expected["met"]])
    np.testing.assert_allclose(ours["met"].pt, met[:, 0], rtol=4.0 * SINGLE)
    np.testing.assert_allclose(ours["met"].phi, met[:, 2], rtol=4.0 * SINGLE)


def test_leptons_keep_their_charge_and_mass_when_sorted(oracle) -> None:
    """MadMiner's list l has the momenta in order, but not the masses and charges."""
    ours = read_delphes(TTBAR, ["e", "mu", "l"]).objects
    disagreements = 0
    for event, leptons in enumerate(ours["l"]):
        merged = np.concatenate([rows(ours["e"][event]), rows(ours["mu"][event])])
        merged = merged[np.argsort(-merged[:, 0])]
        np.testing.assert_array_equal(rows(leptons), merged)
        theirs = np.reshape(oracle["reconstructed leptons"][event], (-1, 8)).astype(float)
        np.testing.assert_allclose(merged[:, :3], theirs[:, :3], rtol=4.0 * SINGLE)
        disagreements += np.any(merged[:, 4:6] != theirs[:, 4:6])
    assert disagreements > 0


def test_the_acceptance_of_leptons_is_that_of_their_kind() -> None:
    loose = read_delphes(TTBAR, ["e", "mu", "l"]).objects
    tight = read_delphes(TTBAR, ["e", "mu", "l"], acceptance={"pt_min_mu": 1e6}).objects
    assert tight["e"].to_list() == loose["e"].to_list() == tight["l"].to_list()
    assert sum(map(len, loose["mu"])) > 0 == sum(map(len, tight["mu"]))


def test_particles_on_the_limits_are_accepted() -> None:
    jets = read_delphes(TTBAR, ["j"]).objects["j"]
    pt, eta = float(jets[0][1].pt), abs(float(jets[0][0].eta))
    for limits in ({"pt_min_j": pt}, {"eta_max_j": eta}):
        kept = read_delphes(TTBAR, ["j"], acceptance=limits).objects["j"]
        above = (jets.pt >= pt) if "pt_min_j" in limits else (abs(jets.eta) <= eta)
        assert kept.to_list() == jets[above].to_list()
    assert len(read_delphes(TTBAR, ["j"], acceptance={"pt_min_j": pt}).objects["j"][0]) == 2


def test_only_what_is_needed_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    import uproot

    read = []
    array = uproot.TBranch.array
    monkeypatch.setattr(
        uproot.TBranch,
        "array",
        lambda self, *a, **k: read.append(self.name) or array(self, *a, **k),
    )
    run(observables=[("met", "met.pt")])
    assert read == ["Event.Number", "MissingET.MET", "MissingET.Phi"]
    read.clear()
    run(observables=[("pt", "j[0].pt"), ("tag", "j[0].b_tag")])
    assert set(read) == {
        "Event.Number",
        *(f"Jet.{n}" for n in ("PT", "Eta", "Phi", "Mass", "BTag")),
    }


def test_visible_and_all_are_sums(oracle) -> None:
    names = ["e", "mu", "a", "j", "met", "visible", "all"]
    objects = read_delphes(TTBAR, names).objects
    total = [sum(p.px for name in names[:4] for p in objects[name][i]) for i in range(20)]
    np.testing.assert_allclose(objects["visible"].px, total, rtol=1e-12, atol=1e-9)
    np.testing.assert_allclose(
        objects["all"].py, objects["visible"].py + objects["met"].py, rtol=1e-12, atol=1e-9
    )
    np.testing.assert_allclose(objects["met"].pz, 0.0)


def test_numbers_select_the_generated_events() -> None:
    result, numbers = run(observables=[("scale", "scale")])
    assert numbers.tolist() == list(range(0, 360, 6))
    assert result.observations[:, 0].tolist() == numbers.tolist()


def test_numbers_that_were_not_generated_are_refused() -> None:
    with pytest.raises(StepError, match="not distinct numbers of the 354 generated events"):
        run(n_generated=354)


@pytest.mark.parametrize("name", ["p[0].pt", "len(v)", "tau[0].pt", "len(ta)", "p_truth[0].pt"])
def test_objects_that_delphes_does_not_give_are_refused(name: str) -> None:
    with pytest.raises(InputError, match="which these events do not provide"):
        run(observables=[("x", name)])


def test_spin_is_refused() -> None:
    with pytest.raises(InputError, match="spin of a particle, which Delphes does not provide"):
        run(observables=[("x", "e[0].spin")])


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.99])
def test_truncated_files_are_refused(tmp_path: Path, share: float) -> None:
    content = WBF.read_bytes()
    (tmp_path / "cut.root").write_bytes(content[: int(share * len(content))])
    with pytest.raises(InputError, match=r"cut\.root: is not Delphes's ROOT file, or damaged"):
        read_delphes(tmp_path / "cut.root", ["j", "a", "met"])


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.root: cannot be read: no such file"):
        read_delphes(tmp_path / "none.root", ["j"])


def test_other_root_files_are_refused(tmp_path: Path) -> None:
    import uproot

    with uproot.recreate(tmp_path / "other.root") as file:
        file["Events"] = {"x": np.arange(3)}
    with pytest.raises(InputError, match="is not Delphes's ROOT file"):
        read_delphes(tmp_path / "other.root", ["j"])
    with uproot.recreate(tmp_path / "bare.root") as file:
        file["Delphes"] = {"x": np.arange(3)}
    with pytest.raises(InputError, match=r"has no Event\.Number.*the Delphes card must write it"):
        read_delphes(tmp_path / "bare.root", ["j"])
