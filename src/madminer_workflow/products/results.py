"""``Results.tar.gz``: the results of evaluating one method, numbers and the arrays behind them."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from madminer_workflow.analysis.types import Method
from madminer_workflow.array_files import Checked, read_npz, reading
from madminer_workflow.files import named, pack, read_json, unpack, write_json
from madminer_workflow.statistics.likelihood import KINDS
from madminer_workflow.statistics.plain import plain
from madminer_workflow.statistics.results import (
    Check,
    FisherInformation,
    Goodness,
    JointFit,
    Limits,
    Number,
    ObservedData,
    ProvenInformation,
)

ARCHIVE = "Results.tar.gz"
SUMMARY = "results.json"
ARRAYS = "arrays.npz"
NAMES = "arrays"
"""The key for the names of all arrays, so that a missing one is noticed."""
FITTED = "fitted"
"""The key for the data of the joint fits, for the same reason."""
PREFIXES = {
    "limits": "q",
    "limits_statistical": "q_statistical",
    "observed": "q_observed",
    "observed_statistical": "q_observed_statistical",
    "limits_fixed": "q_fixed",
}
"""Prefixes of the test statistics of limits among the arrays."""

WITH_MEMBERS = ("limits", "observed")
"""Test statistics that also exist for members; the others exist only for the ensemble."""

PROVEN_REPLICAS = "proven_information_replicas"
"""Proven information in bootstrap replicas of the test events, which all methods have in common."""

LENGTH_REPLICAS = "interval_length_replicas"
"""Changes of the logarithm of the length of each parameter's expected interval, from rate and shape
at the highest confidence level, in the same replicas."""

LENGTH_DIRECTIONS = "interval_length_directions"
"""The same if the simulation is off by a standard deviation along each of the directions of its
error, none if that is not known."""


class Summary(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Results of an ensemble.

    ``limits``, by kind of likelihood, are expected limits, ``observed`` are limits from observed
    data, and ``limits_fixed`` are expected limits with nuisance parameters fixed, if there are any;
    ``limits_statistical`` and ``observed_statistical`` are the limits for an exact simulation, if
    its error is known and included in the others. ``joint_fits`` are fits of parameters and
    nuisance parameters to "expected" and, if there are any, "observed" data; ``goodness``, by kind,
    says whether the observed data look like the simulation at the best fit. ``checks`` refer to the
    ensemble, ``diagnostics`` to each member; ``versions`` are those of the packages that trained
    and evaluated it.
    """

    name: str
    settings: Method
    members: int
    parameters: list[str]
    expected_events: float
    limits: dict[str, Limits]
    limits_statistical: dict[str, Limits] | None = None
    observed: dict[str, Limits] | None = None
    observed_statistical: dict[str, Limits] | None = None
    limits_fixed: dict[str, Limits] | None = None
    joint_fits: dict[str, JointFit] | None = None
    goodness: dict[str, Goodness] | None = None
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
        write_json(directory / SUMMARY, plain(results.summary) | _names(results))
        np.savez(directory / ARRAYS, allow_pickle=False, **results.arrays)
        pack(directory, output / ARCHIVE)


def read_results(path: Path) -> Results:
    """Read a product; InputError if it is not what evaluating writes."""
    with tempfile.TemporaryDirectory() as scratch:
        directory = unpack(path, scratch)
        with reading(path, "contains no results of a method from evaluating"):
            for name in (SUMMARY, ARRAYS):
                if not (directory / name).is_file():
                    raise KeyError(name)
            with named(directory, path):
                noted = read_json(directory / SUMMARY)
                summary = msgspec.convert(noted, Summary)
            results = Results(summary, read_npz(directory / ARRAYS))
            for key, names in _names(results).items():
                if noted.get(key) != names:
                    raise ValueError(f"it does not have the {key} that it lists")
            return checked(results)


def _names(results: Results) -> dict[str, list[str]]:
    """What a product says to have, so that none of it is missed."""
    return {NAMES: sorted(results.arrays), FITTED: sorted(results.summary.joint_fits or {})}


