"""Pythia: draw one job's share of events (the parton shower, where an analysis has one, too)."""

from __future__ import annotations

import tempfile
from pathlib import Path

from madminer_workflow.errors import InputError, StepError
from madminer_workflow.files import pack, read_json, read_product, unpack, write_json
from madminer_workflow.physics import generators


def pythia(job_file: Path, processes: Path, output: Path) -> None:
    """Generate the events of ``job_file`` into ``Events.tar.gz``.

    The archive holds one LHE file a task and ``events.json``, which repeats the tasks with the
    name of their file and the generator's report, with the cross-sections of their processes.
    Raises StepError when a generator delivers another number of events than was asked for.
    """
    job = read_product(job_file, "generate", ("index", "tasks"))
    tasks = []
    used = {}
    with tempfile.TemporaryDirectory() as scratch:
        library = unpack(processes, Path(scratch) / "processes")
        events = Path(scratch) / "events"
        events.mkdir()
        for task in job["tasks"]:
            directory = library / task["process"]
            if not (directory / "process.json").is_file():
                raise InputError(f"{processes}: does not contain the process {task['process']}")
            integrated = read_json(directory / "process.json")
            process = integrated["process"]
            used[process["name"]] = {
                "events": process["events"],
                "benchmarks": integrated["benchmarks"],
                "systematics": integrated["systematics"],
                "cross_sections": integrated["report"]["cross_sections"],
            }
            name = f"{task['process']}.{task['sampling_benchmark']}.{task['block']:05d}.lhe"
            report = generators.get(process["generator"]).generate_events(
                directory,
                task["sampling_benchmark"],
                task["n_events"],
                task["seed"],
                events / name,
            )
            if report["n_events"] != task["n_events"]:
                raise StepError(
                    f"{name}: the generator wrote {report['n_events']} events "
                    f"where {task['n_events']} were requested"
                )
            tasks.append({**task, "file": name, "report": report})
        write_json(
            events / "events.json",
            {"index": job["index"], "tasks": tasks, "processes": used},
        )
        pack(events, output / "Events.tar.gz")
