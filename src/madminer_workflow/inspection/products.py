"""Archives that steps write: models, results, events, processes."""

from __future__ import annotations

import tempfile
from pathlib import Path

from madminer_workflow import archives
from madminer_workflow.errors import InputError
from madminer_workflow.inspection.summary import Column, Summary
from madminer_workflow.products.events import NOTE as EVENTS
from madminer_workflow.products.events import read_events
from madminer_workflow.products.model import NOTE as MODEL
from madminer_workflow.products.model import note_in
from madminer_workflow.products.processes import NOTE as PROCESS
from madminer_workflow.products.processes import peek
from madminer_workflow.products.results import read_results


def inspect(path: Path) -> Summary:
    """Look into an archive; InputError if it is damaged, or none of a step."""
    members: dict[str, int] = {}
    try:
        with archives.opened(path) as stream:
            for entry in archives.entries(stream):
                members[entry.name] = entry.size
    except archives.ArchiveError as error:
        raise InputError(f"{path}: cannot be read ({error})") from None
    columns = tuple(
        Column(name=name, number=size, meaning="bytes")
        for name, size in members.items()
        if name != archives.SUMS
    )
    what, facts = "archive", dict[str, str]()
    events = None
    if MODEL in members:
        what, facts = "model", _model(path)
    elif {"results.json", "arrays.npz"} <= members.keys():
        what, facts = "results", _results(path)
    elif EVENTS in members:
        what = "events of a job"
        events, facts = _events(path)
    elif any(Path(name).name == PROCESS for name in members):
        what, facts = "processes", _processes(path)
    return Summary(
        file=str(path), format=what, events=events, facts=facts, columns=columns, columns_are="file"
    )


def _model(path: Path) -> dict[str, str]:
    note = note_in(path)
    last = {name: f"{losses[-1]:.6g}" for name, losses in note.losses.items() if losses}
    return {
        "method": f"{note.settings.name} ({note.settings.method})",
        "member": str(note.member),
        "parameters": ", ".join(note.parameters),
        "inputs": ", ".join(note.settings.inputs(note.observables)),
        **({"last losses": ", ".join(f"{k} {v}" for k, v in last.items())} if last else {}),
        "trained with": ", ".join(f"{name} {v}" for name, v in note.versions.items()) or "unknown",
    }


def _results(path: Path) -> dict[str, str]:
    summary = read_results(path).summary
    return {
        "method": f"{summary.name} ({summary.settings.method})",
        "parameters": ", ".join(summary.parameters),
        "members": str(summary.members),
        "believed": "yes" if summary.believed else "no",
    }


def _events(path: Path) -> tuple[int, dict[str, str]]:
    with tempfile.TemporaryDirectory() as scratch:
        note = read_events(path, Path(scratch))
    facts = {
        f"process {name}": ", ".join(f"{n} from {b}" for b, n in process.events.items())
        for name, process in note.processes.items()
    }
    return sum(task.n_events for task in note.tasks), facts


def _processes(path: Path) -> dict[str, str]:
    return {
        f"process {one.process.name}": f"{one.process.generator}, "
        + ", ".join(f"{n}: {v:.6g} pb" for n, (v, _) in one.report.cross_sections.items())
        for one in peek(path)
    }
