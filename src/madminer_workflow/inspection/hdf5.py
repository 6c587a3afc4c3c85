"""HDF5 files: events in MadMiner's format, or arrays."""

from __future__ import annotations

from pathlib import Path

import h5py

from madminer_workflow.analysis.tables.hdf5 import LES_HOUCHES, NOT_READ
from madminer_workflow.errors import InputError
from madminer_workflow.inspection.summary import Column, Summary, Sums, point_words
from madminer_workflow.inspection.tables import suggest, table_in, weights
from madminer_workflow.madminer_file import read_definitions, read_report, read_sample, read_setup


def inspect(path: Path) -> Summary:
    """Read a file; InputError if it is damaged."""
    arrays: dict[str, tuple[int, str]] = {}

    def note(name: str, entry: object) -> None:
        if isinstance(entry, h5py.Dataset):
            arrays[name] = int(entry.size or 0), f"{entry.dtype}, {entry.shape}"

    try:
        with h5py.File(path) as file:
            file.visititems(note)
    except (OSError, RuntimeError) as error:
        raise InputError(f"{path}: cannot be read as an HDF5 file ({error})") from None
    if "parameters/names" not in arrays or "benchmarks/names" not in arrays:
        table = table_in(path)
        return Summary(
            file=str(path),
            format="HDF5",
            weights=() if table is None else weights(table),
            columns=tuple(
                Column(name=name, number=size, meaning=what)
                for name, (size, what) in arrays.items()
            ),
            columns_are="array",
            notes=(NOT_READ,) if arrays.keys() >= LES_HOUCHES else (),
            suggestion=None if table is None else suggest(table),
        )
    return _madminer(path, "samples/observations" in arrays)


def _madminer(path: Path, has_events: bool) -> Summary:
    setup = read_setup(path)
    points = {
        name: dict(zip(setup.parameters, values.tolist(), strict=True))
        for name, values in zip(setup.benchmark_names, setup.benchmarks, strict=True)
    }
    facts = {"parameters": ", ".join(setup.parameters)}
    if setup.nuisance:
        facts["nuisance parameters"] = ", ".join(one.name for one in setup.nuisance)
    if not has_events:
        listed = [f"{name} ({point_words(point)})" for name, point in points.items()]
        facts["benchmarks"] = "; ".join(listed)
        return Summary(file=str(path), format="MadMiner, without events", facts=facts)
    sample = read_sample(path)
    weights = sample.weights * sample.shares[:, None]
    sums = Sums(len(setup.benchmark_names))
    sums.add(weights)
    processes = read_report(path).get("cross_sections") or {}
    if processes:
        facts["processes"] = ", ".join(processes)
    drawn = zip(setup.benchmark_names, sample.generated.tolist(), strict=True)
    facts["generated"] = ", ".join(f"{n} at {name}" for name, n in drawn if n)
    if sample.background:
        facts["background"] = f"{sample.background} events"
    return Summary(
        file=str(path),
        format="MadMiner, events",
        events=len(weights),
        facts=facts,
        weights=tuple(
            sums.weight(i, name, points[name]) for i, name in enumerate(setup.benchmark_names)
        ),
        columns=tuple(
            Column(name=name, number=i, meaning=definition)
            for i, (name, definition) in enumerate(read_definitions(path).items())
        ),
        columns_are="observable",
    )
