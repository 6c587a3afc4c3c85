"""HepMC files as events that exist: weights, cross-section, blocks, and what Delphes gets."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from pathlib import Path

import awkward as ak
import numpy as np
import pytest
from click.testing import CliRunner

import madminer_workflow.physics.delphes as step
from madminer_workflow.analysis.file import problems
from madminer_workflow.analysis.hepmc_files import count_events, estimate_events, read_start
from madminer_workflow.cli import main
from madminer_workflow.errors import InputError, StepError
from madminer_workflow.files import unpack
from madminer_workflow.inspection import inspect
from madminer_workflow.madminer_file import read_sample, read_setup
from madminer_workflow.physics import tasks
from madminer_workflow.physics.delphes import delphes
from madminer_workflow.physics.export import export_events
from madminer_workflow.physics.pythia import pythia
from madminer_workflow.physics.readers import delphes_root
from madminer_workflow.physics.readers.lhe import read_lhe
from tests.physics.test_detector import ROOT, stand_in
from tests.support.chain import run_physics, set_up
from tests.support.event_files import BENCHMARKS, analysis
from tests.support.tables import write_table

N = 60
CROSS_SECTION = 2.5e-3
WEIGHTS = 1e-6 * (1.0 + np.random.default_rng(5).random((N, len(BENCHMARKS))))
NUMBERS = [100 + 7 * i for i in range(N)]

EVENT_2 = """E {number} -1 {scale!r} 0.12 0.0078 0 0 1 1 2 0 {n} {weights}
N {n} {names}
U GEV MM
C {estimate!r} 1e-5
V -1 0 0 0 0 0 2 1 0
P 1 2212 0 0 6500 6500 0.938 4 0 0 -1 0
P 2 2212 0 0 -6500 6500 0.938 4 0 0 -1 0
P 3 11 1e+01 0 0 1e+01 0 1 0 0 0 0
"""
EVENT_3 = """E {number} 1 3
U GEV MM
W {weights}
A 0 GenCrossSection {estimate!r} 1e-5 60 60
A 0 alphaQCD 0.12
A 0 alphaQED 0.0078
A 0 event_scale {scale!r}
P 1 0 2212 0 0 6500 6500 0.938 4
P 2 0 2212 0 0 -6500 6500 0.938 4
V -1 0 [1,2]
P 3 -1 11 1e+01 0 0 1e+01 0 1
"""
FRAMES = {
    2: "\nHepMC::Version 2.06.09\nHepMC::IO_GenEvent-{}_EVENT_LISTING\n",
    3: "HepMC::Version 3.02.05\nHepMC::Asciiv3-{}_EVENT_LISTING\n",
}


def hepmc(version: int, chosen: Sequence[int] = range(N), numbers: list[int] = NUMBERS) -> str:
    """The text of some events, whose estimates of the cross-section end where it is."""
    names = [*BENCHMARKS]
    head = FRAMES[version].format("START")
    if version == 3:
        head += f"W {len(names)}\nN " + "\\|".join(names) + "\nT Pythia\\|8\\|\n"
    events = [
        (EVENT_2 if version == 2 else EVENT_3).format(
            number=numbers[i],
            scale=100.0 + i,
            n=len(names),
            weights=" ".join(map(repr, WEIGHTS[i].tolist())),
            names=" ".join(f'"{name}"' for name in names),
            estimate=CROSS_SECTION * (1.0 if i == chosen[-1] else 1.2),
        )
        for i in chosen
    ]
    end = FRAMES[version].format("END").strip("\n").split("\n")[1]
    return head + "".join(events) + f"{end}\n"


DELPHES = {
    "detector": {"delphes_card": "delphes_card_CMS.tcl"},
    "observables": [
        {"name": "pt_j1", "definition": "j[0].pt", "default": 0.0, "range": [0.0, 500.0]},
        {"name": "event_scale", "definition": "scale", "required": True},
    ],
    "cuts": [],
}


def of_hepmc(folder: Path, version: int, parts: int = 1) -> Path:
    """An analysis of HepMC files, the second of two compressed."""
    folder.mkdir(parents=True, exist_ok=True)
    edges = [N * i // parts for i in range(parts + 1)]
    for i in range(parts):
        text = hepmc(version, range(edges[i], edges[i + 1])).encode()
        (folder / f"e{i}.hepmc{'.gz' * (i % 2)}").write_bytes(
            gzip.compress(text) if i % 2 else text
        )
    return analysis(folder, {"sm": ["e0.hepmc", "e1.hepmc.gz"][:parts]}, DELPHES)


@pytest.mark.parametrize("parts", [1, 2])
@pytest.mark.parametrize("version", [2, 3])
def test_events_go_to_delphes_with_their_weights(
    version: int, parts: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of the way, with a Delphes that answers with events of its own."""
    given = tmp_path / "given.hepmc"
    directory = stand_in(tmp_path / "d", f"cp $3 {given}; cp {ROOT} $2")
    (directory / "bin/DelphesHepMC2").rename(directory / f"bin/DelphesHepMC{version}")
    monkeypatch.setenv("DELPHES_DIR", str(directory))
    monkeypatch.setattr(delphes_root._Events, "numbers", lambda self: np.arange(N))
    file = of_hepmc(tmp_path / "a", version, parts)
    assert [str(one) for one in problems(file) if not one.warning] == []
    physics = run_physics(file, tmp_path, njobs=1)
    # Only their numbers are others.
    if parts == 1:
        assert given.read_text() == hepmc(version, numbers=[*range(N)])
    sample = read_sample(physics.combined)
    # The combined file has its events in another order.
    order = np.argsort(sample.observations[:, 1])
    assert sample.observations[order, 1].tolist() == (100.0 + np.arange(N)).tolist()
    weights = (sample.weights * sample.shares[:, None])[order]
    assert weights[:, 0].sum() == pytest.approx(CROSS_SECTION)
    if parts == 1:
        expected = WEIGHTS * (CROSS_SECTION / WEIGHTS[:, 0].sum())
        np.testing.assert_allclose(weights, expected, rtol=1e-12)
    with pytest.raises(InputError, match="read from HepMC files, after the shower"):
        export_events(physics.events, tmp_path / "exported")


