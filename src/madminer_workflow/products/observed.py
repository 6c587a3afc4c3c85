"""Observed data: events of an experiment, or pseudo-data drawn at a parameter point."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

import numpy as np

from madminer_workflow import hdf5_files
from madminer_workflow.analysis.types import Analysis, Point
from madminer_workflow.errors import InputError
from madminer_workflow.seeds import derive_seed
from madminer_workflow.statistics.events import draw
from madminer_workflow.statistics.problem import Observation, Problem

LARGEST_OBSERVABLE = 1e30
"""In whatever unit; networks compute with single precision."""


def observe(value: str | None, problem: Problem) -> Observation | None:
    """The data that ``value`` asks for: a file of events, a benchmark, or ``p0=0.1,p1=0``.

    At a point, pseudo-data are drawn from the test events, their number from Poisson's law, the
    same for every method. None for a blank. Raises InputError if the data do not fit the problem.
    """
    if not (value := (value or "").strip()):
        return None
    if _is_file(value):
        return read_observed(Path(value), problem.test.observables)
    point = _point(value, problem.setup.parameters, problem.setup.benchmark_names)
    theta = problem.setup.theta(point)
    rng = np.random.default_rng(derive_seed(problem.seed, "observed"))
    n = int(rng.poisson(problem.expected_events(theta)))
    chosen = draw(problem.test.weights_at(theta), n, rng)
    return Observation(problem.test.observables, problem.test.x[chosen], value, theta)


def check_argument(value: str | None, analysis: Analysis) -> None:
    """Raise InputError unless ``value`` can be what ``observe`` takes, for an analysis file."""
    if not (value := (value or "").strip()):
        return
    if _is_file(value):
        read_observed(Path(value), analysis.observable_names)
    else:
        _point(value, analysis.parameter_names, list(analysis.benchmarks))


def _is_file(value: str) -> bool:
    return Path(value).is_file() or value.endswith((".h5", ".hdf5")) or "/" in value


def _point(value: str, parameters: Sequence[str], benchmarks: Sequence[str]) -> Point:
    """The point that the text names; InputError if it names none."""
    if value in benchmarks:
        return value
    if "=" not in value:
        close = get_close_matches(value, benchmarks, n=1)
        hint = f"; did you mean {close[0]}?" if close else ""
        raise InputError(
            f"observed: there is no file and no benchmark {value}; expected a file of events, a "
            f"benchmark ({', '.join(benchmarks)}) or a point such as "
            f"{','.join(f'{name}=0.1' for name in parameters)}{hint}"
        )
    point: dict[str, float] = {}
    for part in value.split(","):
        name, _, number = (text.strip() for text in part.partition("="))
        try:
            point[name] = float(number)
        except ValueError:
            raise InputError(f"observed: {part.strip()}: expected NAME=NUMBER") from None
    if set(point) != set(parameters) or not all(map(np.isfinite, point.values())):
        raise InputError(
            f"observed: the point {value} has values for {', '.join(point)}; expected finite "
            f"values for {', '.join(parameters)}"
        )
    return point


def read_observed(path: Path, observables: Sequence[str]) -> Observation:
    """The events of an HDF5 file with MadMiner's names of data sets.

    These are ``observables/names`` and ``samples/observations``, with a row per event. The file may
    have more observables than the analysis, in any order. Raises InputError if one is missing, if
    an observable is not a number, or if events are weighted, as simulated ones are.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file of observed events")
    try:
        with hdf5_files.opened(path, "a file of observed events") as file:
            names = file.texts("observables/names")
            x = np.atleast_2d(file.array("samples/observations"))
            weighted = "samples/weights" in file
            if x.dtype.kind not in "biuf" or x.ndim != 2:
                raise ValueError(f"samples/observations are of the type {x.dtype} and {x.ndim}-dim")
    except InputError as error:
        reason = str(error).removeprefix(f"{path}: ")
        raise InputError(
            f"{path}: is not a file of observed events; expected HDF5 with the data sets "
            "observables/names and samples/observations, real numbers with one row per event "
            f"({reason})"
        ) from None
    x = x.astype(float)
    if weighted:
        raise InputError(
            f"{path}: its events have weights, so they are simulated; observed events have none "
            "(for pseudo-data, give a benchmark or a parameter point)"
        )
    missing = [name for name in observables if name not in names]
    if missing or x.shape[1] != len(names):
        raise InputError(
            f"{path}: the observables {', '.join(missing)} are missing; it has {', '.join(names)}"
            if missing
            else f"{path}: has {len(names)} names of observables, but {x.shape[1]} columns"
        )
    x = x[:, [names.index(name) for name in observables]]
    if not len(x):
        raise InputError(f"{path}: has no events; expected at least one row")
    if len(set(names)) < len(names):
        raise InputError(
            f"{path}: observables/names contains a name twice; it has {', '.join(names)}"
        )
    undefined = int(np.sum(~np.isfinite(x).all(axis=1)))
    if undefined:
        raise InputError(f"{path}: {undefined} of {len(x)} events have an undefined observable")
    largest = np.abs(x).max(initial=0.0)
    if largest > LARGEST_OBSERVABLE:
        raise InputError(
            f"{path}: an observable of an event is {largest:.3g}; expected no more than "
            f"{LARGEST_OBSERVABLE:g}"
        )
    return Observation(list(observables), x, path.name)