def checked(results: Results) -> Results:
    """The results; ValueError unless numbers and arrays are consistent."""
    summary, arrays = results.summary, results.arrays
    n = len(summary.parameters)
    if not summary.members == len(summary.diagnostics) == len(summary.losses) > 0:
        raise ValueError("it does not have the diagnostics and losses of each member")
    check = Checked(parameters=n, members=summary.members)
    for array in arrays.values():
        if array.dtype.kind not in "biuf":
            raise ValueError(f"it has an array of the type {array.dtype}")
    check.of(arrays, "thetas", "points", "parameters")
    if summary.limits.keys() != set(KINDS):
        raise ValueError(f"it does not have the limits {', '.join(KINDS)}")
    every = summary.limits[KINDS[0]]
    check.of(arrays, PROVEN_REPLICAS, "replicas", "parameters", "parameters")
    check.of(arrays, LENGTH_REPLICAS, "parameters", "replicas", finite=False)
    check.of(arrays, LENGTH_DIRECTIONS, "parameters", "directions", finite=False)
    for what, prefix in PREFIXES.items():
        for kind in getattr(summary, what) or {}:
            shapes: dict[str, tuple[str, ...]] = {f"{prefix}_{kind}": ("points",)}
            if what in WITH_MEMBERS:
                shapes[f"{prefix}_{kind}_members"] = ("members", "points")
            for name, shape in shapes.items():
                check.of(arrays, name, *shape, finite=False)
            limits = getattr(summary, what)[kind]
            _check_limits(limits, every, n)
            if what in WITH_MEMBERS:
                _check_members(limits, arrays, f"{prefix}_{kind}")
    per_event = {"weights_test": (), "x_test": ("observables",), "score": ("scores",)}
    for name in per_event.keys() & arrays.keys():
        check.of(arrays, name, "events", *per_event[name], finite=name != "x_test")
    _check_fits(summary.joint_fits or {}, summary.parameters)
    for found in (summary.goodness or {}).values():
        _check_goodness(found, n)
    matrices = [summary.fisher_information.matrix, summary.fisher_information.statistical_error]
    for matrix in (*matrices, summary.fisher_information.ensemble_spread):
        check("fisher_information", np.array(matrix, dtype=float), n, n, finite=False)
    return results


def _check_limits(limits: Limits, others: Limits, size: int) -> None:
    """ValueError unless limits are of the parameters, in this number, and levels of all others."""
    levels = others.allowed_volume.keys()
    for by_parameter in (limits.intervals, limits.member_intervals or limits.intervals):
        if by_parameter.keys() != others.intervals.keys() or any(
            by_level.keys() != levels for by_level in by_parameter.values()
        ):
            raise ValueError("it does not have the intervals of all parameters at all levels")
    if limits.errors is not None and limits.errors.keys() != others.intervals.keys():
        raise ValueError("it does not have the errors of all parameters")
    if limits.allowed_volume.keys() != levels or not (
        len(limits.intervals) == len(limits.best_fit) == size
    ):
        raise ValueError(
            "it does not have the best fit of all parameters and volumes of all levels"
        )


def _check_members(limits: Limits, arrays: Mapping[str, np.ndarray], name: str) -> None:
    """ValueError unless there are intervals of members, and a lone one is its ensemble."""
    if limits.member_intervals is None:
        raise ValueError("it does not have the intervals of members")
    q, members = arrays[name], arrays[f"{name}_members"]
    if len(members) == 1 and np.any(np.isfinite(q) != np.isfinite(members[0])):
        raise ValueError(f"{name} of the only member is not that of the ensemble")


def _check_goodness(found: Goodness, size: int) -> None:
    """ValueError unless there are p-values of a fit of so many parameters."""
    p = [found.p_value, *(test.p_value for test in found.tests)]
    if len(found.best_fit) != size or len(p) == 1 or not all(0.0 < value <= 1.0 for value in p):
        raise ValueError("its goodness of fit has no p-values of a fit of the parameters")
    plot = found.plot
    if plot and not len(plot.edges) - 1 == len(plot.observed) == len(plot.expected):
        raise ValueError("its goodness of fit has bins without events")


def _check_fits(fits: Mapping[str, JointFit], parameters: Sequence[str]) -> None:
    """ValueError unless fits are to known data, and of the same nuisance parameters."""
    if not fits.keys() <= {"expected", "observed"}:
        raise ValueError("its fits are not those of expected and observed data")
    names = [[one.name for one in fit.nuisance] for fit in fits.values()]
    if any(not one or one != names[0] or len(set(one)) < len(one) for one in names):
        raise ValueError("its fits are not of the same nuisance parameters")
    for fit in fits.values():
        _check_fit(fit, parameters)


def _check_fit(fit: JointFit, parameters: Sequence[str]) -> None:
    """ValueError unless all parts of a fit are about the same parameters."""
    size = len(parameters) + len(fit.nuisance)
    correlation = np.array(fit.correlation, dtype=float)
    Checked()("joint_fits", correlation, size, size, finite=False)
    if not len(fit.best_fit) == len(fit.error) == len(parameters):
        raise ValueError("a fit has a wrong number of parameters")
    errors = [error for one in fit.nuisance for error in (one.error, *one.profile_error)]
    if any(error is not None and error < 0.0 for error in (*errors, *fit.error)):
        raise ValueError("a fit has an error below 0")
    if any(one.impact.keys() != set(parameters) for one in fit.nuisance):
        raise ValueError("a fit does not have the impacts on its parameters")
    names = sorted(one.name for one in fit.nuisance)
    if fit.ranking.keys() != set(parameters) or any(
        sorted(order) != names for order in fit.ranking.values()
    ):
        raise ValueError("a ranking does not have the nuisance parameters of its fit")
