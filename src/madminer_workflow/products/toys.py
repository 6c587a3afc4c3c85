"""``Toys.npz``: the toys of one job for one method; ``toys_<i>.json``: the job."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from madminer_workflow.analysis.types import Method, ToySettings
from madminer_workflow.errors import InputError
from madminer_workflow.files import atomic_path, read_struct, write_json
from madminer_workflow.statistics.coverage import ToyPoint, Toys
from madminer_workflow.statistics.likelihood import KINDS

NAME = "Toys.npz"
NOTE = "content"
"""The array that has the note, as JSON."""


class ToyJob(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One of ``njobs`` jobs that share the toys of a method."""

    job: int
    njobs: int


class PointNote(msgspec.Struct, frozen=True, kw_only=True):
    """Where toys were drawn: see ``coverage.ToyPoint``."""

    name: str
    theta: tuple[float, ...]
    axis: str | None


class ToyNote(ToyJob, frozen=True, kw_only=True):
    """Whose toys they are."""

    settings: Method
    points: tuple[PointNote, ...]


@dataclass(frozen=True)
class MethodToys:
    """Toys of the models of one method, and the ``settings`` of these."""

    settings: Method
    toys: Toys


def toy_jobs(toys: ToySettings) -> list[ToyJob]:
    """The jobs that share the toys of a method; none if no toys are wanted."""
    njobs = min(toys.njobs, toys.n_toys)
    return [ToyJob(job=job, njobs=njobs) for job in range(njobs)]


def write_job(directory: Path, job: ToyJob) -> None:
    """Write the file of a job, beside the samples of the method."""
    write_json(directory / f"toys_{job.job}.json", msgspec.to_builtins(job))


def read_job(path: Path) -> ToyJob:
    """Read the file of a job; InputError if it is another one."""
    return read_struct(path, "sampling", ToyJob)


def write_toys(output: Path, settings: Method, job: ToyJob, toys: Toys) -> None:
    """Write the toys of a job into the directory ``output``."""
    note = ToyNote(
        settings=settings,
        job=job.job,
        njobs=job.njobs,
        points=tuple(
            PointNote(name=point.name, theta=tuple(point.theta.tolist()), axis=point.axis)
            for point in toys.points
        ),
    )
    with atomic_path(output / NAME) as product:
        np.savez(
            product,
            allow_pickle=False,
            **{NOTE: np.array(json.dumps(msgspec.to_builtins(note), sort_keys=True))},
            **{f"q_{kind}": toys.q[kind] for kind in KINDS},
            **{f"q_{kind}_each": toys.q_profiled[kind] for kind in KINDS},
        )


def read_toys(paths: Sequence[Path]) -> dict[str, MethodToys]:
    """Toys by method, of all jobs together.

    Raises InputError if a file is broken, a job comes twice or is missing.
    """
    methods: dict[str, dict[int, tuple[Path, ToyNote, Toys]]] = {}
    for path in paths:
        note, toys = _read(path)
        jobs = methods.setdefault(note.settings.name, {})
        if note.job in jobs:
            raise InputError(
                f"{path}: holds the toys of job {note.job} of {note.settings.name}, and so "
                f"does {jobs[note.job][0]}; give every job once"
            )
        jobs[note.job] = path, note, toys
    return {name: _joined(jobs) for name, jobs in methods.items()}


def _read(path: Path) -> tuple[ToyNote, Toys]:
    try:
        with np.load(path) as file:
            arrays = dict(file)
        note = msgspec.json.decode(str(arrays[NOTE]), type=ToyNote)
        return note, Toys(
            [ToyPoint(point.name, np.array(point.theta), point.axis) for point in note.points],
            {kind: arrays[f"q_{kind}"] for kind in KINDS},
            {kind: arrays[f"q_{kind}_each"] for kind in KINDS},
        )
    except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: holds no toys from the step toys ({error})") from None


def _joined(jobs: dict[int, tuple[Path, ToyNote, Toys]]) -> MethodToys:
    """The jobs of one method as one, in the order of their numbers."""
    ordered = [jobs[number] for number in sorted(jobs)]
    path, first, _ = ordered[0]
    name = first.settings.name
    if sorted(jobs) != list(range(first.njobs)):
        raise InputError(
            f"{path}: is one of {first.njobs} jobs with toys of {name}, of which "
            f"{len(jobs)} are here; give all of them"
        )
    for other, note, _ in ordered[1:]:
        if (note.settings, note.points, note.njobs) != (first.settings, first.points, first.njobs):
            raise InputError(f"{other}: its toys of {name} are for other models than {path}")
    every = [toys for _, _, toys in ordered]
    return MethodToys(
        first.settings,
        Toys(
            every[0].points,
            {kind: np.concatenate([toys.q[kind] for toys in every], axis=-1) for kind in KINDS},
            {
                kind: np.concatenate([toys.q_profiled[kind] for toys in every], axis=-1)
                for kind in KINDS
            },
        ),
    )
