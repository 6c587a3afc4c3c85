"""MadMiner's HDF5 file, read and written without importing MadMiner (and with it torch).

The layout is that of ``madminer.utils.interfaces.hdf5`` in MadMiner 0.9.6. Cross-sections and
weights are in pb.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import h5py
import msgspec
import numpy as np

from madminer_workflow import hdf5_files
from madminer_workflow.analysis.systematics import EFFECTS, EFFECTS_NOTE, Nuisance
from madminer_workflow.array_files import Checked
from madminer_workflow.files import atomic_path
from madminer_workflow.hdf5_files import MAPPED_FROM, Contents
from madminer_workflow.large_arrays import empty, pieces, release
from madminer_workflow.statistics.observed import Shifted, places
from madminer_workflow.statistics.sample import Sample, madminer_shares, reordered_shifted
from madminer_workflow.statistics.setup import Setup

REPORT = "madminer_workflow/report"
ROWS = 50_000
"""Events that are written together."""
SHARES = "madminer_workflow/shares"
SHIFTED = "madminer_workflow/shifted"
"""Of every nuisance benchmark that has some, the shifted events."""


LARGEST_POWER = 100
"""Of a parameter in a monomial: no cross-section is known that needs a tenth of it."""

LARGEST_WEIGHT = 1e30
"""Of an event [pb]; protons collide with 1e11 pb, and squares must remain numbers."""


def _opened(path: str | Path) -> AbstractContextManager[Contents]:
    return hdf5_files.opened(path, "a MadMiner file")


def read_setup(path: str | Path) -> Setup:
    """Read parameters, benchmarks and morphing; InputError if the file is not MadMiner's."""
    with _opened(path) as file:
        all_names = file.names("benchmarks/names")
        names = np.array(all_names)
        physical = ~_flags(file, "is_nuisance")
        reference = names[_flags(file, "is_reference")]
        parameters = file.names("parameters/names")
        check = Checked(
            parameters=len(parameters), all=len(names), benchmarks=int(np.sum(physical))
        )
        components = check.of(
            _Arrays(file), "morphing/components", "components", "parameters", least=0
        ).astype(int)
        if not (parameters and physical.any() and components.max(initial=0) <= LARGEST_POWER):
            raise ValueError("it has no parameters, no benchmarks, or impossible powers of them")
        # MadMiner stores (n_components, n_benchmarks).
        matrix = check.of(_Arrays(file), "morphing/morphing_matrix", "components", "benchmarks")
        nuisance = _nuisance_parameters(file)
        nuisance_benchmarks = names[~physical].tolist()
        if {name for one in nuisance for name in one.benchmarks} != set(nuisance_benchmarks):
            raise ValueError("its nuisance parameters refer to benchmarks that it does not have")
        values = check.of(_Arrays(file), "benchmarks/values", "all", "parameters")
        return Setup(
            parameters=parameters,
            benchmark_names=names[physical].tolist(),
            benchmarks=values[physical].astype(float),
            components=components,
            morphing_matrix=matrix.astype(float).T,
            reference=str(reference[0] if len(reference) else names[0]),
            nuisance=nuisance,
            nuisance_benchmarks=nuisance_benchmarks,
        )


class _Arrays(dict[str, np.ndarray]):
    """The arrays of a file, by name."""

    def __init__(self, file: Contents) -> None:
        self._file = file

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name in self._file

    def __getitem__(self, name: str) -> np.ndarray:
        return self._file.array(name)


def _flags(file: Contents, name: str) -> np.ndarray:
    """A flag of every benchmark, (n_benchmarks,); false in files that do not have it."""
    n = len(file.texts("benchmarks/names"))
    if f"benchmarks/{name}" not in file:
        return np.zeros(n, dtype=bool)
    flags = Checked()(name, file.array(f"benchmarks/{name}"), n, whole=True)
    if np.any((flags != 0) & (flags != 1)):
        raise ValueError(f"benchmarks/{name}: is neither true nor false")
    return flags.astype(bool)


