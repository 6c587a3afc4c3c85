"""Pythia: draw one job's share of events, and shower them where an analysis has a shower."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from madminer_workflow.errors import InputError, StepError
from madminer_workflow.files import pack, read_json, read_product, unpack, write_json
from madminer_workflow.physics import generators
from madminer_workflow.physics.shower import check_space, shower
from madminer_workflow.physics.shower.card import Card, read_card
from madminer_workflow.seeds import derive_seed


def pythia(job_file: Path, processes: Path, output: Path) -> None:
    """Generate the events of ``job_file`` into ``Events.tar.gz``, and shower them.

    The archive holds for each task one LHE file and, for processes with a card for Pythia, one
    HepMC file, in which an event has the number of its place in the LHE file. ``events.json``
    repeats the tasks with the names of their files, the numbers of events ``requested``,
    ``generated`` and ``showered``, the program that showered them and the generator's report, and
    adds the cross-sections of their processes.

    Raises InputError for a card that Pythia does not accept, StepError when a program delivers
    another number of events than was asked for, or when there is no room for them.
    """
    job = read_product(job_file, "generate", ("index", "tasks"))
    with tempfile.TemporaryDirectory() as scratch:
        directory = unpack(processes, Path(scratch) / "processes")
        library = _Library(processes, directory, {task["process"] for task in job["tasks"]})
        events = Path(scratch) / "events"
        events.mkdir()
        check_space(
            [events, output],
            [
                (task["n_events"], library.cards[task["process"]].interactions)
                for task in job["tasks"]
                if task["process"] in library.cards
            ],
        )
        tasks = [_produce(task, library, events) for task in job["tasks"]]
        content = {"index": job["index"], "tasks": tasks, "processes": library.summaries()}
        write_json(events / "events.json", content)
        pack(events, output / "Events.tar.gz")


class _Library:
    """The integrated processes of an archive that one job needs."""

    def __init__(self, archive: Path, directory: Path, names: set[str]):
        self.directory = directory
        self.integrated: dict[str, dict[str, Any]] = {}
        self.cards: dict[str, Card] = {}
        for name in sorted(names):
            if not (directory / name / "process.json").is_file():
                raise InputError(f"{archive}: does not contain the process {name}")
            self.integrated[name] = read_json(directory / name / "process.json")
            card = self.integrated[name]["process"]["pythia8_card"]
            if card is not None:
                self.cards[name] = read_card(card, f"processes.{name}.pythia8_card")

    def summaries(self) -> dict[str, dict[str, Any]]:
        """What the analysis of the events needs to know of each process."""
        return {
            name: {
                "events": integrated["process"]["events"],
                "benchmarks": integrated["benchmarks"],
                "systematics": integrated["systematics"],
                "cross_sections": integrated["report"]["cross_sections"],
            }
            for name, integrated in self.integrated.items()
        }


def _produce(task: dict[str, Any], library: _Library, events: Path) -> dict[str, Any]:
    """Write the files of a task into the directory `events`; return its entry in events.json."""
    name = task["process"]
    stem = f"{name}.{task['sampling_benchmark']}.{task['block']:05d}"
    lhe, hepmc = events / f"{stem}.lhe", events / f"{stem}.hepmc"
    report = generators.get(library.integrated[name]["process"]["generator"]).generate_events(
        library.directory / name, task["sampling_benchmark"], task["n_events"], task["seed"], lhe
    )
    if report["n_events"] != task["n_events"]:
        raise StepError(
            f"{lhe.name}: the generator wrote {report['n_events']} events "
            f"where {task['n_events']} were requested"
        )
    counts = {"requested": task["n_events"], "generated": report["n_events"]}
    entry = {**task, "file": lhe.name, "hepmc": None, "report": report, "shower": None}
    if name in library.cards:
        done = shower(lhe, library.cards[name], derive_seed(task["seed"], "shower"), hepmc)
        counts["showered"] = done.pop("showered")
        entry |= {"hepmc": hepmc.name, "shower": done}
    return {**entry, "counts": counts}
