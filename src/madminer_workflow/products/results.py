"""``Results.tar.gz``: what evaluating finds of one method, numbers and the arrays behind them."""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from madminer_workflow.analysis.types import Method
from madminer_workflow.errors import InputError
from madminer_workflow.files import pack, read_json, unpack, write_json
from madminer_workflow.statistics.plain import plain
from madminer_workflow.statistics.results import (
    Check,
    FisherInformation,
    Limits,
    Number,
    ObservedData,
    ProvenInformation,
)

ARCHIVE = "Results.tar.gz"
SUMMARY = "results.json"
ARRAYS = "arrays.npz"
PREFIXES = {"limits": "q", "observed": "q_observed", "limits_fixed": "q_fixed"}
"""What the test statistics of limits are called among the arrays."""

PROVEN_REPLICAS = "proven_information_replicas"
"""Proven information in bootstrap replicas of the test events, which all methods have in common."""


class Summary(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is found of an ensemble.

    ``limits`` by kind of likelihood are expected ones, ``observed`` those of observed data,
    ``limits_fixed`` expected ones with nuisance parameters fixed, where there are any. ``checks``
    are of the ensemble, ``diagnostics`` of each member; ``versions`` are those of the packages that
    trained and evaluated it.
    """

    name: str
    settings: Method
    members: int
    parameters: list[str]
    expected_events: float
    limits: dict[str, Limits]
    observed: dict[str, Limits] | None = None
    limits_fixed: dict[str, Limits] | None = None
    fisher_information: FisherInformation
    fisher_information_profiled: FisherInformation | None = None
    proven_information: ProvenInformation | None = None
    checks: list[Check]
    diagnostics: list[list[Check]]
    believed: bool
    losses: list[Mapping[str, Sequence[Number]]]
    observation: ObservedData | None = None
    versions: dict[str, str] = msgspec.field(default_factory=dict)


@dataclass(frozen=True)
class Results:
    """A summary, and arrays: the test statistics on the grid ``thetas``, outputs by event."""

    summary: Summary
    arrays: dict[str, np.ndarray]


def write_results(output: Path, results: Results) -> None:
    """Write the product into the directory ``output``."""
    with tempfile.TemporaryDirectory() as scratch:
        directory = Path(scratch)
        write_json(directory / SUMMARY, plain(results.summary))
        np.savez(directory / ARRAYS, allow_pickle=False, **results.arrays)
        pack(directory, output / ARCHIVE)


def read_results(path: Path) -> Results:
    """Read a product; InputError if it is not what evaluating writes."""
    with tempfile.TemporaryDirectory() as scratch:
        directory = unpack(path, scratch)
        try:
            summary = msgspec.convert(read_json(directory / SUMMARY), Summary)
            with np.load(directory / ARRAYS) as arrays:
                return Results(summary, dict(arrays))
        except (InputError, OSError, ValueError, zipfile.BadZipFile):
            raise InputError(f"{path}: holds no results of a method from evaluating") from None
