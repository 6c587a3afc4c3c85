"""Training: one ensemble member of one method."""

from __future__ import annotations

import json
import tempfile
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from madminer_workflow.analysis.changes import change_training
from madminer_workflow.errors import InputError, StepError
from madminer_workflow.files import pack
from madminer_workflow.ml import methods
from madminer_workflow.ml.model import write_model

CONTENT = {"settings", "member", "seed", "parameters", "nuisance_parameters", "observables"}
"""What sampling notes beside the arrays."""


def training(
    samples: Path,
    output: Path,
    changes: Sequence[str] = (),
    on_epoch: methods.OnEpoch | None = None,
) -> None:
    """Train on ``Samples_<method>_<i>.npz`` and write ``Model.tar.gz``.

    ``changes`` of its settings look like ``training.n_epochs=20``. Raises InputError if they make
    no sense and StepError if the loss stops being a number.
    """
    content, arrays = read_samples(samples)
    settings = change_training(content["settings"], changes)
    with tempfile.TemporaryDirectory() as scratch:
        directory = Path(scratch)
        train = methods.get(settings["method"]).train
        losses = train(arrays, settings, directory, content["seed"], on_epoch)
        check_losses(losses, settings)
        write_model(directory, {**content, "settings": settings, "losses": losses})
        pack(directory, output / "Model.tar.gz")


def read_samples(samples: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Settings and arrays of one member; InputError if the file is broken."""
    try:
        # numpy would take anything else for a pickle and say so.
        if not zipfile.is_zipfile(samples):
            raise zipfile.BadZipFile("truncated or no npz file")
        with np.load(samples) as file:
            arrays = dict(file)
        content = json.loads(str(arrays.pop("content")))
        if not isinstance(content, dict) or not content.keys() >= CONTENT:
            raise ValueError("it does not describe a method")
        return content, arrays
    except (EOFError, KeyError, ValueError, RuntimeError, zlib.error, zipfile.BadZipFile) as error:
        raise InputError(f"{samples}: is not a training sample from sampling ({error})") from None


def check_losses(losses: dict[str, list[float]], settings: dict[str, Any]) -> None:
    """Raise StepError if training broke off before its first epoch or diverged."""
    values = losses.get("training")
    if values is not None and not (values and np.all(np.isfinite(values))):
        raise StepError(
            f"training of {settings['name']}: the loss is not a number; lower initial_lr "
            f"(now {settings['training']['initial_lr']}) or check the sample for infinite weights"
        )
