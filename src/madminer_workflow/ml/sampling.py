"""Sampling: training sets for every method and ensemble member."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from madminer_workflow.analysis.event_files import LARGEST_NEGATIVE_SHARE
from madminer_workflow.analysis.file import read_analysis
from madminer_workflow.analysis.types import Method, Trained
from madminer_workflow.errors import InputError
from madminer_workflow.files import atomic_path, write_json
from madminer_workflow.ml import methods
from madminer_workflow.products import evaluation
from madminer_workflow.products.problem import training_events
from madminer_workflow.products.samples import MemberNote, Samples, samples_path, write_samples
from madminer_workflow.products.toys import ToyJob, job_path
from madminer_workflow.seeds import derive_seed
from madminer_workflow.statistics.events import Events, negative_share
from madminer_workflow.statistics.plain import plain


def sampling(
    input_file: Path, data: Path, ntrainsamples: int, output: Path, changes: Sequence[str] = ()
) -> None:
    """Write ``methods/<method>/Samples_<method>_<i>.npz`` for every method of the analysis.

    Each holds the arrays of one ensemble member and the method's settings. Beside them lie
    ``evaluation.json``, what evaluating needs to know, and ``toys_<i>.json``, the jobs of the step
    toys; above lies ``analysis.json`` for plotting.
    ``changes`` of methods' settings look like ``sally.training.n_epochs=20``. Raises InputError
    if they make no sense or the data belong to another analysis.
    """
    if ntrainsamples < 1:
        raise InputError(f"ntrainsamples: is {ntrainsamples}; expected at least 1 ensemble member")
    # Learning needs no cards: the events are there.
    analysis = read_analysis(input_file, cards=False, changes=changes)
    if all(process.is_background for process in analysis.processes):
        raise InputError(
            f"{input_file}: processes: all are backgrounds, which do not depend on the "
            "parameters; expected at least one other process to learn from"
        )
    events = training_events(data, analysis)
    for settings in analysis.ml.methods:
        check_defined(events, settings, data)
        check_weights(events, settings, data)
    njobs = analysis.ml.limits.toys.jobs
    with atomic_path(output / "methods") as directory:
        for settings in analysis.ml.methods:
            folder = directory / settings.name
            write_json(folder / evaluation.NAME, evaluation.evaluation_of(analysis))
            for member in range(settings.members(ntrainsamples)):
                write_member(directory, events, settings, member, analysis.seed)
            for job in range(njobs):
                write_json(job_path(folder, job), ToyJob(job=job, njobs=njobs))
    write_json(output / "analysis.json", plain(analysis))


def check_defined(events: Events, settings: Method, data: Path) -> None:
    """Raise InputError if an observable that the method uses is not a finite number somewhere."""
    names = settings.inputs(events.observables)
    undefined = np.sum(~np.isfinite(events.columns(names)), axis=0)
    for name, n in zip(names, undefined, strict=True):
        if n:
            raise InputError(
                f"{data}: the observable {name} is undefined in {n} of {len(events)} events, which "
                f"the method {settings.name} cannot use; give the observable a default, make it "
                "required, or leave it out of the method's observables or features"
            )


def check_weights(events: Events, settings: Method, data: Path) -> None:
    """Raise InputError if a method draws events, many of which have negative weights."""
    if not isinstance(settings, Trained):
        return
    share = negative_share(events.weights_at(events.setup.theta(settings.reference)))
    if share > LARGEST_NEGATIVE_SHARE:
        raise InputError(
            f"{data}: samples/weights: {share:.0%} of the weights at {settings.reference} are "
            f"negative; the method {settings.name} ({settings.method}) draws events in "
            "proportion to positive weights; use polynomial or histogram, which can use "
            "weighted events"
        )


def write_member(directory: Path, events: Events, settings: Method, member: int, seed: int) -> None:
    """Draw the training set of one ensemble member into ``directory/<method>``."""
    path = samples_path(directory, settings.name, member)
    write_samples(path, draw_member(events, settings, member, seed))


def draw_member(events: Events, settings: Method, member: int, seed: int) -> Samples:
    """The training set of one ensemble member; ``seed`` is that of the analysis."""
    rng = np.random.default_rng(derive_seed(seed, "sampling", settings.name, member))
    note = MemberNote(
        settings=settings.of_member,
        member=member,
        seed=derive_seed(seed, "training", settings.name, member),
        fingerprint=events.setup.fingerprint(events.observables),
    )
    return Samples(note, methods.family_of(settings).draw(events, settings, rng))
