"""Training: one ensemble member of one method."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from madminer_workflow.analysis.changes import change_training
from madminer_workflow.analysis.types import Histogram, Method, Polynomial
from madminer_workflow.errors import StepError
from madminer_workflow.files import pack, write_json
from madminer_workflow.ml import methods
from madminer_workflow.ml.methods.family import Losses, OnEpoch
from madminer_workflow.products.model import ARCHIVE, NOTE, ModelNote
from madminer_workflow.products.samples import Samples, read_samples
from madminer_workflow.versions import LEARNING, versions


def training(
    samples: Path,
    output: Path,
    changes: Sequence[str] = (),
    on_epoch: OnEpoch | None = None,
) -> None:
    """Train on ``Samples_<method>_<i>.npz`` and write ``Model.tar.gz``.

    ``changes`` of its settings look like ``training.n_epochs=20``. Raises InputError if they make
    no sense and StepError if the loss stops being a number.
    """
    drawn = read_samples(samples)
    with tempfile.TemporaryDirectory() as scratch:
        fit(drawn, changed(drawn.note.settings, changes), Path(scratch), on_epoch)
        pack(scratch, output / ARCHIVE)


def fit(
    samples: Samples, settings: Method, directory: Path, on_epoch: OnEpoch | None = None
) -> ModelNote:
    """Train on ``samples`` with ``settings`` into ``directory``; return what is noted there."""
    drawn = samples.note
    train = methods.family_of(settings).train
    losses = train(samples.arrays, settings, directory, drawn.seed, on_epoch)
    check_losses(losses, settings)
    note = ModelNote(
        settings=settings,
        member=drawn.member,
        seed=drawn.seed,
        fingerprint=drawn.fingerprint,
        losses={name: tuple(values) for name, values in losses.items()},
        versions=versions(LEARNING),
    )
    write_json(directory / NOTE, note)
    return note


def changed(settings: Method, changes: Sequence[str]) -> Method:
    """The settings with ``KEY=VALUE`` changed in their network or training."""
    if not changes:
        return settings
    return change_training(settings, changes)


def check_losses(losses: Losses, settings: Method) -> None:
    """Raise StepError if training broke off before its first epoch or diverged."""
    if isinstance(settings, Histogram):
        return
    values = losses.get("training")
    if not (values and np.all(np.isfinite(values))):
        rate = "max_lr" if isinstance(settings, Polynomial) else "initial_lr"
        raise StepError(
            f"training of {settings.name}: the loss is not a number; lower {rate} "
            f"(now {getattr(settings.training, rate)}) or check the sample for infinite weights"
        )
