"""Delphes's ROOT files against MadMiner's DelphesReader, event by event."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from madminer_workflow.errors import InputError, StepError
from madminer_workflow.physics.readers.delphes_root import read_delphes
from madminer_workflow.physics.reconstruction import Reconstructed, reconstruct_delphes

DATA = Path(__file__).parent / "data"
WBF = DATA / "wbf_delphes_60.root"
CUTS = ["(a[0] + a[1]).m > 122.0", "(a[0] + a[1]).m < 128.0", "pt_j1 > 20.0"]
SINGLE = np.finfo(np.float32).eps


def observable(name, definition, required=False, default=None):
    return {"name": name, "definition": definition, "required": required, "default": default}


def run(file=WBF, observables=(), cuts=(), truth=False, n_generated=10**6, **acceptance):
    settings = {
        "detector": {"use_generator_truth": truth, "acceptance": acceptance},
        "observables": [observable(*each) for each in observables],
        "cuts": [{"definition": text, "required": False} for text in cuts],
        "efficiencies": [],
    }
    scale = np.arange(n_generated, dtype=float)
    return reconstruct_delphes(file, settings, n_generated, {"scale": scale})


def measured(**parts) -> Reconstructed:
    return run(**parts)[0]


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


def test_numbers_select_the_generated_events() -> None:
    result, numbers = run(observables=[("scale", "scale")])
    assert numbers.tolist() == list(range(0, 360, 6))
    assert result.observations[:, 0].tolist() == numbers.tolist()


def test_numbers_that_were_not_generated_are_refused() -> None:
    with pytest.raises(StepError, match="not different ones of the 354 generated events"):
        run(n_generated=354)


@pytest.mark.parametrize("name", ["p[0].pt", "len(v)", "tau[0].pt", "len(ta)", "p_truth[0].pt"])
def test_objects_that_delphes_does_not_give_are_refused(name: str) -> None:
    with pytest.raises(InputError, match="which these events do not provide"):
        run(observables=[("x", name)])


def test_spin_is_refused() -> None:
    with pytest.raises(InputError, match="spin of a particle, which Delphes does not give"):
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
