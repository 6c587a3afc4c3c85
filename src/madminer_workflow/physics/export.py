"""The events of a run as Les Houches event files, one for each process and sampling benchmark.

``generator: files`` reads them, and everybody else: their weights add up to the cross-section
(``event_norm = sum``), as those of every block do in a run.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from madminer_workflow.errors import InputError
from madminer_workflow.files import atomic_path
from madminer_workflow.physics.generators.lhe_writer import written
from madminer_workflow.physics.readers.lhe_chunks import read_chunks
from madminer_workflow.products.columns import SUFFIX
from madminer_workflow.products.events import FROM_FILES, GeneratedTask, read_events

_WEIGHT = re.compile(r"(<wgt id='[^']*'> )(\S+)( </wgt>)")
_HEADER = 64_000_000


def export_events(archives: Sequence[Path], output: Path) -> dict[Path, int]:
    """Write the events in all ``Events.tar.gz`` of a run into the folder ``output``.

    Returns the files and their numbers of events. Raises InputError for broken archives and where
    events are missing.
    """
    with tempfile.TemporaryDirectory() as scratch:
        blocks: dict[tuple[str, str], dict[int, tuple[GeneratedTask, Path]]] = {}
        expected: dict[tuple[str, str], int] = {}
        for i, archive in enumerate(archives):
            directory = Path(scratch) / str(i)
            events = read_events(archive, directory)
            for name, sampled_process in events.processes.items():
                expected |= {(name, drawn): n for drawn, n in sampled_process.events.items()}
            for task in events.tasks:
                if task.file.endswith(SUFFIX):
                    raise InputError(
                        f"{archive}: the events of {task.process} were read from tables; only "
                        "particles can be exported"
                    )
                if task.shower == FROM_FILES:
                    raise InputError(
                        f"{archive}: the events of {task.process} were read from HepMC files, "
                        "after the shower; only particles before it can be exported"
                    )
                sample = blocks.setdefault((task.process, task.sampling_benchmark), {})
                sample[task.block] = task, directory / task.file
        exported = {}
        for (process, sampled), n_expected in sorted(expected.items()):
            sample = blocks.get((process, sampled), {})
            ordered = [sample[number] for number in sorted(sample)]
            n_events = sum(task.n_events for task, _ in ordered)
            if n_events != n_expected:
                raise InputError(
                    f"{process} sampled from {sampled}: {n_events} of {n_expected} events exist; "
                    "export them when all jobs of pythia have finished"
                )
            file = output / f"{process}.{sampled}.lhe.gz"
            with atomic_path(file) as product, written(product) as text:
                text.write(_header(ordered[0][1], n_events))
                text.writelines(_events(ordered, n_events))
                text.write("</LesHouchesEvents>\n")
            exported[file] = n_events
    return exported


def _header(file: Path, n_events: int) -> str:
    """What is before the events of the first block, but for their number."""
    with file.open(encoding="utf-8") as text:
        header = text.read(_HEADER).partition("<event>")[0]
    return re.sub(r"\d+( = nevents\b)", rf"{n_events}\1", header)


def _events(blocks: Sequence[tuple[GeneratedTask, Path]], n_events: int) -> Iterator[str]:
    for task, file in blocks:
        for chunk in read_chunks(file):
            for event in chunk.texts:
                yield f"<event>\n{_scaled(event.decode(), task.n_events / n_events)}</event>\n"


def _scaled(event: str, share: float) -> str:
    """An event with its weights times a share; nothing else of it changes a digit."""
    if share == 1.0:
        return event
    first, _, rest = event.strip("\n").partition("\n")
    words = first.split()
    words[2] = repr(float(words[2]) * share)
    rest = _WEIGHT.sub(lambda match: f"{match[1]}{float(match[2]) * share!r}{match[3]}", rest)
    return f" {' '.join(words)}\n{rest}\n"
