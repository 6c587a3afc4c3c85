"""Pythia: draw one job's share of events, and shower them where an analysis has a shower."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec

from madminer_workflow.analysis.types import FilesProcess, Process
from madminer_workflow.errors import InputError, StepError
from madminer_workflow.physics import generators
from madminer_workflow.physics.shower import check_space, shower
from madminer_workflow.physics.shower.card import Card, read_card
from madminer_workflow.products.columns import SUFFIX
from madminer_workflow.products.events import (
    FROM_FILES,
    Counts,
    Events,
    GeneratedTask,
    SampledProcess,
    Shower,
    write_events,
)
from madminer_workflow.products.jobs import Job, Task, read_job
from madminer_workflow.products.processes import IntegratedProcess, Library
from madminer_workflow.seeds import derive_seed


def pythia(job_file: Path, processes: Path, output: Path) -> None:
    """Generate the events of ``job_file`` into ``Events.tar.gz``, and shower them.

    The archive holds for each task one LHE file and, for processes with a card for Pythia, one
    HepMC file, in which an event has the number of its place in the LHE file. Its note says which
    files belong to which task, what was counted, and what was integrated.

    Raises InputError for a card that Pythia does not accept, StepError when a program delivers
    another number of events than was asked for, or when there is no room for them.
    """
    job = read_job(job_file)
    with tempfile.TemporaryDirectory() as scratch:
        blocks = {task.key for task in job.tasks}
        library = Library(processes, Path(scratch) / "processes", blocks)
        integrated = {
            name: library.read(name) for name in sorted({task.process for task in job.tasks})
        }
        check_job(job_file, job, integrated)
        cards = read_cards(integrated)
        directory = Path(scratch) / "events"
        directory.mkdir()
        showered = [task for task in job.tasks if task.process in cards]
        check_space(
            [directory, output],
            [(task.n_events, cards[task.process].interactions) for task in showered],
        )
        tasks = []
        for task in job.tasks:
            process = integrated[task.process].process
            with of_job(job_file, processes), library.named():
                drawn = draw(task, process, library.folder(task.process), directory)
            card = cards.get(task.process)
            tasks.append(drawn if card is None else add_shower(drawn, card, directory))
        events = Events(
            index=job.index,
            tasks=tuple(tasks),
            processes={name: SampledProcess.of(process) for name, process in integrated.items()},
        )
        write_events(directory, events, output)


def check_job(path: Path, job: Job, integrated: Mapping[str, IntegratedProcess]) -> None:
    """Raise InputError unless the tasks of a job are of these processes."""
    for task in job.tasks:
        process = integrated[task.process].process
        if task.n_events < 1:
            raise InputError(f"{path}: n_events: is {task.n_events}; expected at least 1")
        known = process.events.get(task.sampling_benchmark), process.k_factor, process.is_background
        # What is not sampled at all, the generator says best.
        if known[0] and (task.n_total, task.k_factor, task.is_background) != known:
            raise InputError(
                f"{path}: belongs to another analysis: its task {task.name} does not match the "
                f"requested events of {task.process}; run generate again"
            )
        if task.n_events > task.n_total:
            raise InputError(f"{path}: its task {task.name} has more events than the process")


@contextmanager
def of_job(job_file: Path, processes: Path) -> Iterator[None]:
    """Let an InputError inside of the block that names no file name that of the job."""
    try:
        yield
    except InputError as error:
        named = str(processes) in str(error)
        raise error if named else InputError(f"{job_file}: {error}") from None


def read_cards(integrated: dict[str, IntegratedProcess]) -> dict[str, Card]:
    """The cards of those processes that are showered."""
    return {
        name: read_card(card, f"processes.{name}.pythia8_card")
        for name, entry in integrated.items()
        if (card := entry.process.pythia8_card) is not None
    }


def draw(task: Task, process: Process, integrated: Path, directory: Path) -> GeneratedTask:
    """Draw the events of a task from the folder of its process into a file in ``directory``.

    That is an LHE file, or one of columns. Raises StepError if the generator delivers another
    number of events.
    """
    is_table = isinstance(process, FilesProcess) and process.has_tables
    file = directory / f"{task.name}{SUFFIX if is_table else '.lhe'}"
    report = generators.get(process.generator).generate_events(
        integrated, task.sampling_benchmark, task.n_events, task.seed, file, task.block
    )
    if report.n_events != task.n_events:
        raise StepError(
            f"{file.name}: the generator wrote {report.n_events} events "
            f"where {task.n_events} were requested"
        )
    drawn = GeneratedTask(
        **msgspec.structs.asdict(task),
        file=file.name,
        hepmc=None,
        report=report,
        shower=None,
        counts=Counts(requested=task.n_events, generated=report.n_events),
    )
    hepmc = file.with_suffix(".hepmc")
    return with_shower(drawn, hepmc, FROM_FILES, report.n_events) if hepmc.is_file() else drawn


def add_shower(task: GeneratedTask, card: Card, directory: Path) -> GeneratedTask:
    """Shower the events of a task into a HepMC file in ``directory``."""
    hepmc = directory / f"{task.name}.hepmc"
    done = shower(directory / task.file, card, derive_seed(task.seed, "shower"), hepmc)
    made = Shower(program=done.program, version=done.version)
    return with_shower(task, hepmc, made, done.showered)


def with_shower(task: GeneratedTask, hepmc: Path, made: Shower, n_events: int) -> GeneratedTask:
    """A task with so many events in a HepMC file."""
    counts = msgspec.structs.replace(task.counts, showered=n_events)
    return msgspec.structs.replace(task, hepmc=hepmc.name, shower=made, counts=counts)
