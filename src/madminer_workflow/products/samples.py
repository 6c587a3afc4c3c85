"""``Samples_<method>_<i>.npz``: what one member of an ensemble is trained on."""

from __future__ import annotations

import json
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from madminer_workflow.analysis.fingerprint import Fingerprint
from madminer_workflow.analysis.types import Method
from madminer_workflow.errors import InputError
from madminer_workflow.files import atomic_path

NOTE = "content"
"""The array that has the note, as JSON."""


class MemberNote(msgspec.Struct, frozen=True, kw_only=True):
    """Which member of which ensemble this is; ``seed`` is that of its training.

    ``fingerprint`` is that of the events it learns from.
    """

    settings: Method
    member: int
    seed: int
    fingerprint: Fingerprint

    @property
    def parameters(self) -> list[str]:
        """The names of the parameters, in their order."""
        return list(self.fingerprint.parameters)

    @property
    def nuisance_parameters(self) -> list[str]:
        """The names of the nuisance parameters, in their order."""
        return [nuisance.name for nuisance in self.fingerprint.nuisance or ()]

    @property
    def observables(self) -> list[str]:
        """The names of the observables, in their order."""
        return list(self.fingerprint.observables or ())


@dataclass(frozen=True)
class Samples:
    """A training set: its rows are those of all ``arrays`` that have a number for every event."""

    note: MemberNote
    arrays: dict[str, np.ndarray]


def samples_path(directory: Path, method: str, member: int) -> Path:
    """Where sampling puts the samples of a member of ``method``, below its ``methods``."""
    return directory / method / f"Samples_{method}_{member}.npz"


def write_samples(path: Path, samples: Samples) -> None:
    """Write the file; its bytes depend on the samples only."""
    note = json.dumps(msgspec.to_builtins(samples.note), sort_keys=True)
    with atomic_path(path) as product:
        np.savez(product, allow_pickle=False, **{NOTE: np.array(note)}, **samples.arrays)


def read_samples(path: Path) -> Samples:
    """Read the file; InputError if it is broken or another one."""
    try:
        # numpy would take anything else for a pickle and say so.
        if not zipfile.is_zipfile(path):
            raise zipfile.BadZipFile("truncated or no npz file")
        with np.load(path) as file:
            arrays = dict(file)
        return Samples(msgspec.json.decode(str(arrays.pop(NOTE)), type=MemberNote), arrays)
    except (
        EOFError,
        KeyError,
        ValueError,
        RuntimeError,
        zlib.error,
        zipfile.BadZipFile,
    ) as error:
        raise InputError(f"{path}: is not a training sample from sampling ({error})") from None
