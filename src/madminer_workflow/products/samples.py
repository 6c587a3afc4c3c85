"""``Samples_<method>_<i>.npz``: what one member of an ensemble is trained on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from madminer_workflow.analysis.fingerprint import Fingerprint
from madminer_workflow.analysis.types import Method
from madminer_workflow.products.arrays import read_arrays, write_arrays


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
    write_arrays(path, samples.note, samples.arrays)


def read_samples(path: Path) -> Samples:
    """Read the file; InputError if it is broken or another one."""
    return read_arrays(path, MemberNote, Samples, "is not a training sample from sampling")
