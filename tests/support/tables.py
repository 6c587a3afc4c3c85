"""Tables of events, written for a test."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import awkward as ak
import h5py
import numpy as np
import uproot

FORMATS = ("root", "h5", "parquet")


def write_table(
    path: Path, columns: Mapping[str, Any], tree: str = "ntuple", as_rntuple: bool = False
) -> None:
    """Columns (n,) of numbers or of lists as a file whose kind its name says; HDF5 has no lists."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".root":
        with uproot.recreate(path) as file:
            write_tree(file, tree, columns, as_rntuple)
    elif path.suffix == ".parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        pq.write_table(pa.table({name: ak.to_list(v) for name, v in columns.items()}), path)
    else:
        with h5py.File(path, "w") as file:
            for name, values in columns.items():
                file[f"{tree}/{name}"] = np.asarray(values)


def write_tree(file: Any, name: str, columns: Mapping[str, Any], as_rntuple: bool = False) -> None:
    """Columns of arrays as a TTree or as an RNTuple, in which records are branches or fields."""
    if as_rntuple:
        fields: dict[str, Any] = {}
        for key, values in columns.items():
            parts = ak.fields(values) if isinstance(values, ak.Array) else []
            fields |= {f"{key}_{part}": values[part] for part in parts} or {key: values}
        file.mkrntuple(name, fields)
        return
    types = {key: ak.type(ak.Array(values)).content for key, values in columns.items()}
    file.mktree(name, {key: str(one) for key, one in types.items()})
    file[name].extend(dict(columns))


def cut_flow(bins: Mapping[str, float]) -> Any:
    """A histogram of ROOT with these bins, by their labels."""
    from uproot.writing import identify

    labels = identify.to_THashList([identify.to_TObjString(label) for label in bins])
    for number, label in enumerate(labels, 1):
        label._bases[0]._members["@fUniqueID"] = number
    axis = identify.to_TAxis("xaxis", "", len(bins), 0.0, float(len(bins)), fLabels=labels)
    contents = np.array([0.0, *bins.values(), 0.0])
    moments = [0.0] * 4
    return identify.to_TH1x("CutFlow", "", contents, len(bins), *moments, np.array([]), axis)


def write_nanoaod(
    path: Path, n: int = 200, sum_of_weights: float | None = None, as_rntuple: bool = False
) -> dict[str, Any]:
    """Events as NanoAOD has them: jets, missing momentum, ``genWeight`` and relative weights.

    The latter are those at 0, 1 and -1 of a parameter. Returns what was written.
    """
    random = np.random.default_rng(1)
    counts = random.integers(0, 4, n)
    n_jets = counts.sum()
    gen = random.choice([1.0, 2.0], n)
    linear, square = random.normal(size=n), 1.0 + random.random(n)
    relative = np.stack([np.ones(n), 1 + linear + square, 1 - linear + square], axis=1)
    jets = {
        "pt": random.exponential(50.0, n_jets) + 20.0,
        "eta": random.normal(size=n_jets),
        "phi": random.uniform(-3.0, 3.0, n_jets),
        "mass": random.random(n_jets) * 10.0,
    }
    jagged = {name: ak.unflatten(values, counts) for name, values in jets.items()}
    order = ak.argsort(jagged["pt"], axis=1, ascending=False)
    columns = {
        "genWeight": gen,
        "LHEReweightingWeight": ak.from_regular(ak.Array(relative)),
        "MET_pt": random.exponential(30.0, n),
        "MET_phi": random.uniform(-3.0, 3.0, n),
        "Jet": ak.zip({name: values[order] for name, values in jagged.items()}),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    with uproot.recreate(path) as file:
        write_tree(file, "Events", columns, as_rntuple)
        if sum_of_weights is not None:
            halves = np.array([0.25, 0.75]) * sum_of_weights
            runs = {"run": np.array([1, 2]), "genEventSumw": halves}
            write_tree(file, "Runs", runs, as_rntuple)
    return columns
