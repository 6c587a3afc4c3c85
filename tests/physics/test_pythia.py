from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from madminer_workflow.errors import InputError, StepError
from madminer_workflow.files import pack, read_json, unpack, write_json
from madminer_workflow.physics.pythia import pythia
from madminer_workflow.physics.readers.lhe import read_lhe
from madminer_workflow.physics.tasks import all_tasks
from madminer_workflow.products.jobs import write_jobs
from madminer_workflow.products.parts import read_generation
from tests.support import chain
from tests.support.chain import Physics
from tests.support.paths import PYTHIA_VERSION


def tasks_of(physics: Physics) -> list[dict[str, Any]]:
    return [task for job in physics.jobs for task in read_json(job)["tasks"]]


def test_events_are_what_the_job_asks_for(tiny: Physics, tmp_path: Path) -> None:
    for job, archive in zip(tiny.jobs, tiny.events, strict=True):
        directory = unpack(archive, tmp_path / job.stem)
        content = read_json(directory / "events.json")
        asked = read_json(job)["tasks"]
        assert [{key: task[key] for key in asked[0]} for task in content["tasks"]] == asked
        for task in content["tasks"]:
            events = read_lhe(directory / task["file"])
            assert len(events) == task["n_events"] == task["report"]["n_events"]
            assert set(tiny.benchmarks()) <= set(events.weight_names)
            value = content["processes"]["signal"]["cross_sections"][task["sampling_benchmark"]][0]
            own = events.weights[:, events.weight_names.index(task["sampling_benchmark"])]
            assert own.sum() == pytest.approx(value, rel=1e-6)


def test_same_job_same_bytes(tiny: Physics, tmp_path: Path) -> None:
    for _ in range(2):
        pythia(tiny.jobs[0], tiny.processes, tmp_path)
        assert (tmp_path / "Events.tar.gz").read_bytes() == tiny.events[0].read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == ["Events.tar.gz"]


def test_another_seed_gives_other_events(tiny: Physics, tmp_path: Path) -> None:
    generation = read_generation(tiny.generation)
    masses = []
    for seed in (generation.seed, generation.seed + 1):
        task = all_tasks(msgspec.structs.replace(generation, seed=seed))[0]
        write_jobs(tmp_path, [[task]])
        pythia(tmp_path / "jobs/job_0000.json", tiny.processes, tmp_path / f"{seed}")
        directory = unpack(tmp_path / f"{seed}/Events.tar.gz", tmp_path / f"lhe_{seed}")
        events = read_lhe(next(directory.glob("*.lhe")))
        masses.append(np.asarray(events.particles[:, 0].px))
    assert len(np.intersect1d(*masses)) == 0


def test_blocks_differ(tiny: Physics) -> None:
    tasks = tasks_of(tiny)
    assert len({task["seed"] for task in tasks}) == len(tasks)


def test_an_empty_job_is_fine(tiny: Physics, tmp_path: Path) -> None:
    write_json(tmp_path / "job.json", {"index": 9, "tasks": []})
    pythia(tmp_path / "job.json", tiny.processes, tmp_path / "out")
    content = read_json(unpack(tmp_path / "out/Events.tar.gz", tmp_path / "x") / "events.json")
    assert content["tasks"] == []


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("process", "other", "does not contain the process other"),
        ("process", "../..", r"does not contain the process \.\./\.\."),
        (
            "sampling_benchmark",
            "other",
            "'other': is not a sampling benchmark of this process, sm, w",
        ),
        ("n_events", 0, "n_events: is 0; expected at least 1"),
    ],
)
def test_impossible_tasks_are_refused(
    tiny: Physics, tmp_path: Path, key: str, value: Any, message: str
) -> None:
    task = {**tasks_of(tiny)[0], key: value}
    write_json(tmp_path / "job.json", {"index": 0, "tasks": [task]})
    with pytest.raises(InputError, match=message):
        pythia(tmp_path / "job.json", tiny.processes, tmp_path / "out")
    assert not list((tmp_path).glob("out/**/*"))


def test_parton_level_events_are_not_showered(tiny: Physics, tmp_path: Path) -> None:
    directory = unpack(tiny.events[0], tmp_path / "x")
    for task in read_json(directory / "events.json")["tasks"]:
        n = task["n_events"]
        assert task["counts"] == {"requested": n, "generated": n}
        assert task["hepmc"] is None and task["shower"] is None
    assert not list(directory.glob("*.hepmc"))


@pytest.fixture(scope="module")
def showered(tmp_path_factory: pytest.TempPathFactory) -> Physics:
    """An analysis with a shower, integrated."""
    directory = tmp_path_factory.mktemp("showered")
    with chain.rough_integration():
        return chain.set_up(chain.showered_analysis(directory), directory, njobs=3)


def test_showered_events_are_numbered_as_the_generated_ones(
    showered: Physics, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MG5_DIR", raising=False)
    monkeypatch.delenv("SOFTWARE_DIR", raising=False)
    for name in ("one", "two"):
        pythia(showered.jobs[0], showered.processes, tmp_path / name)
    directory = unpack(tmp_path / "one/Events.tar.gz", tmp_path / "events")
    (task,) = read_json(directory / "events.json")["tasks"]
    assert task["counts"] == {"requested": 20, "generated": 20, "showered": 20}
    assert task["shower"] == {"program": "pythia8mc", "version": PYTHIA_VERSION}
    assert task["hepmc"] == "signal.sm.00000.hepmc"
    heads = [
        line.split()
        for line in (directory / task["hepmc"]).read_text().splitlines()
        if line.startswith("E ")
    ]
    assert [int(words[1]) for words in heads] == list(range(20))
    assert (tmp_path / "one/Events.tar.gz").read_bytes() == (
        tmp_path / "two/Events.tar.gz"
    ).read_bytes()
    assert sorted(path.name for path in directory.iterdir()) == [
        *("events.json", "signal.sm.00000.hepmc", "signal.sm.00000.lhe")
    ]


def test_a_wrong_card_is_named_before_anything_is_generated(
    showered: Physics, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def edit(directory: Path) -> None:
        content = read_json(directory / "signal/process.json")
        content["process"]["pythia8_card"] = "\nPartonLevel:MPY = off"
        write_json(directory / "signal/process.json", content)

    processes = unpack(showered.processes, tmp_path / "p")
    edit(processes)
    pack(processes, tmp_path / "Processes.tar.gz")
    monkeypatch.setattr("madminer_workflow.physics.pythia.generators", None)
    message = "processes.signal.pythia8_card: line 2: 'PartonLevel:MPY = off': .* not know"
    with pytest.raises(InputError, match=message):
        pythia(showered.jobs[0], tmp_path / "Processes.tar.gz", tmp_path / "out")


def test_disk_space_is_checked_before_anything_is_generated(
    showered: Physics, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=10**6))
    monkeypatch.setattr("madminer_workflow.physics.pythia.generators", None)
    with pytest.raises(StepError, match="not enough disk space: 20 showered events take up to 2 M"):
        pythia(showered.jobs[0], showered.processes, tmp_path / "out")
