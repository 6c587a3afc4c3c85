"""Delphes as a step: stand-ins for its executable, and the genuine one where it is installed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from madminer_workflow.analysis.types import DelphesCard
from madminer_workflow.errors import InputError, StepError
from madminer_workflow.files import pack, read_json, unpack, write_json
from madminer_workflow.madminer_file import read_sample, read_setup
from madminer_workflow.physics import programs
from madminer_workflow.physics.delphes import delphes
from madminer_workflow.physics.detector import detect
from madminer_workflow.physics.pythia import pythia
from madminer_workflow.physics.readers.lhe import read_lhe
from madminer_workflow.physics.weights import event_weights
from madminer_workflow.products.events import Counts
from madminer_workflow.products.measured import Stage, read_report
from tests.support import chain
from tests.support.chain import Physics
from tests.support.paths import DATA

ROOT = DATA / "wbf_delphes_60.root"
HEPMC = DATA / "pythia_interface_2.hepmc.gz"
NUMBERS = np.arange(0, 360, 6)
"""The event numbers in ROOT."""


def installed() -> bool:
    try:
        programs.delphes()
    except InputError:
        return False
    return True


genuine = pytest.mark.skipif(not installed(), reason="needs Delphes (DELPHES_DIR)")


def stand_in(directory: Path, script: str) -> Path:
    """A directory with a 'Delphes' that runs ``script`` on CARD ROOT HEPMC."""
    (directory / "bin").mkdir(parents=True)
    (directory / "cards").mkdir()
    (directory / "cards/delphes_card_CMS.tcl").write_text("source helper.tcl\nset RandomSeed 7\n")
    (directory / "cards/helper.tcl").write_text("set helped 1\n")
    executable = directory / "bin/DelphesHepMC2"
    executable.write_text(f"#!/bin/sh\n{script}\n")
    executable.chmod(0o755)
    return directory


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Physics:
    """400 events of one benchmark, showered not by Pythia but by decree."""
    directory = tmp_path_factory.mktemp("drawn")
    with chain.rough_integration():
        physics = chain.set_up(chain.showered_analysis(directory, 400), directory, njobs=3)
    library = unpack(physics.processes, directory / "p")
    content = read_json(library / "signal/process.json")
    content["process"]["pythia8_card"] = None
    write_json(library / "signal/process.json", content)
    pack(library, directory / "Unshowered.tar.gz")
    pythia(physics.jobs[0], directory / "Unshowered.tar.gz", directory)
    return physics


def showered(physics: Physics, directory: Path, n_showered: int) -> Path:
    """The events of ``drawn`` with a HepMC file that says nothing, of so many showered events."""
    content = unpack(physics.input.parent / "Events.tar.gz", directory / "content")
    events = read_json(content / "events.json")
    (task,) = events["tasks"]
    task["hepmc"], task["counts"]["showered"] = "signal.sm.00000.hepmc", n_showered
    (content / task["hepmc"]).write_text("events\n")
    write_json(content / "events.json", events)
    pack(content, directory / "Events.tar.gz")
    return directory / "Events.tar.gz"


def analyse(physics: Physics, events: Path, output: Path) -> Path:
    delphes(physics.config, physics.reconstruction, events, output)
    return output / "delphes_data.h5"


def test_events_are_paired_with_weights_by_number(
    drawn: Physics, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DELPHES_DIR", str(stand_in(tmp_path / "d", f"cp {ROOT} $2")))
    data = analyse(drawn, showered(drawn, tmp_path, len(NUMBERS)), tmp_path / "out")
    sample = read_sample(data)
    names = read_setup(drawn.config).benchmark_names
    lhe = read_lhe(tmp_path / "content/signal.sm.00000.lhe", names, "sm")
    scale = sample.observations[:, sample.observables.index("event_scale")]
    assert 10 < len(scale) < 60
    chosen = np.searchsorted(
        lhe.variables["scale"], scale, sorter=np.argsort(lhe.variables["scale"])
    )
    places = np.argsort(lhe.variables["scale"])[chosen]
    assert set(places) < set(NUMBERS) and len(set(places)) == len(places)
    np.testing.assert_allclose(sample.weights, lhe.weights[places], rtol=1e-12)
    report = read_report(data)
    (task,) = report.tasks
    assert task.counts == Counts(
        requested=400, generated=400, showered=60, reconstructed=60, analysed=60
    )
    assert task.cut_flow[0] == Stage(cut="shower", passed=60, of=400)
    assert task.cut_flow[-1].passed == len(scale) == task.passed
    # The closure of the cross-section is that of all events, whatever became of them.
    process = report.processes["signal"]
    _, shares = event_weights(lhe.weights, task, process, read_setup(drawn.config))
    np.testing.assert_allclose(task.sum_weights, shares @ lhe.weights, rtol=1e-9)
    np.testing.assert_allclose(sample.shares, shares[places], rtol=1e-12)


@pytest.mark.parametrize(
    ("script", "n_showered", "error", "message"),
    [
        (f"cp {ROOT} $2; echo oh dear", 61, StepError, "reconstructed 60 of 61 .*oh dear"),
        ("echo oh dear; exit 3", 60, StepError, "Delphes failed with exit code 3; .*oh dear"),
        ("echo oh dear", 60, StepError, "Delphes wrote no events; .*oh dear"),
        ("echo nonsense > $2", 60, InputError, "is not Delphes's ROOT file, or damaged"),
    ],
)
def test_failures_are_loud(
    drawn: Physics,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    script: str,
    n_showered: int,
    error: type,
    message: str,
) -> None:
    monkeypatch.setenv("DELPHES_DIR", str(stand_in(tmp_path / "d", script)))
    with pytest.raises(error, match=f"(?s)Events.tar.gz.*{message}|{message}"):
        analyse(drawn, showered(drawn, tmp_path, n_showered), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_events_that_are_not_showered_are_refused(drawn: Physics, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="are not showered, but Delphes needs showered events"):
        analyse(drawn, drawn.input.parent / "Events.tar.gz", tmp_path / "out")


def test_the_card_gets_the_seed_and_all_events(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DELPHES_DIR", str(stand_in(tmp_path / "d", "cat $1 helper.tcl > $2")))
    texts = {}
    for name, card in {
        "shipped": DelphesCard(name="delphes_card_CMS.tcl", text=None),
        "own": DelphesCard(name="mine.tcl", text="set MaxEvents 3"),
    }.items():
        (tmp_path / name).mkdir()
        texts[name] = detect(HEPMC, card, 41, tmp_path / name)[0].read_text()
    own = "set RandomSeed 42\nset MaxEvents 0\nset SkipEvents 0\n"
    assert texts["own"] == f"set MaxEvents 3\n{own}set helped 1\n"
    assert texts["shipped"] == f"source helper.tcl\nset RandomSeed 7\n\n{own}set helped 1\n"


def test_an_unknown_shipped_card_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DELPHES_DIR", str(stand_in(tmp_path / "d", "true")))
    card = DelphesCard(name="delphes_card_SMC.tcl", text=None)
    with pytest.raises(InputError, match=r"has no card 'delphes_card_SMC\.tcl'.*_CMS"):
        detect(HEPMC, card, 41, tmp_path)


@pytest.fixture(scope="module")
def genuinely(tmp_path_factory: pytest.TempPathFactory) -> Physics:
    """20 events of three benchmarks, drawn by the built-in generator and showered by Pythia."""
    directory = tmp_path_factory.mktemp("genuinely")
    with chain.rough_integration():
        physics = chain.set_up(chain.showered_analysis(directory), directory, njobs=1)
    pythia(physics.jobs[0], physics.processes, directory / "pythia")
    return replace(physics, events=[directory / "pythia/Events.tar.gz"])


@genuine
def test_the_genuine_chain(genuinely: Physics, tmp_path: Path) -> None:
    """The same events through Delphes, twice, give the same bytes."""
    first, second = (
        analyse(genuinely, genuinely.events[0], tmp_path / name) for name in ("one", "two")
    )
    assert first.read_bytes() == second.read_bytes()
    tasks = read_report(first).tasks
    assert len(tasks) == 3
    for task in tasks:
        stages = ("requested", "generated", "showered", "reconstructed", "analysed")
        assert task.counts == Counts(**dict.fromkeys(stages, 20))
        assert 0 < task.passed <= 20
    sample = read_sample(first)
    assert np.all(sample.observations[:, 1] > 20.0)
    assert np.all(sample.weights > 0.0)


@genuine
def test_delphes_is_silent_about_nonsense_but_we_are_not(drawn: Physics, tmp_path: Path) -> None:
    """An unreadable HepMC file ends with exit code 0 and no events."""
    with pytest.raises(StepError, match="Delphes reconstructed 0 of 20 showered events"):
        analyse(drawn, showered(drawn, tmp_path, 20), tmp_path / "out")


@genuine
def test_damaged_hepmc_is_noticed(genuinely: Physics, tmp_path: Path) -> None:
    """Delphes skips, silently, events whose announced particles are not there."""
    content = unpack(genuinely.events[0], tmp_path / "content")
    hepmc = content / "signal.sm.00000.hepmc"
    lines = hepmc.read_text().splitlines(keepends=True)
    starts = [i for i, line in enumerate(lines) if line.startswith("E ")]
    del lines[starts[6] - 1]
    hepmc.write_text("".join(lines))
    pack(content, tmp_path / "Damaged.tar.gz")
    with pytest.raises(StepError, match="Delphes reconstructed 19 of 20 showered events"):
        analyse(genuinely, tmp_path / "Damaged.tar.gz", tmp_path / "out")
