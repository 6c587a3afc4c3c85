"""MadMiner's HDF5 file, read and written without importing MadMiner (and with it torch).

The layout is that of ``madminer.utils.interfaces.hdf5`` in MadMiner 0.9.6. Cross-sections and
weights are in pb.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from madminer_workflow.analysis.systematics import Nuisance
from madminer_workflow.errors import InputError
from madminer_workflow.files import atomic_path
from madminer_workflow.statistics.sample import Sample, madminer_shares
from madminer_workflow.statistics.setup import Setup

REPORT = "madminer_workflow/report"
SHARES = "madminer_workflow/shares"


@contextmanager
def _opened(path: str | Path) -> Iterator[h5py.File]:
    try:
        with h5py.File(path, "r") as file:
            yield file
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"{path}: is not a MadMiner file, or damaged ({error.args[0]})") from None
    except OSError as error:
        reason = "no such file" if not Path(path).exists() else "truncated or not HDF5"
        raise InputError(f"{path}: cannot be read as HDF5: {reason} ({error})") from None


def _strings(dataset: h5py.Dataset) -> list[str]:
    return [value.decode("ascii") for value in dataset[()]]


def read_setup(path: str | Path) -> Setup:
    """Read parameters, benchmarks and morphing; InputError if the file is not MadMiner's."""
    with _opened(path) as file:
        names = np.array(_strings(file["benchmarks/names"]))
        physical = ~_flags(file, "is_nuisance")
        reference = names[_flags(file, "is_reference")]
        return Setup(
            parameters=_strings(file["parameters/names"]),
            benchmark_names=names[physical].tolist(),
            benchmarks=file["benchmarks/values"][()][physical],
            components=file["morphing/components"][()].astype(int),
            # MadMiner stores (n_components, n_benchmarks).
            morphing_matrix=file["morphing/morphing_matrix"][()].T,
            reference=str(reference[0] if len(reference) else names[0]),
            nuisance=_nuisance_parameters(file),
            nuisance_benchmarks=names[~physical].tolist(),
        )


def _flags(file: h5py.File, name: str) -> np.ndarray:
    """A flag of every benchmark, (n_benchmarks,); false in files that do not have it."""
    flags = file["benchmarks"].get(name)
    if flags is None:
        return np.zeros(len(file["benchmarks/names"]), dtype=bool)
    return flags[()].astype(bool)


def _nuisance_parameters(file: h5py.File) -> list[Nuisance]:
    if "nuisance_parameters" not in file:
        return []
    types = _strings(file["systematics/types"])
    effects = dict(zip(_strings(file["systematics/names"]), types, strict=True))
    columns = ("names", "systematics", "benchmark_positive", "benchmark_negative")
    rows = zip(*(_strings(file[f"nuisance_parameters/{key}"]) for key in columns), strict=True)
    return [
        Nuisance(name, systematic, effects[systematic], positive, _optional(negative))
        for name, systematic, positive, negative in rows
    ]


def _optional(name: str) -> str | None:
    """A name, or None where MadMiner notes that there is none."""
    return None if name == "None" else name


def read_sample(path: str | Path) -> Sample:
    """Read the events; InputError if the file holds none or is broken.

    A file that MadMiner wrote itself has no shares; its own rule supplies them.
    """
    with _opened(path) as file:
        sampling_ids = file["samples/sampling_benchmarks"][()].astype(int)
        generated = np.asarray(file["sample_summary/signal_events"][()], dtype=int)
        shares = file[SHARES][()] if SHARES in file else madminer_shares(sampling_ids, generated)
        weights, nuisance = file["samples/weights"][()], _flags(file, "is_nuisance")
        return Sample(
            observables=_strings(file["observables/names"]),
            observations=file["samples/observations"][()],
            weights=weights[:, ~nuisance],
            nuisance_weights=weights[:, nuisance],
            shares=shares,
            sampling_ids=sampling_ids,
            generated=generated,
            background=int(file["sample_summary/background_events"][()]),
        )


def read_definitions(path: str | Path) -> dict[str, str]:
    """Read the expressions of the observables by name."""
    with _opened(path) as file:
        names, values = file["observables/names"], file["observables/definitions"]
        return dict(zip(_strings(names), _strings(values), strict=True))


def read_report(path: str | Path) -> dict[str, Any]:
    """Read what the steps so far noted in the file (cut flow, closure, ...); {} if nothing."""
    with _opened(path) as file:
        return json.loads(file[REPORT][()]) if REPORT in file else {}


def write_sample(
    path: str | Path,
    setup_file: str | Path,
    sample: Sample,
    definitions: dict[str, str],
    report: dict[str, Any],
) -> None:
    """Write a MadMiner data file: the set-up copied from ``setup_file``, plus events and notes.

    ``definitions`` maps observable names to their expressions, ``report`` is any JSON content.
    """
    with atomic_path(path) as product:
        shutil.copyfile(setup_file, product)
        with h5py.File(product, "a") as file:
            names = [name.encode("ascii") for name in sample.observables]
            values = [definitions[name].encode("ascii") for name in sample.observables]
            file.create_dataset("observables/names", data=names, dtype="S256")
            file.create_dataset("observables/definitions", data=values, dtype="S256")
            file.create_dataset("samples/observations", data=sample.observations)
            weights = np.concatenate([sample.weights, sample.nuisance_weights], axis=1)
            file.create_dataset("samples/weights", data=weights)
            file.create_dataset("samples/sampling_benchmarks", data=sample.sampling_ids)
            file.create_dataset("sample_summary/signal_events", data=sample.generated)
            file.create_dataset("sample_summary/background_events", data=sample.background)
            file[SHARES] = sample.shares
            file[REPORT] = json.dumps(report, sort_keys=True)
