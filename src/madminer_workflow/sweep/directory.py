"""The work directory of a sweep: what lies where, whose it is, and what a killed one has left."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import msgspec

from madminer_workflow import __version__
from madminer_workflow.errors import InputError
from madminer_workflow.files import checksum, read_struct, remove_directory, write_json
from madminer_workflow.products.evaluation import evaluation_of
from madminer_workflow.statistics.plain import plain
from madminer_workflow.sweep.plan import Axis, Plan, Settings
from madminer_workflow.sweep.results import read_results
from madminer_workflow.tracking import FOLDER, ending, experiment, products
from madminer_workflow.tracking.journal import Begun, Ended, Journal, entries

NOTE = "sweep.json"

WORDS = {
    "analysis": "the analysis, or the settings that trials start from, differ",
    "space": "the search space differs",
    "seed": "the seed differs",
    "ntrainsamples": "ntrainsamples differs",
    "data": "the data differ",
    "version": "the version of madminer-workflow differs",
}
"""What trials of one sweep have in common, and how to say that they have not."""


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """What trials of one sweep have in common; ``data`` are known by their SHA-256."""

    analysis: Settings
    space: tuple[Axis, ...]
    seed: int
    ntrainsamples: int
    data: str
    version: str


class Note(msgspec.Struct, frozen=True, kw_only=True):
    """Which sweep a work directory belongs to, and what its run is called in MLflow."""

    identity: Identity
    run: str


@dataclass(frozen=True)
class Place:
    """Where a sweep reads events and keeps its files.

    If it is tracked, ``spool`` is where records lie and ``run`` the name of the sweep's own.
    """

    data: Path
    workdir: Path
    spool: Path | None = None
    run: str = ""

    @property
    def reference(self) -> Path:
        """Samples of all observables, drawn with the settings that trials start from."""
        return self.workdir / "samples" / "reference"

    @property
    def base(self) -> Path:
        """As ``reference``, with the observables that the network sees by these settings."""
        return self.workdir / "samples" / "base"

    @property
    def evaluation(self) -> Path:
        """What evaluating needs to know of the analysis."""
        return self.workdir / "samples" / "evaluation.json"

    def trial(self, number: int) -> Path:
        """The products of a trial."""
        return self.workdir / "trials" / str(number)


@contextmanager
def recorded(
    place: Place, step: str, path: list[str], shared: bool = False
) -> Iterator[Journal | None]:
    """Record what the block does as ``step``, in a run within the sweep's, if that is tracked."""
    if place.spool is None:
        yield None
        return
    journal = Journal.begin(place.spool, [place.run, *path], shared=shared, experiment=experiment())
    journal.tags({"madminer.step": step, **products.about()})
    with ending(journal):
        yield journal


def claim(plan: Plan, data: Path, workdir: Path) -> str:
    """Note what sweep ``workdir`` belongs to, or refuse another; return the name of its run."""
    evaluation = evaluation_of(plan.analysis)
    identity = Identity(
        analysis={**plain(evaluation), "method": plan.settings},
        space=plan.space,
        seed=plan.seed,
        ntrainsamples=plan.ntrainsamples,
        data=checksum(data),
        version=__version__,
    )
    file = workdir / NOTE
    if not file.exists():
        name = f"{workdir.absolute().name} {datetime.now():%Y-%m-%d %H:%M:%S}"
        run = re.sub(r"[^\w.:+@ -]", "_", name)
        write_json(file, msgspec.to_builtins(Note(identity=identity, run=run)))
        return run
    note = read_struct(file, "sweep", Note)
    others = [
        words
        for part, words in WORDS.items()
        if getattr(note.identity, part) != getattr(identity, part)
    ]
    if others:
        raise InputError(
            f"{workdir}: contains a different sweep: {', '.join(others)}; choose another "
            f"--workdir, or use --fresh to delete its {len(read_results(workdir))} finished "
            "trials"
        )
    return note.run


def forget(workdir: Path) -> None:
    """Remove all that a sweep has left in its work directory, but not its records."""
    for name in (NOTE, "best.json", "trials.csv", "workers.log"):
        (workdir / name).unlink(missing_ok=True)
    for name in ("trials", "samples", "plots"):
        remove_directory(workdir / name)


def clean(workdir: Path) -> None:
    """Remove what killed trials left, and let their records say how they ended."""
    for pattern in (".trial*", "trials/.*", "samples/.*"):
        for leftover in workdir.glob(pattern):
            remove_directory(leftover)
    for file in (workdir / FOLDER).glob("*.jsonl"):
        lines = entries(file)
        begun = lines[0] if lines else None
        ended = lines and isinstance(lines[-1], Ended)
        if isinstance(begun, Begun) and len(begun.path) > 1 and not ended:
            Journal(file, begun.path).end("KILLED")