def answered(hepmc: Path, _: object, __: int, directory: Path) -> tuple[Path, Path]:
    """As Delphes answers: as many events as there are, with their numbers and a jet in each."""
    numbers = [int(line.split()[1]) for line in hepmc.read_text().split("\n") if line[:2] == "E "]
    root, log = directory / "delphes.root", directory / "delphes.log"
    jet = {"PT": 50.0, "Eta": 0.5, "Phi": 0.1, "Mass": 5.0}
    columns = {f"Jet.{name}": ak.Array([[value]] * len(numbers)) for name, value in jet.items()}
    write_table(root, {"Event.Number": ak.Array([[n] for n in numbers]), **columns}, "Delphes")
    log.touch()
    return root, log


SYSTEMATICS = [
    {"systematic_name": "qcd", "effect": "scale", "scale_variations": [0.5, 1.0, 2.0]},
    {
        "systematic_name": "pdf",
        "effect": "pdf",
        "pdf_variation": "some_set",
        "pdf_members": 2,
        "pdf_error_type": "replicas",
    },
]


@pytest.mark.parametrize("version", [2, 3])
def test_blocks_backgrounds_and_variations(
    version: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a signal and a background, in blocks of 25 events, with weights by name and position."""
    monkeypatch.setattr(tasks, "BLOCK", 25)
    monkeypatch.setattr(step, "detect", answered)
    of_hepmc(tmp_path / "a", version, 2)
    one = {
        "generator": "files",
        "files": {"sm": ["e0.hepmc", "e1.hepmc.gz"]},
        "variations": {"qcd": ["ten", 2], "pdf": ["b3", "b4", "b5"]},
    }
    processes = [
        {"name": "signal", **one, "cross_section": {"sm": 2.0}},
        {"name": "background", **one, "is_background": True, "k_factor": 3.0},
    ]
    file = analysis(
        tmp_path / "a",
        {"sm": []},
        {**DELPHES, "processes": processes, "systematics": SYSTEMATICS},
    )
    assert [str(found) for found in problems(file) if not found.warning] == []
    physics = run_physics(file, tmp_path, njobs=2)
    sample, setup = read_sample(physics.combined), read_setup(physics.config)
    for ids, total, names in (
        (sample.sampling_ids >= 0, 2.0, [*BENCHMARKS]),
        (sample.sampling_ids < 0, 3.0 * CROSS_SECTION, ["sm"] * len(BENCHMARKS)),
    ):
        order = np.flatnonzero(ids)[np.argsort(sample.observations[ids, 1])]
        assert sample.observations[order, 1].tolist() == (100.0 + np.arange(N)).tolist()
        columns = dict(zip(BENCHMARKS, WEIGHTS.T, strict=True))
        expected = np.column_stack([columns[name] for name in names])
        weights = (sample.weights * sample.shares[:, None])[order]
        assert weights[:, 0].sum() == pytest.approx(total)
        relative = weights / weights[:, :1]
        np.testing.assert_allclose(relative, expected / expected[:, :1], rtol=1e-12)
        varied = (sample.nuisance_weights[order] / sample.weights[order, :1]).T
        found = dict(zip(setup.nuisance_benchmarks, varied, strict=True))
        down, up = (columns[name] / columns["sm"] for name in ("ten", "b2"))
        np.testing.assert_allclose(found["qcd_nuisance_param_0_benchmark_0"], up, rtol=1e-12)
        np.testing.assert_allclose(found["qcd_nuisance_param_0_benchmark_1"], down, rtol=1e-12)
        for i, member in enumerate(("b4", "b5")):
            ratio = columns[member] / columns["b3"]
            name = f"pdf_nuisance_param_{i}_benchmark_0"
            np.testing.assert_allclose(found[name], ratio, rtol=1e-12)


@pytest.mark.parametrize("version", [2, 3])
def test_validation_asks_for_the_delphes_of_this_version(
    version: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that reads the other version only is not enough."""
    file = of_hepmc(tmp_path / "a", version)
    directory = stand_in(tmp_path / "d", "true")
    executable = directory / "bin/DelphesHepMC2"
    executable.rename(directory / f"bin/DelphesHepMC{5 - version}")
    monkeypatch.setenv("DELPHES_DIR", str(directory))
    said = CliRunner().invoke(main, ["validate", str(file)]).output
    assert f"does not contain Delphes for HepMC files of version {version}" in said
    assert f"bin/DelphesHepMC{version}" in said
    (directory / f"bin/DelphesHepMC{version}").touch()
    assert "DelphesHepMC" not in CliRunner().invoke(main, ["validate", str(file)]).output


def test_delphes_must_keep_all_events(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of one event more than its answer has, the stand-in loses the last."""
    monkeypatch.setenv("DELPHES_DIR", str(stand_in(tmp_path / "d", f"cp {ROOT} $2")))
    monkeypatch.setattr(delphes_root._Events, "numbers", lambda self: np.arange(N))
    file = of_hepmc(tmp_path / "a", 2)
    (tmp_path / "a/e0.hepmc").write_text(hepmc(2, [*range(N), 0]))
    physics = set_up(file, tmp_path, njobs=1)
    pythia(physics.jobs[0], physics.processes, tmp_path)
    events = tmp_path / "Events.tar.gz"
    content = unpack(events, tmp_path / "content")
    assert len(read_lhe(next(content.glob("*.lhe")), [*BENCHMARKS])) == N + 1
    with pytest.raises(StepError, match=f"Delphes reconstructed {N} of {N + 1} showered events"):
        delphes(physics.config, physics.reconstruction, events, tmp_path / "out")


@pytest.mark.parametrize("version", [2, 3])
def test_inspect_shows_weights(version: int, tmp_path: Path) -> None:
    file = tmp_path / "a.hepmc"
    file.write_text(hepmc(version))
    summary = inspect(file)
    assert (summary.format, summary.events) == (f"HepMC{version} as text", N)
    assert [weight.name for weight in summary.weights] == [*BENCHMARKS]
    assert summary.weights[1].total == pytest.approx(WEIGHTS[:, 1].sum())
    assert summary.facts["cross-section"].startswith("0.0025 ± 1e-05 pb")
    assert count_events(file) == estimate_events(file) == N
    assert read_start(file).version == version


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda text: text[: len(text) * 2 // 3], r"truncated, .*\(after \d\d whole events\)"),
        (lambda text: text.replace("P 2 ", "Q 2 ", 1), "event 1: cannot be read .2 particles whe"),
        (lambda text: text.replace(repr(WEIGHTS[5, 2].item()), "nan"), "event 6: a weight is no"),
        (lambda text: text.replace(repr(WEIGHTS[5, 2].item()), "x"), "event 6: cannot be read"),
        (lambda text: text.replace(f" {WEIGHTS[5, 5].item()!r}", ""), "event 6: "),
        (lambda text: "nothing", "truncated, or not a HepMC file"),
    ],
)
def test_wrong_files_are_named(version: int, change: object, says: str, tmp_path: Path) -> None:
    file = of_hepmc(tmp_path / "a", version)
    place = tmp_path / "a/e0.hepmc"
    place.write_text(change(place.read_text()))  # type: ignore[operator]
    with pytest.raises(InputError, match=says):
        set_up(file, tmp_path, njobs=1)


def test_validation_knows_what_showered_events_need(tmp_path: Path) -> None:
    of_hepmc(tmp_path / "a", 2)
    (tmp_path / "a/card.dat").write_text("! nothing\n")
    keys = {"pythia8_card": "card.dat"}
    observables = [
        {"name": "pt_j1", "definition": "j[0].pt"},
        {"name": "n", "definition": "n_particles"},
    ]
    file = analysis(
        tmp_path / "a", {"sm": ["e0.hepmc"]}, {**DELPHES, "observables": observables}, **keys
    )
    told = [str(one) for one in problems(file) if not one.warning]
    assert any("are already showered; leave this out" in one for one in told)
    assert any("n_particles, the size of the hard process, is not known" in one for one in told)
    file = analysis(tmp_path / "a", {"sm": ["e0.hepmc"]}, {**DELPHES, "detector": {}})
    told = [str(one) for one in problems(file) if not one.warning]
    assert any("reads HepMC files, which need a delphes_card" in one for one in told)
