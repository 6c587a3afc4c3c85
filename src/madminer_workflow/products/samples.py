"""``Samples_<method>_<i>.npz``: what one member of an ensemble is trained on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from madminer_workflow.analysis.fingerprint import Fingerprint
from madminer_workflow.analysis.types import (
    Histogram,
    Method,
    Polynomial,
    Ratio,
    Score,
    Trained,
)
from madminer_workflow.array_files import Checked
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
    def shifted_variations(self) -> list[int]:
        """Where other values are measured: at +1 of all nuisance parameters, then -1, from 1."""
        nuisance = self.fingerprint.nuisance or ()
        return [
            1 + i + side * len(nuisance)
            for i, parameter in enumerate(nuisance)
            for side in range(len(parameter.benchmarks))
            if parameter.shifts
        ]

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


def _checked(note: MemberNote, arrays: dict[str, np.ndarray]) -> Samples:
    """The training set; ValueError unless its arrays are those that its method learns from."""
    settings = note.settings
    sizes = {"parameters": len(note.parameters), "inputs": len(_inputs(note))}
    check = Checked(**sizes, benchmarks=len(note.fingerprint.benchmarks or ()))
    rows, others = _expected(note)
    validation = False
    if isinstance(settings, Trained):
        split = settings.training.validation_split or 0.0
        validation = round(split * settings.n_samples) > 0
    expected = [*rows, *others, *(f"{name}_val" for name in rows if validation)]
    if unknown := sorted(set(arrays) - set(expected)):
        raise ValueError(f"it has {unknown[0]}, which {settings.method} does not use")
    for name in expected:
        base = name.removesuffix("_val")
        axes = rows.get(base, ()) if base in rows else others[base]
        first = () if base in others else ("events_val" if name != base else "events",)
        check.of(arrays, name, *first, *axes)
    if min(len(arrays[name]) for name in expected) == 0:
        raise ValueError("it has no events")
    return Samples(note, arrays)


def _inputs(note: MemberNote) -> list[str]:
    inputs = note.settings.inputs(note.observables)
    if missing := [name for name in inputs if name not in note.observables]:
        raise ValueError(f"its method needs {missing[0]}, which its events do not have")
    return inputs


Axes = tuple[str | int, ...]


def _expected(note: MemberNote) -> tuple[dict[str, Axes], dict[str, Axes]]:
    """The axes of the arrays of a method, behind that of the events, and of those without one."""
    settings, rows, others = note.settings, dict[str, Axes](), dict[str, Axes]()
    rows["x"] = ("inputs",)
    scores: Axes = ("parameters",)
    if isinstance(settings, Histogram):
        rows |= {"weights": ("benchmarks",), "reference_weights": ()}
    elif isinstance(settings, Polynomial):
        rows["coefficients"] = ("components",)
        if note.nuisance_parameters:
            rows["factors"] = (2 * len(note.nuisance_parameters),)
        for k in note.shifted_variations:
            events = f"events at {k}"
            others |= {f"x_{k}": (events, "inputs"), f"coefficients_{k}": (events, "components")}
            others[f"partners_{k}"] = (events,)
        others |= {"powers": ("components", "parameters"), "origin": scores}
    elif isinstance(settings, Score):
        rows["t_xz"] = scores
        if settings.knows_nuisance and note.nuisance_parameters:
            n = len(note.parameters) + len(note.nuisance_parameters)
            rows["t_xz"], others["nuisance_scales"] = (n,), (n,)
    elif isinstance(settings, Ratio):
        rows |= {"y": (1,), "r_xz": (1,)}
        if settings.doubly_parameterized:
            rows |= dict.fromkeys(("theta0", "theta1", "t_xz0", "t_xz1"), scores)
            others["reference"] = scores
        else:
            rows |= {"theta": scores, "t_xz": scores}
        if settings.estimator == "morphing_aware":
            others["components"] = ("components", "parameters")
            others["morphing_matrix"] = ("components", "components")
    else:
        rows["theta"] = scores
        if settings.learns_score:
            rows["t_xz"] = scores
    return rows, others


def write_samples(path: Path, samples: Samples) -> None:
    """Write the file; its bytes depend on the samples only."""
    write_arrays(path, samples.note, samples.arrays)


def read_samples(path: Path) -> Samples:
    """Read the file; InputError if it is broken or another one."""
    return read_arrays(path, MemberNote, _checked, "is not a training sample from sampling")