def _nuisance_parameters(file: Contents) -> list[Nuisance]:
    if "nuisance_parameters" not in file:
        return []
    # MadMiner knows nothing of objects: it takes their uncertainties for normalisations.
    place = EFFECTS_NOTE if EFFECTS_NOTE in file else "systematics/types"
    effects = dict(zip(file.names("systematics/names"), file.texts(place), strict=True))
    if not set(effects.values()) <= set(EFFECTS):
        raise ValueError(f"{place}: has an unknown effect")
    columns = [file.names("nuisance_parameters/names")]
    columns += [
        file.texts(f"nuisance_parameters/{key}")
        for key in ("systematics", "benchmark_positive", "benchmark_negative")
    ]
    return [
        Nuisance(name, systematic, effects[systematic], positive, _optional(negative))
        for name, systematic, positive, negative in zip(*columns, strict=True)
    ]


def _optional(name: str) -> str | None:
    """A name, or None where MadMiner notes that there is none."""
    return None if name == "None" else name


def read_sample(path: str | Path, mapped_from: int = MAPPED_FROM) -> Sample:
    """Read the events; InputError if the file holds none or is broken.

    A file that MadMiner wrote itself has no shares; its own rule supplies them. Observables of
    at least ``mapped_from`` bytes stay in the file: see ``Contents.mapped``.
    """
    with _opened(path) as file:
        arrays, nuisance = _Arrays(file), _flags(file, "is_nuisance")
        shifting = [
            name for one in _nuisance_parameters(file) if one.shifts for name in one.benchmarks
        ]
        observables = file.names("observables/names")
        check = Checked(
            benchmarks=int(np.sum(~nuisance)), all=len(nuisance), observables=len(observables)
        )
        ids = check.of(arrays, "samples/sampling_benchmarks", "events").astype(int)
        generated = check.of(arrays, "sample_summary/signal_events", "benchmarks", least=0)
        generated = generated.astype(int)
        background = int(check.of(arrays, "sample_summary/background_events", least=0))
        if np.any((ids < -1) | (ids >= len(generated))):
            raise ValueError(
                "samples/sampling_benchmarks: has numbers that are not those of a benchmark"
            )
        # MadMiner leaves those of other events where it joins files.
        known = SHARES in file and len(arrays[SHARES]) == len(ids)
        shares = (
            check.of(arrays, SHARES, "events", least=0)
            if known
            else madminer_shares(ids, generated)
        )
        counts = np.bincount(ids[ids >= 0], minlength=len(generated))
        if known and (np.any(counts != generated) or background != np.sum(ids < 0)):
            raise ValueError("sample_summary: the numbers of events do not match the events")
        weights, nuisance_weights = _weights(file, nuisance, len(ids))
        place = "samples/observations"
        observations = file.mapped(place, mapped_from)
        check(place, observations, "events", "observables", finite=False)
        return Sample(
            observables=observables,
            observations=observations.astype(float, copy=False),
            weights=weights,
            nuisance_weights=nuisance_weights,
            shares=shares.astype(float),
            sampling_ids=ids,
            generated=generated,
            background=background,
            shifted={name: _shifted(arrays, name, observables, check) for name in shifting},
        )


