"""``Toys.npz``: the toys of one job for one method; ``toys_<i>.json``: the job."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from madminer_workflow.analysis.types import NOMINAL, Method
from madminer_workflow.array_files import Checked
from madminer_workflow.errors import InputError
from madminer_workflow.files import read_struct
from madminer_workflow.products.arrays import read_arrays, write_arrays
from madminer_workflow.products.fields import AtLeastOne, Index
from madminer_workflow.statistics.likelihood import KINDS
from madminer_workflow.statistics.toys import ToyPoint, Toys

NAME = "Toys.npz"


class ToyJob(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One of ``njobs`` jobs that share the toys of a method."""

    job: Index
    njobs: AtLeastOne


class ToyNote(ToyJob, frozen=True, kw_only=True, forbid_unknown_fields=False, omit_defaults=True):
    """Whose toys they are."""

    settings: Method
    points: tuple[ToyPoint, ...]
    nuisance_parameters: str = NOMINAL


_Share = tuple[Path, ToyNote, Toys]
"""The file of one job, and what it holds."""


@dataclass(frozen=True)
class MethodToys:
    """Toys of the models of one method, and the ``settings`` of these."""

    settings: Method
    toys: Toys


def job_path(directory: Path, job: int) -> Path:
    """Where sampling notes a job, beside the samples of the method."""
    return directory / f"toys_{job}.json"


def read_job(path: Path) -> ToyJob:
    """Read the file of a job; InputError if it is another one."""
    job = read_struct(path, "sampling", ToyJob)
    if job.job >= job.njobs:
        raise InputError(f"{path}: is job {job.job} of {job.njobs}; jobs are counted from 0")
    return job


def write_toys(output: Path, settings: Method, job: ToyJob, toys: Toys) -> None:
    """Write the toys of a job into the directory ``output``."""
    note = ToyNote(
        settings=settings,
        job=job.job,
        njobs=job.njobs,
        points=tuple(toys.points),
        nuisance_parameters=toys.nuisance_parameters,
    )
    joint = {f"q_{kind}": toys.q[kind] for kind in KINDS}
    profiled = {f"q_{kind}_each": toys.q_profiled[kind] for kind in KINDS}
    write_arrays(output / NAME, note, joint | profiled)


def read_toys(paths: Sequence[Path]) -> dict[str, MethodToys]:
    """Toys by method, of all jobs together.

    Raises InputError if a file is broken, a job comes twice or is missing.
    """
    methods: dict[str, dict[int, _Share]] = {}
    for path in paths:
        note, toys = read_arrays(path, ToyNote, _toys_of, "contains no toys from the step toys")
        name = note.settings.name
        jobs = methods.setdefault(name, {})
        if note.job in jobs:
            raise InputError(
                f"{path}: has the toys of job {note.job} of {name}, like {jobs[note.job][0]}; "
                "give every job only once"
            )
        jobs[note.job] = path, note, toys
    return {name: _joined(name, jobs) for name, jobs in methods.items()}


def _toys_of(note: ToyNote, arrays: dict[str, np.ndarray]) -> tuple[ToyNote, Toys]:
    """The toys of one job; ValueError unless its arrays go together."""
    check = Checked(n_points=len(note.points))
    dimensions = {len(point.theta) for point in note.points}
    if note.job >= note.njobs or len(dimensions) != 1:
        raise ValueError("its note does not name the method of the toys")
    check.sizes["n_parameters"] = dimensions.pop()
    # Without a maximum, q is not a number.
    q = {kind: check.of(arrays, f"q_{kind}", "n_points", "n_toys", finite=False) for kind in KINDS}
    each = "n_points", "n_parameters", "n_toys"
    q_each = {kind: check.of(arrays, f"q_{kind}_each", *each, finite=False) for kind in KINDS}
    if any(np.any(values < 0.0) for values in (*q.values(), *q_each.values())):
        raise ValueError("a test statistic is below 0")
    if len(arrays) != 2 * len(KINDS):
        raise ValueError("it has more arrays than toys have")
    return note, Toys(note.points, q, q_each, note.nuisance_parameters)


def _joined(name: str, jobs: dict[int, _Share]) -> MethodToys:
    """The jobs of the method ``name`` as one, in the order of their numbers."""
    (path, first, _), *others = ordered = [jobs[number] for number in sorted(jobs)]
    if sorted(jobs) != list(range(first.njobs)):
        raise InputError(
            f"{path}: is one of {first.njobs} jobs with toys of {name}, but only {len(jobs)} "
            "were given; give all of them"
        )
    for other, note, _ in others:
        if msgspec.structs.replace(note, job=first.job) != first:
            raise InputError(f"{other}: its toys of {name} are for other models than {path}")

    def together(of_jobs: list[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
        return {kind: np.concatenate([q[kind] for q in of_jobs], axis=-1) for kind in KINDS}

    q = together([toys.q for _, _, toys in ordered])
    q_profiled = together([toys.q_profiled for _, _, toys in ordered])
    joined = Toys(first.points, q, q_profiled, first.nuisance_parameters)
    return MethodToys(first.settings, joined)