def _weights(file: Contents, nuisance: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Weights of ``n`` events at physical and at nuisance benchmarks, (n, n_benchmarks) each."""
    name = "samples/weights"
    shape, _ = file.layout(name)
    if shape != (n, len(nuisance)):
        raise ValueError(f"{name}: has the shape {shape}, expected {(n, len(nuisance))}")
    # In the order of columns that numpy makes: sums in another one have other last digits.
    sides = [(side, empty(n, int(side.sum()))) for side in (~nuisance, nuisance)]
    for rows in pieces(n):
        weights = Checked()(name, file.rows(name, rows), rows.stop - rows.start, len(nuisance))
        largest = max(weights.max(initial=0.0), -weights.min(initial=0.0))
        if largest > LARGEST_WEIGHT:
            raise ValueError(f"{name}: up to {largest:.3g} pb, more than any event has")
        for chosen, side in sides:
            side[rows] = weights[:, chosen]
            release(side)
    return sides[0][1], sides[1][1]


def _shifted(
    arrays: Mapping[str, np.ndarray], benchmark: str, observables: list[str], known: Checked
) -> Shifted:
    """The shifted events of one benchmark; ValueError if they are not in order."""
    place = f"{SHIFTED}/{benchmark}"
    n, check = known.sizes["events"], Checked(**known.sizes)
    event = check.of(arrays, f"{place}/events", "shifted", least=-1, whole=True)
    found = event[event >= 0]
    if np.any(found >= n) or len(np.unique(found)) != len(found):
        raise ValueError(f"{place}/events: expected distinct numbers of the {n} events")
    where = check.of(arrays, f"{place}/places", "shifted", least=0)
    if (
        np.any(where >= 1.0)
        or np.any(np.diff(where) < 0.0)
        or np.any(where[event >= 0] != places(found, n))
    ):
        raise ValueError(f"{place}/places: do not match its events, or are not in ascending order")
    weights = check.of(arrays, f"{place}/weights", "shifted", "benchmarks")
    if np.abs(weights).max(initial=0.0) > LARGEST_WEIGHT:
        raise ValueError(
            f"{place}/weights: up to {np.abs(weights).max():.3g} pb, more than any event has"
        )
    x = check.of(arrays, f"{place}/observations", "shifted", "observables", finite=False)
    return Shifted(
        observables=observables,
        x=x.astype(float),
        weights=weights.astype(float),
        event=event.astype(int),
        place=where.astype(float),
    )


def read_definitions(path: str | Path) -> dict[str, str]:
    """Read the expressions of the observables by name."""
    with _opened(path) as file:
        names, values = file.names("observables/names"), file.texts("observables/definitions")
        return dict(zip(names, values, strict=True))


def read_report(path: str | Path) -> dict[str, Any]:
    """Read what the steps so far noted in the file (cut flow, closure, ...); {} if nothing."""
    with _opened(path) as file:
        report = msgspec.json.decode(file.text(REPORT)) if REPORT in file else {}
        if not isinstance(report, dict):
            raise ValueError(f"{REPORT}: is not a report")
        return report


def write_sample(
    path: str | Path,
    setup_file: str | Path,
    sample: Sample,
    definitions: dict[str, str],
    report: dict[str, Any],
    observations: Iterable[np.ndarray] | None = None,
    order: np.ndarray | None = None,
) -> None:
    """Write a MadMiner data file: the set-up copied from ``setup_file``, plus events and notes.

    ``definitions`` maps observable names to their expressions, ``report`` is any JSON content.
    ``observations`` are those of the events, some rows at a time, where the sample has none. With
    an ``order`` (n_events,), which these are in, all the rest is written in it, too.
    """
    events = np.arange(len(sample.shares)) if order is None else order
    shifted_events = sample.shifted if order is None else reordered_shifted(sample, order)
    with atomic_path(path) as product:
        shutil.copyfile(setup_file, product)
        with h5py.File(product, "a") as file:
            names = [name.encode("ascii") for name in sample.observables]
            values = [definitions[name].encode("ascii") for name in sample.observables]
            file.create_dataset("observables/names", data=names, dtype="S256")
            file.create_dataset("observables/definitions", data=values, dtype="S256")
            pieces = [sample.observations] if observations is None else observations
            shape = len(sample.shares), len(sample.observables)
            _write_rows(file.create_dataset("samples/observations", shape, float), pieces)
            sides = sample.weights, sample.nuisance_weights
            shape = len(sample.shares), sum(side.shape[1] for side in sides)
            rows = (
                np.concatenate([side[events[first : first + ROWS]] for side in sides], axis=1)
                for first in range(0, len(events), ROWS)
            )
            _write_rows(file.create_dataset("samples/weights", shape, float), rows)
            file.create_dataset("samples/sampling_benchmarks", data=sample.sampling_ids[events])
            file.create_dataset("sample_summary/signal_events", data=sample.generated)
            file.create_dataset("sample_summary/background_events", data=sample.background)
            file[SHARES] = sample.shares[events]
            for benchmark, shifted in shifted_events.items():
                place = f"{SHIFTED}/{benchmark}"
                file[f"{place}/observations"] = shifted.x
                file[f"{place}/weights"] = shifted.weights
                file[f"{place}/events"] = shifted.event
                file[f"{place}/places"] = shifted.place
            file[REPORT] = json.dumps(report, sort_keys=True)
            hdf5_files.seal(file)


def _write_rows(data: h5py.Dataset, pieces: Iterable[np.ndarray]) -> None:
    first = 0
    for rows in pieces:
        data[first : first + len(rows)] = rows
        first += len(rows)
    assert first == len(data)
